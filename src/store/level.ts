import { existsSync, readdirSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Level } from 'level'
import { readU64, u64 } from '../base/bytes.js'
import { count } from '../base/counters.js'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Batch, Range, Row, Store } from '../base/ports/store.js'
import { ok, type Result, refuse } from '../base/result.js'
import { endProcess, type OnFatal } from './fatal.js'
import { syncDirectory } from './file.js'
import { causeOf, GroupCommit } from './group-commit.js'
import { logSuspicions } from './level-log.js'
import { checkBatch, FIRST_USER_KEY, ownKey } from './own-rows.js'

/** The layout that this program reads and writes; any other on disk is refused (`store_newer`, `store_older`). */
export const SCHEMA_VERSION = 3
const SCHEMA_KEY = ownKey('schema')

export interface LevelOptions {
  /** Default: one line on stderr and exit code 74 (S2). */
  readonly onFatal?: OnFatal
}

/**
 * A Store on LevelDB. A row is visible to `get` at the latest when its `write` resolves; until then the batch's bytes
 * belong to the store. Within one batch deletes follow puts.
 */
export interface LevelStore extends Store {
  /** LevelDB's own lines about dropped or corrupt data (S2): journal chain and high-water file can clear them. */
  readonly suspicions: readonly string[]
}

/** More than the step of a file system's clock: a change later than this cannot carry the same time. */
const COARSE_MS = 100

type Database = Level<Uint8Array, Uint8Array>

/** Sealed values and ciphertexts do not compress. */
const OPTIONS = { keyEncoding: 'view', valueEncoding: 'view', compression: false, writeBufferSize: 8 << 20 } as const

/**
 * Only `init` calls this (S2): a database that vanished is never silently begun anew.
 * Refuses with `store_exists` where the directory holds anything, with `store_failed` where the disk refuses.
 */
export async function createLevelStore(dir: string, options: LevelOptions = {}): Promise<Result<LevelStore>> {
  if (existsSync(dir) && readdirSync(dir).length > 0) return refuse('store_exists', dir)
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const database: Database = new Level(dir, { ...OPTIONS, createIfMissing: true, errorIfExists: true })
    await database.open()
    await database.put(SCHEMA_KEY, u64(SCHEMA_VERSION), { sync: true })
    await syncDirectory(dirname(dir))
    return ok(new LevelDatabase(dir, database, options.onFatal ?? endProcess, []))
  } catch (error) {
    return refuse('store_failed', causeOf(error))
  }
}

/** Refuses with `store_missing`, `store_locked` (C7), `store_corrupt`, `store_newer`, `store_older` or `store_failed`. */
export async function openLevelStore(dir: string, options: LevelOptions = {}): Promise<Result<LevelStore>> {
  if (!existsSync(dir) || readdirSync(dir).length === 0) return refuse('store_missing', dir)
  const database: Database = new Level(dir, { ...OPTIONS, createIfMissing: false })
  try {
    await database.open()
  } catch (error) {
    return openRefusal(dir, causeOf(error))
  }
  const schema = readSchema(database)
  if (!schema.ok) {
    await database.close()
    return schema
  }
  return ok(new LevelDatabase(dir, database, options.onFatal ?? endProcess, await logSuspicions(dir)))
}

function openRefusal(dir: string, cause: string) {
  if (cause === 'LEVEL_LOCKED') return refuse('store_locked', dir)
  if (cause === 'LEVEL_CORRUPTION') return refuse('store_corrupt', dir)
  // LevelDB calls a lost CURRENT "does not exist" and a lost MANIFEST an I/O error: both are damage, not absence
  const whole = existsSync(`${dir}/CURRENT`) && readdirSync(dir).some((name) => name.startsWith('MANIFEST-'))
  return whole ? refuse('store_failed', cause) : refuse('store_corrupt', dir)
}

function readSchema(database: Database): Result<number> {
  try {
    const row = database.getSync(SCHEMA_KEY)
    const version = row === undefined ? undefined : readU64(row)
    if (version === undefined || version < 1) return refuse('store_corrupt', 'schema row')
    if (version === SCHEMA_VERSION) return ok(version)
    return refuse(version > SCHEMA_VERSION ? 'store_newer' : 'store_older', `schema ${version}`)
  } catch (error) {
    return refuse('store_corrupt', causeOf(error))
  }
}

class LevelDatabase implements LevelStore {
  readonly #commits: GroupCommit<Batch>
  /** Time of the directory's last change that is known to be durable. */
  #namesDurable = 0

  constructor(
    private readonly dir: string,
    private readonly database: Database,
    onFatal: OnFatal,
    readonly suspicions: readonly string[],
  ) {
    this.#commits = new GroupCommit((batches) => this.#sync(batches), onFatal, LIMITS.store_group_batches)
  }

  /** @throws MeridianError `store_corrupt` where LevelDB cannot read the row, `store_closed` after `close`. */
  get(key: Uint8Array): Uint8Array | undefined {
    try {
      const value = this.database.getSync(key)
      return value === undefined ? undefined : plainBytes(value)
    } catch (error) {
      throw readFailure(error)
    }
  }

  async *range(range: Range): AsyncIterable<Row> {
    const { from, to, limit = -1, reverse = false } = range
    const gte = from.length === 0 || from[0] === 0 ? FIRST_USER_KEY : from
    try {
      for await (const [key, value] of this.database.iterator({ gte, lt: to, limit, reverse })) {
        yield { key: plainBytes(key), value: plainBytes(value) }
      }
    } catch (error) {
      throw readFailure(error)
    }
  }

  write(batch: Batch): Promise<void> {
    checkBatch(batch)
    return this.#commits.submit(batch)
  }

  async close(): Promise<void> {
    await this.#commits.close()
    await this.database.close()
  }

  async #sync(batches: readonly Batch[]): Promise<void> {
    const chained = this.database.batch()
    for (const { puts, deletes } of batches) {
      for (const { key, value } of puts) {
        chained.put(key, value)
        count('diskBytes', key.length + value.length)
      }
      for (const key of deletes) {
        chained.del(key)
        count('diskBytes', key.length)
      }
    }
    await chained.write({ sync: true })
    count('fsyncs')
    await this.#syncNames()
  }

  /** LevelDB begins a new log without syncing its name: what it then writes and syncs would go with the name (S1). */
  async #syncNames(): Promise<void> {
    const { mtimeMs } = statSync(this.dir)
    if (mtimeMs === this.#namesDurable) return
    const settled = Date.now() - mtimeMs > COARSE_MS
    await syncDirectory(this.dir)
    if (settled) this.#namesDurable = mtimeMs
  }
}

/** LevelDB hands out Buffers, whose `slice` shares memory: a Uint8Array is what every reader expects. */
const plainBytes = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function readFailure(error: unknown): unknown {
  const cause = causeOf(error)
  if (cause === 'LEVEL_DATABASE_NOT_OPEN' || cause === 'LEVEL_ITERATOR_NOT_OPEN')
    return new MeridianError('store_closed')
  if (cause === 'LEVEL_CORRUPTION') return new MeridianError('store_corrupt', cause)
  return cause.startsWith('LEVEL_') ? new MeridianError('store_failed', cause) : error
}
