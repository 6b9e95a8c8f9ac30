import { createRequire } from 'node:module'
import type { CurveBackend, Point, Signature } from './backend.js'

/** What `secp256k1/bindings` exports: it writes into `out` and returns a code, 0 for success. */
interface Binding {
  publicKeyVerify(key: Uint8Array): number
  publicKeyCreate(out: Uint8Array, key: Uint8Array): number
  publicKeyNegate(out: Uint8Array, key: Uint8Array): number
  publicKeyCombine(out: Uint8Array, keys: readonly Uint8Array[]): number
  publicKeyTweakAdd(out: Uint8Array, key: Uint8Array, tweak: Uint8Array): number
  publicKeyTweakMul(out: Uint8Array, key: Uint8Array, tweak: Uint8Array): number
  ecdsaSign(out: { signature: Uint8Array; recid: number | null }, digest: Uint8Array, key: Uint8Array): number
  /** SHA-256 of the compressed point, constant time. */
  ecdh(out: Uint8Array, publicKey: Uint8Array, key: Uint8Array): number
  ecdsaVerify(signature: Uint8Array, digest: Uint8Array, key: Uint8Array): number
}

/** A code that our parsed inputs cannot cause means a defect of this program. */
function must(code: number, name: string): void {
  if (code !== 0) throw new Error(`secp256k1 ${name} returned ${code}`)
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

function nativeBackend(binding: Binding): CurveBackend {
  const out = (): Uint8Array => new Uint8Array(33)
  return {
    name: 'native',
    isPoint: (bytes) => bytes.length === 33 && binding.publicKeyVerify(bytes) === 0,
    multiplyBase(k) {
      const point = out()
      must(binding.publicKeyCreate(point, k), 'publicKeyCreate')
      return point as Point
    },
    multiply(point, k) {
      const product = out()
      must(binding.publicKeyTweakMul(product, point, k), 'publicKeyTweakMul')
      return product as Point
    },
    sum(points) {
      if (points.length === 0) return null
      const total = out()
      // 2 is "the sum is not valid": infinity. 1 is "a summand does not parse": a defect.
      const code = binding.publicKeyCombine(total, points)
      if (code === 2) return null
      must(code, 'publicKeyCombine')
      return total as Point
    },
    negate(point) {
      const opposite = out()
      must(binding.publicKeyNegate(opposite, point), 'publicKeyNegate')
      return opposite as Point
    },
    addBase(point, k) {
      const total = out()
      const code = binding.publicKeyTweakAdd(total, point, k)
      if (code === 2) return null
      must(code, 'publicKeyTweakAdd')
      return total as Point
    },
    sign(digest, key) {
      const result = { signature: new Uint8Array(64), recid: null }
      must(binding.ecdsaSign(result, digest, key), 'ecdsaSign')
      return result.signature as Signature
    },
    verify: (digest, signature, publicKey) =>
      signature.length === 64 && binding.ecdsaVerify(signature, digest, publicKey) === 0,
    ecdh(publicKey, key) {
      const secret = new Uint8Array(32)
      must(binding.ecdh(secret, publicKey, key), 'ecdh')
      return secret
    },
  }
}
