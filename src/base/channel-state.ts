import { z } from 'zod'
import { concatBytes, type Digest, readU64, u64 } from './bytes.js'
import { cbor, decodeAs, zBytes, zBytesUpTo, zCount, zDigest, zPoint } from './codec.js'
import { type Point, parsePoint } from './curve/index.js'
import { taggedHash } from './digest.js'
import { LIMITS } from './limits.js'
import { oncePer } from './once.js'
import { ok, type Result, refuse } from './result.js'

/** 0 is the channel's opener, 1 its peer: in states, deposits, locks and proofs alike. */
export type Side = 0 | 1
export const otherSide = (side: Side): Side => (side === 0 ? 1 : 0)

/** A lock as the ledger sees it (C1): no amount, a commitment. */
export interface PublicLock {
  /** The proposer's counter (C4). */
  readonly id: number
  /** Who offered it: the payer of the lock. */
  readonly from: Side
  readonly commitment: Point
  readonly point: Point
  /** Ledger time, seconds. */
  readonly expiry: number
}

/** 8 id, 1 from, 33 commitment, 33 point, 8 expiry. */
const LOCK_BYTES = 83

/** A lock never changes, and stands in every state of its life. */
const encodeLock = oncePer(({ id, from, commitment, point, expiry }: PublicLock) =>
  concatBytes(u64(id), Uint8Array.of(from), commitment, point, u64(expiry)),
)

export const encodeLocks = (locks: readonly PublicLock[]): Uint8Array => concatBytes(...locks.map(encodeLock))

export function decodeLocks(bytes: Uint8Array): Result<PublicLock[]> {
  if (bytes.length % LOCK_BYTES !== 0 || bytes.length > LIMITS.locks_per_state * LOCK_BYTES) {
    return refuse('bad_encoding', 'locks')
  }
  const locks: PublicLock[] = []
  for (let at = 0; at < bytes.length; at += LOCK_BYTES) {
    const id = readU64(bytes, at)
    const from = bytes[at + 8]!
    const commitment = parsePoint(bytes.slice(at + 9, at + 42))
    const point = parsePoint(bytes.slice(at + 42, at + 75))
    const expiry = readU64(bytes, at + 75)
    if (id === undefined || expiry === undefined || from > 1) return refuse('bad_encoding', 'locks')
    if (!commitment.ok) return commitment
    if (!point.ok) return point
    locks.push({ id, from: from as Side, commitment: commitment.value, point: point.value, expiry })
  }
  return ok(locks)
}

/**
 * A channel state as it is signed and, at an exit, posted (C1). Ciphertexts and the sealed part are opaque to the
 * contract (L7): their content can make no signed state unpostable.
 */
export const zChannelState = z.strictObject({
  channel: zDigest,
  version: zCount,
  /** C_A, the opener's balance. */
  commitment: zPoint,
  /** Paillier ciphertexts of each side's balance under its own key, 2 * n bytes. */
  ciphertexts: z.tuple([zBytesUpTo(1024), zBytesUpTo(1024)]),
  /** encodeLocks: in the order they were added. */
  locks: zBytesUpTo(LIMITS.locks_per_state * LOCK_BYTES),
  /** SHA-256 of each side's revocation secret of this version (C3). */
  revocations: z.tuple([zDigest, zDigest]),
  /** AEAD nonce and box over all amounts and the opening of C_pool (C1). */
  nonce: zBytes(24),
  sealed: zBytesUpTo(LIMITS.locks_per_state * 24 + 1024),
})
export type ChannelState = z.output<typeof zChannelState>

export const encodeChannelState = (state: ChannelState): Uint8Array => cbor(state)
export const decodeChannelState = (bytes: Uint8Array): Result<ChannelState> => decodeAs(zChannelState, bytes)

/** What both sides sign (C1): SHA-256 of the canonical encoding with a domain tag. */
export const channelStateDigest = (encoded: Uint8Array): Digest => taggedHash('channel-state', encoded)
