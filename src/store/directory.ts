import { existsSync, readdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChannelId } from '../base/ids.js'
import type { Batch, Store } from '../base/ports/store.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { OnFatal } from './fatal.js'
import { causeOf } from './group-commit.js'
import { createHighWater, type HighWater, type Mark, openHighWater } from './high-water.js'
import {
  createKeystore,
  type KeystoreOptions,
  openKeystore,
  type PassphraseSource,
  readPassphrase,
  type Secrets,
} from './keystore.js'
import { createLevelStore, type LevelStore, openLevelStore } from './level.js'
import { sealedStore } from './sealed.js'

export interface DirectoryOptions {
  readonly onFatal?: OnFatal
}

/** `<dir>/store`, `<dir>/high-water`, `<dir>/keystore`. */
const inside = (dir: string) => ({
  store: join(dir, 'store'),
  highWater: join(dir, 'high-water'),
  keystore: join(dir, 'keystore'),
})

/**
 * All that one node, wallet or tower keeps on disk. LevelDB's own lock, taken first and freed last, stands for the whole
 * directory (C7): the kernel frees it when the process dies, however it dies, so no stale lock file remains.
 */
export class DataDirectory {
  constructor(
    /** Every value sealed (S3). */
    readonly store: Store,
    readonly highWater: HighWater,
    readonly secrets: Secrets,
    /** S2: what LevelDB's log and the high-water file's torn slots give reason to doubt. */
    readonly suspicions: readonly string[],
  ) {}

  /**
   * S2's order: the batch synced, then the marks synced; what they promise may leave when this resolves. A mark of null
   * forgets a channel that the ledger has closed for good.
   */
  async commit(batch: Batch, marks: readonly (readonly [ChannelId, Mark | null])[]): Promise<void> {
    await this.store.write(batch)
    await Promise.all(
      marks.map(([channel, mark]) =>
        mark === null ? this.highWater.forget(channel) : this.highWater.raise(channel, mark),
      ),
    )
  }

  async close(): Promise<void> {
    await this.highWater.close()
    await this.store.close()
  }
}

/**
 * Only `init` calls this. Refuses with `store_exists` where the directory holds anything, with readPassphrase's codes,
 * and `store_failed`. The keystore comes last: a directory without one was never used and can be removed.
 */
export async function createDirectory(
  dir: string,
  passphraseSource: PassphraseSource,
  options: DirectoryOptions & KeystoreOptions = {},
): Promise<Result<DataDirectory>> {
  if (existsSync(dir) && readdirSync(dir).length > 0) return refuse('store_exists', dir)
  const passphrase = await readPassphrase(passphraseSource)
  if (!passphrase.ok) return passphrase
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
  } catch (error) {
    return refuse('store_failed', causeOf(error))
  }
  const paths = inside(dir)
  const store = await createLevelStore(paths.store, options)
  if (!store.ok) return store
  return assemble(store.value, await createHighWater(paths.highWater, options), () =>
    createKeystore(paths.keystore, passphrase.value, options),
  )
}

/** Refuses with the codes of openLevelStore, openHighWater, openKeystore and readPassphrase. */
export async function openDirectory(
  dir: string,
  passphraseSource: PassphraseSource,
  options: DirectoryOptions = {},
): Promise<Result<DataDirectory>> {
  const passphrase = await readPassphrase(passphraseSource)
  if (!passphrase.ok) return passphrase
  const paths = inside(dir)
  const store = await openLevelStore(paths.store, options)
  if (!store.ok) return store
  return assemble(store.value, await openHighWater(paths.highWater, options), () =>
    openKeystore(paths.keystore, passphrase.value),
  )
}

/** Frees the lock again where a later part refuses. */
async function assemble(
  store: LevelStore,
  highWater: Result<HighWater>,
  unlock: () => Promise<Result<Secrets>>,
): Promise<Result<DataDirectory>> {
  const secrets = highWater.ok ? await unlock() : highWater
  if (highWater.ok && secrets.ok) {
    const suspicions = [...store.suspicions, ...highWaterSuspicions(highWater.value)]
    return ok(new DataDirectory(sealedStore(store, secrets.value.storeKey), highWater.value, secrets.value, suspicions))
  }
  if (highWater.ok) await highWater.value.close()
  await store.close()
  return secrets as Exclude<typeof secrets, { ok: true }>
}

function highWaterSuspicions({ torn, damaged }: HighWater): string[] {
  return [
    ...(torn > 0 ? [`high-water: ${torn} torn slots, the older copies stand`] : []),
    ...(damaged > 0 ? [`high-water: ${damaged} places unreadable`] : []),
  ]
}
