import { checkPrimeSync, generatePrimeSync, randomBytes } from 'node:crypto'
import t from 'tap'
import { bigintToBytes, bytesToBigint, concatBytes, equalBytes, u64, utf8 } from '../../src/base/bytes.js'
import { prfBytes, sha256, taggedHash } from '../../src/base/digest.js'
import { proveKey, verifyKey } from '../../src/privacy/key-proof.js'
import { gcd, jacobi, modexpBackend, modInverse, modPow } from '../../src/privacy/modexp.js'
import { encodeModulus, privateKeyFromSeed } from '../../src/privacy/paillier.js'
import { watchDiffieHellman } from './watch.js'

const BITS = 1024
const account = sha256(utf8('alice'))
const mallory = sha256(utf8('mallory'))
const alice = privateKeyFromSeed(sha256(utf8('alice')), BITS)

/** The verifier's ten values, computed here a second time. */
function* challenges(n: bigint, owner: Uint8Array, bits: number): Generator<bigint> {
  const seed = taggedHash('key-proof', bigintToBytes(n, bits / 8), owner)
  for (let round = 0; round < 10; round++) {
    for (let counter = 0; ; counter++) {
      const stream = prfBytes(seed, bits / 8 + 16, 'key-proof-rho', u64(round), u64(counter))
      const rho = bytesToBigint(stream) % n
      if (jacobi(rho, n) !== 1) continue
      yield rho
      break
    }
  }
}

/** A power of a prime that is not 1 modulo 8, and the order of the group of units modulo it. */
interface Factor {
  readonly modulus: bigint
  readonly order: bigint
}
const prime = (p: bigint): Factor => ({ modulus: p, order: p - 1n })

/** A square root, where there is one; 2 is no square modulo a prime = 5 mod 8. */
function squareRoot(value: bigint, { modulus, order }: Factor): bigint | undefined {
  if (modPow(value, order / 2n, modulus) !== 1n) return undefined
  const odd = order % 4n === 0n ? order / 4n : order / 2n
  const root = modPow(value, (odd + 1n) / 2n, modulus)
  return modPow(value, odd, modulus) === 1n ? root : (root * modPow(2n, odd, modulus)) % modulus
}

/** x with x^(2n) = value modulo the factor, where there is one. */
function root(value: bigint, n: bigint, factor: Factor): bigint | undefined {
  const square = squareRoot(value, factor)
  const rest = factor.order / gcd(n, factor.order)
  if (square === undefined || modPow(square, rest, factor.modulus) !== 1n) return undefined
  return modPow(square, modInverse(n, rest)!, factor.modulus)
}

const combined = (rests: readonly bigint[], factors: readonly Factor[]): bigint => {
  let [result, product] = [0n, 1n]
  for (const [i, { modulus }] of factors.entries()) {
    const step = ((rests[i]! - result) * modInverse(product, modulus)!) % modulus
    result += product * (step < 0n ? step + modulus : step)
    product *= modulus
  }
  return result
}

/** The root of rho or of -rho below n/2 of a prover who knows all factors, where there is one. */
function answer(rho: bigint, n: bigint, factors: readonly Factor[]): bigint | undefined {
  for (const target of [rho, n - rho]) {
    const rests = factors.map((factor) => root(target, n, factor))
    if (rests.some((rest) => rest === undefined)) continue
    const sigma = combined(rests as bigint[], factors)
    if (modPow(sigma, 2n * n, n) !== target) throw new Error('the prover of this test is wrong')
    return sigma * 2n < n ? sigma : n - sigma
  }
  return undefined
}

/** Answers every challenge that has an answer: the proof, and how many had one. */
function bestProof(
  factors: readonly Factor[],
  owner: Uint8Array,
  bits: number,
): { proof: Uint8Array; answered: number } {
  const n = productOf(factors)
  const answers = [...challenges(n, owner, bits)].map((rho) => answer(rho, n, factors))
  const sigmas = answers.map((sigma) => bigintToBytes(sigma ?? 4n, bits / 8))
  return { proof: concatBytes(...sigmas), answered: answers.filter((sigma) => sigma !== undefined).length }
}

const blum = (bits: number): bigint => generatePrimeSync(bits, { bigint: true, add: 4n, rem: 3n })
/** A Blum prime with its two top bits set, as honest keys have. */
const blumHigh = (bits: number): bigint => {
  for (;;) {
    const p = blum(bits)
    if (p >> BigInt(bits - 2) === 3n) return p
  }
}
const fiveOfEight = (bits: number): bigint => generatePrimeSync(bits, { bigint: true, add: 8n, rem: 5n })
const accepted = (n: bigint, proof: Uint8Array, bits = BITS): boolean =>
  verifyKey(bigintToBytes(n, bits / 8), account, proof, bits)
const productOf = (factors: readonly Factor[]): bigint => factors.reduce((product, f) => product * f.modulus, 1n)
/** Draws until the product has exactly the length and is 1 mod 4: all but the property at stake stays valid. */
function until(draw: () => Factor[], bits = BITS): Factor[] {
  for (;;) {
    const factors = draw()
    const n = productOf(factors)
    if (n.toString(2).length === bits && n % 4n === 1n) return factors
  }
}

t.test('an honest key passes, for its account and length alone', (t) => {
  const keys = modexpBackend === 'pure' ? [alice] : [alice, privateKeyFromSeed(sha256(utf8('bob')), 2048)]
  for (const key of keys) {
    const { bits } = key.publicKey
    const n = encodeModulus(key.publicKey)
    const proof = proveKey(key, account)
    t.equal(proof.length, (10 * bits) / 8)
    t.ok(verifyKey(n, account, proof, bits))
    t.ok(equalBytes(proof, proveKey(key, account)), 'deterministic: two roots of one value factor n')
    t.notOk(verifyKey(n, mallory, proof, bits), "another account's")
    for (const other of [512, 1024, 2048, 3072, 4096, 1032, 0, Number.NaN]) {
      if (other !== bits) t.notOk(verifyKey(n, account, proof, other))
    }
  }
  t.end()
})

t.test('the prover of these tests proves honest keys: what fails below fails for its modulus', (t) => {
  for (let i = 0; i < 3; i++) {
    const factors = until(() => [prime(blumHigh(512)), prime(blumHigh(512))])
    const { proof, answered } = bestProof(factors, account, BITS)
    t.equal(answered, 10)
    t.ok(accepted(productOf(factors), proof))
  }
  t.end()
})

t.test('everything valid but one property of n', (t) => {
  const unanswerable: Record<string, () => Factor[]> = {
    'p² q': () => {
      const p = blum(341)
      return [{ modulus: p * p, order: p * (p - 1n) }, prime(fiveOfEight(343))]
    },
    'p³ q': () => {
      const p = blum(256)
      return [{ modulus: p ** 3n, order: p * p * (p - 1n) }, prime(blum(258))]
    },
    'p (2kp+1)': () => {
      const p = blumHigh(507)
      for (let k = 351n; ; k += 2n) {
        const q = 2n * k * p + 1n
        if (q % 4n === 3n && checkPrimeSync(q)) return [prime(p), prime(q)]
      }
    },
    '16 primes': () => {
      const most = Array.from({ length: 15 }, () => prime(blum(64)))
      return [...most, prime(blum(1025 - productOf(most).toString(2).length))]
    },
    'three primes': () => [prime(blumHigh(342)), prime(blumHigh(341)), prime(fiveOfEight(342))],
  }
  for (const [name, draw] of Object.entries(unanswerable)) {
    const factors = until(draw)
    const { proof, answered } = bestProof(factors, account, BITS)
    t.ok(answered < 10, `${name}: ${answered} of 10 have an answer`)
    t.notOk(accepted(productOf(factors), proof), name)
  }
  t.end()
})

t.test('what answers every round is refused by its own check', (t) => {
  const small = until(() => [prime(65_519n), prime(blum(1008))])
  const { proof, answered } = bestProof(small, account, BITS)
  t.equal(answered, 10)
  t.notOk(accepted(productOf(small), proof), 'a prime factor below 2^16')

  const above = until(() => [prime(65_539n), prime(blumHigh(1008))])
  t.ok(accepted(productOf(above), bestProof(above, account, BITS).proof), '65539 is above 2^16: not this check')

  const lone = until(() => [prime(fiveOfEight(BITS))])
  const loneProof = bestProof(lone, account, BITS)
  t.equal(loneProof.answered, 10)
  t.notOk(accepted(productOf(lone), loneProof.proof), 'a prime')

  const long = until(() => [prime(blumHigh(520)), prime(blumHigh(520))], 1040)
  t.notOk(accepted(productOf(long), bestProof(long, account, 1040).proof, 1040), 'not a length of keys')
  const short = until(() => [prime(blum(511)), prime(blumHigh(512))], 1023)
  const shortProof = bestProof(short, account, BITS)
  t.equal(shortProof.answered, 10)
  t.notOk(accepted(productOf(short), shortProof.proof), '1023 bits')
  const longer = Uint8Array.from([0, ...encodeModulus(alice.publicKey)])
  t.notOk(verifyKey(longer, account, proveKey(alice, account), BITS), 'a leading zero')
  t.end()
})

t.test('a prime sent again and again stalls no verifier (P8)', (t) => {
  const seen = watchDiffieHellman(t)
  const lone = until(() => [prime(fiveOfEight(BITS))])
  const { proof } = bestProof(lone, account, BITS)
  const n = bigintToBytes(productOf(lone), BITS / 8)
  for (let i = 0; i < 40; i++) if (verifyKey(n, account, proof, BITS)) t.fail('a prime')
  t.equal(seen.length, modexpBackend === 'pure' ? 0 : 1)
  t.notOk(seen.some(({ modulus }) => checkPrimeSync(modulus)))
  t.end()
})

t.test('n = 3 mod 4: half of the values have a root up to sign, so a prover can wait for an account', (t) => {
  const factors = [prime(blumHigh(512)), prime(fiveOfEight(512) | (3n << 510n))]
  while (!checkPrimeSync(factors[1]!.modulus)) factors[1] = prime(fiveOfEight(512) | (3n << 510n))
  const n = productOf(factors)
  t.equal(n % 4n, 3n)
  const squareEverywhere = (rho: bigint): boolean => factors.every(({ modulus }) => jacobi(rho, modulus) === 1)
  const answerable = (owner: Uint8Array): boolean => {
    for (const rho of challenges(n, owner, BITS)) if (!squareEverywhere(rho) && !squareEverywhere(n - rho)) return false
    return true
  }
  let owner = account
  while (!answerable(owner)) owner = sha256(owner)
  const { proof, answered } = bestProof(factors, owner, BITS)
  t.equal(answered, 10)
  t.notOk(verifyKey(bigintToBytes(n, BITS / 8), owner, proof, BITS))
  t.end()
})

t.test('n even, n near another, n = 0 and 1', (t) => {
  const { n } = alice.publicKey
  const proof = proveKey(alice, account)
  for (const bad of [n - 1n, n + 1n, n + 2n, n + 4n, 0n, 1n, (1n << 1024n) - 1n, 1n << 1023n]) {
    t.notOk(accepted(bad, proof), `${bad % 4n} mod 4`)
  }
  t.end()
})

t.test('altered roots', (t) => {
  const { n } = alice.publicKey
  const width = BITS / 8
  const proof = proveKey(alice, account)
  const replaced = (index: number, sigma: bigint): Uint8Array =>
    concatBytes(proof.subarray(0, index * width), bigintToBytes(sigma, width), proof.subarray((index + 1) * width))
  for (const index of [0, 4, 9]) {
    const sigma = bytesToBigint(proof.subarray(index * width, (index + 1) * width))
    t.ok(accepted(n, replaced(index, sigma)))
    for (const bad of [0n, 1n, n, sigma + 1n, n - sigma, n - 1n, 2n * sigma]) t.notOk(accepted(n, replaced(index, bad)))
    if (sigma + n < 1n << BigInt(BITS)) t.notOk(accepted(n, replaced(index, sigma + n)), 'out of range')
  }
  t.notOk(accepted(n, proof.subarray(1)))
  t.notOk(accepted(n, concatBytes(proof, Uint8Array.of(0))))
  t.notOk(accepted(n, new Uint8Array()))
  t.notOk(accepted(n, concatBytes(proof.subarray(width), proof.subarray(0, width))), 'order')
  t.notOk(accepted(n, randomBytes(proof.length)))
  t.end()
})

t.test('a root that is no unit', (t) => {
  const factors = until(() => [prime(blumHigh(512)), prime(blumHigh(512))])
  const n = productOf(factors)
  const { proof } = bestProof(factors, account, BITS)
  t.ok(accepted(n, proof))
  const shared = bigintToBytes(factors[0]!.modulus * 3n, BITS / 8)
  t.notOk(accepted(n, concatBytes(shared, proof.subarray(BITS / 8))))
  t.end()
})
