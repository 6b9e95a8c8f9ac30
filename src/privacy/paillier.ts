/**
 * Paillier as the additively homomorphic cipher of amounts (P2): `Enc(v; s) = (1 + v*n) * h^s mod n²`. Synchronous and
 * costly (milliseconds): call from a worker thread. Functions with `Own` compute by the factors, three times as fast.
 */
import { bigintToBytes, bytesToBigint } from '../base/bytes.js'
import { ok, type Result, refuse } from '../base/result.js'
import { gcd, mod, modInverse, modPow } from './modexp.js'
import { combine, type Half, halvesOf, type PrivateKey, type PublicKey } from './paillier-key.js'
import { tabledPower } from './powers.js'

export {
  encodeModulus,
  exportPrivateKey,
  forgetPrivateKey,
  importPrivateKey,
  KEY_BITS,
  maskBits,
  PrivateKey,
  type PublicKey,
  privateKeyFromSeed,
  publicKey,
  randomnessBits,
} from './paillier-key.js'

/** A ciphertext of zero with s = 0: what a fresh account holds (L2). */
export const ZERO_CIPHERTEXT = 1n

/** `R = h^s mod n²`. s may be negative (a difference of two, P7). */
export const randomizer = (key: PublicKey, s: bigint): bigint => tabledPower(key, s) ?? modPow(key.h, s, key.nn)

/** The same, by the owner. */
export function randomizerOwn(key: PrivateKey, s: bigint): bigint {
  const { p, q, inverseSquare } = halvesOf(key)
  return combine(modPow(p.h, s, p.square), modPow(q.h, s, q.square), p.square, q.square, inverseSquare)
}

/** `(1 + v*n) * R mod n²`: all that is left to do once R is known (C2). Values count modulo n. */
export const withRandomizer = (key: PublicKey, value: bigint, randomness: bigint): bigint =>
  ((1n + mod(value, key.n) * key.n) * randomness) % key.nn

export const encrypt = (key: PublicKey, value: bigint, s: bigint): bigint =>
  withRandomizer(key, value, randomizer(key, s))

export const encryptOwn = (key: PrivateKey, value: bigint, s: bigint): bigint =>
  withRandomizer(key.publicKey, value, randomizerOwn(key, s))

/** The plaintext in [0, n), of any unit modulo n². */
export function decrypt(key: PrivateKey, ciphertext: bigint): bigint {
  const { p, q, inverse } = halvesOf(key)
  return combine(decryptHalf(p, ciphertext), decryptHalf(q, ciphertext), p.prime, q.prime, inverse)
}

/** P8: OpenSSL refuses the result 1, which zero decrypts to, hence the exponent prime - 2 and one multiplication. */
function decryptHalf(half: Half, ciphertext: bigint): bigint {
  const power = (modPow(ciphertext, half.prime - 2n, half.square) * (ciphertext % half.square)) % half.square
  return (((power - 1n) / half.prime) * half.decryption) % half.prime
}

/** A ciphertext of the sum. */
export const addCiphertexts = (key: PublicKey, a: bigint, b: bigint): bigint => (a * b) % key.nn

/** A ciphertext of the difference, `a / b mod n²`. Errors: `bad_ciphertext` where b is no unit. */
export function subtractCiphertexts(key: PublicKey, a: bigint, b: bigint): Result<bigint> {
  const modulo = modInverse(b, key.n)
  if (modulo === undefined) return refuse('bad_ciphertext')
  // Newton: an inverse modulo n becomes one modulo n².
  const inverse = mod(modulo * (2n - ((b * modulo) % key.nn)), key.nn)
  return ok((a * inverse) % key.nn)
}

/**
 * The y of a rollover (L2): `product * y^n = fresh mod n²`, where both encrypt the same value (else no such y exists and
 * the result is no root: verifyRollover says so).
 */
export function rootOfRollover(key: PrivateKey, product: bigint, fresh: bigint): bigint {
  const { p, q, inverse } = halvesOf(key)
  const root = (half: Half): bigint => {
    const inverted = modInverse(product, half.prime)
    if (inverted === undefined) throw new RangeError('rootOfRollover: the product is no unit')
    return modPow(fresh * inverted, half.root, half.prime)
  }
  return combine(root(p), root(q), p.prime, q.prime, inverse)
}

/** Whether `product * root^n = fresh mod n²` for a unit root in (0, n). */
export const verifyRollover = (key: PublicKey, product: bigint, fresh: bigint, root: bigint): boolean =>
  root > 0n &&
  root < key.n &&
  gcd(root, key.n) === 1n &&
  (mod(product, key.nn) * modPow(root, key.n, key.nn)) % key.nn === fresh

/** P2: exact length, `0 < c < n²`, `gcd(c, n) = 1`: multiples of n pass a Link for any value. Errors: `bad_ciphertext`. */
export function parseCiphertext(key: PublicKey, bytes: Uint8Array): Result<bigint> {
  if (bytes.length !== 2 * key.bytes) return refuse('bad_ciphertext')
  const ciphertext = bytesToBigint(bytes)
  if (ciphertext <= 0n || ciphertext >= key.nn || gcd(ciphertext % key.n, key.n) !== 1n) return refuse('bad_ciphertext')
  return ok(ciphertext)
}

/** Big-endian, twice the modulus' length. */
export const encodeCiphertext = (key: PublicKey, ciphertext: bigint): Uint8Array =>
  bigintToBytes(ciphertext, 2 * key.bytes)
