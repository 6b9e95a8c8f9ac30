/** The durable record of a payment of ours. Sealed at rest (S3): a session key opens all of its attempt. */
import { z } from 'zod'
import { decodeAs, encodeAs, zAmount, zCount, zPoint, zScalar } from '../base/codec.js'
import { type ErrorCode, isErrorCode } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Result } from '../base/result.js'
import { zInvoice } from './invoice.js'
import { zLockRef } from './obligation-record.js'

const zAttempt = z.strictObject({
  /** Points, shared secrets and every y come from it. */
  sessionKey: zScalar,
  lock: zLockRef,
  /** The route, the payee last. */
  accounts: z.array(zPoint).min(1).max(LIMITS.route_hops),
  fee: zAmount,
})
export type Attempt = z.output<typeof zAttempt>

const zAttemptFailure = z.strictObject({
  code: z.custom<ErrorCode>((v) => typeof v === 'string' && isErrorCode(v)),
  /** Null where no hop named itself. */
  hop: zPoint.nullable(),
})
export type AttemptFailure = z.output<typeof zAttemptFailure>

const shared = {
  version: z.literal(1),
  /** Idempotency key (R5). */
  key: z.string().min(1).max(LIMITS.key_characters),
  invoice: zInvoice,
  feeMax: zAmount,
  /** Started so far. */
  attempts: zCount,
}

const zPayment = z.discriminatedUnion('phase', [
  /** No attempt under way; `last` is how the one before ended. */
  z.strictObject({ ...shared, phase: z.literal('idle'), last: zAttemptFailure.nullable() }),
  z.strictObject({ ...shared, phase: z.literal('pending'), attempt: zAttempt }),
  z.strictObject({ ...shared, phase: z.literal('succeeded'), proof: zScalar, fee: zAmount, hops: zCount }),
  z.strictObject({ ...shared, phase: z.literal('failed'), failure: zAttemptFailure }),
])
export type Payment = z.output<typeof zPayment>

export const encodePayment = (payment: Payment): Uint8Array => encodeAs(zPayment, payment)
export const decodePayment = (bytes: Uint8Array): Result<Payment> => decodeAs(zPayment, bytes)
