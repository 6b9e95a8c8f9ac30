/**
 * The bytes of a proof: fixed fields in a fixed order, whose number and lengths follow from the statement alone.
 *
 *     seed 32 | per Link: z 31, w Lw/8, v 32 | per range: its digit commitments but the last, 33 each | e0 32 |
 *     four scalars of 32 per ring
 */
import { bigintToBytes, bytesToBigint, concatBytes, type Digest } from '../base/bytes.js'
import { curve, narrow, parseScalar, q, type Scalar, type WidePoint } from '../base/curve/index.js'
import { type LinkGroup, type Response, wBits, withinWindows, Z_BITS } from './link.js'
import type { Shape } from './proof-shape.js'
import { RING } from './range.js'

export interface Proof {
  readonly seed: Digest
  /** Aligned with the shape's groups. */
  readonly responses: readonly Response[]
  /** Per range, all digit commitments but the last. */
  readonly digits: readonly (readonly WidePoint[])[]
  readonly e0: Digest
  /** Four per ring, in order. */
  readonly scalars: readonly (readonly Scalar[])[]
}

const zBytes = Z_BITS / 8
const wBytes = (group: LinkGroup): number => wBits(group.publicKey) / 8

/** Length of a proof of this shape in bytes. */
export function proofLength(shape: Shape): number {
  const links = shape.groups.reduce((sum, group) => sum + zBytes + wBytes(group) + 32, 0)
  const ranges = shape.targets.length * ((shape.digits - 1) * 33 + shape.digits * RING * 32)
  return 32 + links + ranges + 32
}

export const encodeResponses = (shape: Shape, responses: readonly Response[]): Uint8Array =>
  concatBytes(
    ...responses.flatMap(({ z, w, v }, i) => [
      bigintToBytes(z, zBytes),
      bigintToBytes(w, wBytes(shape.groups[i]!)),
      bigintToBytes(v, 32),
    ]),
  )

export const encodeProof = (shape: Shape, proof: Proof): Uint8Array =>
  concatBytes(
    proof.seed,
    encodeResponses(shape, proof.responses),
    ...proof.digits.flat().map(narrow),
    proof.e0,
    ...proof.scalars.flat(),
  )

/**
 * Parses every field and checks P4's bounds (z, w, v) and P5's (finite canonical points, scalars in [1, q-1]).
 * @returns undefined for anything but the one encoding of a proof of this shape.
 */
export function decodeProof(shape: Shape, bytes: Uint8Array): Proof | undefined {
  if (bytes.length !== proofLength(shape)) return undefined
  let at = 0
  const take = (length: number): Uint8Array => {
    at += length
    return bytes.slice(at - length, at)
  }
  const seed = take(32) as Digest
  const responses: Response[] = []
  for (const group of shape.groups) {
    const [z, w, v] = [zBytes, wBytes(group), 32].map((length) => bytesToBigint(take(length))) as [
      bigint,
      bigint,
      bigint,
    ]
    if (v >= q || !withinWindows(group, { z, w, v })) return undefined
    responses.push({ z, w, v })
  }
  const digits: WidePoint[][] = []
  for (let range = 0; range < shape.targets.length; range++) {
    const points = Array.from({ length: shape.digits - 1 }, () => curve.widen(take(33)))
    if (!points.every((point) => point !== undefined)) return undefined
    digits.push(points)
  }
  const e0 = take(32) as Digest
  const scalars: Scalar[][] = []
  for (let ring = 0; ring < shape.targets.length * shape.digits; ring++) {
    const four = Array.from({ length: RING }, () => parseScalar(take(32)))
    if (!four.every((scalar) => scalar.ok)) return undefined
    scalars.push(four.map((scalar) => scalar.value))
  }
  return { seed, responses, digits, e0, scalars }
}
