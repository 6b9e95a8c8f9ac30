/**
 * The one place where state changes and becomes durable (C6). Work runs synchronously on what is in memory; everything
 * that it wrote is one batch together with whatever else came meanwhile (group commit); what it wants done in the outside
 * runs after that batch's sync and the high-water file's, strictly in order. Nothing can leave before it is durable,
 * because there is no other way out.
 */
import { keyText } from '../base/bytes.js'
import { MeridianError } from '../base/errors.js'
import type { ChannelId } from '../base/ids.js'
import type { Batch, Row, Store } from '../base/ports/store.js'
import type { Mark } from '../store/high-water.js'
import { appendEntry, truncateJournal } from '../store/journal.js'
import { systemTimers, type Timers } from '../wire/environment.js'
import { joinEntries } from './journal-entry.js'
import { channelRow, type LiveChannel, markOf } from './live-channel.js'

export interface Disk {
  readonly store: Store
  /** S2's order: the batch synced, then the marks synced; null forgets a channel that the ledger has closed for good. */
  commit(batch: Batch, marks: readonly (readonly [ChannelId, Mark | null])[]): Promise<void>
}

/** What a piece of work may do. Valid until the work returns. */
export interface Tx {
  /** The newest value, written but not yet synced ones included. */
  get(key: Uint8Array): Uint8Array | undefined
  put(row: Row): void
  delete(key: Uint8Array): void
  /** Runs once everything that this work wrote is durable, in the order of the calls. Must not throw. */
  after(run: () => void): void
  /** The channel's state and journal go into the batch. */
  touch(channel: LiveChannel, journal: readonly Uint8Array[]): void
  /** A part of the work that may fail by itself: where it throws, nothing of it stays, and it throws on. */
  attempt<T>(part: () => T): T
  /** How to take back what a piece of work changed in memory, should it fail. */
  undo(back: () => void): void
}

/** Rows of one batch; a value of undefined deletes. */
class Group {
  readonly rows = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array | undefined }>()
  readonly journal = new Map<LiveChannel, Uint8Array[]>()
  readonly effects: (() => void)[] = []
  readonly waiting: (() => void)[] = []

  get empty(): boolean {
    return this.rows.size === 0 && this.journal.size === 0 && this.effects.length === 0 && this.waiting.length === 0
  }
}

export class Engine {
  #open = new Group()
  #syncing: Group | undefined
  #scheduled = false
  #closed = false
  #idle: (() => void)[] = []
  /** What the work under way has changed, newest last. */
  readonly #changes: (() => void)[] = []
  #depth = 0

  constructor(
    private readonly disk: Disk,
    /** Called once for a failed commit: the process must end (S2). */
    private readonly onFatal: (error: unknown) => void,
    /** Rows to delete with the next batch (done outbox effects). */
    private readonly takeDone: () => readonly Uint8Array[] = () => [],
    private readonly timers: Timers = systemTimers,
  ) {}

  /**
   * Runs the work now. @returns its result; `durable` resolves when all that it wrote is synced. Work that throws has
   * changed nothing.
   * @throws MeridianError `unavailable` once closed
   */
  run<T>(work: (tx: Tx) => T): { readonly value: T; readonly durable: Promise<void> } {
    if (this.#closed) throw new MeridianError('unavailable', 'stopping')
    const value = this.#whole(() => work(this.#tx))
    const group = this.#open
    return { value, durable: new Promise((resolve) => this.#wait(group, resolve)) }
  }

  /** As `run`, where nobody waits. What comes too late was never heard: nothing changes, nothing leaves. */
  do(work: (tx: Tx) => void): void {
    if (this.#closed) return
    this.#whole(() => work(this.#tx))
    this.#schedule()
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const text = keyText(key)
    const row = this.#open.rows.get(text) ?? this.#syncing?.rows.get(text)
    return row === undefined ? this.disk.store.get(key) : row.value
  }

  /** Resolves when nothing is waiting to be written or run. From then on no work is taken: the disk may be closed. */
  async close(): Promise<void> {
    if (!this.#open.empty || this.#syncing !== undefined) {
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
    this.#closed = true
  }

  /** No work is taken any more. */
  get closed(): boolean {
    return this.#closed
  }

  readonly #tx: Tx = {
    get: (key) => this.get(key),
    put: (row) => this.#write(row),
    delete: (key) => this.#write({ key, value: undefined }),
    after: (run) => void this.#open.effects.push(run),
    touch: (channel, added) => {
      const { journal } = this.#open
      const entries = journal.get(channel)
      const before = entries?.length
      if (entries === undefined) journal.set(channel, [...added])
      else entries.push(...added)
      this.#changes.push(() => {
        if (entries === undefined || before === undefined) journal.delete(channel)
        else entries.length = before
      })
    },
    attempt: (part) => this.#whole(part),
    undo: (back) => void this.#changes.push(back),
  }

  #write(row: { readonly key: Uint8Array; readonly value: Uint8Array | undefined }): void {
    const { rows } = this.#open
    const text = keyText(row.key)
    const before = rows.get(text)
    rows.set(text, row)
    this.#changes.push(() => {
      if (before === undefined) rows.delete(text)
      else rows.set(text, before)
    })
  }

  /** C6: all of it or nothing: a defect half way must not leave half a step in the batch, or in memory. */
  #whole<T>(part: () => T): T {
    const changes = this.#changes.length
    const { effects } = this.#open
    const said = effects.length
    this.#depth += 1
    try {
      return part()
    } catch (error) {
      while (this.#changes.length > changes) this.#changes.pop()?.()
      effects.length = said
      throw error
    } finally {
      this.#depth -= 1
      if (this.#depth === 0) this.#changes.length = 0
    }
  }

  #wait(group: Group, resolve: () => void): void {
    group.waiting.push(resolve)
    this.#schedule()
  }

  /** The next batch begins when the one before is synced; meanwhile it grows. */
  #schedule(): void {
    if (this.#scheduled || this.#syncing !== undefined) return
    this.#scheduled = true
    this.timers.soon(() => {
      this.#scheduled = false
      this.#flush().catch(this.onFatal)
    })
  }

  async #flush(): Promise<void> {
    const group = this.#open
    this.#open = new Group()
    this.#syncing = group
    const { batch, marks } = this.#batchOf(group)
    if (batch.puts.length + batch.deletes.length > 0) await this.disk.commit(batch, marks)
    this.#syncing = undefined
    for (const effect of group.effects) effect()
    for (const resolve of group.waiting) resolve()
    if (this.#open.empty) {
      if (this.#idle.length > 0) this.#closed = true
      for (const resolve of this.#idle.splice(0)) resolve()
    } else this.#schedule()
  }

  #batchOf(group: Group): { readonly batch: Batch; readonly marks: readonly (readonly [ChannelId, Mark | null])[] } {
    const puts: Row[] = []
    const deletes: Uint8Array[] = []
    for (const { key, value } of group.rows.values()) {
      if (value === undefined) deletes.push(key)
      else puts.push({ key, value })
    }
    const marks: (readonly [ChannelId, Mark | null])[] = []
    for (const [channel, entries] of group.journal) {
      for (const payload of joinEntries(entries)) {
        const { head, put } = appendEntry(channel.id, channel.journal, payload)
        channel.journal = head
        puts.push(put)
      }
      const truncated = truncateJournal(this.disk.store, channel.id, channel.journal)
      channel.journal = truncated.head
      deletes.push(...truncated.deletes)
      puts.push(channelRow(channel))
      if (channel.state.phase === 'closed') marks.push([channel.id, null])
      else if (channel.fault === null) {
        marks.push([channel.id, markOf(channel.state)])
      }
    }
    if (puts.length + deletes.length > 0) deletes.push(...this.takeDone())
    return { batch: { puts, deletes }, marks }
  }
}
