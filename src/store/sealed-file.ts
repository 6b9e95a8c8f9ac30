/** Files that a passphrase opens (S3): the keystore, a backup. Whole or refused, and it says which of the two is wrong. */
import { randomBytes, scrypt } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { z } from 'zod'
import { concatBytes, equalBytes, u64 } from '../base/bytes.js'
import { cbor, decodeAs, zBytes, zBytesUpTo, zCount } from '../base/codec.js'
import { sha256 } from '../base/digest.js'
import type { ErrorCode } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'

/** log2 of scrypt's N; r = 8, p = 1. 17 takes 128 MiB and about half a second; 10 is for ledgers flagged `test` only. */
const COST_PRODUCTION = 17
const COST_TEST = 10
/** What a file may ask of its reader: 1 GiB. */
const COST_MAX = 20
const CHECKSUM_BYTES = 32

export interface SealedFileKind {
  readonly name: string
  /** Part of the associated data: a file of one kind never opens as another. */
  readonly label: Uint8Array
  readonly version: number
  readonly bytesMax: number
  readonly damaged: ErrorCode
  readonly refused: ErrorCode
}

const zFile = z.strictObject({
  version: zCount,
  cost: z.int().min(COST_TEST).max(COST_MAX),
  salt: zBytes(32),
  nonce: zBytes(24),
  /** XChaCha20-Poly1305 with version, cost, salt and label as associated data. */
  box: zBytesUpTo(LIMITS.backup_bytes),
})

/** @param test cheap scrypt, for ledgers whose genesis is flagged `test` */
export async function sealFile(
  kind: SealedFileKind,
  passphrase: Uint8Array,
  plain: Uint8Array,
  test: boolean,
): Promise<Uint8Array> {
  const cost = test ? COST_TEST : COST_PRODUCTION
  const salt = new Uint8Array(randomBytes(32))
  const nonce = new Uint8Array(randomBytes(24))
  const key = await stretch(passphrase, salt, cost)
  const box = xchacha20poly1305(key, nonce, associated(kind, cost, salt)).encrypt(plain)
  const body = cbor({ version: kind.version, cost, salt, nonce, box } satisfies z.output<typeof zFile>)
  return concatBytes(body, sha256(body))
}

/**
 * Refuses with the kind's `damaged` where the file's own checksum fails, its `refused` where the file is whole and the
 * passphrase does not open it; `store_newer`.
 */
export async function openSealedFile(
  kind: SealedFileKind,
  passphrase: Uint8Array,
  bytes: Uint8Array,
): Promise<Result<Uint8Array>> {
  const body = bytes.slice(0, -CHECKSUM_BYTES)
  if (bytes.length > kind.bytesMax || !equalBytes(sha256(body), bytes.subarray(-CHECKSUM_BYTES))) {
    return refuse(kind.damaged)
  }
  const file = decodeAs(zFile, body)
  if (!file.ok) return refuse(kind.damaged)
  const { version, cost, salt, nonce, box } = file.value
  if (version !== kind.version) return refuse('store_newer', `${kind.name} ${version}`)
  const key = await stretch(passphrase, salt, cost)
  try {
    return ok(xchacha20poly1305(key, nonce, associated(kind, cost, salt)).decrypt(box))
  } catch {
    return refuse(kind.refused) // the cipher says no more than that the tag does not verify
  }
}

const associated = ({ version, label }: SealedFileKind, cost: number, salt: Uint8Array): Uint8Array =>
  concatBytes(u64(version), u64(cost), salt, label)

function stretch(passphrase: Uint8Array, salt: Uint8Array, cost: number): Promise<Uint8Array> {
  const N = 2 ** cost
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, { N, r: 8, p: 1, maxmem: 2 * 128 * 8 * N }, (error, key) =>
      error === null ? resolve(new Uint8Array(key)) : reject(error),
    )
  })
}
