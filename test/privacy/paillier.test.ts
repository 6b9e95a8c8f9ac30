import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import * as reference from 'paillier-bigint'
import t from 'tap'
import { bigintToBytes, bytesToBigint, bytesToHex, utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import { LIMITS } from '../../src/base/limits.js'
import { gcd, modexpBackend, modInverse, modPow } from '../../src/privacy/modexp.js'
import {
  addCiphertexts,
  decrypt,
  encodeCiphertext,
  encodeModulus,
  encrypt,
  encryptOwn,
  exportPrivateKey,
  forgetPrivateKey,
  importPrivateKey,
  maskBits,
  type PrivateKey,
  type PublicKey,
  parseCiphertext,
  privateKeyFromSeed,
  publicKey,
  randomizer,
  randomizerOwn,
  randomnessBits,
  rootOfRollover,
  subtractCiphertexts,
  verifyRollover,
  withRandomizer,
  ZERO_CIPHERTEXT,
} from '../../src/privacy/paillier.js'
import { powersBackend, tabledPower } from '../../src/privacy/powers.js'
import { proofWork } from '../../src/privacy/proof-work.js'
import { watchDiffieHellman } from './watch.js'

const seedOf = (name: string): Uint8Array => sha256(utf8(name))
const alice = privateKeyFromSeed(seedOf('alice'), 1024)
const bob = privateKeyFromSeed(seedOf('bob'), 2048)
const keys = modexpBackend === 'pure' ? [alice] : [alice, bob, privateKeyFromSeed(seedOf('carol'), 3072)]
const randomness = (key: PrivateKey): bigint => bytesToBigint(randomBytes(randomnessBits(key.publicKey.bits) / 8))
const primesOf = (key: PrivateKey): [bigint, bigint] => {
  const bytes = exportPrivateKey(key)
  return [bytesToBigint(bytes.subarray(0, bytes.length / 2)), bytesToBigint(bytes.subarray(bytes.length / 2))]
}

t.test('a seed gives one key for ever', (t) => {
  // Fixed by this project: a wallet of any later version must find its key again.
  t.equal(
    bytesToHex(sha256(encodeModulus(alice.publicKey))),
    '4f8cb03f535513a7bfbc9bfe8b37ab791c51405ba322d3be2b7f9969b3c8515c',
  )
  t.equal(
    bytesToHex(sha256(encodeModulus(bob.publicKey))),
    '9865b54692a4530d6e8d148d90962cdeaebb7fe4b7c3d5ec7c20f47f2948fca6',
  )
  t.not(privateKeyFromSeed(seedOf('mallory'), 1024).publicKey.n, alice.publicKey.n)
  t.throws(() => privateKeyFromSeed(new Uint8Array(31), 1024))
  t.throws(() => privateKeyFromSeed(seedOf('alice'), 512))
  t.end()
})

for (const key of keys) {
  const { bits, n, nn, h } = key.publicKey
  t.test(`P2: the shape of a key of ${bits} bits`, (t) => {
    const [p, q] = primesOf(key)
    t.equal(p * q, n)
    t.equal(n.toString(2).length, bits)
    t.equal(n % 4n, 1n)
    t.equal(p % 4n, 3n)
    t.equal(gcd(n, (p - 1n) * (q - 1n)), 1n)
    t.equal(decrypt(key, h), 0n, 'h encrypts zero')
    t.equal(modPow(h, (p - 1n) * (q - 1n), nn), 1n)
    const parsed = publicKey(encodeModulus(key.publicKey))
    t.same(parsed, { ok: true, value: key.publicKey }, 'h follows from n')
    t.end()
  })

  t.test(`ciphertexts under ${bits} bits`, (t) => {
    const s = randomness(key)
    const values = [0n, 1n, 12_345n, (1n << 48n) - 1n, n - 1n]
    for (const value of values) {
      const ciphertext = encrypt(key.publicKey, value, s)
      t.equal(encryptOwn(key, value, s), ciphertext, 'the owner computes the same')
      t.equal(withRandomizer(key.publicKey, value, randomizerOwn(key, s)), ciphertext)
      t.equal(decrypt(key, ciphertext), value)
      const bytes = encodeCiphertext(key.publicKey, ciphertext)
      t.same(parseCiphertext(key.publicKey, bytes), { ok: true, value: ciphertext })
    }
    t.equal(encrypt(key.publicKey, -3n, s), encrypt(key.publicKey, n - 3n, s), 'values count modulo n')
    t.equal(randomizerOwn(key, -s), modInverse(randomizer(key.publicKey, s), nn), 's may be a difference (P7)')
    t.equal(randomizer(key.publicKey, -s), randomizerOwn(key, -s))
    t.equal(decrypt(key, ZERO_CIPHERTEXT), 0n)
    t.equal(encrypt(key.publicKey, 0n, 0n), ZERO_CIPHERTEXT)
    t.equal(decrypt(key, nn - 1n), 0n, '-1 encrypts zero: -1 = (-1)^n')
    const c = encrypt(key.publicKey, 77n, s)
    t.equal(decrypt(key, nn - c), 77n, 'c and -c are the same value')
    t.end()
  })

  t.test(`P9: paillier-bigint agrees at ${bits} bits`, (t) => {
    const theirs = new reference.PublicKey(n, n + 1n)
    const [p, q] = primesOf(key)
    const lambda = ((p - 1n) * (q - 1n)) / gcd(p - 1n, q - 1n)
    const theirPrivate = new reference.PrivateKey(lambda, modInverse(lambda, n)!, theirs, p, q)
    // Our randomness h^s is their r^n for r = h0^s.
    const [s, z] = [randomness(key), randomness(key)]
    const r = bytesToBigint(randomBytes(bits / 8)) % n
    const ours = encrypt(key.publicKey, 124_122n, s)
    t.equal(theirPrivate.decrypt(ours), 124_122n)
    t.equal(decrypt(key, theirs.encrypt(99n)), 99n)
    t.equal(withRandomizer(key.publicKey, 42n, modPow(r, n, nn)), theirs.encrypt(42n, r), 'the same ciphertext')
    const root = theirPrivate.getRandomFactor(ours)
    t.equal(theirs.encrypt(124_122n, root), ours, 'our ciphertext is one of theirs')
    const other = encrypt(key.publicKey, 1n, z)
    t.equal(addCiphertexts(key.publicKey, ours, other), theirs.addition(ours, other))
    t.equal(theirPrivate.decrypt(addCiphertexts(key.publicKey, ours, theirs.encrypt(8n))), 124_130n)
    t.end()
  })
}

t.test('property: decrypt(add(enc a, enc b)) = a + b, and the difference', (t) => {
  const value = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
  const blinding = fc.bigInt({ min: 0n, max: (1n << 256n) - 1n })
  fc.assert(
    fc.property(value, value, blinding, blinding, (a, b, s, z) => {
      const { publicKey: key } = alice
      const [first, second] = [encryptOwn(alice, a, s), encrypt(key, b, z)]
      const difference = subtractCiphertexts(key, first, second)
      return (
        decrypt(alice, addCiphertexts(key, first, second)) === a + b &&
        difference.ok &&
        difference.value === encrypt(key, a - b, s - z) &&
        addCiphertexts(key, difference.value, second) === first
      )
    }),
    { numRuns: 25 },
  )
  t.same(subtractCiphertexts(alice.publicKey, 5n, alice.publicKey.n * 3n), {
    ok: false,
    error: { code: 'bad_ciphertext' },
  })
  t.end()
})

t.test('P2: literal vectors, of a key that anybody can make: h, and the bits of s', (t) => {
  t.equal(
    bytesToHex(sha256(bigintToBytes(alice.publicKey.h, 256))),
    '972dd9ce5c1732149252c1046c69eeac1032b690d62ec37bb6e451a3c598166c',
  )
  t.same([1024, 2048, 3072, 4096].map(randomnessBits), [256, 256, 320, 384])
  t.end()
})

t.test('h is derived when it is read first, and once: a channel never reads it (P8)', (t) => {
  // No secret, and no small factor: one that divides R would make the sum no unit.
  const n = encodeModulus(privateKeyFromSeed(seedOf('erin'), 1024).publicKey)
  const before = proofWork().derived
  const key = publicKey(n)
  if (!key.ok) throw new Error('a modulus')
  const one = withRandomizer(key.value, 5n, 7n)
  t.ok(parseCiphertext(key.value, encodeCiphertext(key.value, addCiphertexts(key.value, one, one))).ok)
  t.ok(subtractCiphertexts(key.value, one, one).ok)
  t.equal(proofWork().derived, before, 'without h')
  const first = encrypt(key.value, 5n, 7n)
  t.equal(proofWork().derived, before + 1, 'counted')
  t.equal(encrypt(key.value, 5n, 7n), first)
  t.same(publicKey(n), key)
  t.equal(proofWork().derived, before + 1, 'once')
  const again = importPrivateKey(exportPrivateKey(alice))
  t.equal(decrypt(again, encryptOwn(again, 9n, 5n)), 9n)
  t.equal(proofWork().derived, before + 1, 'for every copy of a key')
  t.end()
})

t.test('P8: powers of h from a table are those of OpenSSL', (t) => {
  const foreign = (): PublicKey => {
    const n = randomBytes(128)
    n[0]! |= 0x80
    n[127]! |= 1
    const key = publicKey(n)
    if (!key.ok) throw new Error('a modulus')
    return key.value
  }
  const many = Array.from({ length: powersBackend() === 'none' ? 0 : LIMITS.power_tables + 2 }, foreign)
  const s = 1n << BigInt(randomnessBits(1024))
  const mask = 1n << BigInt(maskBits(1024))
  for (const key of [alice.publicKey, bob.publicKey, ...many, ...many.slice(0, 1)]) {
    const negative = many.includes(key) ? [] : [-1n, -s] // whose h is sure to be a unit
    const exponents = [0n, 1n, 2n, 0x1_0001n, s - 1n, s, s / 3n, mask - 1n, mask / 3n, mask, ...negative]
    let tabled = 0
    for (const exponent of [...exponents, ...exponents]) {
      const power = tabledPower(key, exponent)
      if (power !== undefined) tabled++
      const [expected, given] = [modPow(key.h, exponent, key.nn), randomizer(key, exponent)]
      if (given !== expected || (power ?? expected) !== expected) t.fail(`h^${exponent} at ${key.bits} bits`)
    }
    t.equal(powersBackend() === 'none' || tabled > exponents.length, true, 'most of them from a table')
  }
  t.equal(powersBackend(), modexpBackend === 'pure' ? 'none' : 'wasm')
  t.end()
})

t.test('a key that is forgotten leaves no factor behind', (t) => {
  if (modexpBackend === 'native') {
    const seen = watchDiffieHellman(t)
    const key = privateKeyFromSeed(seedOf('dave'), 1024)
    const [p, q] = primesOf(key)
    const secrets = [p, q, p * p, q * q]
    const made = (): number[] =>
      secrets.map((secret) => seen.filter(({ modulus }) => isMultiple(modulus, secret)).length)
    const use = (): void => {
      t.equal(decrypt(key, encryptOwn(key, 9n, 5n)), 9n)
      rootOfRollover(key, 3n, 5n)
    }
    use()
    use()
    t.same(made(), [1, 1, 1, 1])
    forgetPrivateKey(key)
    use()
    t.same(made(), [2, 2, 2, 2], 'everything anew')
  }
  t.end()
})

/** modexp computes modulo m * 3^k. */
function isMultiple(modulus: bigint, of: bigint): boolean {
  let rest = modulus
  while (rest % 3n === 0n) rest /= 3n
  return rest === of
}

t.test('P2: what is no ciphertext', (t) => {
  const { publicKey: key } = alice
  const [p] = primesOf(alice)
  const refused = { ok: false, error: { code: 'bad_ciphertext' } }
  const { n, nn, bytes } = key
  for (const value of [0n, n, 5n * n, nn - n, p, p * 12n, nn, nn + 1n, (1n << BigInt(16 * bytes)) - 1n]) {
    t.same(parseCiphertext(key, bigintToBytes(value, 2 * bytes)), refused)
  }
  for (const value of [1n, nn - 1n, n + 1n]) t.ok(parseCiphertext(key, bigintToBytes(value, 2 * bytes)).ok)
  t.same(parseCiphertext(key, bigintToBytes(5n, 2 * bytes - 1)), refused)
  t.same(parseCiphertext(key, bigintToBytes(5n, 2 * bytes + 1)), refused)
  t.same(parseCiphertext(key, new Uint8Array()), refused)
  t.end()
})

t.test('what is no modulus', (t) => {
  const good = encodeModulus(alice.publicKey)
  const with_ = (index: number, byte: number): Uint8Array => Uint8Array.from(good, (b, i) => (i === index ? byte : b))
  for (const bad of [
    with_(127, 2),
    with_(0, 0x7f),
    good.subarray(1),
    new Uint8Array(),
    new Uint8Array(129).fill(255),
  ]) {
    t.same(publicKey(bad), { ok: false, error: { code: 'bad_key' } })
  }
  t.end()
})

t.test('L2: rollover', (t) => {
  for (const key of keys) {
    const { publicKey: open } = key
    const available = encryptOwn(key, 500n, randomness(key))
    const frozen = encryptOwn(key, 23n, randomness(key))
    const product = addCiphertexts(open, available, frozen)
    const fresh = encryptOwn(key, 523n, randomness(key))
    const root = rootOfRollover(key, product, fresh)
    t.ok(verifyRollover(open, product, fresh, root))
    const inflated = encryptOwn(key, 524n, randomness(key))
    t.notOk(verifyRollover(open, product, inflated, root))
    t.notOk(verifyRollover(open, product, inflated, rootOfRollover(key, product, inflated)), 'no root exists')
    for (const bad of [0n, root + open.n, root - open.n, root + 1n, open.n, primesOf(key)[0]]) {
      t.notOk(verifyRollover(open, product, fresh, bad))
    }
    t.ok(verifyRollover(open, product, product, rootOfRollover(key, product, product)), 'the root 1')
    const shared = primesOf(key)[0]
    const solved = (product * modPow(shared, open.n, open.nn)) % open.nn
    t.notOk(verifyRollover(open, product, solved, shared), 'an equation that holds with a root that is no unit')
    t.throws(() => rootOfRollover(key, open.n, fresh), RangeError)
  }
  t.end()
})

t.test('a private key does not print, serialise or clone', (t) => {
  const digits = primesOf(alice).map(String)
  const clone = structuredClone(alice)
  const shown = [`${alice}`, JSON.stringify({ key: alice }), inspect(alice, { showHidden: true }), inspect([[alice]])]
  for (const text of [...shown, inspect(clone, { depth: 9, showHidden: true })]) {
    for (const secret of digits) t.notMatch(text, secret)
  }
  for (const text of shown) t.match(text, '[redacted]')
  t.end()
})

t.test('export and import carry a key to a worker', (t) => {
  const again = importPrivateKey(exportPrivateKey(bob))
  t.equal(again.publicKey.n, bob.publicKey.n)
  t.equal(decrypt(again, encrypt(bob.publicKey, 9n, 5n)), 9n)
  t.throws(() => importPrivateKey(new Uint8Array(128)))
  t.throws(() => importPrivateKey(exportPrivateKey(bob).subarray(2)))
  const [p] = primesOf(alice)
  t.throws(() => importPrivateKey(new Uint8Array([...bigintToBytes(p, 64), ...bigintToBytes(p, 64)])), 'p = q')
  t.end()
})
