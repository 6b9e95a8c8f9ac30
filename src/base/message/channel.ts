/**
 * Messages of an open channel (C4 to C10), types 64 to 127. All are even: a peer that does not know one cannot hold a
 * channel.
 */
import { z } from 'zod'
import { zBytes, zBytesUpTo, zCount, zDigest, zPoint, zSignature } from '../codec.js'
import { LIMITS } from '../limits.js'
import { define, type MessageOf, messageCodec } from './codec.js'

const zCiphertext = zBytesUpTo(1_024)
const zChannel = zBytes(32)

/** What a side publishes for a version, one version ahead (C2): SHA-256 of its revocation secret, and R = h^s mod n². */
export const zVersionKeys = z.strictObject({ hash: zDigest, randomizer: zCiphertext })
export type VersionKeys = z.output<typeof zVersionKeys>

/** The secret of a version that its owner gives up, and the keys of the version after the next (C5). */
const zRevocation = z.strictObject({ version: zCount, secret: zBytes(32), next: zVersionKeys })
export type Revocation = z.output<typeof zRevocation>

/** C5: what the leader's view of the ledger was; final. */
const zLedgerTime = z.strictObject({ height: zCount, time: zCount })

/** C4: packed operations of the sender (channel/operation.ts), ids strictly increasing. */
export const propose = define(
  64,
  'propose',
  z.strictObject({ channel: zChannel, operations: zBytesUpTo(LIMITS.propose_bytes) }),
)

/** C5: the leader closes a round. `operations` are runs of ids in the order in which they apply. */
export const commit = define(
  66,
  'commit',
  z.strictObject({
    channel: zChannel,
    version: zCount,
    at: zLedgerTime,
    operations: zBytesUpTo(LIMITS.round_operations * 11),
    digest: zDigest,
    signature: zSignature,
    /** The `revoke` of the round before, where it was not sent alone. */
    revocation: zRevocation.nullable(),
  }),
)

export const ack = define(
  68,
  'ack',
  z.strictObject({ channel: zChannel, version: zCount, signature: zSignature, revocation: zRevocation }),
)

export const revoke = define(70, 'revoke', z.strictObject({ channel: zChannel, revocation: zRevocation }))

/** The leader drops a proposal, its peer's or its own, before any commit (C5). */
export const drop = define(
  72,
  'drop',
  z.strictObject({
    channel: zChannel,
    from: z.union([z.literal(0), z.literal(1)]),
    id: zCount,
    code: z.string().max(64),
  }),
)

/** C8, first message of both after every connect. */
export const reestablish = define(
  74,
  'reestablish',
  z.strictObject({
    channel: zChannel,
    /** Last co-signed version. */
    version: zCount,
    /** Whether a commit of version + 1 was sent and not acknowledged. */
    outstanding: z.boolean(),
    /** How many of the receiver's secrets are held (all versions below), and the last of them; zeros for none. */
    received: zCount,
    secret: zBytes(32),
  }),
)

/** C8: the newest co-signed state, sent to a peer whose reestablish shows that it has lost it: proof and help at once. */
export const newest = define(
  76,
  'newest',
  z.strictObject({ channel: zChannel, state: zBytesUpTo(61_440), signatures: z.tuple([zSignature, zSignature]) }),
)

/** C10: no new pay or lock from the sender. */
export const shutdown = define(78, 'shutdown', z.strictObject({ channel: zChannel }))

/** L6: the leader's proof of the final balances, and its signature over the closeChannel transaction. */
export const closeOffer = define(
  80,
  'closeOffer',
  z.strictObject({
    channel: zChannel,
    validUntil: zCount,
    commitment: zPoint,
    ciphertexts: z.tuple([zCiphertext, zCiphertext]),
    ciphertextsRegulator: z.tuple([zCiphertext, zCiphertext]),
    proof: zBytesUpTo(32_768),
    signature: zSignature,
  }),
)
export const closeAccept = define(
  82,
  'closeAccept',
  z.strictObject({ channel: zChannel, validUntil: zCount, signature: zSignature }),
)

/**
 * C8: the sender has lost data: it makes no round ever again and waits for the newest state and a close. `version` is the
 * highest that it holds with both signatures.
 */
export const recovering = define(84, 'recovering', z.strictObject({ channel: zChannel, version: zCount }))

export const CHANNEL_MESSAGES = [
  propose,
  commit,
  ack,
  revoke,
  drop,
  reestablish,
  newest,
  shutdown,
  closeOffer,
  closeAccept,
  recovering,
] as const
export type ChannelMessage = MessageOf<(typeof CHANNEL_MESSAGES)[number]>
export type ChannelMessageOf<Name extends ChannelMessage['name']> = Extract<ChannelMessage, { name: Name }>['body']

export const channelCodec = messageCodec(CHANNEL_MESSAGES)
