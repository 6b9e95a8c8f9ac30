/** The Store port over a simulated disk, and what a node finds there when it opens its directory. */
import type { Batch, Range, Row, Store } from '../../../src/base/ports/store.js'
import { DataDirectory } from '../../../src/store/directory.js'
import { GroupCommit } from '../../../src/store/group-commit.js'
import { HighWater } from '../../../src/store/high-water.js'
import { PAGE_BYTES } from '../../../src/store/high-water-slot.js'
import type { Secrets } from '../../../src/store/keystore.js'
import { checkBatch } from '../../../src/store/own-rows.js'
import { applyTo, type Disk, keyText } from './disk.js'
import type { Life } from './life.js'

const GROUP_MAX = 64
export const FILE_ID = new Uint8Array(16).fill(7)

class SimulatedStore implements Store {
  /** As the process sees them: a write is seen once it is synced. */
  readonly #rows: Map<string, Uint8Array>
  /** Keys in their order, as far as they are known not to have changed. */
  #sorted: string[] | undefined
  readonly #commits: GroupCommit<Batch>

  constructor(
    private readonly life: Life,
    private readonly disk: Disk,
    /** Told of every batch in the moment of its call. */
    private readonly wrote?: (batch: Batch) => void,
  ) {
    this.#rows = new Map(disk.rows)
    this.#commits = new GroupCommit(
      (batches) => this.#sync(batches),
      () => life.end(),
      GROUP_MAX,
    )
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(keyText(key))
  }

  async *range({ from, to, limit = -1, reverse = false }: Range): AsyncIterable<Row> {
    this.#sorted ??= [...this.#rows.keys()].sort()
    const keys = this.#sorted.slice(placeOf(this.#sorted, keyText(from)), placeOf(this.#sorted, keyText(to)))
    if (reverse) keys.reverse()
    const rows = keys.slice(0, limit < 0 ? undefined : limit).map((key) => [key, this.#rows.get(key)!] as const)
    for (const [key, value] of rows) yield { key: new Uint8Array(Buffer.from(key, 'latin1')), value }
  }

  write(batch: Batch): Promise<void> {
    checkBatch(batch)
    this.wrote?.(batch)
    return this.#commits.submit(batch)
  }

  close(): Promise<void> {
    return this.#commits.close()
  }

  async #sync(batches: readonly Batch[]): Promise<void> {
    await this.disk.append(this.life, batches)
    const grown = batches.some(
      ({ puts, deletes }) => deletes.length > 0 || puts.some(({ key }) => !this.#rows.has(keyText(key))),
    )
    applyTo(this.#rows, batches)
    if (grown) this.#sorted = undefined
  }
}

/** Of the first key that is not before this one. */
function placeOf(sorted: readonly string[], key: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}

/** What `openDirectory` does, without its lock, its passphrase and its sealing. */
export function openDirectory(life: Life, disk: Disk, secrets: Secrets, wrote?: (batch: Batch) => void): DataDirectory {
  // S2: a failed write ends the process, as endProcess does.
  const onFatal = (): void => life.end()
  const highWater = new HighWater(disk.highWaterFile(life), FILE_ID, { onFatal }, disk.marks.slice(PAGE_BYTES))
  return new DataDirectory(new SimulatedStore(life, disk, wrote), highWater, secrets, [])
}

export const openStore = (life: Life, disk: Disk): Store => new SimulatedStore(life, disk)
