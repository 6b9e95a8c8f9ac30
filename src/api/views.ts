/** What the API shows: amounts as digit strings in `*_minor`, ids in hexadecimal, times in ledger seconds. */
import type { Amount } from '../base/amount.js'
import type { Digest } from '../base/bytes.js'
import { idText } from '../base/ids.js'
import type { SubmitReceipt } from '../base/ports/chain.js'
import type { Capacities } from '../node/capacity.js'
import type { ChannelSummary } from '../node/channel-summary.js'
import type { NumberedEvent } from '../node/event-log.js'
import { EXIT_BARS, type ExitLicence } from '../node/exit-licence.js'
import type { IssuedRow } from '../node/invoices.js'
import type { Node } from '../node/node.js'
import type { PaymentQuote, PaymentView } from '../node/payment-view.js'
import { invoiceDigest } from '../router/invoice.js'
import type { Policy } from '../router/policy.js'
import type { Balance } from '../wallet/wallet.js'
import type { EventJson } from './event-types.js'
import { parseDigest } from './parse.js'

const minor = (value: Amount): string => value.toString()
const minorOrNull = (value: Amount | null): string | null => (value === null ? null : minor(value))

export const nodeView = (status: ReturnType<Node['status']>) => ({
  account: status.account,
  ledger: status.ledger,
  height: status.height,
  time: status.time,
  ledger_age_s: status.ledgerAge,
  forwarding: status.forwarding,
  listening: status.listening,
  announce: status.announce,
  channels: status.channels,
  channels_ready: status.channelsReady,
  channels_stopped: status.stopped,
  channels_recovering: status.recovering,
  graph_channels: status.graphChannels,
  restored: status.restored,
  fees_earned_minor: minor(status.feesEarned),
  towers: status.towers,
  tower_receipts_required: status.towerReceiptsRequired,
  ready: status.ready,
})

export const accountView = (account: string, balance: Balance | undefined) => ({
  account,
  registered: balance !== undefined,
  available_minor: minor(balance?.available ?? (0n as Amount)),
  pending_open_minor: minor(balance?.pendingOpen ?? (0n as Amount)),
  pending_frozen_minor: minor(balance?.pendingFrozen ?? (0n as Amount)),
})

export const receiptView = ({ id, height, time, cursor }: SubmitReceipt) => ({
  transaction: idText(id),
  height,
  time,
  cursor,
})

export const policyView = (policy: Policy) => ({
  base_minor: minor(policy.base),
  ppm: policy.ppm,
  expiry_delta_s: policy.expiryDelta,
  min_minor: minor(policy.minAmount),
  max_minor: minor(policy.maxAmount),
  enabled: policy.enabled,
})

export const channelView = (channel: ChannelSummary) => ({
  channel: channel.channel,
  peer: channel.peer,
  side: channel.side,
  phase: channel.phase,
  ready: channel.ready,
  connected: channel.connected,
  stopped: channel.stopped,
  version: channel.version,
  can_send_minor: minor(channel.canSend),
  can_receive_minor: minor(channel.canReceive),
  balance_minor: minor(channel.balance),
  locks: channel.locks,
  waiting: channel.waiting,
  deadline: channel.deadline,
  window_s: channel.window,
  back_at: channel.backAt,
  exit: exitView(channel.exit),
  tower_lag: channel.towerLag,
  tower_waiting: channel.towerWaiting,
  policy: policyView(channel.policy),
})

/** Whether `close` with `force` would be let through now (S2), and what is missing. */
const exitView = (licence: ExitLicence) => ({
  allowed: licence.kind === 'granted',
  missing: licence.kind === 'never' ? EXIT_BARS[licence.bar] : null,
  in_s: licence.kind === 'later' ? licence.seconds : null,
})

/** What became of a forced close: `back_at` is the latest ledger time at which the money is spendable again. */
export const closedView = ({ channel, phase, deadline, backAt }: ChannelSummary) => ({
  channel,
  closed: phase === 'closed',
  deadline,
  back_at: backAt,
})

const idOrNull = (id: Digest | null): string | null => (id === null ? null : idText(id))

/** @param canReceive by all channels together (R7). */
export const invoiceView = (
  { invoice, text, paid }: IssuedRow,
  receipt: string | null,
  { canReceive }: Pick<Capacities, 'canReceive'>,
) => ({
  id: idText(invoiceDigest(invoice)),
  invoice: text,
  amount_minor: minor(invoice.amount),
  reference: invoice.reference,
  refund_of: idOrNull(invoice.refundOf),
  created: invoice.created,
  expires: invoice.expires,
  paid,
  receipt,
  can_receive_minor: paid ? null : minor(canReceive),
  warning: !paid && invoice.amount > canReceive ? ('no_capacity_to_payee' as const) : null,
})

export const paymentView = (payment: PaymentView) => ({
  key: payment.key,
  status: payment.status,
  invoice: payment.invoice,
  reference: payment.reference,
  payee: payment.payee,
  refund_of: payment.refundOf,
  amount_minor: minor(payment.amount),
  sent_minor: minorOrNull(payment.sent),
  fee_minor: minorOrNull(payment.fee),
  hops: payment.hops,
  parts: payment.parts,
  code: payment.code,
  failed_at: payment.failedAt,
  attempts: payment.attempts,
  receipt: payment.receipt,
})

export const quoteView = (quote: PaymentQuote, { canSend, canSendAtOnce }: Capacities) => ({
  amount_minor: minor(quote.amount),
  fee_minor: minor(quote.fee),
  hops: quote.hops,
  parts: quote.parts,
  can_send_minor: minor(canSend),
  can_send_at_once_minor: minor(canSendAtOnce),
})

/** The event's own fields; a paid invoice brings its receipt, which rests in no row. */
export function eventView(node: Node, event: NumberedEvent): EventJson {
  switch (event.type) {
    case 'invoice.paid': {
      const { amount, ...rest } = event
      const id = parseDigest(event.invoice)
      const issued = id === undefined ? undefined : node.invoice(id)
      const receipt = issued === undefined ? null : node.receiptOf(issued)
      return { ...rest, amount_minor: minor(amount), receipt: receipt ?? '' }
    }
    case 'payment.succeeded':
    case 'payment.returned': {
      const { amount, fee, ...rest } = event
      return { ...rest, amount_minor: minor(amount), fee_minor: minor(fee) }
    }
    case 'payment.failed': {
      const { failedAt, ...rest } = event
      return { ...rest, failed_at: failedAt }
    }
    case 'forward.claimed': {
      const { fee, ...rest } = event
      return { ...rest, fee_minor: minor(fee) }
    }
    case 'pay.sent':
    case 'pay.received':
    case 'payment.refunded':
    case 'invoice.refunded': {
      const { amount, ...rest } = event
      return { ...rest, amount_minor: minor(amount) }
    }
    default:
      return event
  }
}

export type PolicyJson = ReturnType<typeof policyView>
