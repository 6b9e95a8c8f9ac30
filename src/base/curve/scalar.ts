import type { Brand } from '../brand.js'
import { bigintToBytes, bytesToBigint } from '../bytes.js'
import { ok, type Result, refuse } from '../result.js'

/** 32 bytes, big-endian, in [1, q-1]. */
export type Scalar = Brand<Uint8Array, 'Scalar'>

/** Order of secp256k1 (SEC 2, 2.4.1). */
export const q = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

export const modQ = (value: bigint): bigint => {
  const rest = value % q
  return rest < 0n ? rest + q : rest
}

export function parseScalar(bytes: Uint8Array): Result<Scalar> {
  if (bytes.length !== 32) return refuse('bad_scalar')
  const value = bytesToBigint(bytes)
  return value > 0n && value < q ? ok(bytes as Scalar) : refuse('bad_scalar')
}

/** @returns undefined for zero modulo q: the caller decides what an infinite point means to it. */
export function scalarFromBigint(value: bigint): Scalar | undefined {
  const reduced = modQ(value)
  return reduced === 0n ? undefined : (bigintToBytes(reduced, 32) as Scalar)
}

export const scalarToBigint = (scalar: Scalar): bigint => bytesToBigint(scalar)

/** a + b, undefined when the sum is zero. */
export const scalarAdd = (a: Scalar, b: Scalar): Scalar | undefined =>
  scalarFromBigint(bytesToBigint(a) + bytesToBigint(b))

/** a - b, undefined when equal. */
export const scalarSubtract = (a: Scalar, b: Scalar): Scalar | undefined =>
  scalarFromBigint(bytesToBigint(a) - bytesToBigint(b))
