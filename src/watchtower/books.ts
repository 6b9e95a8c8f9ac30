/**
 * A tower's rows (T1): read at once, written in order, durable when their promise resolves. A record is found by channel
 * and side, so neither memory nor the time of an event grows with the channels; only counters per client stay in memory.
 */
import type { Side } from '../base/channel-state.js'
import { encodeAs } from '../base/codec.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { Batch, Store } from '../base/ports/store.js'
import { parseRow } from '../store/rows.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Usage } from './gatekeeper.js'
import { bytesOf, type JobRow, type Watched, zJobRow, zWatched } from './record.js'

interface Cached {
  readonly record: Watched | undefined
  /** Resolves when this record is durable; undefined for one that was read. */
  durable: Promise<void> | undefined
}

const NOTHING: Usage = { channels: 0, bytes: 0, jobs: 0 }
const keyOf = (channel: Uint8Array, side: Side): Uint8Array => tableKey('watched', channel, side)
const jobKey = ({ client, job }: Pick<JobRow, 'client' | 'job'>): Uint8Array => tableKey('revealJob', client, job)

export class Books {
  /** What is not yet durable, and the last that were used; the oldest goes first. */
  readonly #cache = new Map<string, Cached>()
  readonly #usage = new Map<string, Usage>()
  #channels = 0
  #jobs = 0
  #last: Promise<void> = Promise.resolve()

  private constructor(private readonly store: Store) {}

  /** Reads all rows once. `busy` hears of channels under attention, `job` of every job. */
  static async open(
    store: Store,
    heard: { readonly busy: (watched: Watched) => void; readonly job: (job: JobRow) => void },
  ): Promise<Books> {
    const books = new Books(store)
    for await (const { value } of store.range(tableRange('watched'))) {
      const watched = parseRow(value, zWatched)
      books.#count(watched.client, { channels: 1, bytes: bytesOf(watched), jobs: 0 })
      if (watched.attention !== null) heard.busy(watched)
    }
    for await (const { value } of store.range(tableRange('revealJob'))) {
      const job = parseRow(value, zJobRow)
      books.#count(job.client, { channels: 0, bytes: 0, jobs: 1 })
      heard.job(job)
    }
    return books
  }

  get totals(): { readonly clients: number; readonly channels: number; readonly jobs: number } {
    return { clients: this.#usage.size, channels: this.#channels, jobs: this.#jobs }
  }

  usage(client: AccountId): Usage {
    return this.#usage.get(idText(client)) ?? NOTHING
  }

  watched(channel: ChannelId | Uint8Array, side: Side): Watched | undefined {
    const name = nameOf(channel, side)
    const cached = this.#cache.get(name)
    if (cached !== undefined) {
      this.#cache.delete(name)
      this.#cache.set(name, cached)
      return cached.record
    }
    const bytes = this.store.get(keyOf(channel, side))
    const record = bytes === undefined ? undefined : parseRow(bytes, zWatched)
    if (record !== undefined) this.#remember(name, { record, durable: undefined })
    return record
  }

  /** The channel's record of this client: it can be either side's. */
  watchedFor(channel: ChannelId | Uint8Array, client: AccountId): Watched | undefined {
    const name = idText(client)
    return ([0, 1] as const)
      .map((side) => this.watched(channel, side))
      .find((record) => record !== undefined && idText(record.client) === name)
  }

  keep(watched: Watched): Promise<void> {
    const before = this.watched(watched.channel, watched.side)
    const bytes = bytesOf(watched) - (before === undefined ? 0 : bytesOf(before))
    this.#count(watched.client, { channels: before === undefined ? 1 : 0, bytes, jobs: 0 })
    const row = { key: keyOf(watched.channel, watched.side), value: encodeAs(zWatched, watched) }
    return this.#replace(watched, watched, { puts: [row], deletes: [] })
  }

  forget(watched: Watched): Promise<void> {
    this.#count(watched.client, { channels: -1, bytes: -bytesOf(watched), jobs: 0 })
    return this.#replace(watched, undefined, { puts: [], deletes: [keyOf(watched.channel, watched.side)] })
  }

  keepJob(job: JobRow): Promise<void> {
    this.#count(job.client, { channels: 0, bytes: 0, jobs: 1 })
    return this.write({ puts: [{ key: jobKey(job), value: encodeAs(zJobRow, job) }], deletes: [] })
  }

  forgetJob(job: JobRow): Promise<void> {
    this.#count(job.client, { channels: 0, bytes: 0, jobs: -1 })
    return this.write({ puts: [], deletes: [jobKey(job)] })
  }

  /** When everything written so far is durable. */
  durable(): Promise<void> {
    return this.#last
  }

  write(batch: Batch): Promise<void> {
    this.#last = this.store.write(batch)
    return this.#last
  }

  #replace({ channel, side }: Watched, record: Watched | undefined, batch: Batch): Promise<void> {
    const cached: Cached = { record, durable: undefined }
    const durable = this.write(batch).then(() => {
      cached.durable = undefined
    })
    cached.durable = durable
    this.#remember(nameOf(channel, side), cached)
    return durable
  }

  #remember(name: string, cached: Cached): void {
    this.#cache.delete(name)
    this.#cache.set(name, cached)
    if (this.#cache.size <= LIMITS.tower_cached) return
    for (const [old, { durable }] of this.#cache) {
      if (durable !== undefined) continue // not on disk yet: only here
      this.#cache.delete(old)
      break
    }
  }

  #count(client: AccountId, change: Usage): void {
    const name = idText(client)
    const { channels, bytes, jobs } = this.#usage.get(name) ?? NOTHING
    const next = { channels: channels + change.channels, bytes: bytes + change.bytes, jobs: jobs + change.jobs }
    if (next.channels === 0 && next.jobs === 0) this.#usage.delete(name)
    else this.#usage.set(name, next)
    this.#channels += change.channels
    this.#jobs += change.jobs
  }
}

const nameOf = (channel: Uint8Array, side: Side): string => `${idText(channel)}/${side}`
