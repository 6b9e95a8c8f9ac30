/**
 * Whether the payee claims a lock, holds it until the payment's other parts are in, or gives it back (R1, R6): a list of
 * rules, read from top to bottom.
 */
import { equalBytes as equalInConstantTime } from '@noble/ciphers/utils.js'
import { type Amount, plus } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { Scalar } from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { FinalArrival } from './arrival.js'
import type { LocalReason } from './failure.js'
import { type HeldPart, holdEnds, sumOfParts } from './held-part.js'
import { type Invoice, invoiceScalar } from './invoice.js'
import type { LockRef } from './obligation-record.js'
import { hopScalar } from './onion/crypto.js'
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
  /** Other parts of the same payment, of one payer, irrevocably in (C12), whose hold has not ended. */
  readonly held: readonly HeldPart[]
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
    name: 'every part names the amount of the invoice as its total',
    reason: 'amount_wrong',
    holds: ({ payload }, _, { invoice }) => payload.total === invoice.amount,
  },
  {
    name: 'no hop took of the part',
    reason: 'amount_wrong',
    holds: ({ payload, incoming }) => incoming.amount === payload.amount && payload.amount > 0n,
  },
  {
    name: 'the parts are not more than the total',
    reason: 'amount_wrong',
    holds: ({ payload }, { held }) => plus(sumOfParts(held), payload.amount) <= payload.total,
  },
  {
    name: 'the parts are not too many',
    reason: 'parts_too_many',
    holds: (_, { held }) => held.length < LIMITS.payment_parts,
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

/** One lock to claim, and with what. */
export interface PartClaim {
  readonly lock: LockRef
  readonly scalar: Scalar
  readonly amount: Amount
}

export type ReceiveDecision =
  /** The node stores, in one batch: the invoice as paid, the obligations to claim every part, the replay tag. */
  | { readonly kind: 'claim'; readonly parts: readonly PartClaim[]; readonly invoice: Invoice }
  /** Nothing is claimed yet: the part waits for the others, until `holdEnds`. */
  | { readonly kind: 'hold'; readonly part: HeldPart; readonly invoice: Invoice }
  | { readonly kind: 'fail'; readonly reason: LocalReason }

/** Asked once per lock, when it is irrevocably in (C12). */
export function decideReceive(arrival: FinalArrival, context: ReceiveContext): ReceiveDecision {
  const { issued, held, now, expiryNear } = context
  if (issued === undefined) return { kind: 'fail', reason: context.ledgerFresh ? 'invoice_unknown' : 'ledger_stale' }
  const { invoice } = issued
  invariant(
    arrival.point !== null && equalInConstantTime(arrival.point, invoice.point),
    'R1',
    'the invoice was looked up by the point of the arrival',
  )
  invariant(now <= holdEnds(held, invoice, expiryNear), 'R1', 'parts whose hold has ended were given back before')
  const broken = RECEIVE_RULES.find((rule) => !rule.holds(arrival, context, issued))
  if (broken !== undefined) return { kind: 'fail', reason: broken.reason }
  const { incoming, payload, secret } = arrival
  const lock: LockRef = { channel: incoming.channel, id: incoming.id }
  const isNew = held.every((part) => part.lock.id !== lock.id || !equalBytes(part.lock.channel, lock.channel))
  invariant(isNew, 'R1', 'a lock is one part')
  const part: HeldPart = { lock, secret, amount: payload.amount, expiry: payload.expiry, since: now }
  const parts = [...held, part]
  if (sumOfParts(parts) < payload.total) return { kind: 'hold', part, invoice }
  const t = invoiceScalar(context.seed, invoice.ledger, invoice.secret)
  const claims = parts.map(({ lock: each, amount, secret: shared }) => ({
    lock: each,
    amount,
    scalar: scalarUpstream(t, hopScalar(shared)),
  }))
  return { kind: 'claim', parts: claims, invoice }
}
