/**
 * Records (P10): content of any kind, cut into segments, each Paillier-encrypted under its owner's key, with a ciphertext
 * of the segments' sum. One batched proof, bound to a context, shows that its maker knows
 *   - every segment m_i and its s_i with `c_i = (1 + m_i*n) * h^s_i`, by one random-weighted sum of them all, and
 *   - a d with `product of c_i / total = h^d`: the total encrypts the sum of the segments (the paper's additive check).
 * The second alone would let +d/-d pairs and swaps pass; the weights, one per index and hashed from all of them, do not.
 * The second one's challenge covers the responses of the first, which counts modulo n: nobody but its maker can alter a proof.
 *
 * The proof says nothing of a segment's size: its maker can seal a residue such as 1/3, and `verifyRecord` passes it. Only
 * those who decrypt can judge that, and `decryptRecord` refuses it, whichever segment it is (docs/decisions/0018: why a
 * public refusal would cost more than the record).
 */
import { bigintToBytes, bytesToBigint, concatBytes, type Digest, equalBytes, framed, u64 } from '../base/bytes.js'
import { prf, prfBytes, taggedHash } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { modPow } from './modexp.js'
import {
  addCiphertexts,
  decrypt,
  encodeCiphertext,
  encodeModulus,
  encryptOwn,
  exportPrivateKey,
  type PrivateKey,
  type PublicKey,
  parseCiphertext,
  randomizer,
  randomnessBits,
  subtractCiphertexts,
  withRandomizer,
} from './paillier.js'

/** As it travels: every ciphertext of fixed length, big-endian. */
export interface SealedRecord {
  /** Bytes of the content: how many segments there are follows from it. */
  readonly length: number
  readonly segments: readonly Uint8Array[]
  readonly total: Uint8Array
  readonly proof: Uint8Array
}

const WEIGHT_BITS = 128
/** Room for the sum over at most LIMITS.record_segments indices. */
const COUNT_BITS = 7
/** A mask is this much longer than what it hides: a restart happens once in 2^63. */
const MASK_EXCESS_BITS = 64

/** Bytes of a full segment. */
export const segmentBytes = (bits: number): number => bits / 8 - 8

const segmentCount = (bits: number, length: number): number => Math.max(1, Math.ceil(length / segmentBytes(bits)))

/**
 * Encrypts and proves. `entropy`: 32 fresh random bytes; all draws are hedged with key, content and context (P6).
 * Errors: `too_long`.
 */
export function encryptRecord(
  key: PrivateKey,
  content: Uint8Array,
  context: Uint8Array,
  entropy: Uint8Array,
): Result<SealedRecord> {
  const { bits } = key.publicKey
  if (segmentCount(bits, content.length) > LIMITS.record_segments) return refuse('too_long')
  const size = segmentBytes(bits)
  const values = Array.from({ length: segmentCount(bits, content.length) }, (_, i) =>
    bytesToBigint(content.subarray(i * size, (i + 1) * size)),
  )
  return ok(sealSegments(key, values, content.length, context, entropy))
}

/** As encryptRecord, for segments that are numbers already: at most LIMITS.record_segments. */
export function sealSegments(
  key: PrivateKey,
  values: readonly bigint[],
  length: number,
  context: Uint8Array,
  entropy: Uint8Array,
): SealedRecord {
  invariant(values.length <= LIMITS.record_segments, 'P10', 'too many segments')
  const { publicKey } = key
  const bits = randomnessBits(publicKey.bits)
  const hedged = prf(
    exportPrivateKey(key),
    'record-randomness',
    entropy,
    context,
    u64(length),
    ...values.map((value) => bigintToBytes(value, publicKey.bytes)),
  )
  const randomness = values.map((_, i) => draw(hedged, 'record-s', i, bits))
  const totalRandomness = draw(hedged, 'record-total-s', 0, bits)
  const sum = values.reduce((a, b) => a + b, 0n)
  const ciphertexts = values.map((value, i) => encryptOwn(key, value, randomness[i]!))
  const total = encryptOwn(key, sum, totalRandomness)
  const statement = statementDigest(publicKey, length, ciphertexts, total, context)

  const width = widths(publicKey)
  const difference = randomness.reduce((a, b) => a + b, 0n) - totalRandomness
  // P6: one statement, one mask, whatever the entropy is: under two challenges a mask gives the content away.
  const masks = prf(hedged, 'record-masks', statement)
  for (let attempt = 0; ; attempt++) {
    const maskValue = draw(masks, 'record-mask-value', attempt, width.value)
    const maskRandomness = draw(masks, 'record-mask-randomness', attempt, width.randomness)
    const maskDifference = draw(masks, 'record-mask-difference', attempt, width.randomness)
    const seed = seedOf(
      publicKey,
      statement,
      encryptOwn(key, maskValue, maskRandomness),
      encryptOwn(key, 0n, maskDifference),
    )
    const weights = weightsOf(seed, values.length)
    const known: Known = {
      value: maskValue - weightedSum(weights, values),
      randomness: maskRandomness - weightedSum(weights, randomness),
    }
    if (!inside(known.value, width.value) || !inside(known.randomness, width.randomness)) continue
    const responses = { ...known, difference: maskDifference - totalWeight(publicKey, seed, known) * difference }
    if (!inside(responses.difference, width.randomness)) continue
    const encode = (ciphertext: bigint): Uint8Array => encodeCiphertext(publicKey, ciphertext)
    const proof = encodeProof(publicKey, seed, responses)
    return { length, segments: ciphertexts.map(encode), total: encode(total), proof }
  }
}

/** Uniform below 2^width. */
const draw = (key: Uint8Array, label: string, index: number, width: number): bigint =>
  bytesToBigint(prfBytes(key, Math.ceil(width / 8), label, u64(index))) >> BigInt((8 - (width % 8)) % 8)

/**
 * Whether the record is whole, its segments add up to its total, and whoever made it knew them all in this context. Not
 * whether each is in its range: see above.
 */
export function verifyRecord(key: PublicKey, record: SealedRecord, context: Uint8Array): boolean {
  const parsed = parseRecord(key, record)
  const proof = decodeProof(key, record.proof)
  if (parsed === undefined || proof === undefined || !withinWindows(key, proof.responses)) return false
  const { segments, total } = parsed
  const zero = subtractCiphertexts(
    key,
    segments.reduce((a, b) => addCiphertexts(key, a, b)),
    total,
  )
  if (!zero.ok) return false

  const { responses, seed } = proof
  const weights = weightsOf(seed, segments.length)
  const known = segments.reduce(
    (product, segment, i) => (product * modPow(segment, weights[i]!, key.nn)) % key.nn,
    withRandomizer(key, responses.value, randomizer(key, responses.randomness)),
  )
  const weight = totalWeight(key, seed, responses)
  const balanced = (randomizer(key, responses.difference) * modPow(zero.value, weight, key.nn)) % key.nn
  return equalBytes(seed, seedOf(key, statementDigest(key, record.length, segments, total, context), known, balanced))
}

/** The content. Refuses (`bad_record`) a segment out of its range, so no fraction passes, and a total that is not the sum. */
export function decryptRecord(key: PrivateKey, record: SealedRecord): Result<Uint8Array> {
  const parsed = parseRecord(key.publicKey, record)
  if (parsed === undefined) return refuse('bad_record')
  const size = segmentBytes(key.publicKey.bits)
  const parts: Uint8Array[] = []
  let sum = 0n
  for (const [i, segment] of parsed.segments.entries()) {
    const value = decrypt(key, segment)
    const bytes = Math.min(size, record.length - i * size)
    if (value >> BigInt(8 * bytes) !== 0n) return refuse('bad_record')
    sum += value
    // An empty record is one segment of no bytes.
    if (bytes > 0) parts.push(bigintToBytes(value, bytes))
  }
  return decrypt(key, parsed.total) === sum ? ok(concatBytes(...parts)) : refuse('bad_record')
}

function parseRecord(key: PublicKey, record: SealedRecord): { segments: bigint[]; total: bigint } | undefined {
  const { length, segments } = record
  if (!Number.isSafeInteger(length) || length < 0 || segments.length > LIMITS.record_segments) return undefined
  if (segments.length !== segmentCount(key.bits, length)) return undefined
  const parsed: bigint[] = []
  for (const bytes of [...segments, record.total]) {
    const ciphertext = parseCiphertext(key, bytes)
    if (!ciphertext.ok) return undefined
    parsed.push(ciphertext.value)
  }
  const total = parsed.pop()!
  return { segments: parsed, total }
}

/** The first claim's responses. */
interface Known {
  readonly value: bigint
  readonly randomness: bigint
}

interface Responses extends Known {
  readonly difference: bigint
}

/** Bits of the masks, over the integers: the order of h is secret, and a second key will share the value's (P10). */
function widths(key: PublicKey): { readonly value: number; readonly randomness: number } {
  const excess = WEIGHT_BITS + COUNT_BITS + MASK_EXCESS_BITS
  return { value: key.bits + excess, randomness: randomnessBits(key.bits) + excess }
}

/** Responses this far from both ends of the mask's range are equally likely whatever is hidden: others restart. */
function inside(response: bigint, bits: number): boolean {
  const margin = 1n << BigInt(bits - MASK_EXCESS_BITS)
  return response >= margin && response < (1n << BigInt(bits)) - margin
}

function withinWindows(key: PublicKey, responses: Responses): boolean {
  const width = widths(key)
  return (
    inside(responses.value, width.value) &&
    inside(responses.randomness, width.randomness) &&
    inside(responses.difference, width.randomness)
  )
}

const weightedSum = (weights: readonly bigint[], values: readonly bigint[]): bigint =>
  values.reduce((sum, value, i) => sum + weights[i]! * value, 0n)

/** Everything public but the proof (P6): fixed lengths, so that it can be read in one way only. */
function statementDigest(
  key: PublicKey,
  length: number,
  segments: readonly bigint[],
  total: bigint,
  context: Uint8Array,
): Digest {
  const encoded = [...segments, total].map((ciphertext) => encodeCiphertext(key, ciphertext))
  const derived = bigintToBytes(key.h, 2 * key.bytes)
  return taggedHash(
    'record',
    encodeModulus(key),
    derived,
    context,
    u64(length),
    u64(segments.length),
    framed(...encoded),
  )
}

const seedOf = (key: PublicKey, statement: Digest, known: bigint, balanced: bigint): Digest =>
  taggedHash('record-seed', statement, encodeCiphertext(key, known), encodeCiphertext(key, balanced))

const weightOf = (digest: Digest): bigint => bytesToBigint(digest.subarray(0, WEIGHT_BITS / 8))

const weightsOf = (seed: Uint8Array, count: number): bigint[] =>
  Array.from({ length: count }, (_, i) => weightOf(taggedHash('record-weight', seed, u64(i))))

const totalWeight = (key: PublicKey, seed: Uint8Array, known: Known): bigint =>
  weightOf(taggedHash('record-total-weight', seed, encodeKnown(key, known)))

function encodeKnown(key: PublicKey, { value, randomness }: Known): Uint8Array {
  const width = widths(key)
  return concatBytes(
    bigintToBytes(value, Math.ceil(width.value / 8)),
    bigintToBytes(randomness, Math.ceil(width.randomness / 8)),
  )
}

const encodeProof = (key: PublicKey, seed: Uint8Array, responses: Responses): Uint8Array =>
  concatBytes(
    seed,
    encodeKnown(key, responses),
    bigintToBytes(responses.difference, Math.ceil(widths(key).randomness / 8)),
  )

function decodeProof(key: PublicKey, proof: Uint8Array): { seed: Uint8Array; responses: Responses } | undefined {
  const width = widths(key)
  const [valueBytes, randomnessBytes] = [Math.ceil(width.value / 8), Math.ceil(width.randomness / 8)]
  if (proof.length !== 32 + valueBytes + 2 * randomnessBytes) return undefined
  const number = (start: number, length: number): bigint => bytesToBigint(proof.subarray(start, start + length))
  const responses: Responses = {
    value: number(32, valueBytes),
    randomness: number(32 + valueBytes, randomnessBytes),
    difference: number(32 + valueBytes + randomnessBytes, randomnessBytes),
  }
  return { seed: proof.subarray(0, 32), responses }
}
