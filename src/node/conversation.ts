/** What peers and the ledger say, brought to the channels that it concerns. */
import { equalBytes } from '../base/bytes.js'
import type { ErrorCode } from '../base/errors.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import type { ChannelMessage } from '../base/message/channel.js'
import { FEATURES } from '../base/message/session.js'
import type { ChainAdapter, LedgerEvent, LedgerTime } from '../base/ports/chain.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { WatchHandlers } from './chain-watch.js'
import type { ChannelBook } from './channel-book.js'
import type { Channels } from './channels.js'
import type { Engine, Tx } from './engine.js'
import type { EventLog } from './event-log.js'
import type { Exits } from './exits.js'
import type { Gossip } from './gossip.js'
import { Heads } from './heads.js'
import { type Ending, logEnding } from './ledger-events.js'
import type { LiveChannel } from './live-channel.js'
import { isGossip, isOpening, type NodeMessage, type PolicyMessage } from './messages.js'
import type { Openings } from './openings.js'
import type { PeerHandlers } from './peers.js'
import type { Policies } from './policies.js'
import type { Recovery } from './recovery.js'
import type { Retention } from './retention.js'
import type { Waiters } from './waiters.js'

export interface ConversationParts {
  readonly engine: Engine
  readonly channels: Channels
  readonly book: ChannelBook
  readonly chain: ChainAdapter
  readonly openings: Openings
  readonly policies: Policies
  readonly events: EventLog
  readonly ends: Waiters
  readonly retention: Retention
  readonly exits: Exits
  readonly recovery: Recovery
  readonly gossip: Gossip
  readonly logger: Logger
  readonly forwarding: boolean
  /** Where payers reach us. */
  readonly announced: () => string | null
  readonly send: (peer: AccountId, message: NodeMessage) => void
  readonly isConnected: (peer: AccountId) => boolean
  readonly timers: Timers
  /** Who else hears of heads. */
  readonly advanced: Readonly<Record<'towers' | 'obligations', (view: LedgerTime) => void>>
}

export class Conversation implements PeerHandlers, WatchHandlers {
  #time = 0
  readonly #heads: Heads

  constructor(private readonly parts: ConversationParts) {
    const { openings, retention, exits, recovery, gossip, logger, timers, engine } = parts
    const listeners = {
      openings: () => openings.advanced(),
      retention: ({ time }: LedgerTime) => retention.advanced(time),
      towers: parts.advanced.towers,
      obligations: parts.advanced.obligations,
      exits: () => exits.review(),
      recovery: () => recovery.advanced(),
      gossip: (view: LedgerTime) => gossip.advanced(view),
      unfunded: (view: LedgerTime) => this.#forgetUnfunded(view),
    }
    this.#heads = new Heads(listeners, { logger, timers, stopping: () => engine.closed })
  }

  // ---- peers

  connected(peer: AccountId, features: ReadonlySet<number>): void {
    const { engine, channels, recovery, gossip } = this.parts
    if (features.has(FEATURES.gossip)) gossip.connected(peer, features.has(FEATURES.relays))
    engine.do((tx) => {
      for (const channel of channels.with(peer)) this.#join(tx, channel)
    })
    recovery.lost.connected(peer)
  }

  disconnected(peer: AccountId): void {
    const { engine, channels, openings } = this.parts
    engine.do((tx) => {
      for (const channel of channels.with(peer)) channels.step(tx, channel, { type: 'disconnected' })
    })
    openings.peerLost(peer)
    this.parts.gossip.disconnected(peer)
  }

  message(peer: AccountId, message: NodeMessage, done: () => void): void {
    const { engine, openings, gossip } = this.parts
    if (isGossip(message)) {
      gossip.message(peer, message, done)
      return
    }
    if (isOpening(message)) openings.receive(peer, message)
    engine.do((tx) => {
      if (!isOpening(message)) this.#channelMessage(tx, peer, message)
      tx.after(done)
    })
  }

  #channelMessage(tx: Tx, peer: AccountId, message: ChannelMessage | PolicyMessage): void {
    const { channels, policies, recovery } = this.parts
    const channel = channels.get(message.body.channel as ChannelId)
    if (channel === undefined && message.name === 'newest') recovery.lost.heard(tx, peer, message.body)
    // Only its two parties speak about a channel; what a stranger says of it is as if unsaid.
    if (channel === undefined || !equalBytes(channel.peer, peer)) return
    if (message.name === 'forwardingPolicy') {
      policies.told(tx, channel, message.body)
      return
    }
    // The peer may have seen the opening's finality before us: its reestablish must not be lost.
    if (channel.state.link === 'down') channels.step(tx, channel, { type: 'connected' })
    channels.step(tx, channel, { type: 'received', message })
  }

  #join(tx: Tx, channel: LiveChannel): void {
    const { phase, link } = channel.state
    if (phase === 'funding' || phase === 'closed') return
    if (link === 'down') this.parts.channels.step(tx, channel, { type: 'connected' })
    tx.after(() => {
      this.tellPolicy(channel)
      this.parts.gossip.joined(channel)
    })
  }

  tellPolicy(channel: LiveChannel): void {
    const { forwarding, policies, send, announced } = this.parts
    if (!forwarding || channel.state.phase !== 'open' || channel.stopped !== undefined) return
    const body = { channel: channel.id as Uint8Array as PolicyMessage['body']['channel'], policy: policies.of(channel) }
    send(channel.peer, { name: 'forwardingPolicy', body: { ...body, url: announced() } })
  }

  // ---- ledger

  event(tx: Tx, event: LedgerEvent): void {
    const { channels, book, openings, events, ends, isConnected, recovery } = this.parts
    const { transaction } = event
    this.#time = event.time
    this.parts.gossip.event(tx, event)
    if (!('channel' in transaction)) return
    const channel = channels.get(transaction.channel as ChannelId)
    if (channel === undefined) {
      recovery.lost.event(tx, event)
      return
    }
    const peer = idText(channel.peer)
    const at = { time: event.time, channel: channel.text, peer }
    if (transaction.kind === 'openChannel') {
      events.append(tx, { type: 'channel.opened', ...at })
      book.funded(tx, channel.id)
      if (isConnected(channel.peer)) this.#join(tx, channel)
      tx.after(() => openings.funded(channel.id))
      return
    }
    logEnding(tx, events, channel, transaction, at)
    if (channel.state.phase === 'closed') tx.after(() => ends.wake(channel.text))
  }

  /** C8: an exit that waits for the ledger must not leave once its channel has been shown to be behind: it costs the pool. */
  stands({ kind, channel }: Ending): boolean {
    return kind !== 'exit' || this.parts.channels.get(channel as ChannelId)?.state.phase === 'exiting'
  }

  /** The ledger refused a transaction of a channel: what is still needed is asked for again. */
  refused(transaction: Ending, code: ErrorCode): void {
    const { engine, channels } = this.parts
    const channel = channels.get(transaction.channel as ChannelId)
    if (channel === undefined) return
    engine.do((tx) => channels.step(tx, channel, { type: 'submitRefused', kind: transaction.kind, code }))
  }

  advanced(view: LedgerTime): void {
    this.#time = view.time
    this.#heads.advanced(view)
  }

  broken(tx: Tx, channel: LiveChannel, clause: string): void {
    const at = { time: this.#time, channel: channel.text, peer: idText(channel.peer) }
    this.parts.events.append(tx, { type: 'channel.broken', ...at, clause })
  }

  #forgetUnfunded(view: LedgerTime): void {
    for (const channel of this.parts.channels.all()) {
      if (channel.state.phase === 'funding') void this.#forgetOne(channel, view)
    }
  }

  /** L5: past validUntil the ledger takes the opening no more; a view of such a time without it is final. */
  async #forgetOne(channel: LiveChannel, view: LedgerTime): Promise<void> {
    const { book, engine, chain, logger } = this.parts
    try {
      if (view.time <= book.validUntil(engine, channel.id)) return
      const seen = await chain.channel(channel.id)
      if (seen.value !== undefined || seen.time <= book.validUntil(engine, channel.id)) return
      engine.do((tx) => book.forget(tx, channel.id))
      logger.info('channel.forgotten', { channel: channel.text })
    } catch (error) {
      logger.debug('channel.forget_later', { error: error instanceof Error ? error.name : 'unknown' })
    }
  }
}
