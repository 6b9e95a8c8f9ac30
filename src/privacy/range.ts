/**
 * Range proofs (P5): Borromean ring signatures over base-4 digits. Each digit commitment D_j has a ring of four, over
 * `D_j - d*4^j*H` for d = 0..3: whoever closes it knows the logarithm of one of them to the base G. All rings of one
 * prover share one e0. Only `proof.ts` may import this file: it verifies ranges and Links as one.
 */

import type { Digest } from '../base/bytes.js'
import {
  curve,
  type Element,
  type Point,
  type Scalar,
  scalarFromBigint,
  scalarToBigint,
  subtractElements,
  sumElements,
} from '../base/curve/index.js'
import { digitRow, H } from './commitment.js'
import { type Nonces, positionChallenge, ringsChallenge } from './transcript.js'

export const RING = 4

/** Base-4 digits of a value below 2^bits. */
export const digitsOf = (bits: number): number => bits / 2

/** The commitment whose value is in [0, 2^bits): `C - minimum*H` (P7: T >= 1 is the range on C_T - H). */
export const shifted = (commitment: Element, minimum: 0n | 1n): Element =>
  minimum === 0n ? commitment : subtractElements(commitment, H)

/** One digit with its opening. */
export interface DigitSecret {
  readonly digit: number
  readonly blinding: Scalar
  readonly point: Point
}

/**
 * Splits a value and its blinding into digits that sum to the commitment.
 * @returns undefined where a point or scalar would be zero: start again with other nonces.
 */
export function splitDigits(
  bits: number,
  value: bigint,
  blinding: bigint,
  nonces: Nonces,
): readonly DigitSecret[] | undefined {
  const count = digitsOf(bits)
  const blindings: Scalar[] = []
  let rest = blinding
  for (let j = 1; j < count; j++) {
    const part = nonces.scalar()
    blindings.push(part)
    rest -= scalarToBigint(part)
  }
  const last = scalarFromBigint(rest)
  if (last === undefined) return undefined
  const secrets: DigitSecret[] = []
  for (const [j, part] of [...blindings, last].entries()) {
    const digit = Number((value >> BigInt(2 * j)) & 3n)
    const point = sumElements([digitRow(j).plus[digit]!, curve.multiplyBase(part)])
    if (point === null) return undefined
    secrets.push({ digit, blinding: part, point })
  }
  return secrets
}

/** The last digit commitment, derived so that all of them sum to `target`; null is refused by its users. */
export const lastDigit = (target: Element, others: readonly Point[]): Element =>
  subtractElements(target, sumElements(others))

const memberOf = (j: number, point: Point, digit: number): Element => sumElements([point, digitRow(j).minus[digit]!])

/** One ring: the digit's place j (its weight is 4^j) and the digit commitment. Its index is its place in the list. */
export interface Ring {
  readonly place: number
  readonly point: Point
}

export interface RingsSignature {
  readonly e0: Digest
  /** Four per ring, in order. */
  readonly scalars: readonly (readonly Scalar[])[]
}

/** Where one ring arrives from `position` on, with given scalars, up to `end`; undefined at infinity. */
function walk(
  message: Digest,
  index: number,
  ring: Ring,
  scalars: readonly (Scalar | undefined)[],
  from: { readonly position: number; readonly previous: Uint8Array },
  end: number,
): Uint8Array | undefined {
  let previous = from.previous
  for (let position = from.position; position < end; position++) {
    const e = positionChallenge(message, index, position, previous)
    const member = memberOf(ring.place, ring.point, position)
    if (e === undefined || member === null) return undefined
    const next = curve.multiplyAdd(member, e, scalars[position]!)
    if (next === null) return undefined
    previous = next
  }
  return previous
}

/** @returns undefined where a challenge or scalar would be zero: start again with other nonces. */
export function signRings(
  message: Digest,
  rings: readonly Ring[],
  secrets: readonly DigitSecret[],
  nonces: Nonces,
): RingsSignature | undefined {
  const scalars = rings.map(() => Array.from({ length: RING }, () => nonces.scalar()))
  const keys = rings.map(() => nonces.scalar())
  const ends: Point[] = []
  for (const [index, ring] of rings.entries()) {
    const start = { position: secrets[index]!.digit + 1, previous: curve.multiplyBase(keys[index]!) }
    const end = walk(message, index, ring, scalars[index]!, start, RING)
    if (end === undefined) return undefined
    ends.push(end as Point)
  }
  const e0 = ringsChallenge(message, ends)
  for (const [index, ring] of rings.entries()) {
    const { digit, blinding } = secrets[index]!
    const arrived = walk(message, index, ring, scalars[index]!, { position: 0, previous: e0 }, digit)
    const e = arrived === undefined ? undefined : positionChallenge(message, index, digit, arrived)
    if (e === undefined) return undefined
    const closing = scalarFromBigint(scalarToBigint(keys[index]!) - scalarToBigint(e) * scalarToBigint(blinding))
    if (closing === undefined) return undefined
    scalars[index]![digit] = closing
  }
  return { e0, scalars }
}

/** Whether every ring closes on the shared e0. */
export function ringsClose(message: Digest, rings: readonly Ring[], { e0, scalars }: RingsSignature): boolean {
  const ends: Point[] = []
  for (const [index, ring] of rings.entries()) {
    const end = walk(message, index, ring, scalars[index]!, { position: 0, previous: e0 }, RING)
    if (end === undefined) return false
    ends.push(end as Point)
  }
  const expected = ringsChallenge(message, ends)
  return expected.every((byte, i) => byte === e0[i])
}
