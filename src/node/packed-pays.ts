/**
 * The direct pays of one step, in one row of the event log: a row for each costs more than all the rest of a direct payment
 * (section 10). Packed one after the other: amount, length of the reference, reference.
 */
import { AMOUNT_BYTES, type Amount, amountFromBytes, amountToBytes } from '../base/amount.js'

export interface PaidPart {
  readonly amount: Amount
  /** LIMITS.pay_reference_bytes at most. */
  readonly reference: Uint8Array
}

export function packPays(pays: readonly PaidPart[]): Uint8Array {
  const out = new Uint8Array(pays.reduce((sum, { reference }) => sum + AMOUNT_BYTES + 1 + reference.length, 0))
  let at = 0
  for (const { amount, reference } of pays) {
    out.set(amountToBytes(amount), at)
    out[at + AMOUNT_BYTES] = reference.length
    out.set(reference, at + AMOUNT_BYTES + 1)
    at += AMOUNT_BYTES + 1 + reference.length
  }
  return out
}

/** Of what `packPays` made. */
export function unpackPays(bytes: Uint8Array): PaidPart[] {
  const pays: PaidPart[] = []
  for (let at = 0; at < bytes.length; ) {
    const reference = at + AMOUNT_BYTES + 1
    const end = reference + bytes[reference - 1]!
    pays.push({
      amount: amountFromBytes(bytes.subarray(at, at + AMOUNT_BYTES)),
      reference: bytes.slice(reference, end),
    })
    at = end
  }
  return pays
}
