import { createRequire } from 'node:module'
import { bigintToBytes, bytesToBigint } from '../bytes.js'
import type { CurveBackend, Point, Signature, WidePoint } from './backend.js'
import { q, type Scalar } from './scalar.js'

/** What `secp256k1/bindings` exports, as far as we use it: it returns fresh arrays and throws with a fixed message. */
interface Binding {
  publicKeyVerify(key: Uint8Array): boolean
  publicKeyCreate(key: Uint8Array, compressed?: boolean): Uint8Array
  publicKeyConvert(key: Uint8Array, compressed: boolean): Uint8Array
  publicKeyNegate(key: Uint8Array): Uint8Array
  publicKeyCombine(keys: readonly Uint8Array[], compressed?: boolean): Uint8Array
  publicKeyTweakAdd(key: Uint8Array, tweak: Uint8Array): Uint8Array
  publicKeyTweakMul(key: Uint8Array, tweak: Uint8Array): Uint8Array
  ecdsaSign(digest: Uint8Array, key: Uint8Array): { signature: Uint8Array }
  ecdsaRecover(signature: Uint8Array, recovery: number, digest: Uint8Array): Uint8Array
  ecdsaVerify(signature: Uint8Array, digest: Uint8Array, key: Uint8Array): boolean
  /** SHA-256 of the compressed point, constant time. */
  ecdh(publicKey: Uint8Array, key: Uint8Array): Uint8Array
}

/** The binding's only ways to say "infinity" (with a tweak in range), "no point" and "r or s is not below q". */
const SUM_INFINITE = 'The sum of the public keys is not valid'
const NO_POINT = 'Public Key could not be parsed'
const TWEAKED_INFINITE = 'The tweak was out of range or the resulted private key is invalid'
const RECOVERED_INFINITE = 'Public key could not be recover'
const SIGNATURE_OVERFLOW = 'Signature could not be parsed'

/** `run`'s value, or `otherwise` where it throws `message`. Any other error is a defect of this program and goes on. */
function unless<T, U>(message: string, otherwise: U, run: () => T): T | U {
  try {
    return run()
  } catch (error) {
    if (error instanceof Error && error.message === message) return otherwise
    throw error
  }
}

/**
 * P8: the native binding itself, never the package's entry point, which falls back to `elliptic` without a word.
 * @returns undefined where the binding does not load.
 */
export function loadNative(): CurveBackend | undefined {
  let binding: Binding
  try {
    binding = createRequire(import.meta.url)('secp256k1/bindings') as Binding
  } catch {
    return undefined // expected where no prebuilt binary fits: noble takes over, `doctor` says so
  }
  return nativeBackend(binding)
}

/**
 * e*P + s*G in one double multiplication: what recovering an ECDSA key computes, `Q = r^-1 * (s'*P - m*G)` with r the
 * x of P, called with `s' = e*r` and `m = -s*r`. A quarter faster than a multiplication and a tweak.
 * @returns undefined for the few x above q, where r would not be x.
 */
function recoverAdd(binding: Binding, point: Point, e: Scalar, s: Scalar): Point | null | undefined {
  const r = bytesToBigint(point.subarray(1))
  if (r === 0n || r >= q) return undefined
  const signature = new Uint8Array(64)
  signature.set(point.subarray(1))
  signature.set(bigintToBytes((bytesToBigint(e) * r) % q, 32), 32)
  const message = bigintToBytes(q - ((bytesToBigint(s) * r) % q), 32)
  return unless(RECOVERED_INFINITE, null, () => binding.ecdsaRecover(signature, point[0]! - 2, message) as Point)
}

const nativeBackend = (binding: Binding): CurveBackend => ({
  name: 'native',
  isPoint: (bytes) => bytes.length === 33 && binding.publicKeyVerify(bytes),
  multiplyBase: (k) => binding.publicKeyCreate(k) as Point,
  multiply: (point, k) => binding.publicKeyTweakMul(point, k) as Point,
  sum: (points) =>
    points.length === 0 ? null : unless(SUM_INFINITE, null, () => binding.publicKeyCombine(points) as Point),
  widen: (bytes) =>
    bytes.length === 33
      ? unless(NO_POINT, undefined, () => binding.publicKeyConvert(bytes, false) as WidePoint)
      : undefined,
  multiplyBaseWide: (k) => binding.publicKeyCreate(k, false) as WidePoint,
  sumWide: (points) =>
    points.length === 0 ? null : unless(SUM_INFINITE, null, () => binding.publicKeyCombine(points, false) as WidePoint),
  negate: (point) => binding.publicKeyNegate(point) as Point,
  addBase: (point, k) => unless(TWEAKED_INFINITE, null, () => binding.publicKeyTweakAdd(point, k) as Point),
  multiplyAdd(point, e, s) {
    const recovered = recoverAdd(binding, point, e, s)
    return recovered === undefined ? this.addBase(this.multiply(point, e), s) : recovered
  },
  sign: (digest, key) => binding.ecdsaSign(digest, key).signature as Signature,
  verify: (digest, signature, publicKey) =>
    signature.length === 64 &&
    unless(SIGNATURE_OVERFLOW, false, () => binding.ecdsaVerify(signature, digest, publicKey)),
  ecdh: (publicKey, key) => binding.ecdh(publicKey, key),
})
