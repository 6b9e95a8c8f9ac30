/** Whether the payee claims a lock (R1, R6): a list of rules, read from top to bottom. Version 1 pays in one part. */
import { equalBytes as equalInConstantTime } from '@noble/ciphers/utils.js'
import type { Amount } from '../base/amount.js'
import type { Scalar } from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import type { FinalArrival } from './arrival.js'
import type { LocalReason } from './failure.js'
import { type Invoice, invoiceScalar } from './invoice.js'
import { scalarUpstream } from './point-lock.js'

/** An invoice of ours and whether a claim was decided for it already (durable with that decision). */
export interface IssuedInvoice {
  readonly invoice: Invoice
  readonly paid: boolean
}

export interface ReceiveContext {
  /** Ledger time, seconds. */
  readonly now: number
  readonly ledgerFresh: boolean
  readonly replayed: boolean
  /** Least time left, seconds, to claim and, if need be, reveal with finality. */
  readonly expiryNear: number
  /** Ours with `arrival.point` as its T, if there is one. */
  readonly issued: IssuedInvoice | undefined
  /** What the scalars of our invoices are derived from. */
  readonly seed: Uint8Array
}

interface ReceiveRule {
  readonly name: string
  readonly reason: LocalReason
  readonly holds: (arrival: FinalArrival, context: ReceiveContext, issued: IssuedInvoice) => boolean
}

export const RECEIVE_RULES: readonly ReceiveRule[] = [
  { name: 'the ledger view is fresh (A1)', reason: 'ledger_stale', holds: (_, context) => context.ledgerFresh },
  { name: 'the onion is new (R2)', reason: 'onion_replayed', holds: (_, context) => !context.replayed },
  {
    name: 'the payer has the invoice',
    reason: 'secret_wrong',
    holds: ({ payload }, _, { invoice }) => equalInConstantTime(payload.secret, invoice.secret),
  },
  { name: 'the invoice is paid once (R1)', reason: 'invoice_paid', holds: (_, __, issued) => !issued.paid },
  {
    name: 'the invoice has not expired',
    reason: 'invoice_expired',
    holds: (_, { now }, { invoice }) => now <= invoice.expires,
  },
  {
    // One part carries the whole total. Parts would be held here until they sum to it (R1).
    name: 'the amount is exactly that of the invoice',
    reason: 'amount_wrong',
    holds: ({ payload, incoming }, _, { invoice }) =>
      payload.total === invoice.amount && payload.amount === payload.total && incoming.amount === payload.amount,
  },
  {
    name: 'no hop shortened the time',
    reason: 'expiry_too_near',
    holds: ({ payload, incoming }) => incoming.expiry >= payload.expiry,
  },
  {
    name: 'there is time to claim, and to reveal',
    reason: 'expiry_too_near',
    // The payer's word, which no hop can alter: after it every replay is refused, remembered or not (R2).
    holds: ({ payload }, { now, expiryNear }) => payload.expiry - now >= expiryNear,
  },
]

export type ReceiveDecision =
  /** The node stores, in one batch: the invoice as paid, the obligation to claim, the replay tag. */
  | { readonly kind: 'claim'; readonly scalar: Scalar; readonly amount: Amount; readonly invoice: Invoice }
  | { readonly kind: 'fail'; readonly reason: LocalReason }

/** Asked once per lock, when it is irrevocably in (C12). */
export function decideReceive(arrival: FinalArrival, context: ReceiveContext): ReceiveDecision {
  const { issued } = context
  if (issued === undefined) return { kind: 'fail', reason: context.ledgerFresh ? 'invoice_unknown' : 'ledger_stale' }
  invariant(
    arrival.point !== null && equalInConstantTime(arrival.point, issued.invoice.point),
    'R1',
    'the invoice was looked up by the point of the arrival',
  )
  const broken = RECEIVE_RULES.find((rule) => !rule.holds(arrival, context, issued))
  if (broken !== undefined) return { kind: 'fail', reason: broken.reason }
  const { invoice } = issued
  const t = invoiceScalar(context.seed, invoice.ledger, invoice.secret)
  return { kind: 'claim', scalar: scalarUpstream(t, arrival.y), amount: invoice.amount, invoice }
}
