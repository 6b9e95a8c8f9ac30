/**
 * Modular arithmetic (P8). Exponentiation goes through OpenSSL where it can, and through BigInt with the same results
 * where it cannot; `MERIDIAN_MODEXP=pure` forces the second. Everything here is synchronous and blocks: run it in workers.
 */
import { createDiffieHellman, type DiffieHellman } from 'node:crypto'
import { count } from '../base/counters.js'
import { LIMITS } from '../base/limits.js'

/** Which of the two modPow is in this thread: benchmarks print it. */
export const modexpBackend: 'native' | 'pure' = process.env['MERIDIAN_MODEXP'] === 'pure' ? 'pure' : 'native'

/** OpenSSL computes with none shorter (it returns zeros, silently) and refuses any longer. */
const NATIVE_BITS_MIN = 512
const NATIVE_BITS_MAX = 9_216

export const bitLength = (value: bigint): number => {
  const hex = value.toString(16)
  return value === 0n ? 0 : hex.length * 4 - Math.clz32(Number.parseInt(hex[0]!, 16)) + 28
}

/**
 * `base^exponent mod modulus` for any integers; a negative exponent goes through the inverse.
 * @throws RangeError for a modulus below 1, and for a negative exponent of a base that has no inverse.
 */
export function modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
  count('exponentiations')
  return modexpBackend === 'pure' ? modPowPure(base, exponent, modulus) : modPowNative(base, exponent, modulus)
}

/** As modPow, in BigInt alone: sliding window over odd powers. */
export function modPowPure(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const [start, positive] = normalise(base, exponent, modulus)
  const bits = positive.toString(2)
  const width = bits.length < 24 ? 1 : bits.length < 320 ? 4 : 5
  const odd = oddPowers(start, modulus, 1 << (width - 1))
  let result = 1n % modulus
  for (let i = 0; i < bits.length; ) {
    if (bits[i] === '0') {
      result = (result * result) % modulus
      i++
      continue
    }
    let end = Math.min(i + width, bits.length)
    while (bits[end - 1] === '0') end--
    for (let k = i; k < end; k++) result = (result * result) % modulus
    result = (result * odd[Number.parseInt(bits.slice(i, end), 2) >> 1]!) % modulus
    i = end
  }
  return result
}

function oddPowers(base: bigint, modulus: bigint, count: number): bigint[] {
  const powers = [base]
  const square = (base * base) % modulus
  while (powers.length < count) powers.push((powers[powers.length - 1]! * square) % modulus)
  return powers
}

/** As modPow, through OpenSSL wherever OpenSSL gives an answer. */
export function modPowNative(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const [start, positive] = normalise(base, exponent, modulus)
  if (positive === 0n || start <= 1n) return positive === 0n ? 1n % modulus : start
  if ((modulus & 1n) === 0n) return modPowPure(start, positive, modulus)
  const context = contextOf(modulus)
  return (context && nativePower(context, start, positive)) ?? modPowPure(start, positive, modulus)
}

/** A base in [0, modulus) and an exponent that is not negative. */
function normalise(base: bigint, exponent: bigint, modulus: bigint): readonly [bigint, bigint] {
  if (modulus < 1n) throw new RangeError('modPow: the modulus is below 1')
  const reduced = mod(base, modulus)
  if (exponent >= 0n) return [reduced, exponent]
  const inverse = modInverse(reduced, modulus)
  if (inverse === undefined) throw new RangeError('modPow: negative exponent of a base without inverse')
  return [inverse, -exponent]
}

/**
 * A Diffie-Hellman object computes powers modulo its "prime". Node tests that prime when the object is made, which costs
 * an exponentiation for a composite and dozens for a prime. A multiple m * 3^k is seen to be composite at once, and its
 * powers reduce to those of m; it is a fifth slower to compute with. So a modulus starts with its multiple and moves to
 * itself once it has done the work that repays the test; but a prime never does, whoever sent it.
 */
interface Context {
  dh: DiffieHellman
  stage: 'new' | 'exact' | 'multiple'
  readonly modulus: bigint
  readonly bits: number
  /** Bits of exponents so far. */
  work: number
}

const WORK_BEFORE_EXACT = 16
const contexts = new Map<bigint, Context>()

function contextOf(modulus: bigint): Context | undefined {
  const known = contexts.get(modulus)
  if (known !== undefined) {
    contexts.delete(modulus)
    contexts.set(modulus, known)
    return known
  }
  const bits = bitLength(modulus)
  if (bits < NATIVE_BITS_MIN || bits > NATIVE_BITS_MAX) return undefined
  const context: Context = { dh: diffieHellman(smoothMultiple(modulus, bits)), stage: 'new', modulus, bits, work: 0 }
  contexts.set(modulus, context)
  for (const oldest of contexts.keys()) {
    if (contexts.size <= LIMITS.modexp_contexts) break
    contexts.delete(oldest)
  }
  return context
}

/** The largest m * 3^k below the next multiple of 512 bits: OpenSSL's fast code wants whole groups of eight words. */
function smoothMultiple(modulus: bigint, bits: number): bigint {
  const limit = 1n << BigInt(Math.ceil((bits + 2) / 512) * 512)
  let multiple = modulus
  while (multiple * 3n < limit) multiple *= 3n
  return multiple
}

const diffieHellman = (modulus: bigint): DiffieHellman => createDiffieHellman(toBuffer(modulus), 2)

/** Drops what is kept of these moduli: they may be secret themselves. */
export function forgetModuli(...moduli: readonly bigint[]): void {
  for (const modulus of moduli) contexts.delete(modulus)
}

/** P8: node's test of a prime stalls the thread for seconds; what passes Fermat's, which costs one power, is spared it. */
function settle(context: Context): void {
  context.stage = 'multiple'
  // The multiple is divisible by 3, so that no power of this base is refused as weak.
  if (nativePower(context, 3n, context.modulus - 1n) === 1n) return
  context.dh = diffieHellman(context.modulus)
  context.stage = 'exact'
}

/** No exponent: put in the place of the last one, which may be secret. */
const NO_EXPONENT = Buffer.of(1)

function nativePower(context: Context, base: bigint, exponent: bigint): bigint | undefined {
  if (context.stage === 'new' && context.work > WORK_BEFORE_EXACT * context.bits) settle(context)
  const exponentBytes = wholeWords(exponent)
  context.work += exponentBytes.length * 8
  try {
    context.dh.setPrivateKey(exponentBytes)
    const power = BigInt(`0x${context.dh.computeSecret(toBuffer(base)).toString('hex')}`)
    return context.stage === 'exact' ? power : power % context.modulus
  } catch (error) {
    // P8: base m-1 and the results 0, 1 and m-1 are refused as weak; the caller computes them in BigInt.
    if (isWeakKeyError(error)) return undefined
    throw error
  } finally {
    context.dh.setPrivateKey(NO_EXPONENT)
    exponentBytes.fill(0)
  }
}

const isWeakKeyError = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  (error.code === 'ERR_CRYPTO_INVALID_KEYLEN' || error.code === 'ERR_CRYPTO_INVALID_KEYTYPE')

/**
 * P8: exponents of fixed length. OpenSSL's constant-time ladder runs over whole words of 64 bits, zeros included: a uniform
 * secret takes the time of its width, but for one in 2^64.
 */
function wholeWords(exponent: bigint): Buffer {
  const hex = exponent.toString(16)
  return Buffer.from(hex.padStart(Math.ceil(hex.length / 16) * 16, '0'), 'hex')
}

function toBuffer(value: bigint): Buffer {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
}

/** The representative in [0, modulus). */
export function mod(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus
  return rest < 0n ? rest + modulus : rest
}

export const gcd = (a: bigint, b: bigint): bigint => euclid(a < 0n ? -a : a, b < 0n ? -b : b).divisor

/** The inverse in [0, modulus), or undefined where there is none. @throws RangeError for a modulus below 1. */
export function modInverse(value: bigint, modulus: bigint): bigint | undefined {
  if (modulus < 1n) throw new RangeError('modInverse: the modulus is below 1')
  const { divisor, factor } = euclid(modulus, mod(value, modulus))
  return divisor === 1n ? mod(factor, modulus) : undefined
}

/**
 * Lehmer's Euclid: runs of steps are found on the leading 50 bits and applied to the long numbers at once, two to three
 * times as fast as one long division after another. `factor * b = divisor (mod a)`.
 */
function euclid(a: bigint, b: bigint): { readonly divisor: bigint; readonly factor: bigint } {
  let [high, low, highFactor, lowFactor] = a >= b ? [a, b, 0n, 1n] : [b, a, 1n, 0n]
  let shift = Math.max(0, bitLength(high) - 50)
  while (low !== 0n) {
    let top = Number(high >> BigInt(shift))
    if (shift > 0 && top < 2 ** 40) {
      shift = Math.max(0, shift - 49 + Math.floor(Math.log2(top + 1)))
      top = Number(high >> BigInt(shift))
    }
    const run = leadingRun(top, Number(low >> BigInt(shift)))
    if (run === undefined) {
      const quotient = high / low
      ;[high, low] = [low, high - quotient * low]
      ;[highFactor, lowFactor] = [lowFactor, highFactor - quotient * lowFactor]
    } else {
      const [p, q, r, s] = run
      ;[high, low] = [p * high + q * low, r * high + s * low]
      ;[highFactor, lowFactor] = [p * highFactor + q * lowFactor, r * highFactor + s * lowFactor]
    }
  }
  return { divisor: high, factor: highFactor }
}

/** The steps whose quotients are certain whatever the bits below: their matrix, or undefined where not even one is. */
function leadingRun(high: number, low: number): readonly [bigint, bigint, bigint, bigint] | undefined {
  let [x, y, p, q, r, s] = [high, low, 1, 0, 0, 1]
  while (y + r !== 0 && y + s !== 0) {
    const quotient = Math.floor((x + p) / (y + r))
    if (quotient !== Math.floor((x + q) / (y + s))) break
    ;[x, y] = [y, x - quotient * y]
    ;[p, r] = [r, p - quotient * r]
    ;[q, s] = [s, q - quotient * s]
  }
  return q === 0 ? undefined : [BigInt(p), BigInt(q), BigInt(r), BigInt(s)]
}

/** The Jacobi symbol (value / modulus). @throws RangeError for a modulus that is even or below 1. */
export function jacobi(value: bigint, modulus: bigint): -1 | 0 | 1 {
  if (modulus < 1n || (modulus & 1n) === 0n) throw new RangeError('jacobi: the modulus is even or below 1')
  let [top, bottom, sign] = [mod(value, modulus), modulus, 1 as -1 | 1]
  while (top !== 0n) {
    let twos = 0
    while ((top & 0xffffn) === 0n) {
      top >>= 16n
      twos += 16
    }
    const word = Number(top & 0xffffn)
    const trailing = 31 - Math.clz32(word & -word)
    top >>= BigInt(trailing)
    const eighth = Number(bottom & 7n)
    if ((twos + trailing) % 2 === 1 && (eighth === 3 || eighth === 5)) sign = sign === 1 ? -1 : 1
    if ((eighth & 3) === 3 && (top & 3n) === 3n) sign = sign === 1 ? -1 : 1
    ;[top, bottom] = [bottom % top, top]
  }
  return bottom === 1n ? sign : 0
}
