import type { Brand } from './brand.js'
import { bytesToBigint } from './bytes.js'
import { ok, type Result, refuse } from './result.js'

/** Minor units (cents), 0 <= v < 2^L. */
export type Amount = Brand<bigint, 'Amount'>

/** L of the protocol's own limits; genesis may fix a smaller one (16..64, even). */
export const AMOUNT_BITS_MAX = 64
/** Amounts always travel and rest in eight bytes: a shorter number would be told apart by its length. */
export const AMOUNT_BYTES = 8

export const ZERO = 0n as Amount

export function amount(value: bigint, bits: number = AMOUNT_BITS_MAX): Result<Amount> {
  return value >= 0n && value >> BigInt(bits) === 0n ? ok(value as Amount) : refuse('bad_amount')
}

/** Subtraction that can fail: `undefined` where the result would be negative. */
export const minus = (a: Amount, b: Amount): Amount | undefined => (a >= b ? ((a - b) as Amount) : undefined)

/** A sum; whether it still fits 2^L is the business of whoever bounds the total (deposits, pools). */
export const plus = (...parts: readonly Amount[]): Amount => parts.reduce((sum, part) => sum + part, 0n) as Amount

/** `ceil(ppm * value / 10^6)`: R3's proportional fee, rounded up. */
export const ppmRoundedUp = (value: Amount, ppm: bigint): Amount => ((value * ppm + 999_999n) / 1_000_000n) as Amount

/** @throws RangeError where it does not fit: the caller's range check is missing. */
export function amountToBytes(value: Amount): Uint8Array {
  if (BigInt.asUintN(AMOUNT_BITS_MAX, value) !== value) throw new RangeError('amountToBytes: out of range')
  scratch.setBigUint64(0, value)
  return scratchBytes.slice()
}

const scratchBytes = new Uint8Array(AMOUNT_BYTES)
const scratch = new DataView(scratchBytes.buffer)

/** Amounts one after the other. */
export function packAmounts(values: readonly Amount[]): Uint8Array {
  const out = new Uint8Array(AMOUNT_BYTES * values.length)
  for (const [index, value] of values.entries()) out.set(amountToBytes(value), AMOUNT_BYTES * index)
  return out
}

/** Length is the schema's business. */
export const amountFromBytes = (bytes: Uint8Array): Amount =>
  (bytes.length === AMOUNT_BYTES
    ? new DataView(bytes.buffer, bytes.byteOffset, AMOUNT_BYTES).getBigUint64(0)
    : bytesToBigint(bytes)) as Amount

const DECIMAL = /^(0|[1-9][0-9]{0,16})\.([0-9]{2})$/

/** `1241.22` is 124122 minor units. Exactly two decimals, no sign, no separators (PRODUCT.md). */
export function parseDecimal(text: string): Result<Amount> {
  const match = DECIMAL.exec(text)
  if (match === null) return refuse('bad_amount', decimalMend(text))
  return amount(BigInt(match[1]!) * 100n + BigInt(match[2]!), AMOUNT_BITS_MAX)
}

function decimalMend(text: string): string {
  if (/^(0|[1-9][0-9]{0,16})$/.test(text)) return `write ${text}.00`
  if (/^(0|[1-9][0-9]{0,16})\.[0-9]$/.test(text)) return `write ${text}0`
  return 'write an amount with exactly two decimals, such as 1241.22'
}

/** The exact inverse of parseDecimal: for terminals of a party, never for a log. */
export const formatDecimal = (value: Amount): string => `${value / 100n}.${(value % 100n).toString().padStart(2, '0')}`

/** `1,241.22`: for people. */
export const formatGrouped = (value: Amount): string =>
  `${(value / 100n).toString().replace(/\B(?=(\d{3})+$)/g, ',')}.${(value % 100n).toString().padStart(2, '0')}`
