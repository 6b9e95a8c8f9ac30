/** Primes that are a function of a seed (P2): the same seed gives the same key on every machine. */
import { checkPrimeSync } from 'node:crypto'
import { bytesToBigint, u64, utf8 } from '../base/bytes.js'
import { prfBytes } from '../base/digest.js'

/** P3: every prime below 2^16. */
const SMALL_PRIMES_BELOW = 1 << 16

function sieve(below: number): number[] {
  const composite = new Uint8Array(below)
  const primes: number[] = []
  for (let candidate = 2; candidate < below; candidate++) {
    if (composite[candidate] === 1) continue
    primes.push(candidate)
    for (let multiple = candidate * candidate; multiple < below; multiple += candidate) composite[multiple] = 1
  }
  return primes
}

const SMALL_PRIMES = sieve(SMALL_PRIMES_BELOW)
let product: bigint | undefined

/** The product of the primes below 2^16: one remainder and one gcd find any of them in a number. */
export function smallPrimeProduct(): bigint {
  product ??= balancedProduct(SMALL_PRIMES.map(BigInt))
  return product
}

function balancedProduct(factors: readonly bigint[]): bigint {
  if (factors.length <= 1) return factors[0] ?? 1n
  const half = factors.length >> 1
  return balancedProduct(factors.slice(0, half)) * balancedProduct(factors.slice(half))
}

/** Candidates that one draw covers: about 90 times the mean distance of primes of 2048 bits in steps of four. */
const WINDOW = 1 << 15

/**
 * The first prime = 3 mod 4 after a point drawn from the seed, `bits` long with its two top bits set (so that the product
 * of two has exactly twice the length). Seed is secret; its length is the caller's.
 */
export function primeFromSeed(seed: Uint8Array, label: string, bits: number): bigint {
  for (let draw = 0; ; draw++) {
    const drawn = bytesToBigint(prfBytes(seed, bits / 8, 'paillier-prime', utf8(label), u64(draw)))
    const start = drawn | (3n << BigInt(bits - 2)) | 3n
    const prime = firstPrime(start)
    if (prime !== undefined && prime >> BigInt(bits) === 0n) return prime
  }
}

/** The first prime among start, start + 4, …: start is 3 mod 4. */
function firstPrime(start: bigint): bigint | undefined {
  const composite = new Uint8Array(WINDOW)
  for (const prime of SMALL_PRIMES) {
    if (prime === 2) continue
    // start + 4i = 0 (mod prime); the inverse of 4 is (prime + 1) / 4 or (3 prime + 1) / 4.
    const quarter = prime % 4 === 3 ? (prime + 1) / 4 : (3 * prime + 1) / 4
    const rest = Number(start % BigInt(prime))
    for (let i = ((prime - rest) * quarter) % prime; i < WINDOW; i += prime) composite[i] = 1
  }
  for (let i = 0; i < WINDOW; i++) {
    const candidate = start + BigInt(4 * i)
    if (composite[i] === 0 && checkPrimeSync(candidate)) return candidate
  }
  return undefined
}
