/** The transcript of one prover (P6), its challenges, and the prover's hedged nonces. */
import { chacha20 } from '@noble/ciphers/chacha.js'
import { bigintToBytes, bytesToBigint, type Digest, framed, u64, utf8 } from '../base/bytes.js'
import { modQ, type Point, parseScalar, type Scalar } from '../base/curve/index.js'
import { prf, sha256, taggedBytes, taggedHash } from '../base/digest.js'
import type { PublicKey } from './paillier.js'
import type { Statement, Witness } from './statement.js'

const NOTHING = new Uint8Array(0)

/** A list with its length before it: no two statements give the same parts. */
const list = <T>(items: readonly T[], parts: (item: T, index: number) => readonly Uint8Array[]): Uint8Array[] => [
  u64(items.length),
  ...items.flatMap((item, index) => [u64(index), ...parts(item, index)]),
]

/**
 * Every public field in P6's order. `context` holds ledger id, parameters, accounts, nonce or (channel, version), current
 * input ciphertexts and other fields as the statement's builder ordered them; an infinite commitment is the empty part.
 */
export const statementParts = (statement: Statement, h: readonly Uint8Array[] = []): Uint8Array[] => [
  utf8(statement.kind),
  utf8(statement.role),
  u64(statement.bits),
  ...list(statement.context, (item) => [item]),
  ...list(statement.keys, (key, index) => [utf8(key.role), key.n, h[index] ?? NOTHING]),
  ...list(statement.commitments, (commitment) => [commitment ?? NOTHING]),
  ...list(statement.links, (link) => [u64(link.key), u64(link.commitment), link.value]),
  ...list(statement.ranges, (range) => [u64(range.commitment), u64(Number(range.minimum))]),
]

/** Protocol tag and version, then the whole statement with each key's derived h. `keys` are the statement's, parsed. */
export const openTranscript = (statement: Statement, keys: readonly PublicKey[]): Digest =>
  taggedHash(
    'proof',
    ...statementParts(
      statement,
      keys.map((key) => bigintToBytes(key.h, 2 * key.bytes)),
    ),
  )

/** P4's seed: one for all Links of the prover, over every (A, T). A has the length of a ciphertext. */
export const linkSeed = (transcript: Digest, masks: readonly { readonly A: Uint8Array; readonly T: Point }[]): Digest =>
  taggedHash('link-seed', transcript, ...list(masks, (mask) => [mask.A, mask.T]))

/** P4: e_i, 128 bits from seed, key index and i. */
export const linkChallenge = (seed: Digest, key: number, index: number): bigint =>
  bytesToBigint(taggedHash('link-challenge', seed, u64(key), u64(index)).subarray(0, 16))

/** What every challenge of the range proof covers: the statement, the whole Link and all digit commitments. */
export const rangeMessage = (
  transcript: Digest,
  seed: Digest,
  responses: Uint8Array,
  digits: readonly (readonly Point[])[],
): Digest => taggedHash('range', transcript, seed, responses, ...list(digits, (points) => points))

/** e0 of all rings, over where each of them ends. */
export const ringsChallenge = (message: Digest, ends: readonly Point[]): Digest =>
  taggedHash('range-e0', message, framed(...ends))

/** The challenge of one position of one ring; undefined (never, in practice) where the hash is no scalar. */
export type PositionChallenge = (ring: number, position: number, previous: Uint8Array) => Scalar | undefined

/**
 * All challenges under one message: `H(message, ring, position, previous)`, previous being e0 (32 bytes) or a point (33).
 * Hundreds of inputs that differ in their last fields only: each is written over the one before.
 */
export function positionChallenges(message: Digest): PositionChallenge {
  const blank = (length: number): Uint8Array =>
    taggedBytes('range-challenge', message, u64(0), u64(0), new Uint8Array(length))
  const [afterE0, afterPoint] = [blank(32), blank(33)]
  return (ring, position, previous) => {
    const bytes = previous.length === 33 ? afterPoint : afterE0
    const at = bytes.length - previous.length
    // Each field stands behind the four bytes of its length.
    bytes.set(u64(ring), at - 4 - 8 - 4 - 8)
    bytes.set(u64(position), at - 4 - 8)
    bytes.set(previous, at)
    const scalar = parseScalar(sha256(bytes))
    return scalar.ok ? scalar.value : undefined
  }
}

/** Secret uniform draws. */
export interface Nonces {
  bytes(length: number): Uint8Array
  /** In [1, q-1]. */
  scalar(): Scalar
}

const BLOCK = 4096

/**
 * Hedged (P6): a keystream under PRF(witness, transcript, fresh random). Neither a repeated `entropy` nor a repeated
 * statement alone repeats a nonce; `attempt` counts P4's restarts.
 */
export function hedgedNonces(witness: Witness, transcript: Digest, entropy: Uint8Array, attempt: number): Nonces {
  const secret = framed(
    ...list(witness.openings, ({ value, blinding }) => [utf8(value.toString(16)), bigintToBytes(modQ(blinding), 32)]),
    ...list(witness.randomness, (s) => [utf8(s.toString(16))]),
  )
  const key = prf(secret, 'proof-nonces', transcript, entropy, u64(attempt))
  let block = NOTHING
  let used = 0
  let blocks = 0
  const bytes = (length: number): Uint8Array => {
    if (used + length > block.length) {
      const nonce = new Uint8Array(12)
      nonce.set(u64(blocks++), 4)
      block = chacha20(key, nonce, new Uint8Array(BLOCK))
      used = 0
    }
    used += length
    return block.slice(used - length, used)
  }
  const scalar = (): Scalar => {
    for (;;) {
      const candidate = parseScalar(bytes(32))
      if (candidate.ok) return candidate.value
    }
  }
  return { bytes, scalar }
}
