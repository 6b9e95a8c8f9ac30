/**
 * A backup: the seed and where its channels' peers are, under a passphrase. Nothing that ages: states, locks and
 * secrets come from the ledger, the peers and the towers again, so that a restored backup never publishes an old state
 * (C8). One file, versioned, readable by its owner only, never overwritten.
 */
import { open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { equalBytes, utf8 } from '../base/bytes.js'
import { decodeAs, encodeAs, zBytes, zBytesUpTo, zCount, zPoint, zText } from '../base/codec.js'
import { curve } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { syncDirectory } from './file.js'
import { causeOf } from './group-commit.js'
import { SEED_BYTES, Secrets } from './keystore.js'
import { openSealedFile, type SealedFileKind, sealFile } from './sealed-file.js'

const zBackup = z.strictObject({
  seed: zBytes(SEED_BYTES),
  account: zPoint,
  /** encodeGenesis's bytes; null for an issuer or regulator, whose directory may hold none. */
  genesis: zBytesUpTo(65_536).nullable(),
  /** Of the account's Paillier key. */
  keyBits: zCount,
  /** config.json as it was: role, ledger's address, where the node listens, towers. */
  config: zText(65_536),
  peers: z
    .array(z.strictObject({ account: zPoint, url: zText(LIMITS.address_characters).nullable() }))
    .max(LIMITS.backup_peers),
})

export type BackupContent = Omit<z.output<typeof zBackup>, 'seed' | 'account'>

export interface BackupPeer {
  readonly account: AccountId
  /** Null: it dials us. */
  readonly url: string | null
}

const BACKUP: SealedFileKind = {
  name: 'backup',
  label: utf8('meridian/1/backup'),
  version: 1,
  bytesMax: LIMITS.backup_bytes,
  damaged: 'backup_damaged',
  refused: 'backup_refused',
}

export const accountOf = (secrets: Secrets): AccountId => curve.multiplyBase(secrets.signingKey)

/**
 * Writes the file and reads it again. Refuses with `backup_exists`, or `store_failed` where the disk refuses: nothing
 * stays behind then.
 * @param test as of sealFile
 */
export async function writeBackup(
  path: string,
  passphrase: Uint8Array,
  secrets: Secrets,
  content: BackupContent,
  test: boolean,
): Promise<Result<undefined>> {
  const plain = encodeAs(zBackup, { seed: secrets.exportSeed(), account: accountOf(secrets), ...content })
  const bytes = await sealFile(BACKUP, passphrase, plain, test)
  try {
    await writeNew(path, bytes)
  } catch (error) {
    const cause = causeOf(error)
    return cause === 'EEXIST' ? refuse('backup_exists', path) : refuse('store_failed', cause)
  }
  return ok(undefined)
}

/** `wx`, not a rename: a name that is there stays as it is, on any file system (a backup often lands on a stick). */
async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
    await handle.close()
    await syncDirectory(dirname(path))
    if (!equalBytes(new Uint8Array(await readFile(path)), bytes)) throw new Error('read back differently')
  } catch (error) {
    await handle.close()
    await rm(path, { force: true })
    throw error
  }
}

export interface Backup extends BackupContent {
  readonly secrets: Secrets
  readonly account: AccountId
}

/** Refuses with `backup_damaged`, `backup_refused`, `store_newer`. */
export async function readBackup(bytes: Uint8Array, passphrase: Uint8Array): Promise<Result<Backup>> {
  const plain = await openSealedFile(BACKUP, passphrase, bytes)
  if (!plain.ok) return plain
  const backup = decodeAs(zBackup, plain.value)
  if (!backup.ok) return refuse('backup_damaged', backup.error.detail)
  const { seed, account, ...content } = backup.value
  const secrets = new Secrets(seed)
  if (!equalBytes(accountOf(secrets), account)) return refuse('backup_damaged', 'account')
  return ok({ ...content, secrets, account: account as AccountId })
}
