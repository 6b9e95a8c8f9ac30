/**
 * Gossip with connected peers (R4): two that meet compare their graphs, a hub tells what the other lacks, and what is new is
 * passed on once, in batches. Hubs relay; others only listen. Nothing is believed but signatures and the ledger.
 */
import { equalBytes } from '../base/bytes.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { GossipMessage } from '../base/message/gossip.js'
import type { ChainAdapter, LedgerEvent, LedgerTime } from '../base/ports/chain.js'
import type { Store } from '../base/ports/store.js'
import { type Authentic, authenticate, readAnnouncement } from '../router/announcement.js'
import { Pending } from '../router/gossip.js'
import type { Graph, KnownChannel } from '../router/graph.js'
import type { ItemName } from '../router/item.js'
import { TokenBucket } from '../wire/bucket.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { Engine, Tx } from './engine.js'
import { dropItems, loadGraph, putItem } from './graph-rows.js'
import type { LiveChannel } from './live-channel.js'
import type { NodeMessage } from './messages.js'
import type { OwnAnnouncements } from './own-announcements.js'

export interface GossipParts {
  readonly engine: Engine
  readonly store: Pick<Store, 'range'>
  readonly chain: Pick<ChainAdapter, 'ledger' | 'channel'>
  readonly graph: Graph
  readonly own: OwnAnnouncements
  /** A hub: answers and passes on. */
  readonly relays: boolean
  readonly send: (peer: AccountId, message: NodeMessage) => void
  readonly cut: (peer: AccountId) => void
  readonly view: () => LedgerTime
  readonly timers: Timers
  readonly logger: Logger
}

/** A connected peer that gossips. */
interface Link {
  readonly account: AccountId
  /** A hub: it answers, and its channels may be public. */
  readonly relays: boolean
  readonly pending: Pending
  readonly arrived: { readonly items: readonly Uint8Array[]; readonly done: () => void }[]
  taking: boolean
  /** Calls the next batch off. */
  cancel: (() => void) | undefined
}

/** What one peer may cost; it outlives the connection. */
interface Rate {
  readonly bytes: TokenBucket
  readonly compares: TokenBucket
}

/** Signatures checked in one turn of the event loop. */
const TURN_ITEMS = 16
const ENDED_REMEMBERED = 4_096
/** Ledger seconds between two looks for what has grown old. */
const SWEEP_S = 3_600

export class Gossip {
  readonly #links = new Map<string, Link>()
  readonly #rates = new Map<string, Rate>()
  /** Channels that ended lately: an answer of the ledger may be older than the event. */
  readonly #ended = new Set<string>()
  #cancelCompare: (() => void) | undefined
  #swept = 0
  #closed = false

  constructor(private readonly parts: GossipParts) {}

  /** What was stored; before the first peer. */
  async load(): Promise<void> {
    const { store, graph, view } = this.parts
    await loadGraph(store, graph, view().time)
    this.#swept = view().time
    this.policyChanged()
    this.#compareLater()
  }

  close(): void {
    this.#closed = true
    this.#cancelCompare?.()
    for (const link of this.#links.values()) link.cancel?.()
    this.#links.clear()
  }

  // ---- peers

  /** A peer that offers to listen, and perhaps to tell. */
  connected(account: AccountId, relays: boolean): void {
    this.#drop(account)
    const link: Link = { account, relays, pending: new Pending(), arrived: [], taking: false, cancel: undefined }
    this.#links.set(idText(account), link)
    this.#compare(link)
  }

  disconnected(peer: AccountId): void {
    this.#drop(peer)
  }

  /** A channel of ours whose peer is connected. */
  joined(channel: LiveChannel): void {
    const agreement = this.#links.get(idText(channel.peer))?.relays ? this.parts.own.agreement(channel) : undefined
    if (agreement !== undefined) this.parts.send(channel.peer, agreement)
  }

  message(peer: AccountId, message: GossipMessage, done: () => void): void {
    const link = this.#links.get(idText(peer))
    if (link !== undefined && message.name === 'announcements') {
      this.#arrived(link, message.body.items, done)
      return
    }
    if (link !== undefined && message.name === 'channelAgreement') this.#agreed(link, message.body)
    if (link !== undefined && message.name === 'graphDigests') this.#answer(link, message.body.digests)
    done()
  }

  // ---- the ledger and the operator

  /** A channel that is no longer open forwards nothing: it goes at once. */
  event(tx: Tx, { transaction }: LedgerEvent): void {
    switch (transaction.kind) {
      case 'exit':
      case 'closeChannel':
      case 'settle':
      case 'punish': {
        const { channel } = transaction
        remember(this.#ended, idText(channel), ENDED_REMEMBERED)
        dropItems(tx, this.parts.graph.remove(channel))
        return
      }
      default:
        return
    }
  }

  advanced({ time }: LedgerTime): void {
    if (time - this.#swept < SWEEP_S) return
    this.parts.engine.do((tx) => dropItems(tx, this.parts.graph.expire(time)))
    this.policyChanged()
    this.#swept = time
  }

  /** A policy of ours may be another, or old. */
  policyChanged(): void {
    const { engine, own, view } = this.parts
    const due = own.policies(view().time)
    if (due.length === 0) return
    engine.do((tx) => {
      for (const item of due) this.#apply(tx, item, new Map(), undefined)
    })
  }

  // ---- what comes in

  #agreed(link: Link, { channel, signature }: Extract<GossipMessage, { name: 'channelAgreement' }>['body']): void {
    const made = this.parts.own.agreed(link.account, channel, signature)
    if (made === 'forged') this.#malformed(link, 'announcement_signature')
    else if (made !== null) void this.#publish([made], undefined, () => undefined)
  }

  #arrived(link: Link, items: readonly Uint8Array[], done: () => void): void {
    const bytes = items.reduce((sum, item) => sum + item.length, 0)
    const { timers } = this.parts
    // Above the rate it is not read: what is missed shows at the next comparison.
    if (this.#rateOf(link).bytes.take(bytes, timers.now()) > 0) {
      done()
      return
    }
    link.arrived.push({ items, done })
    if (!link.taking) void this.#takeAll(link)
  }

  async #takeAll(link: Link): Promise<void> {
    link.taking = true
    for (let batch = link.arrived.shift(); batch !== undefined && !this.#closed; batch = link.arrived.shift()) {
      await this.#take(link, batch.items, batch.done)
    }
    link.taking = false
  }

  async #take(link: Link, items: readonly Uint8Array[], done: () => void): Promise<void> {
    const { chain, graph, timers } = this.parts
    const fresh: Authentic[] = []
    for (const [i, bytes] of items.entries()) {
      if (i % TURN_ITEMS === TURN_ITEMS - 1) await new Promise<void>((resolve) => timers.soon(resolve))
      const read = readAnnouncement(bytes)
      const held = read.ok && graph.holds(read.value)
      if (held) continue
      const authentic = read.ok ? authenticate(read.value, chain.ledger) : read
      if (!authentic.ok) {
        this.#malformed(link, authentic.error.code)
        done()
        return
      }
      fresh.push(authentic.value)
    }
    await this.#publish(fresh, link, done)
  }

  /** W3: no honest peer passes on what is not signed. */
  #malformed(link: Link, code: string): void {
    this.parts.logger.info('gossip.malformed', { peer: idText(link.account), code })
    this.parts.cut(link.account)
  }

  /** Asks the ledger about channels, then takes what it confirms. @param from who told it; none: ourselves. */
  async #publish(items: readonly Authentic[], from: Link | undefined, done: () => void): Promise<void> {
    const { engine, graph } = this.parts
    const channels = items.flatMap(({ announcement: { kind, channel } }) =>
      kind === 'channel' && !graph.has(channel) ? [channel] : [],
    )
    const found = new Map(await Promise.all(channels.map((channel) => this.#ask(channel))))
    if (this.#closed) return
    engine.do((tx) => {
      for (const item of items) this.#apply(tx, item, found, from)
      tx.after(done)
    })
  }

  async #ask(channel: ChannelId): Promise<readonly [string, KnownChannel | undefined]> {
    const text = idText(channel)
    try {
      const { value } = await this.parts.chain.channel(channel)
      return [text, value === undefined ? undefined : { accounts: value.accounts, open: value.phase === 'open' }]
    } catch (error) {
      // Unknown for now: it comes again with the next comparison.
      this.parts.logger.debug('gossip.ledger_away', { error: error instanceof Error ? error.name : 'unknown' })
      return [text, undefined]
    }
  }

  #apply(tx: Tx, item: Authentic, found: ReadonlyMap<string, KnownChannel | undefined>, from: Link | undefined): void {
    const { graph, own, view, logger } = this.parts
    const now = view().time
    const channelKnown = (channel: ChannelId): KnownChannel | undefined =>
      this.#ended.has(idText(channel)) ? undefined : found.get(idText(channel))
    const applied = graph.apply(item, { now, channelKnown })
    if (!applied.ok) {
      logger.debug('gossip.refused', { code: applied.error.code })
      return
    }
    putItem(tx, applied.value, item)
    tx.after(() => {
      this.#passOn(applied.value, from)
      if (applied.value.part === 'channel' && own.has(applied.value.channel)) this.policyChanged()
    })
  }

  // ---- what goes out

  /** To everybody but the one who told it; once, since only what is new comes here. */
  #passOn(name: ItemName, from: Link | undefined): void {
    if (!this.parts.relays) return
    for (const link of this.#links.values()) {
      if (link.account === from?.account) link.pending.drop(name)
      else link.pending.add(name)
      this.#flushLater(link)
    }
  }

  #compare(link: Link): void {
    if (!link.relays) return
    this.parts.send(link.account, { name: 'graphDigests', body: { digests: this.parts.graph.digests.bytes } })
  }

  #compareLater(): void {
    this.#cancelCompare = this.parts.timers.after(LIMITS.gossip_compare_ms, () => {
      for (const link of this.#links.values()) this.#compare(link)
      this.#compareLater()
    })
  }

  /** A question of a few bytes may cost an answer of many: so it is counted. */
  #answer(link: Link, theirs: Uint8Array): void {
    const { relays, graph, timers } = this.parts
    if (!relays || equalBytes(theirs, graph.digests.bytes)) return
    if (this.#rateOf(link).compares.take(1, timers.now()) > 0) return
    for (const name of graph.items()) if (graph.digests.differs(theirs, name.channel)) link.pending.add(name)
    this.#flushLater(link)
  }

  #flushLater(link: Link): void {
    if (link.cancel !== undefined || link.pending.size === 0) return
    link.cancel = this.parts.timers.after(LIMITS.gossip_batch_ms, () => {
      link.cancel = undefined
      const items = link.pending.take((name) => this.parts.graph.get(name), LIMITS.gossip_batch_bytes)
      if (items.length > 0) this.parts.send(link.account, { name: 'announcements', body: { items } })
      this.#flushLater(link)
    })
  }

  #drop(peer: AccountId): void {
    const name = idText(peer)
    const link = this.#links.get(name)
    link?.cancel?.()
    this.#links.delete(name)
  }

  #rateOf({ account }: Link): Rate {
    const name = idText(account)
    const known = this.#rates.get(name)
    if (known !== undefined) return known
    const now = this.parts.timers.now()
    const compares = LIMITS.gossip_compares
    const rate = {
      bytes: new TokenBucket(LIMITS.gossip_bytes_per_s, LIMITS.gossip_burst_bytes, now),
      compares: new TokenBucket(2_000 / LIMITS.gossip_compare_ms, compares, now),
    }
    const oldest = this.#rates.size >= LIMITS.peers_remembered ? this.#rates.keys().next().value : undefined
    if (oldest !== undefined) this.#rates.delete(oldest)
    this.#rates.set(name, rate)
    return rate
  }
}

/** The oldest goes for the newest. */
function remember(names: Set<string>, name: string, most: number): void {
  names.add(name)
  const oldest = names.size > most ? names.values().next().value : undefined
  if (oldest !== undefined) names.delete(oldest)
}
