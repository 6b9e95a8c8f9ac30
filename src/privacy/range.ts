/**
 * Range proofs (P5): Borromean ring signatures over base-4 digits. Each digit commitment D_j has a ring of four, over
 * `D_j - d*4^j*H` for d = 0..3: whoever closes it knows the logarithm of one of them to the base G. All rings of one
 * prover share one e0. Only `proof.ts` may import this file: it verifies ranges and Links as one.
 */

import type { Digest } from '../base/bytes.js'
import {
  curve,
  type Element,
  narrow,
  narrowElement,
  type Point,
  type Scalar,
  scalarFromBigint,
  scalarToBigint,
  subtractElements,
  type WidePoint,
} from '../base/curve/index.js'
import { digitRow, H } from './commitment.js'
import type { Nonces, PositionChallenge } from './transcript.js'

export const RING = 4

/** Base-4 digits of a value below 2^bits. */
export const digitsOf = (bits: number): number => bits / 2

/** The commitment whose value is in [0, 2^bits): `C - minimum*H` (P7: T >= 1 is the range on C_T - H). */
export const shifted = (commitment: Element, minimum: 0n | 1n): Element =>
  minimum === 0n ? commitment : subtractElements(commitment, H)

/** One digit's opening. */
export interface DigitSecret {
  readonly digit: number
  readonly blinding: Scalar
}

/**
 * Splits a value and its blinding into digits whose commitments sum to the value's.
 * @returns undefined where a blinding would be zero: start again with other nonces.
 */
export function splitDigits(
  bits: number,
  value: bigint,
  blinding: bigint,
  nonces: Nonces,
): readonly DigitSecret[] | undefined {
  const blindings: Scalar[] = []
  let rest = blinding
  for (let j = 1; j < digitsOf(bits); j++) {
    const part = nonces.scalar()
    blindings.push(part)
    rest -= scalarToBigint(part)
  }
  const last = scalarFromBigint(rest)
  if (last === undefined) return undefined
  return [...blindings, last].map((part, j) => ({ digit: Number((value >> BigInt(2 * j)) & 3n), blinding: part }))
}

/** D_j of the digit at place j; null (never, in practice) where it would be infinite. */
export function digitPoint(place: number, { digit, blinding }: DigitSecret): WidePoint | null {
  const [offset, blinded] = [digitRow(place).plus[digit]!, curve.multiplyBaseWide(blinding)]
  return offset === null ? blinded : curve.sumWide([offset, blinded])
}

/** The last digit commitment, derived so that all of them sum to `target`; null is refused by its users. */
export function lastDigit(target: Element, others: readonly WidePoint[]): WidePoint | null {
  const last = subtractElements(target, narrowElement(curve.sumWide(others)))
  return last === null ? null : curve.widen(last)!
}

/** One ring: where it stands among all of the proof, its digit's place j (its weight is 4^j) and the digit commitment. */
export interface Ring {
  readonly index: number
  readonly place: number
  readonly point: WidePoint
}

/** One ring's draws: a scalar for each position, and the key that closes it. */
export interface RingNonces {
  readonly scalars: readonly Scalar[]
  readonly key: Scalar
}

export function drawRings(count: number, nonces: Nonces): RingNonces[] {
  const scalars = Array.from({ length: count }, () => Array.from({ length: RING }, () => nonces.scalar()))
  return scalars.map((four) => ({ scalars: four, key: nonces.scalar() }))
}

/** `D_j - d*4^j*H`. */
function memberOf({ place, point }: Ring, digit: number): Element {
  const offset = digitRow(place).minus[digit]!
  return offset === null ? narrow(point) : narrowElement(curve.sumWide([point, offset]))
}

/** Where one ring arrives from `position` on, with given scalars, up to `end`; undefined at infinity. */
function walk(
  challenge: PositionChallenge,
  ring: Ring,
  scalars: readonly Scalar[],
  from: { readonly position: number; readonly previous: Uint8Array },
  end: number,
): Uint8Array | undefined {
  let previous = from.previous
  for (let position = from.position; position < end; position++) {
    const e = challenge(ring.index, position, previous)
    const member = memberOf(ring, position)
    if (e === undefined || member === null) return undefined
    const next = curve.multiplyAdd(member, e, scalars[position]!)
    if (next === null) return undefined
    previous = next
  }
  return previous
}

/** A prover's ring from its digit to its end; `start` is its key times G. Undefined at infinity: start again. */
export const ringEnd = (
  challenge: PositionChallenge,
  ring: Ring,
  { digit }: DigitSecret,
  { scalars }: RingNonces,
  start: Point,
): Point | undefined =>
  walk(challenge, ring, scalars, { position: digit + 1, previous: start }, RING) as Point | undefined

/** Its four scalars: from e0 on to the digit, where the key closes it. Undefined where one would be zero: start again. */
export function closeRing(
  challenge: PositionChallenge,
  ring: Ring,
  { digit, blinding }: DigitSecret,
  { scalars, key }: RingNonces,
  e0: Digest,
): readonly Scalar[] | undefined {
  const arrived = walk(challenge, ring, scalars, { position: 0, previous: e0 }, digit)
  const e = arrived === undefined ? undefined : challenge(ring.index, digit, arrived)
  if (e === undefined) return undefined
  const closing = scalarFromBigint(scalarToBigint(key) - scalarToBigint(e) * scalarToBigint(blinding))
  return closing && scalars.with(digit, closing)
}

/** A verifier's ring, from e0 all the way round. Undefined at infinity: no ring of a proof. */
export const closedEnd = (
  challenge: PositionChallenge,
  ring: Ring,
  scalars: readonly Scalar[],
  e0: Digest,
): Point | undefined => walk(challenge, ring, scalars, { position: 0, previous: e0 }, RING) as Point | undefined
