import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { bigintToBytes, bytesToBigint, concatBytes, equalBytes, framed, u64, utf8 } from '../../src/base/bytes.js'
import { sha256, taggedHash } from '../../src/base/digest.js'
import { mod, modexpBackend, modInverse } from '../../src/privacy/modexp.js'
import { decrypt, encrypt, type PrivateKey, privateKeyFromSeed } from '../../src/privacy/paillier.js'
import {
  decryptRecord,
  encryptRecord,
  type SealedRecord,
  sealSegments,
  segmentBytes,
  verifyRecord,
} from '../../src/privacy/records.js'

const alice = privateKeyFromSeed(sha256(utf8('alice')), 1024)
const bob = privateKeyFromSeed(sha256(utf8('bob')), 1024)
const { publicKey } = alice
const { n, nn } = publicKey
const context = utf8('ledger, account, record 7')
const size = segmentBytes(1024)

function sealed(key: PrivateKey, content: Uint8Array): SealedRecord {
  const record = encryptRecord(key, content, context, randomBytes(32))
  if (!record.ok) throw new Error(record.error.code)
  return record.value
}

const medical = randomBytes(3 * size + 17)
const record = sealed(alice, medical)
const bytesOf = (ciphertext: bigint): Uint8Array => bigintToBytes(ciphertext, 256)
/** The record with its segments changed and everything else kept. */
const changed = (change: (segments: bigint[]) => bigint[]): SealedRecord => ({
  ...record,
  segments: change(record.segments.map(bytesToBigint)).map(bytesOf),
})

t.test('a record opens to its content, for its owner alone, and proves in its context alone', (t) => {
  t.ok(verifyRecord(publicKey, record, context))
  t.same(decryptRecord(alice, record), { ok: true, value: new Uint8Array(medical) })
  t.equal(record.segments.length, 4)
  t.notOk(verifyRecord(publicKey, record, utf8('ledger, account, record 8')))
  t.notOk(verifyRecord(bob.publicKey, record, context))
  t.notOk(decryptRecord(bob, record).ok)
  const again = sealed(alice, medical)
  t.notOk(equalBytes(again.segments[0]!, record.segments[0]!), 'fresh randomness')
  t.end()
})

t.test('the lengths at the edges of segments, the empty record among them', (t) => {
  for (const length of [0, 1, size - 1, size, size + 1, 2 * size - 1, 2 * size, 2 * size + 1]) {
    for (const byte of [0, 255]) {
      const content = new Uint8Array(length).fill(byte)
      const one = sealed(alice, content)
      t.ok(verifyRecord(publicKey, one, context), `${length} bytes`)
      t.same(decryptRecord(alice, one), { ok: true, value: content })
    }
  }
  const notEmpty = { ...sealed(alice, Uint8Array.of(1)), length: 0 }
  t.same(decryptRecord(alice, notEmpty), { ok: false, error: { code: 'bad_record' } })
  t.end()
})

t.test('property: every content of every length', (t) => {
  const lengths = fc.oneof(fc.constantFrom(0, 1, size - 1, size, size + 1, 2 * size), fc.nat({ max: 3 * size }))
  const fill = fc.oneof(fc.constant(0), fc.constant(255), fc.nat({ max: 255 }))
  fc.assert(
    fc.property(lengths, fill, (length, byte) => {
      const content = new Uint8Array(length).fill(byte)
      const one = sealed(alice, content)
      const opened = decryptRecord(alice, one)
      return verifyRecord(publicKey, one, context) && opened.ok && equalBytes(opened.value, content)
    }),
    { numRuns: 15 },
  )
  t.same(encryptRecord(alice, new Uint8Array(64 * size + 1), context, randomBytes(32)), {
    ok: false,
    error: { code: 'too_long' },
  })
  t.end()
})

t.test("the paper's record of 4096 bytes at the default key size", (t) => {
  if (modexpBackend === 'native') {
    const carol = privateKeyFromSeed(sha256(utf8('carol')), 2048)
    const content = randomBytes(4096)
    const long = sealed(carol, content)
    t.equal(long.segments.length, 17)
    t.ok(verifyRecord(carol.publicKey, long, context))
    t.same(decryptRecord(carol, long), { ok: true, value: new Uint8Array(content) })
  }
  t.end()
})

t.test('what the additive check alone lets pass', (t) => {
  const one = 1n + n
  const cheats: Record<string, SealedRecord> = {
    '+d and -d': changed(([a, b, ...rest]) => [(a! * one) % nn, (b! * (1n - n + nn)) % nn, ...rest]),
    swapped: changed(([a, b, ...rest]) => [b!, a!, ...rest]),
    'moved randomness': changed(([a, b, ...rest]) => [
      (a! * publicKey.h) % nn,
      (b! * modInverse(publicKey.h, nn)!) % nn,
      ...rest,
    ]),
    'signs of two': changed(([a, b, ...rest]) => [nn - a!, nn - b!, ...rest]),
    'a third moved': changed(([a, b, ...rest]) => {
      const third = modInverse(3n, n)!
      return [(a! * (1n + third * n)) % nn, (b! * (1n + (n - third) * n)) % nn, ...rest]
    }),
    rotated: changed(([a, ...rest]) => [...rest, a!]),
  }
  const sumOf = (one: SealedRecord): bigint =>
    decrypt(
      alice,
      one.segments.reduce((product, segment) => (product * bytesToBigint(segment)) % nn, 1n),
    )
  for (const [name, cheat] of Object.entries(cheats)) {
    t.equal(sumOf(cheat), sumOf(record), `${name}: the sum is the same`)
    t.notOk(verifyRecord(publicKey, cheat, context), name)
  }
  t.end()
})

t.test('missing, doubled and added segments, another length, another total', (t) => {
  const cheats: Record<string, SealedRecord> = {
    'last missing': changed((all) => all.slice(0, -1)),
    'first missing': changed((all) => all.slice(1)),
    'missing, with its length': { ...changed((all) => all.slice(0, -1)), length: 3 * size },
    none: { ...changed(() => []), length: 0 },
    doubled: { ...changed((all) => [...all, all[3]!]), length: 4 * size + 17 },
    'zero added': { ...changed((all) => [...all, 1n]), length: 4 * size + 1 },
    'zero put for one': changed(([, ...rest]) => [1n, ...rest]),
    'length, same count': { ...record, length: record.length + 1 },
    'length beyond': { ...record, length: 2 ** 53 },
    'negative length': { ...record, length: -1 },
    'broken length': { ...record, length: 3.5 * size },
    total: { ...record, total: bytesOf(encrypt(publicKey, 5n, 5n)) },
    'negated total': { ...record, total: bytesOf(nn - bytesToBigint(record.total)) },
    "another record's total": { ...record, total: sealed(alice, medical).total },
    "another record's proof": { ...record, proof: sealed(alice, medical).proof },
  }
  for (const [name, cheat] of Object.entries(cheats)) t.notOk(verifyRecord(publicKey, cheat, context), name)
  t.end()
})

t.test('ciphertexts that are none', (t) => {
  for (const bad of [0n, n, 7n * n, nn, nn + 1n]) {
    t.notOk(
      verifyRecord(
        publicKey,
        changed(([, ...rest]) => [bad, ...rest]),
        context,
      ),
    )
    t.notOk(verifyRecord(publicKey, { ...record, total: bytesOf(bad) }, context))
    t.notOk(decryptRecord(alice, { ...record, total: bytesOf(bad) }).ok)
  }
  const short = { ...record, segments: [record.segments[0]!.subarray(1), ...record.segments.slice(1)] }
  t.notOk(verifyRecord(publicKey, short, context))
  t.end()
})

t.test('segments out of range: whoever made them knows them, whoever decrypts refuses them', (t) => {
  const third = modInverse(3n, n)!
  const values = [11n, 22n, 33n]
  const refused = { ok: false, error: { code: 'bad_record' } }
  const seal = (segments: bigint[], length = 3 * size): SealedRecord =>
    sealSegments(alice, segments, length, context, randomBytes(32))
  t.ok(decryptRecord(alice, seal(values)).ok)
  const cheats = [
    [third, n - third, 33n],
    [11n, (22n * third) % n, 33n],
    [n - 1n, 22n, 33n],
    [1n << BigInt(8 * size), 22n, 33n],
    [11n, 22n, n - 33n],
  ]
  for (const cheat of cheats) {
    const one = seal(cheat)
    t.ok(verifyRecord(publicKey, one, context), 'the proof is silent on size')
    t.same(decryptRecord(alice, one), refused, 'the reader is not')
  }
  t.same(decryptRecord(alice, seal([11n, 22n, 256n], 2 * size + 1)), refused, 'the last one is shorter')
  t.ok(decryptRecord(alice, seal([11n, 22n, 255n], 2 * size + 1)).ok)
  const total = bytesOf(encrypt(publicKey, 67n, 9n))
  t.same(decryptRecord(alice, { ...seal(values), total }), refused, 'a total that is not the sum')
  t.end()
})

/** What a prover knows: each segment's value and s, and the s of product / total. */
interface Knowledge {
  readonly values: readonly bigint[]
  readonly randomness: readonly bigint[]
  readonly difference: bigint
}

interface Masks {
  readonly value: bigint
  readonly randomness: bigint
  readonly difference: bigint
}
/** P10 at 1024 bits: widths of the masks, and how far responses stay from their ends. */
const width = { value: 1024n + 199n, randomness: 256n + 199n }
const window = (bits: bigint) => ({ start: 1n << (bits - 64n), end: (1n << bits) - (1n << (bits - 64n)) })
const middle: Masks = {
  value: 1n << (width.value - 1n),
  randomness: 1n << (width.randomness - 1n),
  difference: 1n << (width.randomness - 1n),
}

/** The proof computed here a second time, by a prover who answers with what it has, true or not. */
function forged(
  segments: readonly bigint[],
  total: bigint,
  length: number,
  known: Knowledge,
  mask: Masks = middle,
): SealedRecord {
  const encoded = [...segments, total].map(bytesOf)
  const statement = taggedHash(
    'record',
    bigintToBytes(n, 128),
    bytesOf(publicKey.h),
    context,
    u64(length),
    u64(segments.length),
    framed(...encoded),
  )
  const commitments = [encrypt(publicKey, mask.value, mask.randomness), encrypt(publicKey, 0n, mask.difference)]
  const seed = taggedHash('record-seed', statement, ...commitments.map(bytesOf))
  const weight = (label: string, part: Uint8Array): bigint =>
    bytesToBigint(taggedHash(label, seed, part).subarray(0, 16))
  const weighted = (list: readonly bigint[]): bigint =>
    list.reduce((sum, value, i) => sum + weight('record-weight', u64(i)) * value, 0n)
  const answers = concatBytes(
    bigintToBytes(mask.value - weighted(known.values), 153),
    bigintToBytes(mask.randomness - weighted(known.randomness), 57),
  )
  const difference = mask.difference - weight('record-total-weight', answers) * known.difference
  const proof = concatBytes(seed, answers, bigintToBytes(difference, 57))
  return { length, segments: encoded.slice(0, -1), total: encoded.at(-1)!, proof }
}

t.test('a prover who proves the changed record anew, knowing less than every segment', (t) => {
  const values = [1_000n, 2_000n, 3_000n]
  const randomness = [11n, 22n, 33n]
  const sum = encrypt(publicKey, 6_000n, 44n)
  const ciphertexts = values.map((value, i) => encrypt(publicKey, value, randomness[i]!))
  const known = { values, randomness, difference: 66n - 44n }
  const judge = (list: readonly bigint[], total: bigint, knowledge: Knowledge): boolean =>
    verifyRecord(publicKey, forged(list, total, 3 * size, knowledge), context)
  t.ok(judge(ciphertexts, sum, known), 'the prover of this test proves what it knows')

  const d = 5n
  const [a, b, c] = ciphertexts as [bigint, bigint, bigint]
  const shifted = [(a * (1n + d * n)) % nn, (b * (1n + (n - d) * n)) % nn, c]
  t.notOk(judge(shifted, sum, known), '+d and -d: only the sum is known')
  t.ok(judge(shifted, sum, { ...known, values: [1_005n, 1_995n, 3_000n] }), 'who knows them proves them')
  t.notOk(judge([b, a, c], sum, known), 'swapped')
  t.notOk(judge(ciphertexts, sum, { ...known, values: [6_000n, 0n, 0n], randomness: [66n, 0n, 0n] }), 'the sum alone')
  const third = modInverse(3n, n)!
  t.notOk(judge([(a * (1n + third * n)) % nn, (b * (1n + (n - third) * n)) % nn, c], sum, known), 'a third moved')
  const unbalanced = encrypt(publicKey, 6_001n, 44n)
  t.notOk(judge(ciphertexts, unbalanced, known), 'a total that is not the sum')
  t.notOk(judge(ciphertexts, sum, { ...known, difference: 23n }), 'a total of unknown randomness')
  t.end()
})

t.test('a prover who seals another number of segments than the length says', (t) => {
  for (const [count, length] of [
    [2, 3 * size],
    [3, 2 * size],
    [1, 2 * size],
    [2, 0],
    [4, 3 * size],
  ] as const) {
    const values = Array.from({ length: count }, () => 7n)
    const one = sealSegments(alice, values, length, context, randomBytes(32))
    t.notOk(verifyRecord(publicKey, one, context), `${count} segments for ${length} bytes`)
    t.notOk(decryptRecord(alice, one).ok)
  }
  t.end()
})

t.test('responses outside their windows, where the equation holds all the same', (t) => {
  // A segment of value 0 with s = 0 and a total with s = 0: the responses are the masks themselves.
  const nothing: Knowledge = { values: [0n], randomness: [0n], difference: 0n }
  const passes = (part: Partial<Masks>): boolean =>
    verifyRecord(publicKey, forged([1n], 1n, size, nothing, { ...middle, ...part }), context)
  for (const part of ['value', 'randomness', 'difference'] as const) {
    const bits = part === 'value' ? width.value : width.randomness
    const { start, end } = window(bits)
    for (const mask of [start, end - 1n]) t.ok(passes({ [part]: mask }), `${part}: the edge`)
    for (const mask of [0n, start - 1n, end, (1n << bits) - 1n]) t.notOk(passes({ [part]: mask }), `${part}: beyond`)
  }
  t.end()
})

t.test(
  'a stranger can make no other proof of one: a response that counts modulo n is bound as the integer it is',
  (t) => {
    const { start, end } = window(width.value)
    const response = bytesToBigint(record.proof.subarray(32, 32 + 153))
    for (const other of [response + n, response - n, start + mod(response - start, n)]) {
      t.ok(other >= start && other < end)
      const proof = Uint8Array.from(record.proof)
      proof.set(bigintToBytes(other, 153), 32)
      t.notOk(verifyRecord(publicKey, { ...record, proof }, context))
    }
    t.end()
  },
)

t.test('every byte of the proof counts', (t) => {
  for (let i = 0; i < record.proof.length; i += 7) {
    const proof = Uint8Array.from(record.proof, (byte, k) => (k === i ? byte ^ (1 << (i % 8)) : byte))
    if (verifyRecord(publicKey, { ...record, proof }, context)) t.fail(`byte ${i}`)
  }
  const { proof } = record
  const bounds = [new Uint8Array(proof.length), Uint8Array.from(proof, (byte, i) => (i < 32 ? byte : 255))]
  for (const bad of [...bounds, proof.subarray(1), new Uint8Array([...proof, 0]), new Uint8Array()]) {
    t.notOk(verifyRecord(publicKey, { ...record, proof: bad }, context))
  }
  t.end()
})
