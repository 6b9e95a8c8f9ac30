/**
 * Proofs of statements (P4, P5, P6): the only door to Link and range, which are sound only together. Synchronous and
 * costly (milliseconds to tens of them): call through the pool.
 */
import { bigintToBytes, concatBytes, type Digest, equalBytes } from '../base/bytes.js'
import { curve, narrow, type Point, type Scalar, type WidePoint } from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import {
  type Announcement,
  announce,
  announceCost,
  drawMask,
  type LinkGroup,
  type Mask,
  type Response,
  recompute,
  recomputeCost,
  respond,
} from './link.js'
import { type PrivateKey, randomnessBits } from './paillier.js'
import { decodeProof, encodeProof, encodeResponses, type Proof } from './proof-layout.js'
import { type Shape, shapeOf } from './proof-shape.js'
import { countProofWork } from './proof-work.js'
import {
  closedEnd,
  closeRing,
  type DigitSecret,
  digitPoint,
  drawRings,
  lastDigit,
  RING,
  type Ring,
  type RingNonces,
  ringEnd,
  splitDigits,
} from './range.js'
import { alone, type Divided, divide, type Item, type Share, WHOLE } from './shares.js'
import type { Statement, Witness } from './statement.js'
import {
  hedgedNonces,
  linkChallenge,
  linkSeed,
  type Nonces,
  openTranscript,
  positionChallenges,
  rangeMessage,
  ringsChallenge,
} from './transcript.js'

/** A restart comes about once in 2^44 proofs: ten of them are a defect. */
const ATTEMPTS = 10

/**
 * Proves a true statement.
 * @param entropy 32 fresh random bytes; nonces are hedged, so bad ones do not reveal the witness by themselves (P6).
 * @param own the prover's key: its part is then computed by the factors, with the same result.
 * @throws InvariantError where the statement is malformed or the witness is not its witness: a defect of the caller.
 */
export const prove = (statement: Statement, witness: Witness, entropy: Uint8Array, own?: PrivateKey): Uint8Array =>
  alone(proving(statement, witness, entropy, own, WHOLE))

/** As prove, on as many threads as there are shares. */
export function* proving(
  statement: Statement,
  witness: Witness,
  entropy: Uint8Array,
  own: PrivateKey | undefined,
  share: Share,
): Divided<Uint8Array> {
  countProofWork('proved')
  const shape = shapeOf(statement)
  invariant(shape !== undefined, 'P5', 'the statement is malformed')
  checkWitness(statement, shape, witness)
  const transcript = openTranscript(statement, shape.keys)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const nonces = hedgedNonces(witness, transcript, entropy, attempt)
    const proof = yield* attemptProof({ statement, shape, witness, transcript, own, share }, nonces)
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

interface Task {
  readonly statement: Statement
  readonly shape: Shape
  readonly witness: Witness
  readonly transcript: Digest
  readonly own: PrivateKey | undefined
  readonly share: Share
}

/** Everything that one attempt draws. */
interface Draft {
  readonly masks: readonly Mask[]
  /** Of every range's digits, one after the other. */
  readonly secrets: readonly DigitSecret[]
  readonly rings: readonly RingNonces[]
}

function draw({ statement, shape, witness }: Task, nonces: Nonces): Draft | undefined {
  const masks = shape.groups.map((group) => drawMask(group, nonces))
  const secrets: DigitSecret[] = []
  for (const { commitment, minimum } of statement.ranges) {
    const { value, blinding } = witness.openings[commitment]!
    const split = splitDigits(shape.bits, value - minimum, blinding, nonces)
    if (split === undefined) return undefined
    secrets.push(...split)
  }
  return { masks, secrets, rings: drawRings(secrets.length, nonces) }
}

function* attemptProof(task: Task, nonces: Nonces): Divided<Uint8Array | undefined> {
  const { shape, transcript, share } = task
  const draft = draw(task, nonces)
  const opened = draft && (yield* divide(share, openingItems(task, draft)))
  if (opened === undefined) return undefined
  const seed = seedOf(transcript, shape, opened)
  const responses = respondAll(task, draft!.masks, seed)
  if (responses === undefined) return undefined
  const starts = opened.slice(shape.groups.length)
  const points = perRange(shape, starts, (bytes) => bytes.slice(0, WIDE_BYTES) as WidePoint)
  for (const [i, each] of points.entries()) {
    const last = lastDigit(shape.targets[i]!, each.slice(0, -1))
    invariant(last !== null && equalBytes(last, each.at(-1)!), 'P5', 'an opening does not open its commitment')
  }
  const linked = { seed, responses, digits: points.map((each) => each.slice(0, -1)) }
  const message = messageOf(shape, transcript, linked)
  const starting = starts.map((bytes) => bytes.slice(WIDE_BYTES) as Point)
  const closed = yield* signRings(share, message, ringsOf(points), draft!, starting)
  return closed && encodeProof(shape, { ...linked, ...closed })
}

/** Digit commitments and starts of rings depend on no challenge: computed beside the announcements. */
const openingItems = ({ shape, own }: Task, { masks, secrets, rings }: Draft): Item[] => [
  ...shape.groups.map((group, i) => ({
    cost: announceCost(group),
    run: () => encodeAnnouncement(group, announce(group, masks[i]!, own)),
  })),
  ...secrets.map((secret, i) => ({
    cost: 1,
    run() {
      const point = digitPoint(i % shape.digits, secret)
      return point === null ? undefined : concatBytes(point, curve.multiplyBase(rings[i]!.key))
    },
  })),
]

function respondAll({ shape, witness }: Task, masks: readonly Mask[], seed: Digest): readonly Response[] | undefined {
  const responses: Response[] = []
  for (const [i, group] of shape.groups.entries()) {
    const secrets = group.pairs.map((pair) => ({
      ...witness.openings[pair.commitment]!,
      s: witness.randomness[pair.link]!,
    }))
    const response = respond(group, masks[i]!, linkChallenges(group, seed), secrets)
    if (response === undefined) return undefined
    responses.push(response)
  }
  return responses
}

function* signRings(
  share: Share,
  message: Digest,
  rings: readonly Ring[],
  { secrets, rings: drawn }: Draft,
  starts: readonly Point[],
): Divided<Pick<Proof, 'e0' | 'scalars'> | undefined> {
  const challenge = positionChallenges(message)
  const ends = yield* divide(
    share,
    rings.map((ring, i) => ({
      cost: RING - 1 - secrets[i]!.digit,
      run: () => ringEnd(challenge, ring, secrets[i]!, drawn[i]!, starts[i]!),
    })),
  )
  if (ends === undefined) return undefined
  const e0 = ringsChallenge(message, ends as Point[])
  const closed = yield* divide(
    share,
    rings.map((ring, i) => ({
      cost: secrets[i]!.digit,
      run() {
        const scalars = closeRing(challenge, ring, secrets[i]!, drawn[i]!, e0)
        return scalars && concatBytes(...scalars)
      },
    })),
  )
  const four = (bytes: Uint8Array): Scalar[] => [0, 32, 64, 96].map((at) => bytes.slice(at, at + 32) as Scalar)
  return closed && { e0, scalars: closed.map(four) }
}

const WIDE_BYTES = 65

/** Lists of what belongs to one range each. */
const perRange = <From, To>(shape: Shape, all: readonly From[], of: (one: From) => To): To[][] =>
  shape.targets.map((_, i) => all.slice(i * shape.digits, (i + 1) * shape.digits).map(of))

const ringsOf = (points: readonly (readonly WidePoint[])[]): Ring[] =>
  points.flatMap((each) => each.map((point, place) => ({ place, point }))).map((ring, index) => ({ ...ring, index }))

const linkChallenges = (group: LinkGroup, seed: Digest): bigint[] =>
  group.pairs.map((_, i) => linkChallenge(seed, group.key, i))

const messageOf = (shape: Shape, transcript: Digest, proof: Pick<Proof, 'seed' | 'responses' | 'digits'>): Digest =>
  rangeMessage(
    transcript,
    proof.seed,
    encodeResponses(shape, proof.responses),
    proof.digits.map((each) => each.map(narrow)),
  )

/** A, with the length of a ciphertext, then T; undefined where T is infinite. */
const encodeAnnouncement = ({ publicKey }: LinkGroup, { A, T }: Announcement): Uint8Array | undefined =>
  T && concatBytes(bigintToBytes(A, 2 * publicKey.bytes), T)

/** The seed over every group's (A, T), which come first in `found`. */
const seedOf = (transcript: Digest, { groups }: Shape, found: readonly Uint8Array[]): Digest =>
  linkSeed(
    transcript,
    groups.map(({ publicKey: { bytes } }, i) => ({
      A: found[i]!.subarray(0, 2 * bytes),
      T: found[i]!.subarray(2 * bytes) as Point,
    })),
  )

/**
 * Whether `proof` proves the statement. False for any other bytes, for a malformed statement and for one whose links
 * lack a range (P5); never throws.
 */
export const verify = (statement: Statement, proof: Uint8Array): boolean => alone(verifying(statement, proof, WHOLE))

/** As verify, on as many threads as there are shares. */
export function* verifying(statement: Statement, proof: Uint8Array, share: Share): Divided<boolean> {
  countProofWork('verified')
  const shape = shapeOf(statement)
  const decoded = shape && decodeProof(shape, proof)
  if (decoded === undefined) return false
  const { seed, responses, digits, e0, scalars } = decoded
  const points: WidePoint[][] = []
  for (const [i, target] of shape!.targets.entries()) {
    const last = lastDigit(target, digits[i]!)
    if (last === null) return false
    points.push([...digits[i]!, last])
  }
  const transcript = openTranscript(statement, shape!.keys)
  const message = messageOf(shape!, transcript, decoded)
  const challenge = positionChallenges(message)
  const found = yield* divide(share, [
    ...shape!.groups.map((group, i) => ({
      cost: recomputeCost(group),
      run: () => encodeAnnouncement(group, recompute(group, responses[i]!, linkChallenges(group, seed))),
    })),
    ...ringsOf(points).map((ring, i) => ({ cost: RING, run: () => closedEnd(challenge, ring, scalars[i]!, e0) })),
  ])
  if (found === undefined) return false
  const linksHold = equalBytes(seedOf(transcript, shape!, found), seed)
  const ringsHold = equalBytes(ringsChallenge(message, found.slice(shape!.groups.length) as Point[]), e0)
  return linksHold && ringsHold
}
