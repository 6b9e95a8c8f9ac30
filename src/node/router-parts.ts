/** What the routing half of a node shares: facts about its channels, ledger and policy, gathered for the pure router. */
import type { Amount } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { Point, Scalar } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import type { ChainAdapter, LedgerTime } from '../base/ports/chain.js'
import type { ExpiryBounds, OutgoingChannel } from '../router/forward.js'
import type { Obligation } from '../router/obligation-record.js'
import type { GraphView } from '../router/pathfind.js'
import type { Policy } from '../router/policy.js'
import type { Lesson, SuccessEstimate } from '../router/success.js'
import type { Entropy, Timers } from '../wire/environment.js'
import { capacityOf } from './capacity.js'
import type { Channels } from './channels.js'
import type { Tx } from './engine.js'
import type { EventLog } from './event-log.js'
import type { LiveChannel } from './live-channel.js'
import type { LockFacts } from './offered.js'
import type { PeerRecords } from './peer-records.js'

export interface RouterParts extends LockFacts {
  readonly chain: ChainAdapter
  readonly channels: Channels
  readonly events: EventLog
  readonly account: AccountId
  /** The account's. */
  readonly key: Scalar
  /** Secrets.walletSeed: scalars of invoices. */
  readonly seed: Uint8Array
  readonly forwarding: boolean
  readonly entropy: Entropy
  readonly timers: Timers
  readonly bounds: ExpiryBounds
  readonly view: () => LedgerTime
  /** A1: the view is younger than `ledger_age_max_s`. */
  readonly ledgerFresh: () => boolean
  /** Stopping soon: nothing new is begun; what is under way goes on. */
  readonly draining: () => boolean
  readonly policyOf: (channel: LiveChannel) => Policy
  /** Hubs and their policies as gossip tells them (R4), and what our own payments taught of them. */
  readonly graph: GraphView
  readonly success: SuccessEstimate
  /** R4: what the end of an attempt teaches. */
  readonly learn: (tx: Tx, lessons: readonly Lesson[]) => void
  /** What peers have shown, and hold of our channels (jamming). */
  readonly records: PeerRecords
  /** An obligation was stored, or ended (T3). */
  readonly kept: (tx: Tx, obligation: Obligation) => void
}

/** Most able first: a forward takes the first that passes. @param peer who offers the lock that is to be forwarded. */
export function channelsTo(parts: RouterParts, account: AccountId, peer: AccountId): OutgoingChannel[] {
  return parts.channels
    .with(account)
    .filter(({ state }) => state.phase !== 'closed')
    .map((channel) => {
      const capacity = capacityOf(channel)
      const { ready, closing, canSend, slotsFree } = capacity
      const phase = closing ? ('closing' as const) : ready ? ('ready' as const) : ('offline' as const)
      const room = parts.records.room(channel, capacity, peer)
      return { channel: channel.id, policy: parts.policyOf(channel), phase, canSend, slotsFree, room }
    })
    .sort((a, b) => compareAmounts(b.canSend, a.canSend))
}

const compareAmounts = (a: Amount, b: Amount): number => (a < b ? -1 : a > b ? 1 : 0)

/** R1: no point is offered that somebody could already open, or that a lock of ours has. */
export function pointUse(parts: RouterParts, tx: Tx, point: Point): 'free' | 'live' | 'revealed' {
  if (parts.registry.of(tx, point) !== undefined) return 'revealed'
  const isThis = (lock: { readonly point: Point }): boolean => equalBytes(lock.point, point)
  // C12: what is only proposed, or in a commit under way, is as live as what is in.
  const live = parts.channels
    .all()
    .some(
      ({ state: { current, outstanding, pending } }) =>
        current.content.locks.some(isThis) ||
        outstanding?.content.locks.some(isThis) === true ||
        pending.some(({ body }) => body.kind === 'lock' && isThis(body)),
    )
  return live ? 'live' : 'free'
}
