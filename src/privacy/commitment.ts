/** Pedersen commitments to amounts (P1): `Com(v; r) = v*H + r*G`. */
import { secp256k1_hasher } from '@noble/curves/secp256k1.js'
import { utf8 } from '../base/bytes.js'
import {
  curve,
  type Element,
  narrow,
  narrowElement,
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

/** Amounts are shorter than this. */
const SHORT_BITS = 64n
/** 1 to 15 times 16^j*H, for each hexadecimal digit j of a short value; computed once per process. */
const nibbles: WidePoint[][] = []

function nibbleRow(j: number): readonly WidePoint[] {
  while (nibbles.length <= j) {
    const before = nibbles.at(-1)
    const one = before === undefined ? curve.widen(H)! : curve.sumWide([before[14]!, before[0]!])!
    const row = [one]
    while (row.length < 15) row.push(curve.sumWide([row.at(-1)!, one])!)
    nibbles.push(row)
  }
  return nibbles[j]!
}

/** Points whose sum is value*H: a few additions in place of a multiplication. */
function shortMultiple(value: bigint): WidePoint[] {
  const points: WidePoint[] = []
  for (let j = 0, rest = value; rest > 0n; j++, rest >>= 4n) {
    const digit = Number(rest & 15n)
    if (digit > 0) points.push(nibbleRow(j)[digit - 1]!)
  }
  return points
}

/** Infinite only for the opening (0; 0) and for openings that nobody can find. */
export function commit(value: bigint, blinding: bigint): Element {
  if (value < 0n || value >> SHORT_BITS > 0n) return sumElements([multiple(H, value), multipleOfBase(blinding)])
  const points = shortMultiple(value)
  const scalar = scalarFromBigint(blinding)
  if (scalar !== undefined) points.push(curve.multiplyBaseWide(scalar))
  return narrowElement(curve.sumWide(points))
}

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
