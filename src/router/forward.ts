/** Whether and through which channel a lock is forwarded (R3): one list of rules, read from top to bottom. */
import { type Amount, minus } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { Point } from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import type { AccountId, ChannelId } from '../base/ids.js'
import type { ForwardArrival } from './arrival.js'
import type { LocalReason } from './failure.js'
import { feeOf } from './fee.js'
import { type Bucket, bucketFor, type Claimant, type Room } from './jamming/buckets.js'
import { amountRefusal, type Policy } from './policy.js'

/** One of our channels to the next hop, as it stands. */
export interface OutgoingChannel {
  readonly channel: ChannelId
  readonly policy: Policy
  readonly phase: 'ready' | 'offline' | 'closing'
  /** Ours to lock, above the reserve and after all locks under way (C9). */
  readonly canSend: Amount
  /** Locks that we may still offer (C9). */
  readonly slotsFree: number
  /** Of all of it, what forwards of others hold. */
  readonly room: Room
}

/** Seconds. */
export interface ExpiryBounds {
  /** Least time left on a lock that we offer or accept: enough to reveal and have it final. */
  readonly near: number
  /** Longest time for which we let a lock hold money. */
  readonly far: number
}

/** What a decision may look at besides the lock: plain facts, gathered by the node before it asks. */
export interface ForwardContext {
  /** Ledger time, seconds. */
  readonly now: number
  /** A1: the view is younger than `ledger_age_max_s`. */
  readonly ledgerFresh: boolean
  readonly forwarding: boolean
  /** The arrival's tag is in the durable replay set. */
  readonly replayed: boolean
  readonly bounds: ExpiryBounds
  /** The peer that offers the lock, by what it has shown so far. */
  readonly claimant: Claimant
  /** Every channel to this account, best first. */
  readonly channelsTo: (account: AccountId) => readonly OutgoingChannel[]
  /** `live`: in a lock of any of our channels; `revealed`: in the ledger's registry (R1). */
  readonly pointUse: (point: Point) => 'free' | 'live' | 'revealed'
}

interface Rule<Subject> {
  readonly name: string
  /** Undefined where the rule holds. */
  readonly refusal: (subject: Subject) => LocalReason | undefined
}

interface Forward {
  readonly arrival: ForwardArrival
  readonly context: ForwardContext
}
interface ForwardThrough extends Forward {
  readonly channel: OutgoingChannel
}

const unless = (holds: boolean, reason: LocalReason): LocalReason | undefined => (holds ? undefined : reason)

function pointRefusal({ arrival, context }: Forward): LocalReason | undefined {
  if (arrival.point === null) return 'point_zero'
  const use = context.pointUse(arrival.point)
  return use === 'free' ? undefined : use === 'live' ? 'point_live' : 'point_revealed'
}

function phaseRefusal({ channel }: ForwardThrough): LocalReason | undefined {
  if (channel.phase === 'closing') return 'channel_closing'
  return unless(channel.phase === 'ready', 'channel_offline')
}

function feeRefusal({ arrival, channel }: ForwardThrough): LocalReason | undefined {
  const paid = minus(arrival.incoming.amount, arrival.payload.amount)
  return unless(paid !== undefined && paid >= feeOf(channel.policy, arrival.payload.amount), 'fee_too_small')
}

const bucketOf = ({ arrival, context, channel }: ForwardThrough): Bucket | undefined =>
  bucketFor(channel.room, context.claimant, arrival.payload.amount)

/** First what does not depend on the channel … */
export const NODE_RULES: readonly Rule<Forward>[] = [
  { name: 'the ledger view is fresh (A1)', refusal: ({ context }) => unless(context.ledgerFresh, 'ledger_stale') },
  { name: 'the onion is new (R2)', refusal: ({ context }) => unless(!context.replayed, 'onion_replayed') },
  {
    name: 'the peer has not failed too often of late (probing, fast jamming)',
    refusal: ({ context }) => unless(context.claimant.mayFail, 'failed_too_often'),
  },
  { name: 'this node forwards', refusal: ({ context }) => unless(context.forwarding, 'forwarding_off') },
  {
    name: 'the next hop is not the previous one',
    refusal: ({ arrival }) => unless(!equalBytes(arrival.payload.next, arrival.incoming.peer), 'circular_route'),
  },
  {
    name: 'the next hop is known',
    refusal: ({ arrival, context }) => unless(context.channelsTo(arrival.payload.next).length > 0, 'unknown_next_hop'),
  },
  {
    name: 'the outgoing lock lasts long enough to be defended',
    refusal: ({ arrival, context }) =>
      unless(arrival.payload.expiry - context.now >= context.bounds.near, 'expiry_too_near'),
  },
  {
    name: 'no money is locked for too long',
    refusal: ({ arrival, context }) =>
      unless(arrival.incoming.expiry - context.now <= context.bounds.far, 'expiry_too_far'),
  },
  { name: 'the outgoing point is finite and not in use (R1)', refusal: pointRefusal },
]

/**
 * … then each channel to the next hop, in turn. First what the payer can mend, and is told; what would tell how the
 * channel stands comes after it, with one answer for all of it (failure.ts).
 */
export const CHANNEL_RULES: readonly Rule<ForwardThrough>[] = [
  {
    name: 'the amount is within the policy',
    refusal: ({ arrival, channel }) => amountRefusal(channel.policy, arrival.payload.amount),
  },
  { name: 'the fee suffices', refusal: feeRefusal },
  {
    name: 'the expiry delta suffices',
    refusal: ({ arrival, channel }) =>
      unless(arrival.incoming.expiry - arrival.payload.expiry >= channel.policy.expiryDelta, 'expiry_delta_too_small'),
  },
  { name: 'the channel is ready', refusal: phaseRefusal },
  { name: 'the policy is enabled', refusal: ({ channel }) => unless(channel.policy.enabled, 'channel_disabled') },
  {
    name: 'the channel has a free slot',
    refusal: ({ channel }) => unless(channel.slotsFree > 0, 'slots_full'),
  },
  {
    name: 'the channel has the balance',
    refusal: ({ arrival, channel }) => unless(channel.canSend >= arrival.payload.amount, 'balance_too_low'),
  },
  {
    name: 'half of the channel is left to peers with a record of good payments (jamming)',
    refusal: (through) => unless(bucketOf(through) !== undefined, 'kept_for_others'),
  },
]

/** What to propose in the outgoing channel. */
export interface OutgoingOffer {
  readonly channel: ChannelId
  readonly amount: Amount
  readonly point: Point
  readonly expiry: number
  readonly onion: Uint8Array
}

export type ForwardDecision =
  | { readonly kind: 'forward'; readonly offer: OutgoingOffer; readonly fee: Amount; readonly bucket: Bucket }
  | { readonly kind: 'fail'; readonly reason: LocalReason; readonly policy: Policy | null }

/** First rule that does not hold, and its place in the list. */
function firstRefusal<S>(rules: readonly Rule<S>[], subject: S): { at: number; reason: LocalReason } | undefined {
  for (const [at, rule] of rules.entries()) {
    const reason = rule.refusal(subject)
    if (reason !== undefined) return { at, reason }
  }
  return undefined
}

function decided(through: ForwardThrough): ForwardDecision {
  const { arrival, channel } = through
  const { payload, point, onion, incoming } = arrival
  const fee = minus(incoming.amount, payload.amount)
  const bucket = bucketOf(through)
  invariant(point !== null && fee !== undefined && bucket !== undefined, 'R3', 'a forward passed every rule')
  return {
    kind: 'forward',
    offer: { channel: channel.channel, amount: payload.amount, point, expiry: payload.expiry, onion },
    fee,
    bucket,
  }
}

/**
 * Asked once per lock, when it is irrevocably in (C12). The first channel that passes is taken; where none does, the
 * refusal is that of the channel that came furthest down the list.
 */
export function decideForward(arrival: ForwardArrival, context: ForwardContext): ForwardDecision {
  const refused = firstRefusal(NODE_RULES, { arrival, context })
  if (refused !== undefined) return { kind: 'fail', reason: refused.reason, policy: null }
  let furthest: { at: number; reason: LocalReason; policy: Policy } | undefined
  for (const channel of context.channelsTo(arrival.payload.next)) {
    const through = { arrival, context, channel }
    const refusal = firstRefusal(CHANNEL_RULES, through)
    if (refusal === undefined) return decided(through)
    if (furthest === undefined || refusal.at > furthest.at) furthest = { ...refusal, policy: channel.policy }
  }
  invariant(furthest !== undefined, 'R3', 'the next hop is known')
  return { kind: 'fail', reason: furthest.reason, policy: furthest.policy }
}
