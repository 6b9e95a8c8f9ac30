/** Rebalancing (R7): an invoice of one's own that names two own channels, paid out of one and by way of the other. */
import type { Amount } from '../base/amount.js'
import { bytesToHex, equalBytes, utf8 } from '../base/bytes.js'
import { sha256 } from '../base/digest.js'
import type { ChannelId } from '../base/ids.js'
import { type Result, refuse } from '../base/result.js'
import { circularHints } from '../router/circular.js'
import type { RouteHint } from '../router/invoice.js'
import type { NodeParts } from './assemble.js'
import type { IssuedRow } from './invoices.js'
import type { PaymentView } from './payment-view.js'

export interface RebalanceWish {
  /** Own channels, with two peers that reach each other. */
  readonly from: ChannelId
  readonly to: ChannelId
  readonly amount: Amount
  readonly feeMax: Amount
}

type Parts = Pick<NodeParts, 'channels' | 'policies' | 'invoices' | 'payments'>

/** Ledger seconds. */
const EXPIRES_S = 86_400

/**
 * Durable when it resolves; the same key moves the money once. Errors: `not_found`, `channel_not_open`,
 * `forwarding_off`, `circular_route` for two channels with one peer, `request_key_reused`, and those of payments.
 */
export async function rebalance(parts: Parts, key: string, wish: RebalanceWish): Promise<Result<PaymentView>> {
  const { channels, policies, invoices, payments } = parts
  const [from, to] = [channels.get(wish.from), channels.get(wish.to)]
  if (from === undefined || to === undefined) return refuse('not_found', 'channel')
  if (equalBytes(from.peer, to.peer)) return refuse('circular_route', 'both channels are with one peer')
  const closed = [from, to].find(({ state }) => state.phase !== 'open')
  if (closed !== undefined && payments.view(key) === undefined) return refuse('channel_not_open', closed.text)
  // Whoever forwards says what it asks as soon as it is connected: who never did would only hold the money up.
  const comesBack = policies.hintOf(to)
  if (comesBack === undefined) return refuse('forwarding_off', `the peer of ${to.text}`)
  if (policies.hintOf(from) === undefined) return refuse('forwarding_off', `the peer of ${from.text}`)
  const leaves: RouteHint = { hub: from.peer, url: null, channel: from.id, policy: policies.of(from) }
  const issued = await invoices.issue(`rebalance/${bytesToHex(sha256(utf8(key)))}`, {
    amount: wish.amount,
    reference: 'rebalance',
    expiresIn: EXPIRES_S,
    hints: circularHints(comesBack, leaves),
  })
  if (!issued.ok) return issued
  if (!isFor(issued.value, wish)) return refuse('request_key_reused')
  return payments.start({ key, invoice: issued.value.invoice, feeMax: wish.feeMax }, { toSelf: true })
}

const isFor = ({ invoice: { hints } }: IssuedRow, { from, to }: RebalanceWish): boolean =>
  [to, from].every((channel, i) => hints[i] !== undefined && equalBytes(hints[i].channel, channel))
