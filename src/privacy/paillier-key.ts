/** Paillier keys with Damgard-Jurik-Nielsen randomness (P2). The private half is for this folder: `paillier.ts` is the door. */
import { inspect } from 'node:util'
import { bigintToBytes, bytesToBigint } from '../base/bytes.js'
import { prfBytes, taggedHash } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { forgetModuli, gcd, modInverse, modPow } from './modexp.js'
import { primeFromSeed } from './prime.js'
import { countProofWork } from './proof-work.js'

/** P2's key sizes: 2048 and 3072; 1024 for test ledgers, 4096 for benchmarks. Which of them a ledger takes is genesis' rule. */
export const KEY_BITS = [1024, 2048, 3072, 4096] as const

/** P2: bits of s for a modulus of `bits`. */
export const randomnessBits = (bits: number): 256 | 320 | 384 => (bits <= 2048 ? 256 : bits <= 3072 ? 320 : 384)
/** P4's Lw: bits of a Link's w and of its mask. */
export const maskBits = (bits: number): number => randomnessBits(bits) + 184

export interface PublicKey {
  /** Bits of n. */
  readonly bits: number
  /** Bytes of n; a ciphertext has twice as many. */
  readonly bytes: number
  readonly n: bigint
  readonly nn: bigint
  /** Generator of the randomness, derived from n when it is first read: an exponentiation, for workers only (P8). */
  readonly h: bigint
}

const publicKeys = new Map<bigint, PublicKey>()

/**
 * The key of a modulus as it travels: big-endian, exact length, odd. That it is a product of two primes is P3's to show.
 * Errors: `bad_key`.
 */
export function publicKey(n: Uint8Array): Result<PublicKey> {
  const known = KEY_BITS.some((bits) => n.length === bits / 8)
  if (!known || (n[0]! & 0x80) === 0 || (n[n.length - 1]! & 1) === 0) return refuse('bad_key')
  return ok(publicKeyOf(bytesToBigint(n)))
}

function publicKeyOf(n: bigint): PublicKey {
  const cached = publicKeys.get(n)
  if (cached !== undefined) {
    publicKeys.delete(n)
    publicKeys.set(n, cached)
    return cached
  }
  const bits = n.toString(16).length * 4
  const h = once(() => deriveH(n, bits / 8))
  const key = Object.freeze({
    bits,
    bytes: bits / 8,
    n,
    nn: n * n,
    get h() {
      return h()
    },
  })
  publicKeys.set(n, key)
  for (const oldest of publicKeys.keys()) {
    if (publicKeys.size <= LIMITS.paillier_keys) break
    publicKeys.delete(oldest)
  }
  return key
}

function once(make: () => bigint): () => bigint {
  let made: bigint | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** P2: h is derived, never received. */
function deriveH(n: bigint, bytes: number): bigint {
  countProofWork('derived')
  const encoded = bigintToBytes(n, bytes)
  const y = bytesToBigint(prfBytes(taggedHash('paillier-h', encoded), bytes + 16, 'paillier-h-y')) % n
  return modPow(n - ((y * y) % n), n, n * n)
}

export const encodeModulus = (key: PublicKey): Uint8Array => bigintToBytes(key.n, key.bytes)

/** One prime's half of the Chinese remainders. */
export interface Half {
  readonly prime: bigint
  readonly square: bigint
  /** h mod prime². */
  readonly h: bigint
  /** L(c^(prime-1)) times this is the plaintext modulo the prime. */
  readonly decryption: bigint
  /** 1/n modulo prime - 1: the exponent of an n-th root. */
  readonly root: bigint
}

export interface Halves {
  readonly p: Half
  readonly q: Half
  /** 1/p mod q and 1/p² mod q². */
  readonly inverse: bigint
  readonly inverseSquare: bigint
}

let halvesOfKey: (key: PrivateKey) => Halves

/** Its secrets are private fields: they do not print, serialise or pass through a structured clone. */
export class PrivateKey {
  readonly publicKey: PublicKey
  readonly #halves: Halves

  static {
    halvesOfKey = (key) => key.#halves
  }

  /** @throws InvariantError unless p and q are P2's: distinct, 3 mod 4, half of a key's length each. */
  constructor(p: bigint, q: bigint) {
    const n = p * q
    const bits = n.toString(2).length
    invariant(KEY_BITS.some((known) => known === bits) && p !== q, 'P2', 'the primes do not make a key')
    invariant((p & 3n) === 3n && (q & 3n) === 3n && gcd(n, (p - 1n) * (q - 1n)) === 1n, 'P2', 'the primes do not fit')
    this.publicKey = publicKeyOf(n)
    this.#halves = {
      p: half(p, q, this.publicKey),
      q: half(q, p, this.publicKey),
      inverse: modInverse(p, q)!,
      inverseSquare: modInverse(p * p, q * q)!,
    }
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect.custom](): string {
    return '[redacted]'
  }
}

/** With g = 1 + n, L(g^(prime-1)) = (prime-1) * n / prime = -other (mod prime). */
function half(prime: bigint, other: bigint, key: PublicKey): Half {
  const square = prime * prime
  const decryption = modInverse(prime - (other % prime), prime)!
  const h = once(() => key.h % square)
  return {
    prime,
    square,
    get h() {
      return h()
    },
    decryption,
    root: modInverse(prime * other, prime - 1n)!,
  }
}

/** For the modules of this folder that compute with the factors. */
export const halvesOf = (key: PrivateKey): Halves => halvesOfKey(key)

/** Drops what this thread keeps to compute with the key: its factors are in there. */
export function forgetPrivateKey(key: PrivateKey): void {
  const { p, q } = halvesOf(key)
  forgetModuli(p.prime, p.square, q.prime, q.square)
}

/** The number below modulus_p * modulus_q with these remainders; `inverse` is 1/modulus_p modulo modulus_q. */
export function combine(restP: bigint, restQ: bigint, modulusP: bigint, modulusQ: bigint, inverse: bigint): bigint {
  const difference = ((restQ - restP) * inverse) % modulusQ
  return restP + modulusP * (difference < 0n ? difference + modulusQ : difference)
}

/** The key of a seed: the same seed and size give the same key for ever. Takes 0.1 to some seconds. */
export function privateKeyFromSeed(seed: Uint8Array, bits: number): PrivateKey {
  invariant(seed.length >= 32, 'P2', 'a seed has at least 32 bytes')
  const p = primeFromSeed(seed, `${bits}/p`, bits / 2)
  const q = primeFromSeed(seed, `${bits}/q`, bits / 2)
  return new PrivateKey(p, q)
}

/** The factors, p then q, for a worker thread or a sealed store: secret bytes. */
export function exportPrivateKey(key: PrivateKey): Uint8Array {
  const { p, q } = halvesOf(key)
  const out = new Uint8Array(key.publicKey.bytes)
  out.set(bigintToBytes(p.prime, out.length / 2))
  out.set(bigintToBytes(q.prime, out.length / 2), out.length / 2)
  return out
}

/** The inverse of exportPrivateKey. @throws InvariantError for bytes that are no key. */
export function importPrivateKey(bytes: Uint8Array): PrivateKey {
  return new PrivateKey(
    bytesToBigint(bytes.subarray(0, bytes.length / 2)),
    bytesToBigint(bytes.subarray(bytes.length / 2)),
  )
}
