import { checkPrimeSync, generatePrimeSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { bytesToBigint } from '../../src/base/bytes.js'
import { LIMITS } from '../../src/base/limits.js'
import {
  bitLength,
  forgetModuli,
  gcd,
  jacobi,
  mod,
  modexpBackend,
  modInverse,
  modPow,
  modPowNative,
  modPowPure,
} from '../../src/privacy/modexp.js'
import { watchDiffieHellman } from './watch.js'

/** The definition, as slow as it is obvious. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n % modulus, mod(base, modulus)]
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

const random = (bits: number): bigint => bytesToBigint(randomBytes(Math.ceil(bits / 8))) % (1n << BigInt(bits))
const exactly = (bits: number): bigint => random(bits) | (1n << BigInt(bits - 1))
const prime = (bits: number, options = {}): bigint => generatePrimeSync(bits, { bigint: true, ...options })
const backends = { modPow, modPowNative, modPowPure }

/** Enough work for a modulus to move to its exact context (P8), so that the traps are met in both. */
function exhaust(modulus: bigint): void {
  for (let work = 0; work < 18 * bitLength(modulus); work += 512) modPowNative(3n, exactly(512), modulus)
}

t.test('every backend gives the same power at every size, on the edges too', (t) => {
  const sizes = [1, 2, 8, 64, 510, 511, 512, 513, 1000, 1023, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 9216, 9217]
  for (const bits of sizes) {
    for (const modulus of [exactly(bits) | 1n, exactly(bits)]) {
      const bases = [0n, 1n, 2n, 3n, -1n, -5n, modulus - 1n, modulus, modulus + 1n, random(bits), random(2 * bits)]
      const exponents = [0n, 1n, 2n, 3n, 16n, 65537n, exactly(40), exactly(128)]
      for (const base of bases) {
        for (const exponent of exponents) {
          const expected = power(base, exponent, modulus)
          for (const [name, backend] of Object.entries(backends)) {
            const got = backend(base, exponent, modulus)
            if (got !== expected) t.fail(`${name} of ${bits} bits: ${base}^${exponent}`)
          }
        }
      }
    }
    t.pass(`${bits} bits`)
  }
  t.end()
})

t.test('property: the backends agree', (t) => {
  const wide = fc.bigInt({ min: -(1n << 1100n), max: 1n << 1100n })
  const modulus = fc.oneof(
    fc.bigInt({ min: 1n, max: 1n << 20n }),
    fc.bigInt({ min: 1n << 505n, max: 1n << 520n }),
    fc.bigInt({ min: 1n, max: 1n << 1030n }),
  )
  fc.assert(
    fc.property(wide, fc.bigInt({ min: 0n, max: 1n << 300n }), modulus, (base, exponent, m) => {
      const expected = power(base, exponent, m)
      return modPowNative(base, exponent, m) === expected && modPowPure(base, exponent, m) === expected
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('the results that OpenSSL refuses: 0, 1 and -1, before and after the move to the exact context', (t) => {
  const p = prime(600, { add: 4n, rem: 1n })
  const q = prime(600)
  let unit = 2n
  while (jacobi(unit, p) !== -1) unit++
  const root = power(unit, (p - 1n) / 4n, p)
  const oneAndMinusOne = mod(1n + p * mod(-2n * modInverse(p, q)!, q), p * q)
  const cases: [string, bigint, bigint, bigint, bigint][] = [
    ['Fermat', 5n, p - 1n, p, 1n],
    ['minus one', root, 2n, p, p - 1n],
    ['nothing left', p * 7n, 2n, p * p, 0n],
    ['nothing left, odd', p, 3n, p * p, 0n],
    ['zero of Paillier', power(5n, p, p * p), p - 1n, p * p, 1n],
    ['-1 squared', p - 1n, 2n, p, 1n],
    ['-1 cubed', p - 1n, 3n, p, p - 1n],
    ['a square root of 1', oneAndMinusOne, 2n, p * q, 1n],
    ['a multiple of a factor', 3n * p, 5n, p * q, power(3n * p, 5n, p * q)],
  ]
  for (const stage of ['multiple', 'exact']) {
    for (const [name, base, exponent, modulus, expected] of cases) {
      for (const backend of Object.values(backends)) {
        t.equal(backend(base, exponent, modulus), expected, `${name}, ${stage}`)
      }
    }
    for (const modulus of [p, p * p, p * q]) exhaust(modulus)
  }
  t.end()
})

t.test('OpenSSL never tests a prime: it takes seconds (P8)', (t) => {
  const seen = watchDiffieHellman(t)
  // p = 1 (mod 2 * 3^k): the power 1 modulo p is 1 modulo the multiple too.
  const foreign = [prime(1024), prime(600, { add: 2n * 3n ** 280n, rem: 1n })]
  for (const p of foreign) {
    for (let i = 0; i < 40; i++) modPowNative(2n, p, p)
    t.equal(modPowNative(2n, p, p), 2n)
  }
  t.same(
    seen.map(({ modulus }) => foreign.includes(modulus) || checkPrimeSync(modulus)),
    [false, false],
  )
  const composite = foreign[0]! * foreign[1]!
  exhaust(composite)
  t.ok(
    seen.some(({ modulus }) => modulus === composite),
    'a composite moves',
  )
  t.end()
})

t.test('exponents fill their words and do not stay; a modulus can be forgotten (P8)', (t) => {
  const seen = watchDiffieHellman(t)
  const modulus = prime(520) * prime(520)
  for (const bits of [256, 249, 200, 193]) modPowNative(3n, exactly(bits), modulus)
  const [{ exponents }] = seen as [(typeof seen)[number]]
  t.same(
    exponents.map(({ length }) => length),
    [32, 1, 32, 1, 32, 1, 32, 1],
  )
  t.same(exponents.at(-1), Uint8Array.of(1))
  t.equal(seen.length, 1)
  forgetModuli(modulus)
  modPowNative(3n, 5n, modulus)
  t.equal(seen.length, 2)
  t.end()
})

t.test('short results keep their leading zeros, exponents longer than the modulus are taken whole', (t) => {
  const p = prime(1024)
  for (let stage = 0; stage < 2; stage++) {
    const base = exactly(1000)
    t.equal(modPowNative(modInverse(base, p)!, p - 2n, p), base)
    t.equal(modPowNative(modInverse(3n, p)!, p - 2n, p), 3n)
    t.equal(modPowNative(7n, (p - 1n) * exactly(900) + 2n, p), 49n)
    exhaust(p)
  }
  t.end()
})

t.test('negative exponents go through the inverse', (t) => {
  const p = prime(768)
  const q = prime(768)
  const base = random(700) * 2n + 1n
  for (const backend of Object.values(backends)) {
    t.equal((backend(base, -12345n, p * q) * backend(base, 12345n, p * q)) % (p * q), 1n)
    t.equal(backend(base, -1n, p), modInverse(base, p))
    t.throws(() => backend(p, -1n, p * q), RangeError)
    t.throws(() => backend(0n, -1n, q), RangeError)
    t.throws(() => backend(2n, 3n, 0n), RangeError)
    t.throws(() => backend(2n, 3n, -7n), RangeError)
  }
  t.end()
})

t.test('more moduli than contexts are kept', (t) => {
  const moduli = Array.from({ length: LIMITS.modexp_contexts + 40 }, () => exactly(520) | 1n)
  const wrong = [...moduli, ...moduli].filter((m) => modPowNative(3n, 700n, m) !== power(3n, 700n, m))
  t.same(wrong, [])
  t.end()
})

t.test('the environment chooses the backend', (t) => {
  t.equal(modexpBackend, process.env['MERIDIAN_MODEXP'] === 'pure' ? 'pure' : 'native')
  t.end()
})

t.test('property: gcd and inverse', (t) => {
  const euclid = (a: bigint, b: bigint): bigint => (b === 0n ? a : euclid(b, a % b))
  const size = fc.oneof(
    fc.bigInt({ min: 0n, max: 1n << 12n }),
    fc.bigInt({ min: 0n, max: 1n << 60n }),
    fc.bigInt({ min: 0n, max: 1n << 2100n }),
  )
  fc.assert(
    fc.property(size, size, size, (a, b, factor) => {
      const divisor = euclid(a * factor, b * factor)
      if (gcd(a * factor, b * factor) !== divisor || gcd(-b * factor, a * factor) !== divisor) return false
      const modulus = b + 1n
      const inverse = modInverse(a, modulus)
      if (euclid(a % modulus, modulus) !== 1n) return inverse === undefined
      return inverse !== undefined && inverse >= 0n && inverse < modulus && (a * inverse) % modulus === 1n % modulus
    }),
    { numRuns: 2000 },
  )
  t.equal(gcd(0n, 0n), 0n)
  t.throws(() => modInverse(1n, 0n), RangeError)
  t.end()
})

t.test('property: the Jacobi symbol', (t) => {
  const p = prime(256)
  const q = prime(200)
  fc.assert(
    fc.property(fc.bigInt({ min: -(1n << 300n), max: 1n << 300n }), (value) => {
      const euler = (m: bigint): bigint => power(value, (m - 1n) / 2n, m)
      const legendre = (m: bigint): number => (euler(m) === m - 1n ? -1 : Number(euler(m)))
      return (
        jacobi(value, p) === legendre(p) &&
        jacobi(value, p * q) === legendre(p) * legendre(q) &&
        jacobi(value << 80n, p) === legendre(p) * jacobi(1n << 80n, p)
      )
    }),
  )
  t.equal(jacobi(p * 5n, p * q), 0)
  t.equal(jacobi(0n, 1n), 1)
  t.throws(() => jacobi(1n, 8n), RangeError)
  t.throws(() => jacobi(1n, -3n), RangeError)
  t.end()
})
