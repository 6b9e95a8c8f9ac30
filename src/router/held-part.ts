/** Parts of a payment that its payee holds: irrevocably in, not claimed, until they sum to the total (R1). */
import { z } from 'zod'
import { type Amount, plus } from '../base/amount.js'
import { decodeAs, encodeAs, zAmount, zCount } from '../base/codec.js'
import { LIMITS } from '../base/limits.js'
import type { Result } from '../base/result.js'
import type { Invoice } from './invoice.js'
import { zLockRef, zSharedSecret } from './obligation-record.js'

const zHeldPart = z.strictObject({
  lock: zLockRef,
  /** Shared with the payer: y, and the answer where the part is given back, come from it. Sealed at rest (S3). */
  secret: zSharedSecret,
  amount: zAmount,
  /** As the payer told it: the lock lasts at least so long. */
  expiry: zCount,
  /** Ledger time at which it was in. */
  since: zCount,
})
export type HeldPart = z.output<typeof zHeldPart>

const zHeldParts = z.array(zHeldPart).min(1).max(LIMITS.payment_parts)

export const encodeHeldParts = (parts: readonly HeldPart[]): Uint8Array => encodeAs(zHeldParts, [...parts])
export const decodeHeldParts = (bytes: Uint8Array): Result<HeldPart[]> => decodeAs(zHeldParts, bytes)

export const sumOfParts = (parts: readonly HeldPart[]): Amount => plus(...parts.map(({ amount }) => amount))

/**
 * Last ledger second at which the parts are held: a while after the first came, while the invoice can be paid, and while
 * every one of them leaves time to claim and reveal.
 */
export const holdEnds = (parts: readonly HeldPart[], invoice: Pick<Invoice, 'expires'>, expiryNear: number): number =>
  Math.min(
    ...parts.map(({ since, expiry }) => Math.min(since + LIMITS.parts_hold_s, expiry - expiryNear, invoice.expires)),
  )
