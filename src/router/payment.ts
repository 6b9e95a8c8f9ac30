/**
 * A payment of ours (R5): one or more attempts, one after the other, and exactly one end. There is no timeout: what is
 * not out is pending. Events may come more than once; the shell stores record and effects in one batch.
 */
import type { Amount } from '../base/amount.js'
import { type Digest, equalBytes } from '../base/bytes.js'
import type { Scalar } from '../base/curve/index.js'
import { type ErrorCode, invariant, unreachable } from '../base/errors.js'
import type { AccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { codeOfOwnChannel, decodeFailure, placed } from './failure.js'
import { type Invoice, invoiceDigest } from './invoice.js'
import type { LockRef } from './obligation-record.js'
import { readFailure } from './onion/failure.js'
import type { Attempt, AttemptFailure, Payment } from './payment-record.js'
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
  /** A claim of the attempt's lock, or its reveal on the ledger: the scalar opens the lock's point. */
  | { readonly kind: 'claimed'; readonly lock: LockRef; readonly scalar: Scalar }
  /** Irrevocably out by the peer's release (C12). */
  | { readonly kind: 'returned'; readonly lock: LockRef; readonly reason: Uint8Array }
  /** Dead for good (C12), or taken back by us because it was dead. */
  | { readonly kind: 'dead'; readonly lock: LockRef }
  /** The proposal was refused or void (C8). */
  | { readonly kind: 'void'; readonly lock: LockRef; readonly code: ErrorCode | 'unknown' }
  /** No further attempt: no route, or the operator's bound on attempts. Only while none is under way. */
  | { readonly kind: 'give_up'; readonly code: ErrorCode }

export type PaymentEffect =
  /** Try another route or give up. `hop` null: no hop named itself; `policy`: the hop's present one, where it told it. */
  | {
      readonly kind: 'attempt_failed'
      readonly code: ErrorCode
      readonly hop: AccountId | null
      readonly policy: Policy | null
    }
  | { readonly kind: 'succeeded'; readonly proof: Scalar; readonly fee: Amount; readonly hops: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly hop: AccountId | null }

export interface PaymentStep {
  readonly payment: Payment
  readonly effects: readonly PaymentEffect[]
}

/** Durable in the same batch as its first effect. */
export function createPayment(request: PaymentRequest): Result<Payment> {
  if (request.key.length < 1 || request.key.length > LIMITS.key_characters) return refuse('too_long', 'key')
  return ok({ version: 1, phase: 'idle', ...request, attempts: 0, last: null })
}

/** The same key names the same payment, or is refused: it never starts a second one. */
export function samePayment(payment: Payment, request: PaymentRequest): Result<Payment> {
  const same =
    payment.key === request.key &&
    payment.feeMax === request.feeMax &&
    equalBytes(invoiceDigest(payment.invoice), invoiceDigest(request.invoice))
  return same ? ok(payment) : refuse('payment_key_reused')
}

/** Asked before an attempt is proposed (canSendAdd stands apart from sendAdd). */
export function mayAttempt(payment: Payment): Result<void> {
  if (payment.phase === 'pending') return refuse('payment_pending')
  if (payment.phase !== 'idle') return refuse('payment_ended')
  return payment.attempts < LIMITS.payment_attempts ? ok(undefined) : refuse(payment.last?.code ?? 'no_route')
}

/** What the payer's books and API show. */
export interface PaymentStatus {
  readonly status: 'pending' | 'succeeded' | 'failed'
  readonly invoice: Digest
  readonly attempts: number
}

export const paymentStatus = (payment: Payment): PaymentStatus => ({
  status: payment.phase === 'succeeded' || payment.phase === 'failed' ? payment.phase : 'pending',
  invoice: invoiceDigest(payment.invoice),
  attempts: payment.attempts,
})

type Idle = Extract<Payment, { phase: 'idle' }>
type Pending = Extract<Payment, { phase: 'pending' }>

const unchanged = (payment: Payment): PaymentStep => ({ payment, effects: [] })

function shared(payment: Payment) {
  const { version, key, invoice, feeMax, attempts } = payment
  return { version, key, invoice, feeMax, attempts }
}

function stepIdle(payment: Idle, event: PaymentEvent): PaymentStep {
  if (event.kind === 'attempted') {
    invariant(mayAttempt(payment).ok, 'R5', 'an attempt was proposed that mayAttempt refuses')
    invariant(event.route.fee <= payment.feeMax, 'R5', 'an attempt costs more than its payment allows')
    const { hops, fee } = event.route
    const attempt: Attempt = {
      sessionKey: event.sessionKey,
      lock: event.lock,
      accounts: hops.map((hop) => hop.account),
      fee,
    }
    return unchanged({ ...shared(payment), phase: 'pending', attempts: payment.attempts + 1, attempt })
  }
  if (event.kind !== 'give_up') return unchanged(payment)
  const failure = payment.last ?? { code: event.code, hop: null }
  return {
    payment: { ...shared(payment), phase: 'failed', failure },
    effects: [{ kind: 'failed', ...failure }],
  }
}

function succeed(payment: Pending, claimed: Scalar): PaymentStep {
  const { attempt, invoice } = payment
  const proof = proofOfPayment(invoice.point, claimed, routeKeys(attempt.sessionKey, attempt.accounts).scalars)
  invariant(proof !== undefined, 'R1', 'a claim was taken whose scalar does not open its lock')
  const { fee } = attempt
  const hops = attempt.accounts.length
  return {
    payment: { ...shared(payment), phase: 'succeeded', proof, fee, hops },
    effects: [{ kind: 'succeeded', proof, fee, hops }],
  }
}

/** What the failure packet says and who says it; nobody where it was altered on its way. */
function failureOf(attempt: Attempt, reason: Uint8Array): { failure: AttemptFailure; policy: Policy | null } {
  const { secrets } = routeKeys(attempt.sessionKey, attempt.accounts)
  const read = readFailure(secrets, reason, LIMITS.route_hops)
  if (read === undefined) return { failure: { code: 'failure_unreadable', hop: null }, policy: null }
  const message = decodeFailure(read.message)
  const hop = attempt.accounts[read.hop]!
  const code = placed(message?.code ?? 'failure_unreadable', read.hop, attempt.accounts.length)
  return { failure: { code, hop }, policy: message?.policy ?? null }
}

function attemptFailed(payment: Pending, failure: AttemptFailure, policy: Policy | null = null): PaymentStep {
  return {
    payment: { ...shared(payment), phase: 'idle', last: failure },
    effects: [{ kind: 'attempt_failed', ...failure, policy }],
  }
}

const sameLock = (a: LockRef, b: LockRef): boolean => a.id === b.id && equalBytes(a.channel, b.channel)

function stepPending(payment: Pending, event: PaymentEvent): PaymentStep {
  if (event.kind === 'attempted' || event.kind === 'give_up') {
    invariant(event.kind === 'give_up', 'R5', 'a second attempt while the first is not out')
    return unchanged(payment) // pending, never failed
  }
  if (!sameLock(event.lock, payment.attempt.lock)) return unchanged(payment)
  switch (event.kind) {
    case 'claimed':
      return succeed(payment, event.scalar)
    case 'returned': {
      const { failure, policy } = failureOf(payment.attempt, event.reason)
      return attemptFailed(payment, failure, policy)
    }
    case 'dead':
      return attemptFailed(payment, { code: 'lock_expired', hop: null })
    case 'void':
      return attemptFailed(payment, { code: codeOfOwnChannel(event.code), hop: null })
    default:
      return unreachable(event)
  }
}

/** Pure. An event for an earlier attempt, or after the end, changes nothing: there is exactly one end. */
export function stepPayment(payment: Payment, event: PaymentEvent): PaymentStep {
  switch (payment.phase) {
    case 'idle':
      return stepIdle(payment, event)
    case 'pending':
      return stepPending(payment, event)
    case 'succeeded':
    case 'failed':
      invariant(event.kind !== 'attempted', 'R5', 'an attempt after the end')
      return unchanged(payment)
    default:
      return unreachable(payment)
  }
}
