import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import type { Scalar } from '../base/curve/index.js'
import { prf, prfScalar } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import { ok, type Result, refuse } from '../base/result.js'
import { writeFileAtomic } from './file.js'
import { causeOf } from './group-commit.js'
import { openSealedFile, type SealedFileKind, sealFile } from './sealed-file.js'

export const SEED_BYTES = 32
const PASSPHRASE_BYTES_MAX = 1_024

/** The seed alone, under the passphrase. */
const KEYSTORE: SealedFileKind = {
  name: 'keystore',
  label: new Uint8Array(0),
  version: 1,
  bytesMax: 1_024,
  damaged: 'keystore_damaged',
  refused: 'keystore_refused',
}

/** The account seed and everything derived from it. Prints as `[redacted]`; the derived keys are the caller's to guard. */
export class Secrets {
  readonly #seed: Uint8Array

  constructor(seed: Uint8Array) {
    invariant(seed.length === SEED_BYTES, 'S3', 'a seed has 32 bytes')
    this.#seed = seed.slice()
  }

  /** The account's secp256k1 key (L2); for a ledger, its head key. */
  get signingKey(): Scalar {
    return prfScalar(this.#seed, 'signing-key')
  }
  get paillierSeed(): Uint8Array {
    return prf(this.#seed, 'paillier-seed')
  }
  /** Channel keys, revocation trees and randomness (L5, C2, C3). */
  get channelSeed(): Uint8Array {
    return prf(this.#seed, 'channel-seed')
  }
  /** Deposit blindings and openings of the ledger account (L5, K1). */
  get walletSeed(): Uint8Array {
    return prf(this.#seed, 'wallet-seed')
  }
  /** Seals the rows of the store (S3). */
  get storeKey(): Uint8Array {
    return prf(this.#seed, 'store-key')
  }
  /** For `backup export` only: whoever holds it holds the account. */
  exportSeed(): Uint8Array {
    return this.#seed.slice()
  }

  toString(): string {
    return '[redacted]'
  }
  toJSON(): string {
    return '[redacted]'
  }
  [inspect.custom](): string {
    return '[redacted]'
  }
}

export interface KeystoreOptions {
  /** Cheap scrypt, for ledgers whose genesis is flagged `test`. */
  readonly test?: boolean
  /** A restored backup's seed; fresh otherwise. */
  readonly seed?: Uint8Array
}

/** Refuses with `keystore_exists`, or `store_failed` where the disk refuses. */
export async function createKeystore(
  path: string,
  passphrase: Uint8Array,
  { test = false, seed = new Uint8Array(randomBytes(SEED_BYTES)) }: KeystoreOptions = {},
): Promise<Result<Secrets>> {
  if (existsSync(path)) return refuse('keystore_exists', path)
  const secrets = new Secrets(seed)
  try {
    await writeFileAtomic(path, await sealFile(KEYSTORE, passphrase, seed, test))
  } catch (error) {
    return refuse('store_failed', causeOf(error))
  }
  return ok(secrets)
}

/**
 * Refuses with `keystore_missing`; `keystore_damaged` where the file's own checksum fails; `keystore_refused` where the
 * file is whole and the passphrase does not open it; `store_newer`; `store_failed`.
 */
export async function openKeystore(path: string, passphrase: Uint8Array): Promise<Result<Secrets>> {
  if (!existsSync(path)) return refuse('keystore_missing', path)
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(await readFile(path))
  } catch (error) {
    return refuse('store_failed', causeOf(error))
  }
  const seed = await openSealedFile(KEYSTORE, passphrase, bytes)
  if (!seed.ok) return refuse(seed.error.code, seed.error.detail ?? path)
  return seed.value.length === SEED_BYTES ? ok(new Secrets(seed.value)) : refuse('keystore_damaged', path)
}

/** Path of a passphrase file, or the passphrase's own bytes where somebody typed it. */
export type PassphraseSource = string | Uint8Array

/** A passphrase rests in a file outside the data directory, never in argv; one line end at its end is not part of it. */
export async function readPassphrase(source: PassphraseSource): Promise<Result<Uint8Array>> {
  if (typeof source !== 'string') return withinLimits(source, 'typed')
  const path = source
  if (!existsSync(path)) return refuse('passphrase_missing', path)
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(await readFile(path))
  } catch (error) {
    return refuse('passphrase_missing', causeOf(error))
  }
  let end = bytes.length
  if (bytes[end - 1] === 0x0a) end -= 1
  if (bytes[end - 1] === 0x0d) end -= 1
  return withinLimits(bytes.slice(0, end), path)
}

const withinLimits = (passphrase: Uint8Array, where: string): Result<Uint8Array> =>
  passphrase.length > 0 && passphrase.length <= PASSPHRASE_BYTES_MAX
    ? ok(passphrase)
    : refuse('passphrase_missing', where)
