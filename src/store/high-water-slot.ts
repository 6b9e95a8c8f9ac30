import { createHash } from 'node:crypto'
import { concatBytes, equalBytes, readU64, u64, utf8 } from '../base/bytes.js'
import type { ChannelId } from '../base/ids.js'

/** The highest version signed, and how many versions are revoked: the secrets of all versions below `revoked` have left. */
export interface Mark {
  readonly version: number
  readonly revoked: number
  /** C10: the rounds have ended for good; an exit or a close may have been signed. */
  readonly ended: boolean
}

/** What stands at one position; no channel: it is free again. */
export interface Slot {
  /** Counts the writes at this position; its parity says which of the two copies it is. */
  readonly sequence: number
  readonly channel: ChannelId | undefined
  readonly mark: Mark
}

/** 32 channel, 8 version, 1 ended, 7 revoked, 8 sequence, 8 check. */
export const SLOT_BYTES = 64
export const PAGE_BYTES = 4_096
export const SLOTS_PER_PAGE = PAGE_BYTES / SLOT_BYTES
const BODY_BYTES = SLOT_BYTES - 8
const ENDED_AT = 40
const ENDED = 1
const NO_CHANNEL = new Uint8Array(32)

/** The two copies of a position lie in neighbouring pages: no torn sector holds both. Page 0 is the header. */
export const slotOffset = (position: number, sequence: number): number =>
  PAGE_BYTES * (1 + 2 * Math.floor(position / SLOTS_PER_PAGE) + (sequence % 2)) +
  SLOT_BYTES * (position % SLOTS_PER_PAGE)

export function encodeSlot(file: Uint8Array, position: number, { sequence, channel, mark }: Slot): Uint8Array {
  const revoked = u64(mark.revoked) // below 2^53 (C3 has 2^48 versions): its first byte is free
  revoked[0] = mark.ended ? ENDED : 0
  const body = concatBytes(channel ?? NO_CHANNEL, u64(mark.version), revoked, u64(sequence))
  return concatBytes(body, checkOf(file, position, body))
}

/** `torn`: something was written, not all of it, or it rotted. */
export function decodeSlot(file: Uint8Array, position: number, bytes: Uint8Array): Slot | 'empty' | 'torn' {
  if (bytes.every((byte) => byte === 0)) return 'empty'
  const body = bytes.subarray(0, BODY_BYTES)
  const ended = body[ENDED_AT] === ENDED
  const counts = ended ? body.with(ENDED_AT, 0) : body
  const [version, revoked, sequence] = [readU64(counts, 32), readU64(counts, ENDED_AT), readU64(counts, 48)]
  const whole = equalBytes(checkOf(file, position, body), bytes.subarray(BODY_BYTES, SLOT_BYTES))
  if (!whole || version === undefined || revoked === undefined || sequence === undefined) return 'torn'
  const channel = bytes.slice(0, 32)
  return {
    sequence,
    channel: equalBytes(channel, NO_CHANNEL) ? undefined : (channel as ChannelId),
    mark: { version, revoked, ended },
  }
}

const CHECK_TAG = utf8('meridian/1/high-water')

/** Bound to this file and this position: a slot that landed elsewhere does not count. */
const checkOf = (file: Uint8Array, position: number, body: Uint8Array): Uint8Array =>
  createHash('sha256').update(CHECK_TAG).update(file).update(u64(position)).update(body).digest().subarray(0, 8)
