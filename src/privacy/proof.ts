/**
 * Proofs of statements (P4, P5, P6): the only door to Link and range, which are sound only together. Synchronous and
 * costly (milliseconds to tens of them): call through the pool.
 */
import { bigintToBytes, type Digest, equalBytes } from '../base/bytes.js'
import type { Element, Point } from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import { type Announcement, announce, drawMask, type LinkGroup, recompute, respond } from './link.js'
import { randomnessBits } from './paillier.js'
import { decodeProof, encodeProof, encodeResponses } from './proof-layout.js'
import { type Shape, shapeOf } from './proof-shape.js'
import { countProofWork } from './proof-work.js'
import { type DigitSecret, lastDigit, type Ring, ringsClose, signRings, splitDigits } from './range.js'
import type { Statement, Witness } from './statement.js'
import { hedgedNonces, linkChallenge, linkSeed, type Nonces, openTranscript, rangeMessage } from './transcript.js'

/** A restart comes about once in 2^44 proofs: ten of them are a defect. */
const ATTEMPTS = 10

/**
 * Proves a true statement.
 * @param entropy 32 fresh random bytes; nonces are hedged, so bad ones do not reveal the witness by themselves (P6).
 * @throws InvariantError where the statement is malformed or the witness is not its witness: a defect of the caller.
 */
export function prove(statement: Statement, witness: Witness, entropy: Uint8Array): Uint8Array {
  countProofWork('proved')
  const shape = shapeOf(statement)
  invariant(shape !== undefined, 'P5', 'the statement is malformed')
  checkWitness(statement, shape, witness)
  const transcript = openTranscript(statement, shape.keys)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const nonces = hedgedNonces(witness, transcript, entropy, attempt)
    const proof = attemptProof(statement, shape, witness, transcript, nonces)
    if (proof !== undefined) return proof
  }
  invariant(false, 'P4', 'every attempt had to restart')
}

/** Bounds that the windows of P4 and the digits of P5 rest on. */
function checkWitness(statement: Statement, shape: Shape, { openings, randomness }: Witness): void {
  const aligned = openings.length === statement.commitments.length && randomness.length === statement.links.length
  invariant(aligned, 'P5', 'the witness does not fit the statement')
  for (const { commitment, minimum } of statement.ranges) {
    const value = openings[commitment]!.value - minimum
    invariant(value >= 0n && value >> BigInt(shape.bits) === 0n, 'P5', 'a value is out of its range')
  }
  for (const { publicKey, pairs } of shape.groups) {
    const end = 1n << BigInt(randomnessBits(publicKey.bits))
    for (const { link } of pairs) {
      const s = randomness[link]!
      invariant(s > -end && s < end, 'P4', 'the randomness of a ciphertext is too long')
    }
  }
}

function attemptProof(
  statement: Statement,
  shape: Shape,
  witness: Witness,
  transcript: Digest,
  nonces: Nonces,
): Uint8Array | undefined {
  const masks = shape.groups.map((group) => drawMask(group, nonces))
  const seed = seedOf(transcript, shape.groups, (group, i) => announce(group, masks[i]!))
  if (seed === undefined) return undefined
  const responses = []
  for (const [i, group] of shape.groups.entries()) {
    const secrets = group.pairs.map((pair) => ({
      ...witness.openings[pair.commitment]!,
      s: witness.randomness[pair.link]!,
    }))
    const response = respond(group, masks[i]!, challengesOf(group, seed), secrets)
    if (response === undefined) return undefined
    responses.push(response)
  }
  const splits = []
  for (const [i, range] of statement.ranges.entries()) {
    const { value, blinding } = witness.openings[range.commitment]!
    const split = splitDigits(shape.bits, value - range.minimum, blinding, nonces)
    if (split === undefined) return undefined
    invariant(opens(split, shape.targets[i]!), 'P5', 'an opening does not open its commitment')
    splits.push(split)
  }
  const digits = splits.map((split) => split.slice(0, -1).map((digit) => digit.point))
  const message = rangeMessage(transcript, seed, encodeResponses(shape, responses), digits)
  const rings = signRings(message, splits.flatMap(ringsOf), splits.flat(), nonces)
  return rings && encodeProof(shape, { seed, responses, digits, rings })
}

/** Whether the last digit that the opening gives is the one that a verifier will derive. */
function opens(split: readonly DigitSecret[], target: Element): boolean {
  const points = split.map((digit) => digit.point)
  const derived = lastDigit(target, points.slice(0, -1))
  return derived !== null && equalBytes(derived, points.at(-1)!)
}

const ringsOf = (digits: readonly { readonly point: Point }[]): Ring[] =>
  digits.map(({ point }, place) => ({ place, point }))

const challengesOf = (group: LinkGroup, seed: Digest): bigint[] =>
  group.pairs.map((_, i) => linkChallenge(seed, group.key, i))

/** The seed over every group's (A, T); undefined where a T is infinite. */
function seedOf(
  transcript: Digest,
  groups: readonly LinkGroup[],
  announcementOf: (group: LinkGroup, index: number) => Announcement,
): Digest | undefined {
  const announced = []
  for (const [index, group] of groups.entries()) {
    const { A, T } = announcementOf(group, index)
    if (T === undefined) return undefined
    announced.push({ A: bigintToBytes(A, 2 * group.publicKey.bytes), T })
  }
  return linkSeed(transcript, announced)
}

/**
 * Whether `proof` proves the statement. False for any other bytes, for a malformed statement and for one whose links
 * lack a range (P5); never throws.
 */
export function verify(statement: Statement, proof: Uint8Array): boolean {
  countProofWork('verified')
  const shape = shapeOf(statement)
  if (shape === undefined) return false
  const decoded = decodeProof(shape, proof)
  if (decoded === undefined) return false
  const { seed, responses, digits, rings } = decoded
  const ringPoints: Ring[] = []
  for (const [i, target] of shape.targets.entries()) {
    const last = lastDigit(target, digits[i]!)
    if (last === null) return false
    ringPoints.push(...ringsOf([...digits[i]!, last].map((point) => ({ point }))))
  }
  const transcript = openTranscript(statement, shape.keys)
  const message = rangeMessage(transcript, seed, encodeResponses(shape, responses), digits)
  if (!ringsClose(message, ringPoints, rings)) return false
  const expected = seedOf(transcript, shape.groups, (group, i) =>
    recompute(group, responses[i]!, challengesOf(group, seed)),
  )
  return expected !== undefined && equalBytes(expected, seed)
}
