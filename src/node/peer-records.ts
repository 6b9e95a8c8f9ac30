/**
 * What peers have shown as forwarders' customers, and what of our channels they hold (jamming, R3): the facts for
 * router/jamming. Records are rows of the batch in which a forward ends; what is held follows from the obligations.
 */
import { type Amount, plus } from '../base/amount.js'
import { bytesToHex, hexToBytes, utf8 } from '../base/bytes.js'
import { InvariantError } from '../base/errors.js'
import { type AccountId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { Store } from '../base/ports/store.js'
import type { Bucket, Claimant, Room } from '../router/jamming/buckets.js'
import {
  afterEnd,
  afterRefusal,
  aged,
  costOf,
  decodeReputation,
  encodeReputation,
  isKnown,
  type Load,
  lateness,
  lessened,
  mayFail,
  NO_LOAD,
  newcomer,
  type Reputation,
  reachOf,
  VOUCHED,
} from '../router/jamming/reputation.js'
import type { LockRef, Obligation } from '../router/obligation-record.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Capacity } from './capacity.js'
import type { Channels } from './channels.js'
import type { Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'

/** A lock that we offered for one of a peer's. */
export interface Held {
  readonly peer: AccountId
  readonly incoming: LockRef
  readonly outgoing: LockRef
  readonly amount: Amount
  readonly bucket: Bucket
}
interface InFlight extends Held {
  readonly peerText: string
  readonly outgoingText: string
  /** Ledger time of the offer; of the start for what was found then. */
  readonly since: number
}

const NAME = utf8('reputation')
const keyOf = (peer: string): Uint8Array => tableKey('node', NAME, hexToBytes(peer))
const refText = ({ channel, id }: LockRef): string => `${bytesToHex(channel)}/${id}`
const more = (load: Load, amount: Amount): Load => ({ slots: load.slots + 1, value: plus(load.value, amount) })

export class PeerRecords {
  /** By incoming lock. */
  readonly #inFlight = new Map<string, InFlight>()
  readonly #byPeer = new Map<string, Set<InFlight>>()
  readonly #byChannel = new Map<string, Set<InFlight>>()
  /** Known peers with what they may hold in protected buckets, and the sum of it. */
  readonly #known = new Map<string, Load>()
  #knownReach = NO_LOAD
  #knownAsOf = Number.NEGATIVE_INFINITY

  private constructor(
    private readonly records: Map<string, Reputation>,
    private readonly channels: Channels,
    /** Ledger seconds. */
    private readonly now: () => number,
    private readonly vouched: ReadonlySet<string>,
  ) {}

  /** @param vouched peers that are known by their operator's word. */
  static async load(
    store: Store,
    channels: Channels,
    now: () => number,
    vouched: readonly AccountId[],
  ): Promise<PeerRecords> {
    const records = new Map<string, Reputation>()
    for await (const { key, value } of store.range(tableRange('node', NAME))) {
      const record = decodeReputation(value)
      if (!record.ok) throw new InvariantError('S1', 'a stored reputation cannot be read')
      records.set(bytesToHex(key.slice(-33)), record.value)
    }
    return new PeerRecords(records, channels, now, new Set(vouched.map(idText)))
  }

  /** The peer that offers a lock. */
  claimant(peer: AccountId): Claimant {
    const name = idText(peer)
    const record = this.#record(name)
    const standing = lessened(this.#standing(name, record), this.#late(name))
    return {
      others: this.#others(name),
      known: isKnown(standing),
      reach: reachOf(standing),
      protected: this.#sum(this.#byPeer.get(name), ({ bucket }) => bucket === 'protected'),
      mayFail: mayFail(record),
    }
  }

  /** What of a channel is whose. */
  room(channel: LiveChannel, capacity: Capacity, peer: AccountId): Room {
    const held = this.#byChannel.get(channel.text)
    const name = idText(peer)
    const isGeneral = ({ bucket }: InFlight) => bucket === 'general'
    return {
      whole: {
        slots: capacity.slotsFree + capacity.offered.slots,
        value: plus(capacity.canSend, capacity.offered.value),
      },
      general: this.#sum(held, isGeneral),
      ownGeneral: this.#sum(held, (lock) => isGeneral(lock) && lock.peerText === name).slots,
    }
  }

  /** Within the batch of the offer. */
  offered(tx: Tx, held: Held): void {
    this.#add(tx, held)
  }

  /** A lock was refused before it was offered on, or claimed. A peer that waits already gets no worse by trying. */
  refused(tx: Tx, peer: AccountId): void {
    const name = idText(peer)
    const record = this.#record(name)
    if (mayFail(record)) this.#put(tx, name, afterRefusal(record, this.now()))
  }

  /** R2: what this peer's failing onions may add to the replay set: as many as may fail. */
  mayFail(peer: AccountId): boolean {
    return mayFail(this.#record(idText(peer)))
  }

  /** An obligation was stored, or ended: its outgoing lock may be out. */
  kept(tx: Tx, obligation: Obligation): void {
    const lock = this.#inFlight.get(refText(obligation.incoming))
    if (obligation.phase === 'offered') {
      if (lock === undefined) this.#found(tx, obligation)
      return
    }
    if (lock === undefined) return
    this.#remove(tx, lock)
    const claimed =
      obligation.phase === 'claiming' || (obligation.phase === 'ended' && obligation.outcome === 'claimed')
    const { peerText, amount, since } = lock
    const now = this.now()
    this.#put(tx, peerText, afterEnd(this.#record(peerText), { claimed, amount, held: now - since }, now))
  }

  /** After a start: how long a lock was held before is not known, nor its bucket. */
  #found(tx: Tx, { incoming, outgoing }: Extract<Obligation, { phase: 'offered' }>): void {
    const [from, to] = [this.channels.get(incoming.channel), this.channels.get(outgoing.channel)]
    const amount = to === undefined ? undefined : amountOf(to, outgoing.id)
    if (from === undefined || amount === undefined) return // the lock is out already
    this.#add(tx, { peer: from.peer, incoming, outgoing, amount, bucket: 'general' })
  }

  #add(tx: Tx, held: Held): void {
    const lock: InFlight = {
      ...held,
      peerText: idText(held.peer),
      outgoingText: bytesToHex(held.outgoing.channel),
      since: this.now(),
    }
    this.#insert(lock)
    tx.undo(() => this.#delete(lock))
  }

  #remove(tx: Tx, lock: InFlight): void {
    this.#delete(lock)
    tx.undo(() => this.#insert(lock))
  }

  #insert(lock: InFlight): void {
    this.#inFlight.set(refText(lock.incoming), lock)
    setOf(this.#byPeer, lock.peerText).add(lock)
    setOf(this.#byChannel, lock.outgoingText).add(lock)
  }

  #delete(lock: InFlight): void {
    this.#inFlight.delete(refText(lock.incoming))
    leave(this.#byPeer, lock.peerText, lock)
    leave(this.#byChannel, lock.outgoingText, lock)
  }

  #record(peer: string): Reputation {
    const now = this.now()
    return aged(this.records.get(peer) ?? newcomer(now), now)
  }

  #put(tx: Tx, peer: string, record: Reputation): void {
    const before = this.records.get(peer)
    if (before === undefined && this.records.size >= LIMITS.records) this.#forgetLeast(tx)
    this.#set(peer, record)
    tx.undo(() => this.#set(peer, before))
    tx.put({ key: keyOf(peer), value: encodeReputation(record) })
  }

  #set(peer: string, record: Reputation | undefined): void {
    if (record === undefined) this.records.delete(peer)
    else this.records.set(peer, record)
    this.#knows(peer, record)
  }

  /** As a peer counts: by its record, or by its operator's word. */
  #standing(peer: string, record: Reputation | undefined): Load {
    return this.vouched.has(peer) ? VOUCHED : (record ?? NO_LOAD)
  }

  #knows(peer: string, record: Reputation | undefined): void {
    const before = this.#known.get(peer) ?? NO_LOAD
    const after = reachOf(this.#standing(peer, record))
    const { slots, value } = this.#knownReach
    const sum = (value - before.value + after.value) as Amount
    this.#knownReach = { slots: slots - before.slots + after.slots, value: sum }
    if (after.slots > 0) this.#known.set(peer, after)
    else this.#known.delete(peer)
  }

  #forgetLeast(tx: Tx): void {
    const worth = ({ slots, failed }: Reputation): number => slots + failed
    const [least] = [...this.records].sort(([, a], [, b]) => worth(a) - worth(b))
    if (least === undefined) return
    const [peer, record] = least
    this.#set(peer, undefined)
    tx.undo(() => this.#set(peer, record))
    tx.delete(keyOf(peer))
  }

  /** What the other known peers may hold; what time took from records is looked at once an hour. */
  #others(peer: string): Load {
    const now = this.now()
    if (now - this.#knownAsOf >= 3_600 || now < this.#knownAsOf) this.#lookAgain()
    const { slots, value } = this.#knownReach
    const own = this.#known.get(peer) ?? NO_LOAD
    return { slots: slots - own.slots, value: (value - own.value) as Amount }
  }

  #lookAgain(): void {
    const now = this.now()
    this.#knownAsOf = now
    for (const peer of new Set([...this.vouched, ...this.records.keys()])) {
      const record = this.records.get(peer)
      this.#knows(peer, record === undefined ? undefined : aged(record, now))
    }
  }

  /** What its locks under way have cost a peer already. */
  #late(peer: string): Load {
    const now = this.now()
    let late = NO_LOAD
    for (const { amount, since } of this.#byPeer.get(peer) ?? []) {
      if (lateness(now - since) === 0) continue
      const { slots, value } = costOf(amount, now - since)
      late = { slots: late.slots + slots, value: plus(late.value, value) }
    }
    return late
  }

  #sum(locks: Iterable<InFlight> | undefined, counts: (lock: InFlight) => boolean): Load {
    let sum = NO_LOAD
    for (const lock of locks ?? []) if (counts(lock)) sum = more(sum, lock.amount)
    return sum
  }
}

function setOf(sets: Map<string, Set<InFlight>>, name: string): Set<InFlight> {
  const set = sets.get(name) ?? new Set()
  sets.set(name, set)
  return set
}

function leave(sets: Map<string, Set<InFlight>>, name: string, lock: InFlight): void {
  const set = sets.get(name)
  set?.delete(lock)
  if (set?.size === 0) sets.delete(name)
}

/** Of a lock that we offered, in the newest content or on its way into it. */
function amountOf({ state, context: { side } }: LiveChannel, id: number): Amount | undefined {
  const { current, outstanding, pending } = state
  const isThis = (lock: { readonly from: number; readonly id: number }) => lock.from === side && lock.id === id
  const lock = (outstanding ?? current).content.locks.find(isThis) ?? current.content.locks.find(isThis)
  if (lock !== undefined) return lock.amount
  const proposed = pending.find(isThis)?.body
  return proposed?.kind === 'lock' ? proposed.amount : undefined
}
