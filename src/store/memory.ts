import { bytesToHex, hexToBytes } from '../base/bytes.js'
import { invariant, MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Batch, Range, Row, Store } from '../base/ports/store.js'
import type { OnFatal } from './fatal.js'
import { GroupCommit } from './group-commit.js'
import { checkBatch, FIRST_USER_KEY } from './own-rows.js'

/** The Store port in memory, for tests: the same grouping and order as on disk, with a disk that fails on command. */
export interface MemoryStore extends Store {
  /** Syncs that succeeded: one may carry many batches. */
  readonly syncs: number
  /** The nth sync from now on (1 is the next) fails; the store is dead from then on (S2). */
  failSync(nth: number): void
  /** Syncs begin but do not end until `release`. */
  hold(): void
  release(): void
  /**
   * Power loss: what a disk shows after it. Unsynced batches are gone; the one in flight is lost or kept, a disk may do
   * either. The old store answers nothing more, and its pending writes never settle: that process is dead.
   */
  crash(inFlight?: 'lost' | 'kept'): MemoryStore
}

export interface MemoryOptions {
  /** Default: nothing beyond the rejection. */
  readonly onFatal?: OnFatal
}

type Rows = Map<string, Uint8Array>

export const memoryStore = (options: MemoryOptions = {}): MemoryStore =>
  new Memory(new Map(), options.onFatal ?? (() => {}))

class Memory implements MemoryStore {
  readonly #commits: GroupCommit<Batch>
  #sortedKeys: string[] | undefined
  #inFlight: readonly Batch[] = []
  #held: { readonly ended: Promise<void>; readonly end: () => void } | undefined
  #failAt = 0
  #state: 'open' | 'closed' | 'crashed' = 'open'
  #syncs = 0

  constructor(
    private readonly rows: Rows,
    private readonly onFatal: OnFatal,
  ) {
    this.#commits = new GroupCommit((batches) => this.#sync(batches), onFatal, LIMITS.store_group_batches)
  }

  get syncs(): number {
    return this.#syncs
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#checkOpen()
    return this.rows.get(bytesToHex(key))?.slice()
  }

  async *range({ from, to, limit = -1, reverse = false }: Range): AsyncIterable<Row> {
    this.#checkOpen()
    const [low, high] = [bytesToHex(from.length === 0 || from[0] === 0 ? FIRST_USER_KEY : from), bytesToHex(to)]
    this.#sortedKeys ??= [...this.rows.keys()].sort()
    const keys = this.#sortedKeys.filter((key) => key >= low && key < high)
    if (reverse) keys.reverse()
    const snapshot = keys.slice(0, limit < 0 ? undefined : limit).map((key) => [key, this.rows.get(key)!] as const)
    for (const [key, value] of snapshot) yield { key: hexToBytes(key), value: value.slice() }
  }

  write(batch: Batch): Promise<void> {
    checkBatch(batch)
    return this.#commits.submit(batch)
  }

  async close(): Promise<void> {
    await this.#commits.close()
    this.#state = 'closed'
  }

  failSync(nth: number): void {
    invariant(Number.isSafeInteger(nth) && nth >= 1, 'S2', 'failSync counts from 1')
    this.#failAt = this.#syncs + nth
  }

  hold(): void {
    let end = () => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    this.#held ??= { ended, end }
  }

  release(): void {
    this.#held?.end()
    this.#held = undefined
  }

  crash(inFlight: 'lost' | 'kept' = 'lost'): MemoryStore {
    this.#state = 'crashed'
    const survived = new Map(this.rows)
    if (inFlight === 'kept') applyTo(survived, this.#inFlight)
    return new Memory(survived, this.onFatal)
  }

  async #sync(batches: readonly Batch[]): Promise<void> {
    this.#inFlight = batches
    await (this.#held?.ended ?? new Promise<void>((resolve) => setImmediate(resolve)))
    if (this.#state === 'crashed') return new Promise(() => {})
    if (this.#failAt === this.#syncs + 1) throw Object.assign(new Error('injected'), { code: 'ENOSPC' })
    applyTo(this.rows, batches)
    this.#inFlight = []
    this.#sortedKeys = undefined
    this.#syncs += 1
  }

  #checkOpen(): void {
    if (this.#state !== 'open') throw new MeridianError('store_closed')
  }
}

function applyTo(rows: Rows, batches: readonly Batch[]): void {
  for (const { puts, deletes } of batches) {
    for (const { key, value } of puts) rows.set(bytesToHex(key), value.slice())
    for (const key of deletes) rows.delete(bytesToHex(key))
  }
}
