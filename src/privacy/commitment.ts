/** Pedersen commitments to amounts (P1): `Com(v; r) = v*H + r*G`. */
import { secp256k1_hasher } from '@noble/curves/secp256k1.js'
import { utf8 } from '../base/bytes.js'
import {
  curve,
  type Element,
  narrow,
  type Point,
  scalarFromBigint,
  sumElements,
  type WidePoint,
} from '../base/curve/index.js'

const H_TAG = 'MERIDIAN-V1-secp256k1_XMD:SHA-256_SSWU_RO_'

/** RFC 9380 hash-to-curve of a fixed tag, so that nobody knows its logarithm to the base G. */
export const H: Point = secp256k1_hasher.hashToCurve(utf8('meridian/1/H'), { DST: H_TAG }).toBytes(true) as Point

/** k*P for any integer k, counted modulo q. */
export function multiple(point: Element, k: bigint): Element {
  const scalar = scalarFromBigint(k)
  return scalar === undefined || point === null ? null : curve.multiply(point, scalar)
}

/** k*G for any integer k, counted modulo q; constant time. */
export function multipleOfBase(k: bigint): Element {
  const scalar = scalarFromBigint(k)
  return scalar === undefined ? null : curve.multiplyBase(scalar)
}

/** Infinite only for the opening (0; 0) and for openings that nobody can find. */
export const commit = (value: bigint, blinding: bigint): Element =>
  sumElements([multiple(H, value), multipleOfBase(blinding)])

/** The multiples of 4^j*H that a base-4 digit can stand for, and their opposites. */
interface DigitRow {
  /** d*4^j*H for d = 0..3. */
  readonly plus: readonly (WidePoint | null)[]
  readonly minus: readonly (WidePoint | null)[]
}

const rows: DigitRow[] = []

/** The row of digit j: 4^j times H, computed once per process. */
export function digitRow(j: number): DigitRow {
  while (rows.length <= j) {
    const one = rows.length === 0 ? curve.widen(H)! : curve.sumWide([rows.at(-1)!.plus[3]!, rows.at(-1)!.plus[1]!])!
    const two = curve.sumWide([one, one])!
    const plus = [null, one, two, curve.sumWide([two, one])!]
    const minus = plus.map((point) => (point === null ? null : curve.widen(curve.negate(narrow(point)))!))
    rows.push({ plus, minus })
  }
  return rows[j]!
}
