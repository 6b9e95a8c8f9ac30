/** What a tower keeps: one row per watched channel and client, one per reveal job. */
import { z } from 'zod'
import { zBytes, zBytesUpTo, zCount, zDigest, zPoint, zSide, zSignature } from '../base/codec.js'
import { LIMITS } from '../base/limits.js'
import { zRevealTask, zSecretStore } from '../base/message/tower.js'

/** A co-signed state as it is posted, and the counterparty's revocation hash in it. */
export const zHeldState = z.strictObject({
  version: zCount,
  state: zBytesUpTo(LIMITS.tower_state_bytes),
  signatures: z.tuple([zSignature, zSignature]),
  hash: zDigest,
})
export type HeldState = z.output<typeof zHeldState>

/**
 * A channel watched for one of its parties. It grows with neither updates nor time: one state, the hash of the state
 * before, at most 49 secrets (T1). Everything in it is ciphertext, commitment, hash, or the counterparty's given up secret.
 */
export const zWatched = z.strictObject({
  channel: zDigest,
  /** The party's account, and which side of the channel it is. */
  client: zPoint,
  side: zSide,
  /** The other party's account. */
  peer: zPoint,
  /** From the ledger's view: what `postable` judges by. */
  channelKeys: z.tuple([zPoint, zPoint]),
  stateZero: zDigest,
  newest: zHeldState.nullable(),
  /** The counterparty's revocation hash of the state that was held before: a round's secret may come one state late. */
  previous: z.strictObject({ version: zCount, hash: zDigest }).nullable(),
  secrets: zSecretStore,
  /** Not null from the first event of a dispute or an end on: whether the ledger showed it closed, and since which height. */
  attention: z.strictObject({ closed: z.boolean(), since: zCount }).nullable(),
})
export type Watched = z.output<typeof zWatched>

export const zJobRow = z.strictObject({
  client: zPoint,
  job: zBytes(32),
  channel: zDigest,
  /** The other party of that channel: whose locks the job is about. */
  peer: zPoint,
  task: zRevealTask,
  /** The client's, over delegationDigest (L8). */
  delegation: zSignature,
})
export type JobRow = z.output<typeof zJobRow>

/** What a watched channel counts toward its client's quota of bytes. */
export const bytesOf = (watched: Watched): number =>
  (watched.newest?.state.length ?? 0) + 32 * watched.secrets.slots.length
