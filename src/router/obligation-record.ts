/** The durable record of a lock that was offered to this node. Sealed at rest (S3): it holds scalars and secrets. */
import { z } from 'zod'
import { amountToBytes } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import { cbor, decodeAs, zAmount, zBytes, zCount, zDigest, zScalar } from '../base/codec.js'
import type { Result } from '../base/result.js'
import type { SharedSecret } from './onion/crypto.js'
import { FAILURE_BYTES } from './onion/failure.js'

export const zSharedSecret = z.custom<SharedSecret>((v) => v instanceof Uint8Array && v.length === 32)

/** A lock by its channel and its proposer's counter (C4); whether we or the peer proposed it, the place tells. */
export const zLockRef = z.strictObject({ channel: zDigest, id: zCount })
export type LockRef = z.output<typeof zLockRef>

export const sameLock = (a: LockRef, b: LockRef): boolean => a.id === b.id && equalBytes(a.channel, b.channel)

const version = z.literal(1)

/** The outgoing lock is proposed or in: its end decides. */
const zOffered = z.strictObject({
  version,
  phase: z.literal('offered'),
  incoming: zLockRef,
  outgoing: zLockRef,
  /** Shared with the payer: y, and the layers of failures, come from it. */
  secret: zSharedSecret,
  fee: zAmount,
})
/** We know the scalar: the incoming lock is to be claimed; its channel reveals it where that comes late (C10). */
const zClaiming = z.strictObject({
  version,
  phase: z.literal('claiming'),
  incoming: zLockRef,
  scalar: zScalar,
  fee: zAmount,
})
const zReleasing = z.strictObject({
  version,
  phase: z.literal('releasing'),
  incoming: zLockRef,
  /** The failure packet that travels with the release. */
  reason: zBytes(FAILURE_BYTES),
})
const zEnded = z.strictObject({
  version,
  phase: z.literal('ended'),
  incoming: zLockRef,
  /** `lost`: the scalar was known and the incoming lock went back all the same. */
  outcome: z.enum(['claimed', 'released', 'lost']),
  fee: zAmount,
})
const zObligation = z.discriminatedUnion('phase', [zOffered, zClaiming, zReleasing, zEnded])

export type Offered = z.output<typeof zOffered>
export type Claiming = z.output<typeof zClaiming>
export type Releasing = z.output<typeof zReleasing>
export type Ended = z.output<typeof zEnded>
export type Obligation = z.output<typeof zObligation>
export type ObligationPhase = Obligation['phase']

export const encodeObligation = (obligation: Obligation): Uint8Array =>
  cbor('fee' in obligation ? { ...obligation, fee: amountToBytes(obligation.fee) } : obligation)
export const decodeObligation = (bytes: Uint8Array): Result<Obligation> => decodeAs(zObligation, bytes)
