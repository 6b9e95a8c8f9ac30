/**
 * Mallory's prover: it computes every challenge as an honest one does and does everything else honestly too, but for
 * what its cheat changes, and no check of its own stops it. What it makes is as valid as that one thing allows.
 */
import { bigintToBytes, bytesToBigint, concatBytes, type Digest, equalBytes } from '../../src/base/bytes.js'
import {
  type Element,
  modQ,
  narrowElement,
  type Point,
  scalarToBigint,
  subtractElements,
  sumElements,
} from '../../src/base/curve/index.js'
import { commit, digitRow, multiple, multipleOfBase } from '../../src/privacy/commitment.js'
import {
  type Announcement,
  announce,
  drawMask,
  type LinkGroup,
  type Mask,
  type PairSecret,
  type Response,
  recompute,
  respond,
  wBits,
} from '../../src/privacy/link.js'
import { type PublicKey, publicKey } from '../../src/privacy/paillier.js'
import type { Shape } from '../../src/privacy/proof-shape.js'
import { shifted } from '../../src/privacy/range.js'
import type { Statement } from '../../src/privacy/statement.js'
import {
  hedgedNonces,
  linkChallenge,
  linkSeed,
  type Nonces,
  openTranscript,
  positionChallenges,
  rangeMessage,
  ringsChallenge,
} from '../../src/privacy/transcript.js'
import { type Case, entropy } from './support.js'

/** One digit commitment: what is really in it, and the place in the ring that Mallory claims to know. */
export interface ForgedDigit {
  readonly value: bigint
  readonly claim: number
  readonly blinding: bigint
}

export interface Cheat {
  /** Keys with an h of Mallory's. */
  readonly keys?: (keys: PublicKey[]) => PublicKey[]
  /** The statement whose transcript Mallory computes, where it is another one. */
  readonly transcriptOf?: Statement
  readonly mask?: (group: LinkGroup, drawn: Mask) => Mask
  readonly announce?: (group: LinkGroup, mask: Mask) => Announcement
  /** undefined: these challenges do not suit, try again. */
  readonly respond?: (group: LinkGroup, mask: Mask, challenges: readonly bigint[]) => Response | undefined
  readonly encode?: (group: LinkGroup, response: Response) => Uint8Array
  readonly digits?: (range: number, honest: readonly ForgedDigit[]) => readonly ForgedDigit[]
  /** A scalar of a position whose discrete logarithm is not needed. */
  readonly scalar?: (ring: number, position: number) => bigint | undefined
  readonly encodeScalar?: (value: bigint) => Uint8Array
}

export interface Forgery {
  readonly proof: Uint8Array
  /** Whether P4's equations hold, whatever the bounds say. */
  readonly linkHolds: boolean
  /** Whether P5's rings close, infinity taken as an element like any other. */
  readonly ringsHold: boolean
}

/** shapeOf without any of its checks. */
export function looseShape(statement: Statement, cheatKeys: Cheat['keys'] = (keys) => keys): Shape {
  const keys = cheatKeys(
    statement.keys.map(({ n }) => {
      const key = publicKey(n)
      if (!key.ok) throw new Error('not a modulus')
      return key.value
    }),
  )
  const groups = keys.map((publicKey, key) => ({
    key,
    publicKey,
    pairs: statement.links.flatMap((link, index) =>
      link.key === key
        ? {
            link: index,
            ciphertext: bytesToBigint(link.value),
            commitment: link.commitment,
            element: statement.commitments[link.commitment]!,
          }
        : [],
    ),
  }))
  return {
    bits: statement.bits,
    digits: statement.bits / 2,
    keys,
    groups: groups.filter((group) => group.pairs.length > 0),
    targets: statement.ranges.map((range) => shifted(statement.commitments[range.commitment]!, range.minimum)),
  }
}

export const secretsOf = ({ witness }: Case, group: LinkGroup): PairSecret[] =>
  group.pairs.map((pair) => ({ ...witness.openings[pair.commitment]!, s: witness.randomness[pair.link]! }))

/** P4's answer with no bound checked. */
export function answer(mask: Mask, challenges: readonly bigint[], secrets: readonly PairSecret[]): Response {
  const sum = (part: (secret: PairSecret) => bigint) =>
    secrets.reduce((total, secret, i) => total + challenges[i]! * part(secret), 0n)
  return {
    z: mask.a - sum((secret) => secret.value),
    w: mask.rho - sum((secret) => secret.s),
    v: modQ(mask.b - sum((secret) => secret.blinding)),
  }
}

/** z and w cut to their fields (two's complement), v as it is. */
export const cutResponse = (group: LinkGroup, { z, w, v }: Response): Uint8Array =>
  concatBytes(
    bigintToBytes(BigInt.asUintN(248, z), 31),
    bigintToBytes(BigInt.asUintN(wBits(group.publicKey), w), wBits(group.publicKey) / 8),
    bigintToBytes(v, 32),
  )

export function forge(example: Case, cheat: Cheat = {}): Forgery {
  const { statement, witness } = example
  const shape = looseShape(statement, cheat.keys)
  const transcript = openTranscript(cheat.transcriptOf ?? statement, shape.keys)
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const nonces = hedgedNonces(witness, transcript, entropy('mallory'), attempt)
    const forged = tryForge(example, shape, transcript, nonces, cheat)
    if (forged !== undefined) return forged
  }
  throw new Error('Mallory never got suitable challenges')
}

function tryForge(example: Case, shape: Shape, transcript: Digest, nonces: Nonces, cheat: Cheat): Forgery | undefined {
  const seedOf = (announced: readonly Announcement[]): Digest =>
    linkSeed(
      transcript,
      announced.map(({ A, T }, i) => ({ A: bigintToBytes(A, 2 * shape.groups[i]!.publicKey.bytes), T: T! })),
    )
  const masks = shape.groups.map((group) => {
    const drawn = drawMask(group, nonces)
    return cheat.mask?.(group, drawn) ?? drawn
  })
  const seed = seedOf(shape.groups.map((group, i) => (cheat.announce ?? announce)(group, masks[i]!)))
  const challenges = shape.groups.map((group) => group.pairs.map((_, i) => linkChallenge(seed, group.key, i)))
  const honest: NonNullable<Cheat['respond']> = (group, mask, each) =>
    respond(group, mask, each, secretsOf(example, group)) ?? answer(mask, each, secretsOf(example, group))
  const responses: Response[] = []
  for (const [i, group] of shape.groups.entries()) {
    const response = (cheat.respond ?? honest)(group, masks[i]!, challenges[i]!)
    if (response === undefined) return undefined
    responses.push(response)
  }
  const again = seedOf(shape.groups.map((group, i) => recompute(group, responses[i]!, challenges[i]!)))
  const encoded = concatBytes(...responses.map((each, i) => (cheat.encode ?? cutResponse)(shape.groups[i]!, each)))
  const ranges = forgeRanges(example, shape, nonces, cheat, (points) => rangeMessage(transcript, seed, encoded, points))
  return {
    proof: concatBytes(seed, encoded, ranges.bytes),
    linkHolds: equalBytes(again, seed),
    ringsHold: ranges.hold,
  }
}

/** Honest digits of the value; whatever does not fit into them (below 0, above 2^bits) is put on the first or the last. */
export function forgedDigits(bits: number, value: bigint, blinding: bigint, nonces: Nonces): ForgedDigit[] {
  const count = bits / 2
  const values = Array.from({ length: count }, (_, j) => (value < 0n ? 0n : (value >> BigInt(2 * j)) & 3n))
  if (value < 0n) values[0] = value
  else values[count - 1] = value >> BigInt(2 * (count - 1))
  const blindings = values.slice(1).map(() => scalarToBigint(nonces.scalar()))
  blindings.push(modQ(blinding - blindings.reduce((sum, each) => sum + each, 0n)))
  return values.map((each, j) => ({
    value: each,
    claim: Number(each < 0n ? 0n : each > 3n ? 3n : each),
    blinding: blindings[j]!,
  }))
}

function forgeRanges(
  { statement, witness }: Case,
  shape: Shape,
  nonces: Nonces,
  cheat: Cheat,
  messageOf: (points: Point[][]) => Digest,
): { readonly bytes: Uint8Array; readonly hold: boolean } {
  const digits = statement.ranges.map(({ commitment, minimum }, range) => {
    const { value, blinding } = witness.openings[commitment]!
    const honest = forgedDigits(shape.bits, value - minimum, blinding, nonces)
    return cheat.digits?.(range, honest) ?? honest
  })
  const sent = digits.map((each) =>
    each
      .slice(0, -1)
      .map((digit, j) => commit(digit.value * 4n ** BigInt(j), digit.blinding) ?? (new Uint8Array(33) as Point)),
  )
  const finite = (points: Point[]): Element[] => points.map((point) => (point[0] === 0 ? null : point))
  const rings = sent.flatMap((points, range) => {
    const last = subtractElements(shape.targets[range]!, sumElements(finite(points)))
    return [...finite(points), last].map((point, place) => ({ place, point }))
  })
  const { e0, scalars, hold } = forgeRings(messageOf(sent), rings, digits.flat(), nonces, cheat)
  const encodeScalar = cheat.encodeScalar ?? ((value: bigint) => bigintToBytes(value, 32))
  return { bytes: concatBytes(...sent.flat(), e0, ...scalars.flat().map(encodeScalar)), hold }
}

/** Borromean rings over elements that may be infinite, with scalars that may be zero. */
function forgeRings(
  message: Digest,
  rings: readonly { readonly place: number; readonly point: Element }[],
  digits: readonly ForgedDigit[],
  nonces: Nonces,
  cheat: Cheat,
): { readonly e0: Digest; readonly scalars: bigint[][]; readonly hold: boolean } {
  const scalars = rings.map((_, ring) =>
    [0, 1, 2, 3].map((position) => cheat.scalar?.(ring, position) ?? scalarToBigint(nonces.scalar())),
  )
  const challengeOf = positionChallenges(message)
  const challenge = (ring: number, position: number, previous: Uint8Array): bigint =>
    scalarToBigint(challengeOf(ring, position, previous)!)
  const walk = (ring: number, from: number, previous: Uint8Array, end: number): Uint8Array => {
    const { place, point } = rings[ring]!
    let arrived = previous
    for (let position = from; position < end; position++) {
      const member = sumElements([point, narrowElement(digitRow(place).minus[position]!)])
      const e = challenge(ring, position, arrived)
      arrived = sumElements([multiple(member, e), multipleOfBase(scalars[ring]![position]!)]) ?? new Uint8Array(33)
    }
    return arrived
  }
  const keys = rings.map(() => scalarToBigint(nonces.scalar()))
  const starts = digits.map((digit, ring) => walk(ring, digit.claim + 1, multipleOfBase(keys[ring]!)!, 4))
  const e0 = ringsChallenge(message, starts as Point[])
  for (const [ring, { claim, blinding }] of digits.entries()) {
    const e = challenge(ring, claim, walk(ring, 0, e0, claim))
    scalars[ring]![claim] = modQ(keys[ring]! - e * blinding)
  }
  const ends = rings.map((_, ring) => walk(ring, 0, e0, 4))
  return { e0, scalars, hold: equalBytes(ringsChallenge(message, ends as Point[]), e0) }
}
