/**
 * Two buckets of every outgoing channel (R3). Locks of any peer go into the general one; those that find no room there go
 * into the protected half, as far as their peer's record reaches. So whatever locks strangers hold, and however long,
 * half of the slots and of the money of every channel is left to peers with a record of good payments.
 */
import type { Amount } from '../../base/amount.js'
import { type Load, NO_LOAD } from './reputation.js'

export type Bucket = 'general' | 'protected'

/** One outgoing channel. */
export interface Room {
  /** All that we could lock there, in use or not. */
  readonly whole: Load
  /** Held in the general bucket, for all peers. */
  readonly general: Load
  /** Of these, slots held for the peer that asks. */
  readonly ownGeneral: number
}

/** The peer that asks. */
export interface Claimant {
  /** What all other known peers together may hold in protected buckets; no slots: nobody is known, nothing is kept. */
  readonly others: Load
  readonly known: boolean
  /** What its record allows it to hold in protected buckets, and what it holds there; of all channels together. */
  readonly reach: Load
  readonly protected: Load
  /** It has not failed too often (`mayFail`). */
  readonly mayFail: boolean
}

const half = ({ slots, value }: Load): Load => ({ slots: Math.floor(slots / 2), value: (value / 2n) as Amount })

const holds = (limit: Load, used: Load, amount: Amount): boolean =>
  used.slots + 1 <= limit.slots && used.value + amount <= limit.value

/** One claim that half of a channel cannot carry gets what no record reaches: nobody else could use it (record 21). */
function keptFor(others: Load, whole: Load, amount: Amount): Load {
  if (others.slots === 0) return NO_LOAD
  const { slots, value } = half(whole)
  const large = amount > whole.value - value
  return { slots, value: large && others.value < value ? others.value : value }
}

function fitsGeneral({ whole, general, ownGeneral }: Room, claimant: Claimant, amount: Amount): boolean {
  const { others, known } = claimant
  const kept = keptFor(others, whole, amount)
  const open: Load = { slots: whole.slots - kept.slots, value: (whole.value - kept.value) as Amount }
  if (!holds(open, general, amount)) return false
  // Slots are cheap, so no stranger has more than half of these; who locks up money has as much of its own locked up.
  return known || others.slots === 0 || ownGeneral * 2 < open.slots
}

/** @returns undefined where the lock is to be refused. */
export function bucketFor(room: Room, claimant: Claimant, amount: Amount): Bucket | undefined {
  if (fitsGeneral(room, claimant, amount)) return 'general'
  return holds(claimant.reach, claimant.protected, amount) ? 'protected' : undefined
}
