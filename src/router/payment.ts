/**
 * A payment of ours (R5): one part or several side by side, others in the place of those that came back, and exactly one
 * end. Parts under way never sum to more than the invoice, so a second attempt starts only when the first is out. There
 * is no timeout: what is not out is pending. Events may come more than once; the shell stores record and effects in one
 * batch.
 */
import { type Amount, minus, plus, ZERO } from '../base/amount.js'
import { type Digest, equalBytes } from '../base/bytes.js'
import type { Scalar } from '../base/curve/index.js'
import { type ErrorCode, invariant, unreachable } from '../base/errors.js'
import type { AccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { codeOfOwnChannel, decodeFailure, placed } from './failure.js'
import { type Invoice, invoiceDigest } from './invoice.js'
import { type LockRef, sameLock } from './obligation-record.js'
import { readFailure } from './onion/failure.js'
import type { Part, PartFailure, Payment } from './payment-record.js'
import { proofOfPayment } from './point-lock.js'
import type { Policy } from './policy.js'
import { type Route, routeKeys } from './route.js'

export interface PaymentRequest {
  /** Idempotency key (R5). */
  readonly key: string
  readonly invoice: Invoice
  readonly feeMax: Amount
}

export type PaymentEvent =
  /** The own channel took the proposal: same batch. `lock` is its name there. */
  | { readonly kind: 'attempted'; readonly route: Route; readonly sessionKey: Scalar; readonly lock: LockRef }
  /** A claim of a part's lock, or its reveal on the ledger: the scalar opens the lock's point. */
  | { readonly kind: 'claimed'; readonly lock: LockRef; readonly scalar: Scalar }
  /** Irrevocably out, the amount the peer's (C12). */
  | { readonly kind: 'settled'; readonly lock: LockRef; readonly scalar: Scalar }
  /** Irrevocably out by the peer's release (C12). */
  | { readonly kind: 'returned'; readonly lock: LockRef; readonly reason: Uint8Array }
  /** Dead for good (C12), or taken back by us because it was dead. */
  | { readonly kind: 'dead'; readonly lock: LockRef }
  /** The proposal was refused or void (C8). */
  | { readonly kind: 'void'; readonly lock: LockRef; readonly code: ErrorCode | 'unknown' }
  /** No further part: no route, or the operator's bound on attempts. The end comes when all parts are out. */
  | { readonly kind: 'give_up'; readonly code: ErrorCode }

export type PaymentEffect =
  /** A part is out; where the payment is not over, try another route or give up. `hop` null: no hop named itself; `policy`: the hop's present one. */
  | {
      readonly kind: 'part_failed'
      readonly code: ErrorCode
      readonly hop: AccountId | null
      readonly place: number | null
      readonly policy: Policy | null
      readonly part: Part
    }
  /** `amount`: what the parts under way carry to the payee: the invoice's, unless the payee claims before it has all. */
  | {
      readonly kind: 'succeeded'
      readonly proof: Scalar
      readonly amount: Amount
      readonly fee: Amount
      readonly parts: number
      readonly hops: number
    }
  /** After success: a part that the payee never took came back. The proof stands. */
  | { readonly kind: 'came_back'; readonly amount: Amount; readonly fee: Amount }
  | ({ readonly kind: 'failed' } & PartFailure)

export interface PaymentStep {
  readonly payment: Payment
  readonly effects: readonly PaymentEffect[]
}

type Open = Extract<Payment, { phase: 'open' }>
type Succeeded = Extract<Payment, { phase: 'succeeded' }>
type LockEvent = Exclude<PaymentEvent, { readonly kind: 'attempted' | 'give_up' }>

/** Durable in the same batch as its first effect. */
export function createPayment(request: PaymentRequest): Result<Payment> {
  if (request.key.length < 1 || request.key.length > LIMITS.key_characters) return refuse('too_long', 'key')
  return ok({ version: 2, phase: 'open', ...request, attempts: 0, parts: [], last: null, ending: null })
}

/** The same key names the same payment, or is refused: it never starts a second one. */
export function samePayment(payment: Payment, request: PaymentRequest): Result<Payment> {
  const same =
    payment.key === request.key &&
    payment.feeMax === request.feeMax &&
    equalBytes(invoiceDigest(payment.invoice), invoiceDigest(request.invoice))
  return same ? ok(payment) : refuse('payment_key_reused')
}

const amountsOf = (parts: readonly { readonly amount: Amount }[]): Amount => plus(...parts.map(({ amount }) => amount))
const feesOf = (parts: readonly { readonly fee: Amount }[]): Amount => plus(...parts.map(({ fee }) => fee))

/** What further parts may carry, cost and number. */
export interface Missing {
  readonly amount: Amount
  readonly feeMax: Amount
  readonly partsMax: number
}

/** Asked before a part is proposed (canSendAdd stands apart from sendAdd). `payment_pending`: nothing is missing. */
export function mayAttempt(payment: Payment): Result<Missing> {
  if (payment.phase !== 'open') return refuse('payment_ended')
  const { parts, invoice, feeMax, attempts, last, ending } = payment
  if (ending !== null) return refuse(ending.code)
  const amount = minus(invoice.amount, amountsOf(parts))
  const left = minus(feeMax, feesOf(parts))
  invariant(amount !== undefined && left !== undefined, 'R5', 'parts carry and cost no more than the payment')
  if (amount === ZERO) return refuse('payment_pending')
  const partsMax = Math.min(LIMITS.payment_parts - parts.length, LIMITS.payment_attempts - attempts)
  return partsMax > 0 ? ok({ amount, feeMax: left, partsMax }) : refuse(last?.code ?? 'no_route')
}

/** What the payer's books and API show. */
export interface PaymentStatus {
  readonly status: 'pending' | 'succeeded' | 'failed'
  readonly invoice: Digest
  readonly attempts: number
}

export const paymentStatus = (payment: Payment): PaymentStatus => ({
  status: payment.phase === 'open' ? 'pending' : payment.phase,
  invoice: invoiceDigest(payment.invoice),
  attempts: payment.attempts,
})

const unchanged = (payment: Payment): PaymentStep => ({ payment, effects: [] })

function shared(payment: Payment) {
  const { version, key, invoice, feeMax, attempts } = payment
  return { version, key, invoice, feeMax, attempts }
}

/** R2: nobody is met twice, nor the payer on the way: a route with a loop only locks money. */
export function isDirect(route: Route, payer: AccountId): boolean {
  const forwarders = route.hops.slice(0, -1)
  const names = new Set(route.hops.map(({ account }) => account.join()))
  return names.size === route.hops.length && !forwarders.some(({ account }) => equalBytes(account, payer))
}

function attempted(payment: Open, event: Extract<PaymentEvent, { kind: 'attempted' }>): PaymentStep {
  const { route, sessionKey, lock } = event
  const { hops, fee } = route
  const allowed = mayAttempt(payment)
  const amount = hops.at(-1)?.amount
  invariant(allowed.ok, 'R5', 'a part was proposed that mayAttempt refuses')
  invariant(amount !== undefined && amount <= allowed.value.amount, 'R5', 'parts carry more than the invoice')
  invariant(fee <= allowed.value.feeMax, 'R5', 'parts cost more than their payment allows')
  const part: Part = { sessionKey, lock, accounts: hops.map(({ account }) => account), amount, fee }
  return unchanged({ ...payment, attempts: payment.attempts + 1, parts: [...payment.parts, part] })
}

const fail = (payment: Open, failure: PartFailure): PaymentStep => ({
  payment: { ...shared(payment), phase: 'failed', failure },
  effects: [{ kind: 'failed', ...failure }],
})

/** What is known before it: the last part's own failure says more than that nothing else was found. */
function giveUp(payment: Open, code: ErrorCode): PaymentStep {
  const ending = payment.ending ?? payment.last ?? { code, hop: null, place: null }
  return payment.parts.length === 0 ? fail(payment, ending) : unchanged({ ...payment, ending })
}

function succeed(payment: Open, part: Part, claimed: Scalar): PaymentStep {
  const { parts, invoice } = payment
  const proof = proofOfPayment(invoice.point, claimed, routeKeys(part.sessionKey, part.accounts).scalars)
  invariant(proof !== undefined, 'R1', 'a claim was taken whose scalar does not open its lock')
  const hops = Math.max(...parts.map(({ accounts }) => accounts.length))
  const unsettled = parts.map(({ lock, amount, fee }) => ({ lock, amount, fee }))
  const [amount, fee] = [amountsOf(parts), feesOf(parts)]
  return {
    payment: {
      ...shared(payment),
      phase: 'succeeded',
      proof,
      parts: parts.length,
      hops,
      sent: ZERO,
      fee: ZERO,
      unsettled,
    },
    effects: [{ kind: 'succeeded', proof, amount, fee, parts: parts.length, hops }],
  }
}

/** What the failure packet says and who says it; nobody where it was altered on its way. */
function failureOf(part: Part, reason: Uint8Array): { failure: PartFailure; policy: Policy | null } {
  const { secrets } = routeKeys(part.sessionKey, part.accounts)
  const read = readFailure(secrets, reason, LIMITS.route_hops)
  if (read === undefined) return { failure: { code: 'failure_unreadable', hop: null, place: null }, policy: null }
  const message = decodeFailure(read.message)
  const hop = part.accounts[read.hop]!
  const code = placed(message?.code ?? 'failure_unreadable', read.hop, part.accounts.length)
  return { failure: { code, hop, place: read.hop + 1 }, policy: message?.policy ?? null }
}

/** A part is out. What the payee itself says is final: no other path leads to another payee. */
function partFailed(payment: Open, part: Part, failure: PartFailure, policy: Policy | null = null): PaymentStep {
  const parts = payment.parts.filter((other) => other !== part)
  const final = failure.hop !== null && equalBytes(failure.hop, payment.invoice.payee)
  // Parts that the payee sends back for want of another say nothing new of why that one is missing.
  const last = failure.code === 'parts_timeout' && payment.last !== null ? payment.last : failure
  const ending = payment.ending ?? (final ? last : null)
  const left: Open = { ...payment, parts, last, ending }
  const told: PaymentEffect = { kind: 'part_failed', ...failure, policy, part }
  if (ending === null || parts.length > 0) return { payment: left, effects: [told] }
  const ended = fail(left, ending)
  return { ...ended, effects: [told, ...ended.effects] }
}

function stepOpen(payment: Open, event: LockEvent): PaymentStep {
  const part = payment.parts.find(({ lock }) => sameLock(lock, event.lock))
  if (part === undefined) return unchanged(payment) // out before
  switch (event.kind) {
    case 'claimed':
      return succeed(payment, part, event.scalar)
    case 'settled': {
      const { payment: succeeded, effects } = succeed(payment, part, event.scalar)
      return { payment: stepPayment(succeeded, event).payment, effects }
    }
    case 'returned': {
      const { failure, policy } = failureOf(part, event.reason)
      return partFailed(payment, part, failure, policy)
    }
    case 'dead':
      return partFailed(payment, part, { code: 'lock_expired', hop: null, place: null })
    case 'void':
      return partFailed(payment, part, { code: codeOfOwnChannel(event.code), hop: null, place: null })
    default:
      return unreachable(event)
  }
}

/** The payment has ended; each lock ends by itself, and the books say what really left. */
function stepSucceeded(payment: Succeeded, event: LockEvent): PaymentStep {
  const part = payment.unsettled.find(({ lock }) => sameLock(lock, event.lock))
  if (part === undefined || event.kind === 'claimed') return unchanged(payment)
  const unsettled = payment.unsettled.filter((other) => other !== part)
  const { amount, fee } = part
  if (event.kind !== 'settled') {
    return { payment: { ...payment, unsettled }, effects: [{ kind: 'came_back', amount, fee }] }
  }
  return unchanged({ ...payment, unsettled, sent: plus(payment.sent, amount), fee: plus(payment.fee, fee) })
}

/** Of a payment that succeeded: what left, or still stands to leave. */
export const costOf = ({ sent, fee, unsettled }: Succeeded): { readonly amount: Amount; readonly fee: Amount } => ({
  amount: plus(sent, amountsOf(unsettled)),
  fee: plus(fee, feesOf(unsettled)),
})

/**
 * Pure. An event for a lock that is out, or that tells nothing new, gives back the same object: there is exactly one end.
 */
export function stepPayment(payment: Payment, event: PaymentEvent): PaymentStep {
  if (event.kind === 'attempted') {
    invariant(payment.phase === 'open', 'R5', 'an attempt after the end')
    return attempted(payment, event)
  }
  if (event.kind === 'give_up') return payment.phase === 'open' ? giveUp(payment, event.code) : unchanged(payment)
  switch (payment.phase) {
    case 'open':
      return stepOpen(payment, event)
    case 'succeeded':
      return stepSucceeded(payment, event)
    case 'failed':
      return unchanged(payment)
    default:
      return unreachable(payment)
  }
}
