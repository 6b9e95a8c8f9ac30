import type { Brand } from '../brand.js'
import type { Digest } from '../bytes.js'
import type { Scalar } from './scalar.js'

/** 33 bytes, compressed, canonical, on the curve, finite. */
export type Point = Brand<Uint8Array, 'Point'>
/**
 * 65 bytes, uncompressed, on the curve. For points that are added more than once: each reading of a compressed one costs a
 * square root.
 */
export type WidePoint = Brand<Uint8Array, 'WidePoint'>
/** 64 bytes r || s, low s. */
export type Signature = Brand<Uint8Array, 'Signature'>

/**
 * The operations both backends implement with identical results (P8). All points are compressed and finite;
 * where a result can be infinity it is `null`.
 */
export interface CurveBackend {
  readonly name: 'native' | 'noble'
  /** Canonical compressed encoding of a finite point of the curve. */
  isPoint(bytes: Uint8Array): boolean
  /** k*G, fixed base, constant time. */
  multiplyBase(k: Scalar): Point
  multiply(point: Point, k: Scalar): Point
  sum(points: readonly Point[]): Point | null
  /** Canonical compressed encoding of a finite point to its uncompressed one; undefined for any other bytes. */
  widen(bytes: Uint8Array): WidePoint | undefined
  /** k*G as multiplyBase has it. */
  multiplyBaseWide(k: Scalar): WidePoint
  sumWide(points: readonly WidePoint[]): WidePoint | null
  negate(point: Point): Point
  /** point + k*G. */
  addBase(point: Point, k: Scalar): Point | null
  /** e*point + s*G in variable time: for public scalars only, as every step of a ring signature is (P5). */
  multiplyAdd(point: Point, e: Scalar, s: Scalar): Point | null
  /** RFC 6979, low s. */
  sign(digest: Digest, key: Scalar): Signature
  /** False for a high s, a zero or overlong r or s, and a wrong signature. */
  verify(digest: Digest, signature: Uint8Array, publicKey: Point): boolean
  /** SHA-256 of the compressed shared point (BOLT 8's ECDH). */
  ecdh(publicKey: Point, key: Scalar): Uint8Array
}
