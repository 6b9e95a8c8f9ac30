/** The durable record of a payment of ours. Sealed at rest (S3): a session key opens all of its part. */
import { z } from 'zod'
import { amountToBytes } from '../base/amount.js'
import { cbor, decodeAs, zAmount, zCount, zPoint, zScalar } from '../base/codec.js'
import { type ErrorCode, isErrorCode, unreachable } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Result } from '../base/result.js'
import { plainInvoice, zInvoice } from './invoice.js'
import { zLockRef } from './obligation-record.js'

/** One attempt: a lock that carries all of the payment or a part of it, until it is out. */
const zPart = z.strictObject({
  /** Points, shared secrets and every y come from it: fresh for every part, so that no two can be linked (R1). */
  sessionKey: zScalar,
  lock: zLockRef,
  /** The route, the payee last. */
  accounts: z.array(zPoint).min(1).max(LIMITS.route_hops),
  /** What the payee gets by it. */
  amount: zAmount,
  fee: zAmount,
})
export type Part = z.output<typeof zPart>

const zPartFailure = z.strictObject({
  code: z.custom<ErrorCode>((v) => typeof v === 'string' && isErrorCode(v)),
  /** Null where no hop named itself; its place in its route, 1 the first. */
  hop: zPoint.nullable(),
  place: zCount.nullable().default(null),
})
export type PartFailure = z.output<typeof zPartFailure>

/** After the first claim: a part whose lock is not out yet. */
const zUnsettled = z.strictObject({ lock: zLockRef, amount: zAmount, fee: zAmount })

const shared = {
  version: z.literal(2),
  /** Idempotency key (R5). */
  key: z.string().min(1).max(LIMITS.key_characters),
  invoice: zInvoice,
  feeMax: zAmount,
  /** Parts started so far. */
  attempts: zCount,
}

const zPayment = z.discriminatedUnion('phase', [
  z.strictObject({
    ...shared,
    phase: z.literal('open'),
    /** Not out. Their amounts never exceed the invoice's. */
    parts: z.array(zPart).max(LIMITS.payment_parts),
    /** How the part before ended. */
    last: zPartFailure.nullable(),
    /** Set: no part is started any more, and the payment fails with this once all are out. */
    ending: zPartFailure.nullable(),
  }),
  z.strictObject({
    ...shared,
    phase: z.literal('succeeded'),
    proof: zScalar,
    /** Parts under way at the first claim, and the longest of their routes. */
    parts: zCount,
    hops: zCount,
    /** What left irrevocably so far: to the payee, and in fees. */
    sent: zAmount,
    fee: zAmount,
    unsettled: z.array(zUnsettled).max(LIMITS.payment_parts),
  }),
  z.strictObject({ ...shared, phase: z.literal('failed'), failure: zPartFailure }),
])
export type Payment = z.output<typeof zPayment>

type Carrying = Pick<Part, 'amount' | 'fee'>
const plainAmounts = <T extends Carrying>(part: T) => ({
  ...part,
  amount: amountToBytes(part.amount),
  fee: amountToBytes(part.fee),
})

/** Our own record needs no check while it is written; the schema is for reading. */
export function encodePayment(payment: Payment): Uint8Array {
  const plain = { ...payment, invoice: plainInvoice(payment.invoice), feeMax: amountToBytes(payment.feeMax) }
  switch (payment.phase) {
    case 'open':
      return cbor({ ...plain, parts: payment.parts.map(plainAmounts) })
    case 'succeeded': {
      const { sent, fee, unsettled } = payment
      const amounts = { sent: amountToBytes(sent), fee: amountToBytes(fee) }
      return cbor({ ...plain, ...amounts, unsettled: unsettled.map(plainAmounts) })
    }
    case 'failed':
      return cbor(plain)
    default:
      return unreachable(payment)
  }
}
export const decodePayment = (bytes: Uint8Array): Result<Payment> => decodeAs(zPayment, bytes)
