/**
 * What hubs say in public (R4): that a channel between two of them exists, signed by both, and what each asks for
 * forwarding over it, signed by the one who asks. No amount that anybody holds is in it. Announcements are kept and
 * passed on as the bytes that were signed.
 */
import { z } from 'zod'
import { compareBytes, type Digest, equalBytes } from '../base/bytes.js'
import { decodeAs, encodeAs, zCount, zDigest, zPoint, zSignature } from '../base/codec.js'
import { curve, type Scalar, type Signature } from '../base/curve/index.js'
import { taggedHash } from '../base/digest.js'
import type { AccountId, ChannelId, LedgerId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { zPolicy } from './policy.js'

const channelTerms = {
  kind: z.literal('channel'),
  ledger: zDigest,
  channel: zDigest,
  /** The smaller first, whoever opened it. */
  accounts: z.tuple([zPoint, zPoint]),
}
const zChannelTerms = z.strictObject(channelTerms)
const zChannelAnnouncement = z.strictObject({ ...channelTerms, signatures: z.tuple([zSignature, zSignature]) })

const policyTerms = {
  kind: z.literal('policy'),
  ledger: zDigest,
  channel: zDigest,
  /** Who forwards, to the channel's other side. */
  from: zPoint,
  /** Ledger seconds when it was signed, and always more than in the one before: the higher one holds. */
  at: zCount,
  policy: zPolicy,
}
const zPolicyTerms = z.strictObject(policyTerms)
const zPolicyAnnouncement = z.strictObject({ ...policyTerms, signature: zSignature })

const zAnnouncement = z.discriminatedUnion('kind', [zChannelAnnouncement, zPolicyAnnouncement])

export type ChannelTerms = z.output<typeof zChannelTerms>
export type PolicyTerms = z.output<typeof zPolicyTerms>
export type ChannelAnnouncement = z.output<typeof zChannelAnnouncement>
export type PolicyAnnouncement = z.output<typeof zPolicyAnnouncement>
export type Announcement = ChannelAnnouncement | PolicyAnnouncement

/** An announcement and the bytes that were signed. Its signatures hold once `authenticate` has said so. */
export interface Authentic<A extends Announcement = Announcement> {
  readonly announcement: A
  readonly bytes: Uint8Array
}

const channelDigest = (terms: ChannelTerms): Digest => taggedHash('announce-channel', encodeAs(zChannelTerms, terms))
const policyDigest = (terms: PolicyTerms): Digest => taggedHash('announce-policy', encodeAs(zPolicyTerms, terms))

/** The one form in which both sides announce a channel. */
export function channelTermsOf(
  ledger: LedgerId,
  channel: ChannelId,
  accounts: readonly [AccountId, AccountId],
): ChannelTerms {
  const [a, b] = accounts
  const ordered: [AccountId, AccountId] = compareBytes(a, b) < 0 ? [a, b] : [b, a]
  return { kind: 'channel', ledger, channel, accounts: ordered }
}

/** One side's agreement that a channel is public. */
export const signChannel = (terms: ChannelTerms, key: Scalar): Signature => curve.sign(channelDigest(terms), key)

export const agrees = (terms: ChannelTerms, signature: Signature, account: AccountId): boolean =>
  curve.verify(channelDigest(terms), signature, account)

/** @param signatures of whom, in any order: one of each account. */
export function announceChannel(
  terms: ChannelTerms,
  signatures: readonly { readonly account: AccountId; readonly signature: Signature }[],
): Authentic<ChannelAnnouncement> | undefined {
  const [first, second] = terms.accounts.map(
    (account) => signatures.find((each) => equalBytes(each.account, account))?.signature,
  )
  if (first === undefined || second === undefined) return undefined
  const announcement: ChannelAnnouncement = { ...terms, signatures: [first, second] }
  return { announcement, bytes: encodeAs(zChannelAnnouncement, announcement) }
}

export function announcePolicy(terms: PolicyTerms, key: Scalar): Authentic<PolicyAnnouncement> {
  const announcement = { ...terms, signature: curve.sign(policyDigest(terms), key) }
  return { announcement, bytes: encodeAs(zPolicyAnnouncement, announcement) }
}

function signaturesHold(announcement: Announcement): boolean {
  if (announcement.kind === 'policy') {
    const { signature, ...terms } = announcement
    return curve.verify(policyDigest(terms), signature, terms.from)
  }
  const { signatures, ...terms } = announcement
  const [a, b] = terms.accounts
  return compareBytes(a, b) < 0 && agrees(terms, signatures[0], a) && agrees(terms, signatures[1], b)
}

/** Shape alone: for bytes that this node has stored, or may hold already. */
export function readAnnouncement(bytes: Uint8Array): Result<Authentic> {
  if (bytes.length > LIMITS.announcement_bytes) return refuse('announcement_invalid', 'too long')
  const decoded = decodeAs(zAnnouncement, bytes)
  if (!decoded.ok) return refuse('announcement_invalid', decoded.error.detail)
  return ok({ announcement: decoded.value, bytes })
}

/** Ledger and signatures. What fails here no honest peer would have passed on. */
export function authenticate(read: Authentic, ledger: LedgerId): Result<Authentic> {
  const { announcement } = read
  if (!equalBytes(announcement.ledger, ledger)) return refuse('announcement_wrong_ledger')
  return signaturesHold(announcement) ? ok(read) : refuse('announcement_signature')
}

export function parseAnnouncement(bytes: Uint8Array, ledger: LedgerId): Result<Authentic> {
  const read = readAnnouncement(bytes)
  return read.ok ? authenticate(read.value, ledger) : read
}
