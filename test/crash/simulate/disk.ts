/**
 * The disk of one node: database and high-water file in one power domain. What is written stands in the page cache until
 * its sync is done; a power cut takes it, in part or whole, and undoes names that were not synced. A kill takes nothing
 * that was written.
 */
import type { Batch } from '../../../src/base/ports/store.js'
import type { HighWaterFile } from '../../../src/store/high-water.js'
import type { Schedule } from './clock.js'
import type { Life } from './life.js'
import type { Random } from './random.js'

/** What a copy of the files holds. */
export interface Image {
  readonly rows: ReadonlyMap<string, Uint8Array>
  readonly marks: Uint8Array
}

/** `full` and `refused` meet a write, `unsynced` a sync. */
export type Fault = 'full' | 'refused' | 'unsynced'

/** Groups after which the database begins another log file, as LevelDB does: its name is synced before its writes count. */
const LOG_GROUPS = 24

interface Group {
  readonly batches: readonly Batch[]
  synced: boolean
  named: boolean
}

interface Splash {
  readonly offset: number
  readonly bytes: Uint8Array
}

export const keyText = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')

export const never = <T>(): Promise<T> => new Promise(() => undefined)

export class Disk {
  /** What a power cut at this moment certainly leaves. */
  #rows = new Map<string, Uint8Array>()
  #marks: Uint8Array<ArrayBufferLike> = new Uint8Array(0)
  #groups: Group[] = []
  #splashes: Splash[] = []
  #logGroups = 0
  /** The next write or sync fails with it, once. */
  fault: Fault | undefined
  /** A disk that says that it has synced and has not. */
  lies = false
  syncs = 0

  constructor(private readonly schedule: Schedule) {}

  get rows(): ReadonlyMap<string, Uint8Array> {
    return this.#rows
  }

  get marks(): Uint8Array {
    return this.#marks
  }

  image(): Image {
    return { rows: new Map(this.#rows), marks: this.#marks.slice() }
  }

  /** The files of an earlier moment are copied over those that are there; no process has them open. */
  restore({ rows, marks }: Image): void {
    this.#rows = new Map(rows)
    this.#marks = marks.slice()
    this.#groups = []
    this.#splashes = []
  }

  // ---- the database's log

  /** Into the page cache. @throws the system's error where the disk refuses. */
  append(life: Life, batches: readonly Batch[]): Promise<void> {
    if (!life.acts()) return never()
    this.#refuse('full', 'refused')
    this.#logGroups = (this.#logGroups + 1) % LOG_GROUPS
    const group: Group = { batches, synced: false, named: this.#logGroups !== 0 }
    this.#groups.push(group)
    return this.#syncing(life, () => {
      group.synced = true
      if (group.named) return this.#keep()
      return this.#syncing(life, () => {
        group.named = true
        return this.#keep()
      })
    })
  }

  /** Groups count in their order: what follows one that is not durable is not either. */
  #keep(): Promise<void> {
    while (!this.lies && this.#groups[0]?.synced === true && this.#groups[0].named) {
      applyTo(this.#rows, this.#groups.shift()!.batches)
    }
    return Promise.resolve()
  }

  // ---- the high-water file

  highWaterFile(life: Life): HighWaterFile {
    const sync = (): Promise<void> => {
      const splashes = [...this.#splashes]
      return this.#syncing(life, () => {
        if (this.lies) return Promise.resolve()
        for (const splash of splashes) this.#marks = splashed(this.#marks, splash)
        this.#splashes = this.#splashes.filter((splash) => !splashes.includes(splash))
        return Promise.resolve()
      })
    }
    return {
      write: (bytes, offset) => {
        if (!life.acts()) return bytes.length
        if (this.fault === 'full') {
          this.fault = undefined
          this.#splashes.push({ offset, bytes: bytes.slice(0, bytes.length >> 1) })
          return bytes.length >> 1
        }
        this.#refuse('refused')
        this.#splashes.push({ offset, bytes: bytes.slice() })
        return bytes.length
      },
      datasync: sync,
      sync,
      close: () => Promise.resolve(),
    }
  }

  // ---- crashes

  /** The process is gone and the machine is not: everything written is there. */
  killed(): void {
    for (const { batches } of this.#groups) applyTo(this.#rows, batches)
    for (const splash of this.#splashes) this.#marks = splashed(this.#marks, splash)
    this.#groups = []
    this.#splashes = []
  }

  /** Of what was not synced anything may be there: a prefix of the log, any of the file's writes, whole or torn. */
  powerCut(random: Random): void {
    for (const { batches } of this.#groups) {
      if (random.oneIn(2)) break
      applyTo(this.#rows, batches)
    }
    for (const { offset, bytes } of this.#splashes) {
      const length = [0, bytes.length, random.below(bytes.length + 1)][random.below(3)]!
      this.#marks = splashed(this.#marks, { offset, bytes: bytes.subarray(0, length) })
    }
    this.#groups = []
    this.#splashes = []
  }

  #syncing(life: Life, done: () => Promise<void>): Promise<void> {
    if (!life.acts()) return never()
    const fails = this.fault === 'unsynced'
    if (fails) this.fault = undefined
    return new Promise((resolve, reject) => {
      const run = (): void => {
        this.syncs += 1
        if (fails) reject(Object.assign(new Error('injected'), { code: 'EIO' }))
        else void done().then(resolve, reject)
      }
      this.schedule.add({ kind: 'sync', life, run })
    })
  }

  #refuse(...faults: readonly Fault[]): void {
    const { fault } = this
    if (fault === undefined || !faults.includes(fault)) return
    this.fault = undefined
    throw Object.assign(new Error('injected'), { code: fault === 'full' ? 'ENOSPC' : 'EIO' })
  }
}

export function applyTo(rows: Map<string, Uint8Array>, batches: readonly Batch[]): void {
  for (const { puts, deletes } of batches) {
    for (const { key, value } of puts) rows.set(keyText(key), value)
    for (const key of deletes) rows.delete(keyText(key))
  }
}

function splashed(into: Uint8Array, { offset, bytes }: Splash): Uint8Array {
  const end = offset + bytes.length
  let target = into
  if (end > into.length) {
    target = new Uint8Array(end)
    target.set(into)
  }
  target.set(bytes, offset)
  return target
}
