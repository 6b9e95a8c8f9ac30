import { randomBytes, scrypt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { z } from 'zod'
import { concatBytes, equalBytes, u64 } from '../base/bytes.js'
import { cbor, decodeAs, zBytes, zCount } from '../base/codec.js'
import type { Scalar } from '../base/curve/index.js'
import { prf, prfScalar, sha256 } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import { ok, type Result, refuse } from '../base/result.js'
import { writeFileAtomic } from './file.js'
import { causeOf } from './group-commit.js'

/** log2 of scrypt's N; r = 8, p = 1. 17 takes 128 MiB and about half a second; 10 is for ledgers flagged `test` only. */
const COST_PRODUCTION = 17
const COST_TEST = 10
/** What a file may ask of its reader: 1 GiB. */
const COST_MAX = 20
const SEED_BYTES = 32
const CHECKSUM_BYTES = 32
const PASSPHRASE_BYTES_MAX = 1_024
const FILE_BYTES_MAX = 1_024

const zFile = z.strictObject({
  version: zCount,
  cost: z.int().min(COST_TEST).max(COST_MAX),
  salt: zBytes(32),
  nonce: zBytes(24),
  /** The seed, sealed by XChaCha20-Poly1305 with version, cost and salt as associated data. */
  box: zBytes(SEED_BYTES + 16),
})
const FILE_VERSION = 1

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
  const cost = test ? COST_TEST : COST_PRODUCTION
  const salt = new Uint8Array(randomBytes(32))
  const nonce = new Uint8Array(randomBytes(24))
  const key = await stretch(passphrase, salt, cost)
  const box = xchacha20poly1305(key, nonce, associated(FILE_VERSION, cost, salt)).encrypt(seed)
  const body = cbor({ version: FILE_VERSION, cost, salt, nonce, box } satisfies z.output<typeof zFile>)
  try {
    await writeFileAtomic(path, concatBytes(body, sha256(body)))
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
  const body = bytes.subarray(0, -CHECKSUM_BYTES)
  if (bytes.length > FILE_BYTES_MAX || !equalBytes(sha256(body), bytes.subarray(-CHECKSUM_BYTES))) {
    return refuse('keystore_damaged', path)
  }
  const file = decodeAs(zFile, body.slice())
  if (!file.ok) return refuse('keystore_damaged', path)
  const { version, cost, salt, nonce, box } = file.value
  if (version !== FILE_VERSION) return refuse('store_newer', `keystore ${version}`)
  const key = await stretch(passphrase, salt, cost)
  try {
    return ok(new Secrets(xchacha20poly1305(key, nonce, associated(version, cost, salt)).decrypt(box)))
  } catch {
    return refuse('keystore_refused', path) // the cipher says no more than that the tag does not verify
  }
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

const associated = (version: number, cost: number, salt: Uint8Array): Uint8Array =>
  concatBytes(u64(version), u64(cost), salt)

function stretch(passphrase: Uint8Array, salt: Uint8Array, cost: number): Promise<Uint8Array> {
  const N = 2 ** cost
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, { N, r: 8, p: 1, maxmem: 2 * 128 * 8 * N }, (error, key) =>
      error === null ? resolve(new Uint8Array(key)) : reject(error),
    )
  })
}
