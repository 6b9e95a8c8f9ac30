/**
 * Follows the ledger (A1): events in order, then heads, of which the view takes those up to which every event was seen.
 * A start and a reorganisation go back `depth` blocks and hear them again.
 */
import { readU64, u64, utf8 } from '../base/bytes.js'
import { LIMITS } from '../base/limits.js'
import type { ChainAdapter, LedgerEvent, LedgerTime } from '../base/ports/chain.js'
import type { Batch, Store } from '../base/ports/store.js'
import { tableKey } from '../store/tables.js'
import type { Logger, Timers } from '../wire/environment.js'

const CURSOR = tableKey('tower', utf8('cursor'))
const RETRY_MS = 1_000

type Head = LedgerTime & { readonly cursor: number }

export interface FollowerOptions {
  readonly chain: Pick<ChainAdapter, 'events' | 'heads'>
  readonly store: Pick<Store, 'get'>
  readonly write: (batch: Batch) => Promise<void>
  /** A row is on its way to the disk; nobody waits for it. */
  readonly background: (durable: Promise<void>) => void
  readonly timers: Timers
  readonly logger: Logger
  readonly depth: number
  /** What it must not lose is written before it returns: the cursor's row comes later. */
  readonly event: (event: LedgerEvent) => void
  /** The view moved on. */
  readonly advanced: (view: LedgerTime) => void
  /** The ledger showed an older head than before: what was seen above it may be gone. */
  readonly wentBack: () => void
}

export class Follower {
  readonly #stop = new AbortController()
  #rewind = new AbortController()
  #cursor: number
  #view: LedgerTime | undefined
  /** The view is older than a reorganisation. */
  #viewIsOld = false
  #head: Head | undefined
  /** By height, rising: every event up to this height has a cursor up to this one. At most one older than `depth`. */
  #marks: { readonly height: number; readonly cursor: number }[]
  #written: number
  #done: Promise<unknown> = Promise.resolve()
  #caughtUp: (() => void)[] = []

  constructor(private readonly options: FollowerOptions) {
    const row = options.store.get(CURSOR)
    this.#cursor = row === undefined ? 0 : (readU64(row) ?? 0)
    this.#written = this.#cursor
    this.#marks = [{ height: 0, cursor: this.#cursor }]
  }

  /** Undefined until every event up to a head was seen. */
  get view(): LedgerTime | undefined {
    return this.#view
  }

  /** Resolves when the view stands, or at `stop`. */
  start(): Promise<void> {
    this.#done = Promise.all([
      this.#forever('events', () => this.#followEvents()),
      this.#forever('heads', () => this.#followHeads()),
    ])
    return new Promise((resolve) => this.#caughtUp.push(resolve))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#rewind.abort()
    for (const resolve of this.#caughtUp.splice(0)) resolve()
    await this.#done
  }

  async #followEvents(): Promise<void> {
    this.#rewind = new AbortController()
    const { signal } = this.#rewind
    let unsynced = 0
    for await (const event of this.options.chain.events(this.#cursor, AbortSignal.any([signal, this.#stop.signal]))) {
      if (signal.aborted) return
      this.options.event(event)
      this.#cursor = Math.max(this.#cursor, event.cursor)
      this.#mark(event.height - 1, event.cursor - 1)
      this.#advance()
      unsynced += 1
      if (unsynced % LIMITS.tower_cursor_events === 0) await this.#writeCursor() // bounds what a long catch-up holds
    }
  }

  async #followHeads(): Promise<void> {
    for await (const head of this.options.chain.heads(this.#stop.signal)) {
      const last = this.#head
      this.#head = head
      if (last !== undefined && (head.height < last.height || head.cursor < last.cursor)) this.#goBack(head)
      this.#advance()
    }
  }

  #goBack(head: Head): void {
    const { logger, depth, wentBack } = this.options
    logger.warn('tower.ledger_went_back', { height: head.height })
    const floor = head.height - depth
    this.#marks = this.#marks.filter(({ height }, at) => at === 0 || height <= floor)
    this.#cursor = Math.min(this.#marks.at(-1)!.cursor, head.cursor)
    this.#viewIsOld = true
    this.#rewind.abort() // the stream of events begins again at the cursor
    wentBack()
  }

  #mark(height: number, cursor: number): void {
    const last = this.#marks.at(-1)!
    if (height <= last.height) return
    this.#marks.push({ height, cursor: Math.max(cursor, last.cursor) })
    const floor = height - this.options.depth
    while (this.#marks.length > 1 && this.#marks[1]!.height <= floor) this.#marks.shift()
  }

  #advance(): void {
    const head = this.#head
    if (head === undefined || head.cursor > this.#cursor) return
    if (this.#view !== undefined && head.height <= this.#view.height && !this.#viewIsOld) return
    this.#mark(head.height, head.cursor)
    this.#viewIsOld = false
    this.#view = { height: head.height, time: head.time }
    this.options.background(this.#writeCursor())
    for (const resolve of this.#caughtUp.splice(0)) resolve()
    this.options.advanced(this.#view)
  }

  /** The row lies `depth` blocks behind: a start hears again what a reorganisation may have changed meanwhile. */
  #writeCursor(): Promise<void> {
    const { cursor } = this.#marks[0]!
    if (cursor === this.#written) return Promise.resolve()
    this.#written = cursor
    return this.options.write({ puts: [{ key: CURSOR, value: u64(cursor) }], deletes: [] })
  }

  /** The adapter reconnects by itself; what still ends a stream is said and tried again. */
  async #forever(name: string, follow: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await follow()
        if (this.#rewind.signal.aborted && name === 'events') continue
      } catch (error) {
        if (this.#stop.signal.aborted) return
        if (this.#rewind.signal.aborted && name === 'events') continue
        const message = error instanceof Error ? error.name : 'unknown'
        this.options.logger.warn('tower.stream_failed', { name, message })
      }
      if (!this.#stop.signal.aborted) await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stop
      const end = (): void => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = this.options.timers.after(RETRY_MS, end)
      signal.addEventListener('abort', end)
    })
  }
}
