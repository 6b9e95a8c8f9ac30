/**
 * Follows the ledger (A1): events in order into the registry of reveals and the channels that they concern, then ledger
 * time. The view advances to a head only once every event up to it was handled, so that what a step reads of the
 * registry is never older than the time that it reads (L8).
 */

import { equalBytes, readU64, u64, utf8 } from '../base/bytes.js'
import { InvariantError } from '../base/errors.js'
import type { ChannelId } from '../base/ids.js'
import type { ChainAdapter, LedgerEvent, LedgerTime } from '../base/ports/chain.js'
import { tableKey } from '../store/tables.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { Channels } from './channels.js'
import type { Engine, Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'
import type { Registry } from './registry.js'
import { Unheard } from './unheard.js'
import { Waiters } from './waiters.js'

const CURSOR = tableKey('node', utf8('cursor'))

export interface WatchHandlers {
  /** Any accepted transaction, within the batch that moves the cursor. */
  event(tx: Tx, event: LedgerEvent): void
  /** The view moved; all channels were told. */
  advanced(view: LedgerTime): void
}

export class ChainWatch {
  readonly #stop = new AbortController()
  readonly #done: Promise<void>[] = []
  readonly #waiters: Waiters
  readonly #unheard = new Unheard()
  #advanced = false
  #cursor: number
  #head: (LedgerTime & { readonly cursor: number }) | undefined
  #view: LedgerTime
  /** Monotone milliseconds of the last head: how old the view is (A1), whatever happens to the wall clock. */
  #heardAt: number

  constructor(
    private readonly chain: ChainAdapter,
    private readonly engine: Engine,
    private readonly channels: Channels,
    private readonly registry: Registry,
    private readonly handlers: WatchHandlers,
    private readonly logger: Logger,
    private readonly timers: Timers,
    start: LedgerTime,
  ) {
    const row = engine.get(CURSOR)
    this.#cursor = row === undefined ? 0 : (readU64(row) ?? 0)
    this.#view = start
    this.#waiters = new Waiters(timers)
    this.#heardAt = timers.now()
  }

  get view(): LedgerTime {
    return this.#view
  }

  /** Seconds since the ledger was last heard: a view older than ledger_age_max_s stops forwarding and opening (A1). */
  get age(): number {
    return Math.floor((this.timers.now() - this.#heardAt) / 1_000)
  }

  /** Events up to it were handled. */
  get cursor(): number {
    return this.#cursor
  }

  start(): void {
    this.#unheard.load((key) => this.engine.get(key), this.channels.all())
    this.#done.push(this.#followEvents(), this.#followHeads())
  }

  /** Every event up to a head was handled. */
  async caughtUp(ms: number): Promise<boolean> {
    if (!this.#advanced) await this.#waiters.wait('advanced', ms)
    return this.#advanced
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#done)
  }

  async #followEvents(): Promise<void> {
    await this.#forever('events', async () => {
      for await (const event of this.chain.events(this.#cursor, this.#stop.signal)) {
        const { durable } = this.engine.run((tx) => this.#handle(tx, event))
        await durable // bounds what a long catch-up holds in memory
        this.#cursor = event.cursor
        this.#advance()
      }
    })
  }

  async #followHeads(): Promise<void> {
    await this.#forever('heads', async () => {
      for await (const head of this.chain.heads(this.#stop.signal)) {
        this.#head = head
        this.#heardAt = this.timers.now()
        this.#advance()
      }
    })
  }

  /** The adapter reconnects by itself; what still ends a stream is said and tried again. */
  async #forever(name: string, follow: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await follow()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.logger.warn('ledger.stream_failed', { name, message: error instanceof Error ? error.name : 'unknown' })
      }
      if (!this.#stop.signal.aborted) await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.timers.after(1_000, resolve))
  }

  #handle(tx: Tx, event: LedgerEvent): void {
    tx.put({ key: CURSOR, value: u64(event.cursor) })
    const { transaction: tx_ } = event
    if (tx_.kind === 'reveal') {
      for (const scalar of tx_.scalars) this.registry.add(tx, { scalar, time: event.time })
    }
    const channel = 'channel' in tx_ ? this.channels.get(tx_.channel as ChannelId) : undefined
    if (channel === undefined) this.#rest(tx, event)
    else if (this.#unheard.has(channel) || !this.#hear(tx, channel, event)) {
      this.#unheard.keep(tx, channel, event)
      this.logger.warn('ledger.event_unheard', { channel: channel.text, kind: tx_.kind })
    }
  }

  /** @returns false where the channel could not take it */
  #hear(tx: Tx, channel: LiveChannel, event: LedgerEvent): boolean {
    const heard = this.#step(tx, channel, event)
    if (heard) this.#rest(tx, event)
    return heard
  }

  #step(tx: Tx, channel: LiveChannel, { transaction, height, time }: LedgerEvent): boolean {
    const at = { height, time }
    switch (transaction.kind) {
      case 'openChannel':
        if (!equalBytes(transaction.state, channel.context.terms.state)) return true
        return this.channels.step(tx, channel, { type: 'funded' })
      case 'exit':
      case 'supersede':
        return this.channels.step(tx, channel, { type: 'posted', transaction, at })
      case 'closeChannel':
      case 'settle':
      case 'punish':
        return this.channels.step(tx, channel, { type: 'paidOut', by: transaction.kind, at })
      default:
        return true
    }
  }

  /** What breaks at one event must not make this node deaf to those that follow. */
  #rest(tx: Tx, event: LedgerEvent): void {
    try {
      tx.attempt(() => this.handlers.event(tx, event))
    } catch (error) {
      const clause = error instanceof InvariantError ? error.clause : 'C11'
      this.logger.warn('ledger.event_failed', { kind: event.transaction.kind, clause })
    }
  }

  #advance(): void {
    const head = this.#head
    if (head === undefined || head.cursor > this.#cursor) return
    const first = !this.#advanced
    this.#advanced = true
    this.#waiters.wake('advanced')
    if (!first && head.height <= this.#view.height) return
    this.#view = { height: head.height, time: head.time }
    this.engine.do((tx) => {
      for (const channel of this.channels.all()) {
        if (this.#unheard.has(channel)) this.#hearAgain(tx, channel)
        this.channels.step(tx, channel, { type: 'tick' })
      }
    })
    this.handlers.advanced(this.#view)
  }

  /** What cannot even be read stays where it is: the other channels hear their head. */
  #hearAgain(tx: Tx, channel: LiveChannel): void {
    try {
      tx.attempt(() => this.#unheard.again(tx, channel, (event) => this.#hear(tx, channel, event)))
    } catch (error) {
      const clause = error instanceof InvariantError ? error.clause : 'C11'
      this.logger.warn('ledger.event_failed', { channel: channel.text, clause })
    }
  }
}
