/** A prover that leaks proves as well as any other: here its masks are taken back from its proofs, with the witness. */
import { checkPrimeSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { bytesToBigint, concatBytes, u64, utf8 } from '../../src/base/bytes.js'
import { curve, modQ, narrow, narrowElement, q, scalarToBigint, sumElements } from '../../src/base/curve/index.js'
import { prfBytes, taggedHash } from '../../src/base/digest.js'
import { commit, digitRow } from '../../src/privacy/commitment.js'
import { drawMask } from '../../src/privacy/link.js'
import { modInverse, modPow } from '../../src/privacy/modexp.js'
import { decrypt, encodeModulus, encrypt, PrivateKey, publicKey } from '../../src/privacy/paillier.js'
import { prove } from '../../src/privacy/proof.js'
import { decodeProof } from '../../src/privacy/proof-layout.js'
import { shapeOf } from '../../src/privacy/proof-shape.js'
import { lastDigit, splitDigits } from '../../src/privacy/range.js'
import {
  decryptRecord,
  type SealedRecord,
  sealSegments,
  segmentBytes,
  verifyRecord,
} from '../../src/privacy/records.js'
import {
  hedgedNonces,
  linkChallenge,
  openTranscript,
  positionChallenges,
  rangeMessage,
} from '../../src/privacy/transcript.js'
import { answer, cutResponse, secretsOf } from './mallory.js'
import { type Case, entropy, feeCase, transferCase } from './support.js'

/** Full width: over twenty draws and more, every bit is seen as 0 and as 1. And no draw twice. */
function drawn(t: Test, name: string, values: readonly bigint[], bits: number): void {
  const all = (1n << BigInt(bits)) - 1n
  t.ok(values.length >= 20, `${name}: enough of them`)
  t.equal(new Set(values).size, values.length, `${name}: pairwise distinct`)
  t.ok(
    values.every((value) => value >= 0n && value <= all),
    `${name}: no longer than ${bits} bits`,
  )
  t.equal(
    values.reduce((ones, value) => ones | value, 0n),
    all,
    `${name}: every bit is 1 somewhere`,
  )
  t.equal(
    values.reduce((ones, value) => ones & value, all),
    0n,
    `${name}: every bit is 0 somewhere`,
  )
}

/** Everything that one proof has drawn. */
interface Draws {
  readonly a: bigint[]
  readonly rho: bigint[]
  readonly b: bigint[]
  readonly challenges: bigint[]
  /** Per digit of every range. */
  readonly blindings: bigint[]
  readonly decoys: bigint[]
  readonly ringNonces: bigint[]
}

function drawsOf(t: Test, { statement, witness }: Case, label: string): Draws {
  const shape = shapeOf(statement)!
  const { seed, responses, digits, e0, scalars: all } = decodeProof(shape, prove(statement, witness, entropy(label)))!
  const draws: Draws = { a: [], rho: [], b: [], challenges: [], blindings: [], decoys: [], ringNonces: [] }
  for (const [i, group] of shape.groups.entries()) {
    const { z, w, v } = responses[i]!
    const challenges = group.pairs.map((_, index) => linkChallenge(seed, group.key, index))
    const back = answer({ a: -z, rho: -w, b: -v }, challenges, secretsOf({ statement, witness }, group))
    draws.a.push(-back.z)
    draws.rho.push(-back.w)
    draws.b.push(modQ(-back.v))
    draws.challenges.push(...challenges)
  }

  const transcript = openTranscript(statement, shape.keys)
  const encoded = concatBytes(...responses.map((response, i) => cutResponse(shape.groups[i]!, response)))
  const message = rangeMessage(
    transcript,
    seed,
    encoded,
    digits.map((points) => points.map(narrow)),
  )
  const challenge = positionChallenges(message)
  // The blindings of the digits are drawn after the masks; that these are they, the digit commitments tell.
  const nonces = hedgedNonces(witness, transcript, entropy(label), 0)
  for (const group of shape.groups) drawMask(group, nonces)
  for (const [range, { commitment, minimum }] of statement.ranges.entries()) {
    const points = [...digits[range]!, lastDigit(shape.targets[range]!, digits[range]!)!].map(narrow)
    const { value, blinding } = witness.openings[commitment]!
    for (const [place, secret] of splitDigits(shape.bits, value - minimum, blinding, nonces)!.entries()) {
      const opened = commit(BigInt(secret.digit) * 4n ** BigInt(place), scalarToBigint(secret.blinding))
      t.same(opened, points[place])
      const ring = range * shape.digits + place
      const scalars = all[ring]!
      let previous: Uint8Array = e0
      for (let position = 0; position < secret.digit; position++) {
        const e = challenge(ring, position, previous)!
        const member = sumElements([points[place]!, narrowElement(digitRow(place).minus[position]!)])!
        previous = curve.multiplyAdd(member, e, scalars[position]!)!
      }
      const e = scalarToBigint(challenge(ring, secret.digit, previous)!)
      const blindingOfDigit = scalarToBigint(secret.blinding)
      draws.ringNonces.push(modQ(scalarToBigint(scalars[secret.digit]!) + e * blindingOfDigit))
      draws.blindings.push(blindingOfDigit)
      draws.decoys.push(...scalars.filter((_, position) => position !== secret.digit).map(scalarToBigint))
    }
  }
  return draws
}

t.test('P4, P5: masks, challenges and nonces of proofs have their full width and are never the same', async (t) => {
  const all: Draws = { a: [], rho: [], b: [], challenges: [], blindings: [], decoys: [], ringNonces: [] }
  for (let i = 0; i < 8; i++) {
    const one = drawsOf(t, transferCase(1000n + BigInt(i), 400n), `masks ${i}`)
    for (const name of Object.keys(all) as (keyof Draws)[]) all[name].push(...one[name])
  }
  // Broken entropy, the same for two statements: every draw is another one.
  for (const value of [41n, 42n]) {
    const one = drawsOf(t, feeCase(value), 'the same')
    for (const name of Object.keys(all) as (keyof Draws)[]) all[name].push(...one[name])
  }
  drawn(t, 'a', all.a, 248)
  drawn(t, 'rho', all.rho, 256 + 184)
  drawn(t, 'b', all.b, 256)
  drawn(t, 'e_i', all.challenges, 128)
  drawn(t, 'blindings of digits', all.blindings, 256)
  drawn(t, 'decoys', all.decoys, 256)
  drawn(t, 'nonces of rings', all.ringNonces, 256)
  t.ok([...all.b, ...all.blindings, ...all.decoys, ...all.ringNonces].every((scalar) => scalar < q))
})

t.test('P4: rho is as wide as the key demands', async (t) => {
  const nonces = hedgedNonces(feeCase(41n).witness, taggedHash('wide'), entropy('wide'), 0)
  for (const [keyBits, bits] of [
    [2048, 256 + 184],
    [3072, 320 + 184],
    [4096, 384 + 184],
  ] as const) {
    const key = publicKey(new Uint8Array(keyBits / 8).fill(255))
    if (!key.ok) throw new Error(key.error.code)
    const masks = Array.from({ length: 40 }, () => drawMask({ key: 0, publicKey: key.value, pairs: [] }, nonces))
    drawn(
      t,
      `rho at ${keyBits}`,
      masks.map(({ rho }) => rho),
      bits,
    )
  }
})

/** A prime p = 3 mod 4 whose p - 1 has small factors alone: logarithms modulo p are easy, for this test to take. */
function smoothPrime(label: string): { readonly p: bigint; readonly factors: readonly number[] } {
  const small = Array.from({ length: 4000 }, (_, i) => i + 3).filter((odd) => odd % 2 === 1 && isSmallPrime(odd))
  for (let draw = 0; ; draw++) {
    const bytes = prfBytes(utf8(label), 512, 'smooth', u64(draw))
    const factors: number[] = []
    let product = 2n
    for (let i = 0; product >> 500n === 0n; i++) {
      const factor = small[((bytes[2 * i]! << 8) | bytes[2 * i + 1]!) % small.length]!
      if (factors.includes(factor)) continue
      factors.push(factor)
      product *= BigInt(factor)
    }
    // The last factor fills up to 512 bits with the two top bits set, as keys have.
    const [least, most] = [(3n << 510n) / product, (1n << 512n) / product]
    const last = small.find((prime) => BigInt(prime) > least && BigInt(prime) < most && !factors.includes(prime))
    if (last === undefined) continue
    const p = product * BigInt(last) + 1n
    if (p >> 510n === 3n && checkPrimeSync(p)) return { p, factors: [2, ...factors, last] }
  }
}

const isSmallPrime = (odd: number): boolean => {
  for (let divisor = 3; divisor * divisor <= odd; divisor += 2) if (odd % divisor === 0) return false
  return true
}

interface WeakKey {
  readonly key: PrivateKey
  /** The s below 2^460 with value = h^s (mod p), by Pohlig and Hellman. */
  readonly logarithm: (value: bigint) => bigint
}

function weakKey(label: string): WeakKey {
  const { p, factors } = smoothPrime(label)
  const key = new PrivateKey(p, smoothPrime(`${label}, the other`).p)
  const h = key.publicKey.h % p
  const tables = factors.map((factor) => {
    const exponent = (p - 1n) / BigInt(factor)
    const root = modPow(h, exponent, p)
    const powers = new Map<bigint, bigint>()
    for (let power = 1n, s = 0n; !powers.has(power); power = (power * root) % p, s++) powers.set(power, s)
    return { exponent, powers }
  })
  const logarithm = (value: bigint): bigint => {
    let [result, modulus] = [0n, 1n]
    for (const { exponent, powers } of tables) {
      const order = BigInt(powers.size)
      const rest = powers.get(modPow(value, exponent, p))!
      const step = order === 1n ? 0n : ((rest - result) * modInverse(modulus, order)!) % order
      result += modulus * (step < 0n ? step + order : step)
      modulus *= order
    }
    if (modulus >> 460n === 0n) throw new Error('the order of h is too small for this test')
    return result
  }
  return { key, logarithm }
}

/** Everything that one record has drawn. */
interface RecordDraws {
  readonly s: bigint[]
  readonly masks: { readonly value: bigint; readonly randomness: bigint; readonly difference: bigint }
}

function recordDraws({ key, logarithm }: WeakKey, record: SealedRecord): RecordDraws {
  // Modulo p a ciphertext is h^s: n is a multiple of p.
  const s = [...record.segments, record.total].map((bytes) => logarithm(bytesToBigint(bytes)))
  const values = record.segments.map((bytes) => decrypt(key, bytesToBigint(bytes)))
  const seed = record.proof.subarray(0, 32)
  const weight = (label: string, part: Uint8Array): bigint =>
    bytesToBigint(taggedHash(label, seed, part).subarray(0, 16))
  const weighted = (list: readonly bigint[]): bigint =>
    list.reduce((sum, value, i) => sum + weight('record-weight', u64(i)) * value, 0n)
  const [value, randomness, difference] = [
    [32, 185],
    [185, 242],
    [242, 299],
  ].map(([start, end]) => bytesToBigint(record.proof.subarray(start, end))) as [bigint, bigint, bigint]
  const segments = s.slice(0, -1)
  const balance = segments.reduce((sum, each) => sum + each, 0n) - s.at(-1)!
  return {
    s,
    masks: {
      value: value + weighted(values),
      randomness: randomness + weighted(segments),
      difference: difference + weight('record-total-weight', record.proof.subarray(32, 242)) * balance,
    },
  }
}

const size = segmentBytes(1024)
const carol = weakKey('carol')
const dave = weakKey('dave')
const context = utf8('ledger, account, record 7')

t.test('the keys of this test are keys, and its logarithms are logarithms', async (t) => {
  for (const { key, logarithm } of [carol, dave]) {
    const { publicKey } = key
    t.equal(publicKey.n.toString(2).length, 1024)
    for (const s of [0n, 1n, 5n, (1n << 455n) - 1n]) t.equal(logarithm(encrypt(publicKey, 77n, s)), s)
  }
  t.notSame(encodeModulus(carol.key.publicKey), encodeModulus(dave.key.publicKey))
})

t.test('P10: the randomness and the masks of records have their full width and are never the same', async (t) => {
  const all = Array.from({ length: 24 }, (_, i) => {
    const record = sealSegments(carol.key, [7n, 7n], size + 1, context, entropy(`record ${i}`))
    t.ok(verifyRecord(carol.key.publicKey, record, context))
    return recordDraws(carol, record)
  })
  drawn(
    t,
    's',
    all.flatMap(({ s }) => s),
    256,
  )
  const masks = all.map((one) => one.masks)
  drawn(
    t,
    'mask of the values',
    masks.map(({ value }) => value),
    1024 + 199,
  )
  drawn(
    t,
    'masks of the randomness',
    masks.flatMap(({ randomness, difference }) => [randomness, difference]),
    256 + 199,
  )
})

t.test('P6, P10: with the same entropy, whatever else differs changes every draw of a record', async (t) => {
  const broken = new Uint8Array(32).fill(9)
  const values = [7n, 8n]
  const length = size + 1
  const different: Record<string, RecordDraws> = {
    one: recordDraws(carol, sealSegments(carol.key, values, length, context, broken)),
    entropy: recordDraws(carol, sealSegments(carol.key, values, length, context, entropy('fresh'))),
    key: recordDraws(dave, sealSegments(dave.key, values, length, context, broken)),
    context: recordDraws(carol, sealSegments(carol.key, values, length, utf8('record 8'), broken)),
    length: recordDraws(carol, sealSegments(carol.key, values, length + 1, context, broken)),
    value: recordDraws(carol, sealSegments(carol.key, [7n, 9n], length, context, broken)),
    'one value less': recordDraws(carol, sealSegments(carol.key, [7n], length, context, broken)),
  }
  const names = Object.keys(different)
  const draws = Object.values(different)
  t.equal(new Set(draws.flatMap(({ s }) => s)).size, 3 * names.length - 1, 's')
  for (const part of ['value', 'randomness', 'difference'] as const) {
    t.equal(new Set(draws.map(({ masks }) => masks[part])).size, names.length, `the mask of ${part}`)
  }
})

t.test(
  'P6, P10: content and 00||content of one entropy: two challenges under one mask would give it away',
  async (t) => {
    const broken = new Uint8Array(32).fill(9)
    const secret = utf8('HIV positive')
    const value = bytesToBigint(secret)
    const seal = (length: number): SealedRecord => sealSegments(carol.key, [value], length, context, broken)
    const [one, two] = [seal(secret.length), seal(secret.length + 1)] as const
    t.same(decryptRecord(carol.key, one), { ok: true, value: secret })
    t.same(decryptRecord(carol.key, two), { ok: true, value: concatBytes(new Uint8Array(1), secret) })
    const publicParts = ({ proof }: SealedRecord) => ({
      z: bytesToBigint(proof.subarray(32, 185)),
      e: bytesToBigint(taggedHash('record-weight', proof.subarray(0, 32), u64(0)).subarray(0, 16)),
    })
    const [first, second] = [publicParts(one), publicParts(two)]
    t.not((first.z - second.z) / (second.e - first.e), value, "the attacker's formula")
    t.notSame(one.segments, two.segments)
  },
)
