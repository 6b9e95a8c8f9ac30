import { createHash, randomBytes } from 'node:crypto'
import { existsSync, writeSync } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { concatBytes, equalBytes, utf8 } from '../base/bytes.js'
import { count } from '../base/counters.js'
import { invariant } from '../base/errors.js'
import { type ChannelId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { endProcess, type OnFatal } from './fatal.js'
import { writeFileAtomic } from './file.js'
import { causeOf, GroupCommit } from './group-commit.js'
import {
  decodeSlot,
  encodeSlot,
  type Mark,
  PAGE_BYTES,
  SLOT_BYTES,
  SLOTS_PER_PAGE,
  slotOffset,
} from './high-water-slot.js'

export type { Mark } from './high-water-slot.js'

/**
 * equal: the database holds what this file promises. database_behind: it lost something, RECOVERY (S2).
 * database_ahead: the process died between the two syncs and no message left; `raise` catches up.
 * unknown: never raised here, or its slots are damaged.
 */
export type HighWaterCheck = 'equal' | 'database_behind' | 'database_ahead' | 'unknown'

export interface HighWaterOptions {
  readonly onFatal?: OnFatal
}

/** Where the marks are kept: a file, or a simulated disk. */
export interface HighWaterFile {
  /** Into the page cache: cheaper than a turn through the thread pool. @returns how many bytes were taken. */
  write(bytes: Uint8Array, offset: number): number
  /** What was written is durable. */
  datasync(): Promise<void>
  /** And its length. */
  sync(): Promise<void>
  close(): Promise<void>
}

const fileOf = (handle: FileHandle): HighWaterFile => ({
  write: (bytes, offset) => writeSync(handle.fd, bytes, 0, bytes.length, offset),
  datasync: () => handle.datasync(),
  sync: () => handle.sync(),
  close: () => handle.close(),
})

/** What stands at one position. `written` is of the last slot submitted, durable or on its way. */
interface Place {
  readonly position: number
  channel: ChannelId | undefined
  mark: Mark
  sequence: number
  /** The mark whose sync has resolved, where that is the newest. */
  durable: Mark | undefined
}

const MAGIC = utf8('MRDHIGH1')
const FILE_ID_BYTES = 16
const GROWTH_PAGES = 16
const sameMark = (a: Mark, b: Mark): boolean =>
  a.version === b.version && a.revoked === b.revoked && a.ended === b.ended

const NOTHING: Mark = { version: 0, revoked: 0, ended: false }

/**
 * S2's high-water file: outside LevelDB, of fixed-size slots, two per channel written in turn, so that a write torn by
 * a power loss leaves the older one standing. Not sealed: it holds channel ids and counters. Refuses with
 * `high_water_exists` or `store_failed`.
 */
export async function createHighWater(path: string, options: HighWaterOptions = {}): Promise<Result<HighWater>> {
  if (existsSync(path)) return refuse('high_water_exists', path)
  const id = new Uint8Array(randomBytes(FILE_ID_BYTES))
  try {
    await writeFileAtomic(path, header(id))
    return ok(new HighWater(fileOf(await open(path, 'r+')), id, options, new Uint8Array(0)))
  } catch (error) {
    return refuse('store_failed', causeOf(error))
  }
}

/** Refuses with `high_water_missing`, `high_water_corrupt` (no readable header) or `store_failed`. */
export async function openHighWater(path: string, options: HighWaterOptions = {}): Promise<Result<HighWater>> {
  if (!existsSync(path)) return refuse('high_water_missing', path)
  try {
    const bytes = new Uint8Array(await readFile(path))
    const id = bytes.slice(MAGIC.length, MAGIC.length + FILE_ID_BYTES)
    if (!equalBytes(header(id), bytes.subarray(0, PAGE_BYTES))) return refuse('high_water_corrupt', path)
    return ok(new HighWater(fileOf(await open(path, 'r+')), id, options, bytes.subarray(PAGE_BYTES)))
  } catch (error) {
    return refuse('store_failed', causeOf(error))
  }
}

function header(id: Uint8Array): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES)
  const body = concatBytes(MAGIC, id)
  page.set(concatBytes(body, createHash('sha256').update(body).digest()))
  return page
}

/** In anything: what one knows and the other does not was lost there. */
const isBelow = (a: Mark, b: Mark): boolean => a.version < b.version || a.revoked < b.revoked || (b.ended && !a.ended)

export class HighWater {
  readonly #places: Place[] = []
  readonly #byChannel = new Map<string, Place>()
  readonly #free: Place[] = []
  readonly #commits: GroupCommit<Place>
  #pages: number
  #torn = 0
  #damaged = 0

  /** @internal Through createHighWater, openHighWater or a simulated disk only. `pages`: what follows the header. */
  constructor(
    private readonly file: HighWaterFile,
    private readonly id: Uint8Array,
    { onFatal = endProcess }: HighWaterOptions,
    pages: Uint8Array,
  ) {
    this.#commits = new GroupCommit((places) => this.#sync(places), onFatal, LIMITS.store_group_batches)
    this.#pages = Math.floor(pages.length / (2 * PAGE_BYTES)) * 2 // half a growth that was cut off is grown again
    for (let position = 0; position < (this.#pages / 2) * SLOTS_PER_PAGE; position++) this.#read(position, pages)
  }

  /** Positions where one copy was unreadable and the other stands: a write was torn, or a bit rotted. */
  get torn(): number {
    return this.#torn
  }

  /** Positions of which neither copy is readable: some channel is `unknown` that should not be. */
  get damaged(): number {
    return this.#damaged
  }

  check(channel: ChannelId, held: Mark): HighWaterCheck {
    const mark = this.#byChannel.get(idText(channel))?.mark
    if (mark === undefined) return 'unknown'
    if (isBelow(held, mark)) return 'database_behind'
    return isBelow(mark, held) ? 'database_ahead' : 'equal'
  }

  /** Every channel that this file promises something about: one that the database does not know was lost by it. */
  *channels(): Iterable<readonly [ChannelId, Mark]> {
    for (const { channel, mark } of this.#byChannel.values()) if (channel !== undefined) yield [channel, mark]
  }

  /**
   * Resolves when the mark is on disk: after the batch's sync, before the message (S2). Concurrent calls share one sync.
   * @throws InvariantError where a mark would fall (C7).
   */
  raise(channel: ChannelId, mark: Mark): Promise<void> {
    const name = idText(channel)
    const known = this.#byChannel.get(name)
    invariant(known === undefined || !isBelow(mark, known.mark), 'S2', 'a high-water mark never falls')
    if (known !== undefined && known.durable === known.mark && sameMark(known.mark, mark)) return Promise.resolve()
    const place = known ?? this.#takePlace()
    place.channel = channel
    place.mark = mark
    this.#byChannel.set(name, place)
    return this.#commits.submit(place)
  }

  /** For a channel that the ledger has closed for good: its place becomes free once that is on disk. */
  async forget(channel: ChannelId): Promise<void> {
    const name = idText(channel)
    const place = this.#byChannel.get(name)
    if (place === undefined) return
    this.#byChannel.delete(name)
    place.channel = undefined
    place.mark = NOTHING
    place.durable = undefined
    await this.#commits.submit(place)
    this.#free.push(place)
  }

  async close(): Promise<void> {
    await this.#commits.close()
    await this.file.close()
  }

  #read(position: number, pages: Uint8Array): void {
    const copies = [0, 1].map((parity) => {
      const at = slotOffset(position, parity) - PAGE_BYTES
      return decodeSlot(this.id, position, pages.subarray(at, at + SLOT_BYTES))
    })
    const place: Place = { position, channel: undefined, mark: NOTHING, sequence: 0, durable: undefined }
    this.#places.push(place)
    const whole = copies.filter((copy) => typeof copy === 'object')
    const torn = copies.includes('torn')
    if (whole.length === 0 && torn) {
      this.#damaged += 1 // never written again: its bytes are evidence
      return
    }
    if (torn) this.#torn += 1
    for (const slot of whole) if (slot.sequence > place.sequence) Object.assign(place, slot)
    if (place.channel === undefined) this.#free.push(place)
    else this.#byChannel.set(idText(place.channel), place)
  }

  #takePlace(): Place {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const place: Place = {
      position: this.#places.length,
      channel: undefined,
      mark: NOTHING,
      sequence: 0,
      durable: undefined,
    }
    this.#places.push(place)
    return place
  }

  /** One slot per place, whatever the number of its raises; each overwrites the older copy, the newer being durable. */
  async #sync(places: readonly Place[]): Promise<void> {
    const written = new Map([...new Set(places)].map((place) => [place, place.mark]))
    for (const place of written.keys()) {
      while (this.#pages * SLOTS_PER_PAGE <= 2 * place.position) await this.#grow()
      place.sequence += 1
      this.#write(encodeSlot(this.id, place.position, place), slotOffset(place.position, place.sequence))
    }
    await this.file.datasync()
    count('fsyncs')
    for (const [place, mark] of written) place.durable = mark
  }

  /** Written zeros, not a hole: a later datasync then has no metadata of the file to carry. */
  async #grow(): Promise<void> {
    this.#write(new Uint8Array(GROWTH_PAGES * PAGE_BYTES), PAGE_BYTES * (1 + this.#pages))
    await this.file.sync()
    this.#pages += GROWTH_PAGES
  }

  /** A full disk may take a part without an error. */
  #write(bytes: Uint8Array, offset: number): void {
    const written = this.file.write(bytes, offset)
    count('diskBytes', written)
    if (written !== bytes.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' })
  }
}
