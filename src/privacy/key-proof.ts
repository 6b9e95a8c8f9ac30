/**
 * P3: a public, non-interactive proof that a modulus is fit for a Paillier account. Ten roots `sigma^(2n) = ±rho mod n` of
 * hashed values rho with Jacobi symbol +1. A modulus with gcd(n, phi(n)) > 1 has roots of at most one value in 2^16 (its
 * smallest prime factor), one with k prime factors of at most one in 2^(k-2): so n is square-free, x -> x^n is a
 * permutation and, from 2048 bits on, some prime factor is above 2^128, as the challenges of Link (P4) need.
 */
import { bigintToBytes, bytesToBigint, concatBytes, u64 } from '../base/bytes.js'
import { prfBytes, taggedHash } from '../base/digest.js'
import { gcd, jacobi, modPow } from './modexp.js'
import { combine, encodeModulus, type Half, halvesOf, KEY_BITS, type PrivateKey } from './paillier-key.js'
import { smallPrimeProduct } from './prime.js'

const ROUNDS = 10

export const keyProofBytes = (bits: number): number => (ROUNDS * bits) / 8

/** The proof for one account: ten roots, each as long as n. Deterministic: two different roots of one value factor n. */
export function proveKey(key: PrivateKey, account: Uint8Array): Uint8Array {
  const { n, bytes } = key.publicKey
  const roots = challenges(encodeModulus(key.publicKey), account).map((rho) =>
    bigintToBytes(rootOf(key, rho, n), bytes),
  )
  return concatBytes(...roots)
}

/** The sigma below n/2 that is itself a square up to sign. p = q = 3 mod 4, so exactly one of rho and -rho is a square. */
function rootOf(key: PrivateKey, rho: bigint, n: bigint): bigint {
  const { p, q, inverse } = halvesOf(key)
  const square = jacobi(rho, p.prime) === 1 ? rho : n - rho
  const root = (half: Half): bigint =>
    modPow(square, (half.root * ((half.prime + 1n) / 4n)) % (half.prime - 1n), half.prime)
  const sigma = combine(root(p), root(q), p.prime, q.prime, inverse)
  return sigma * 2n < n ? sigma : n - sigma
}

/** Whether n, of exactly `bits`, is fit for this account's Paillier key. */
export function verifyKey(n: Uint8Array, account: Uint8Array, proof: Uint8Array, bits: number): boolean {
  if (!KEY_BITS.some((known) => known === bits) || n.length !== bits / 8 || proof.length !== keyProofBytes(bits))
    return false
  const modulus = bytesToBigint(n)
  if ((n[0]! & 0x80) === 0 || (modulus & 3n) !== 1n || !isComposite(modulus)) return false
  return challenges(n, account).every((rho, i) => {
    const sigma = bytesToBigint(proof.subarray(i * n.length, (i + 1) * n.length))
    // The root above n/2 holds as well; only one is taken, so that nobody but the owner can alter a proof.
    if (sigma === 0n || sigma * 2n > modulus) return false
    const power = modPow(sigma, 2n * modulus, modulus)
    return power === rho || power === modulus - rho
  })
}

/**
 * No prime (a prime passes every round, P3) and no multiple of a prime below 2^16. For an odd n, 2^(n-1) = 1 means 2^n = 2:
 * a result that OpenSSL does not refuse (P8).
 */
const isComposite = (n: bigint): boolean => gcd(smallPrimeProduct() % n, n) === 1n && modPow(2n, n, n) !== 2n

/** The values rho: units with Jacobi symbol +1, hashed from modulus and account. */
function challenges(n: Uint8Array, account: Uint8Array): bigint[] {
  const modulus = bytesToBigint(n)
  const seed = taggedHash('key-proof', n, account)
  return Array.from({ length: ROUNDS }, (_, round) => {
    for (let counter = 0; ; counter++) {
      const stream = prfBytes(seed, n.length + 16, 'key-proof-rho', u64(round), u64(counter))
      const rho = bytesToBigint(stream) % modulus
      if (jacobi(rho, modulus) === 1) return rho
    }
  })
}
