/** Messages that open a channel (L5), types 32 to 63. `attempt` names one attempt: 32 random bytes of the opener. */
import { z } from 'zod'
import { zAmount, zBytes, zCount, zPoint, zScalar, zSignature, zText } from '../codec.js'
import { LIMITS } from '../limits.js'
import { zDepositHalf } from '../transaction.js'
import { zVersionKeys } from './channel.js'
import { define, type MessageOf, messageCodec } from './codec.js'

const zAttempt = zBytes(32)

/** C9: what a side demands of the operations that its peer proposes; constant for the channel's life. */
export const zChannelLimits = z.strictObject({
  /** What the peer keeps after every payment that it makes. */
  reserve: zAmount,
  /** Locks that the peer may have open at once. */
  locks: z.int().min(0).max(LIMITS.locks_per_direction),
  amountMin: zAmount,
  amountMax: zAmount,
  /** Seconds from the commit's ledger time to a lock's expiry. */
  expiryMin: zCount,
  expiryMax: zCount,
})

/** A deposit's opening, for the peer only (L5). */
const zOpening = z.strictObject({ amount: zAmount, blinding: zScalar })

/** Keys of versions 0 and 1. */
const zFirstKeys = z.tuple([zVersionKeys, zVersionKeys])

/** Opener: what it wants and its deposit. */
export const openChannel = define(
  32,
  'openChannel',
  z.strictObject({
    attempt: zAttempt,
    /** The opener's account nonce, consumed by the opening. */
    nonce: zCount,
    window: zCount,
    validUntil: zCount,
    channelKey: zPoint,
    limits: zChannelLimits,
    deposit: zOpening,
    /** R7: how much the peer is asked to deposit; 0 for none. */
    share: zAmount,
  }),
)

/** Peer: agreed, its own deposit (null for none) and first keys. The channel's id is known now. */
export const acceptChannel = define(
  34,
  'acceptChannel',
  z.strictObject({
    attempt: zAttempt,
    channelKey: zPoint,
    limits: zChannelLimits,
    deposit: zOpening.nullable(),
    keys: zFirstKeys,
  }),
)

/** Opener: its first keys, its signature of state 0, its proven half. */
export const channelHalf = define(
  36,
  'channelHalf',
  z.strictObject({ attempt: zAttempt, keys: zFirstKeys, signature: zSignature, half: zDepositHalf }),
)

/** Peer: its signature of state 0, its half, its account's signature of the transaction. The opener signs last. */
export const channelSigned = define(
  38,
  'channelSigned',
  z.strictObject({
    attempt: zAttempt,
    signature: zSignature,
    half: zDepositHalf.nullable(),
    accountSignature: zSignature,
  }),
)

/** R7: the bound of the accepter's policy that a request breaks. What an account has or has given is not told. */
export const OPEN_RULES = ['deposit_min', 'share_max'] as const
export type OpenRule = (typeof OPEN_RULES)[number]

/**
 * Either side gives the attempt up before it signed the transaction. `limit`: the bound of the policy that was broken.
 */
export const openRefused = define(
  40,
  'openRefused',
  z.strictObject({ attempt: zAttempt, code: zText(64), limit: z.tuple([z.enum(OPEN_RULES), zAmount]).nullable() }),
)

export const OPENING_MESSAGES = [openChannel, acceptChannel, channelHalf, channelSigned, openRefused] as const
export type OpeningMessage = MessageOf<(typeof OPENING_MESSAGES)[number]>
export type OpeningMessageOf<Name extends OpeningMessage['name']> = Extract<OpeningMessage, { name: Name }>['body']

export const openingCodec = messageCodec(OPENING_MESSAGES)
