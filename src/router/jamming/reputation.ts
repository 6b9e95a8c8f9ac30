/**
 * What a peer's forwarded locks have shown of it (R3): the only thing that this node trusts in a peer is what it has seen.
 * A payment that ends well and quickly adds to the record; a lock that is held long takes from it as much as the time it
 * was held would have earned; half of it goes every four weeks. Failures are counted apart: they are rationed, since each one
 * tells who sent it something about our channels, and a stream of them is the cheap way to keep slots busy.
 */
import { z } from 'zod'
import { type Amount, amountToBytes } from '../../base/amount.js'
import { cbor, decodeAs, zAmount, zCount } from '../../base/codec.js'
import { LIMITS } from '../../base/limits.js'
import type { Result } from '../../base/result.js'

/** Slots and minor units: what locks take of a channel. */
export interface Load {
  readonly slots: number
  readonly value: Amount
}
export const NO_LOAD: Load = { slots: 0, value: 0n as Amount }

const zReputation = z.strictObject({
  /** Good payments, and what they carried. */
  slots: zCount,
  value: zAmount,
  /** Halved up to which month of ledger time. */
  month: zCount,
  /** Failures not yet forgotten, and the ledger time up to which some were. */
  failed: zCount,
  failedAt: zCount,
})
export type Reputation = z.output<typeof zReputation>

export const encodeReputation = (reputation: Reputation): Uint8Array =>
  cbor({ ...reputation, value: amountToBytes(reputation.value) })
export const decodeReputation = (bytes: Uint8Array): Result<Reputation> => decodeAs(zReputation, bytes)

/** Four weeks, seconds. */
const MONTH_S = 2_419_200
/** More than this, 2^53, is not told apart: beyond any channel. */
const VALUE_MAX = (1n << 53n) as Amount

const monthOf = (now: number): number => Math.floor(now / MONTH_S)

export const newcomer = (now: number): Reputation => ({
  slots: 0,
  value: 0n as Amount,
  month: monthOf(now),
  failed: 0,
  failedAt: now,
})

/** As time leaves it: half of the record in a month, one failure in `failure_forgotten_s`. */
export function aged(reputation: Reputation, now: number): Reputation {
  const months = Math.max(0, monthOf(now) - reputation.month)
  const forgotten = Math.max(0, Math.floor((now - reputation.failedAt) / LIMITS.failure_forgotten_s))
  if (months === 0 && forgotten === 0) return reputation
  const failed = Math.max(0, reputation.failed - forgotten)
  return {
    slots: Math.floor(reputation.slots / 2 ** months),
    value: (reputation.value >> BigInt(months)) as Amount,
    month: reputation.month + months,
    failed,
    failedAt:
      failed === 0 ? Math.max(now, reputation.failedAt) : reputation.failedAt + forgotten * LIMITS.failure_forgotten_s,
  }
}

/** One for every `lock_quick_s` that a lock was held; 0 for one that ended quickly. */
export const lateness = (held: number): number => Math.max(0, Math.ceil(held / LIMITS.lock_quick_s) - 1)

/** A record without what `late` took from it. */
export const lessened = ({ slots, value }: Load, late: Load): Load => ({
  slots: Math.max(0, slots - late.slots),
  value: (value > late.value ? value - late.value : 0n) as Amount,
})

/** What a lock held for so long costs. */
export const costOf = (amount: Amount, held: number): Load => {
  const late = lateness(held)
  return { slots: late, value: (amount * BigInt(late)) as Amount }
}

/** How a lock that was forwarded for the peer ended. */
export interface ForwardEnd {
  readonly claimed: boolean
  readonly amount: Amount
  /** Ledger seconds between the offer of the outgoing lock and its end. */
  readonly held: number
}

export function afterEnd(before: Reputation, { claimed, amount, held }: ForwardEnd, now: number): Reputation {
  const reputation = aged(before, now)
  if (lateness(held) > 0) {
    const { slots, value } = lessened(reputation, costOf(amount, held))
    return { ...reputation, slots, value, failed: reputation.failed + (claimed ? 0 : 1) }
  }
  if (!claimed) return { ...reputation, failed: reputation.failed + 1 }
  const value = reputation.value + amount
  return {
    ...reputation,
    slots: Math.min(reputation.slots + 1, LIMITS.record_slots_max),
    value: (value > VALUE_MAX ? VALUE_MAX : value) as Amount,
    failed: Math.max(0, reputation.failed - 1),
  }
}

/** A forward that was refused at the door. */
export const afterRefusal = (before: Reputation, now: number): Reputation => {
  const reputation = aged(before, now)
  return { ...reputation, failed: reputation.failed + 1 }
}

/** Enough good payments to count as a peer for whom half of every channel is kept. */
export const isKnown = ({ slots }: Pick<Load, 'slots'>): boolean => slots >= LIMITS.record_slots_min

/** What a record allows its peer to hold in protected buckets; one that is not known has none. */
export const reachOf = (record: Load): Load =>
  isKnown(record)
    ? { slots: record.slots * LIMITS.record_reach, value: (record.value * BigInt(LIMITS.record_reach)) as Amount }
    : NO_LOAD

/** By its operator's word, without a payment yet: a peer known by contract. */
export const VOUCHED: Load = { slots: LIMITS.record_slots_max, value: VALUE_MAX }

/** Against probing and fast jamming: who failed too often waits; every good payment is worth one failure. */
export const mayFail = ({ slots, failed }: Reputation): boolean => failed < LIMITS.failed_forwards + slots
