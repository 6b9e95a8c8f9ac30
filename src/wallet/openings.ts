/**
 * Which randomness stands behind the account's `available`: a row per ciphertext that a transaction of ours may put
 * there, written before that transaction leaves. A ciphertext without a row is no loss: a rollover replaces it by one
 * with known randomness, from the private key alone (K1).
 */
import { z } from 'zod'
import type { Amount } from '../base/amount.js'
import { bigintToBytes, bytesToBigint, equalBytes, utf8 } from '../base/bytes.js'
import { encodeAs, zAmount, zBytesUpTo } from '../base/codec.js'
import { sha256 } from '../base/digest.js'
import type { Row, Store } from '../base/ports/store.js'
import { readRow } from '../store/rows.js'
import { tableKey, tableRange } from '../store/tables.js'

export interface Opening {
  readonly value: Amount
  /** The s of the ciphertext. */
  readonly randomness: bigint
}

const zOpening = z.strictObject({ value: zAmount, randomness: zBytesUpTo(64) })
const TABLE = utf8('opening')

const keyOf = (ciphertext: Uint8Array): Uint8Array => tableKey('wallet', TABLE, sha256(ciphertext))

export const openingRow = (ciphertext: Uint8Array, opening: Opening): Row => ({
  key: keyOf(ciphertext),
  value: encodeAs(zOpening, { value: opening.value, randomness: bigintToBytes(opening.randomness, 64) }),
})

export function readOpening(store: Store, ciphertext: Uint8Array): Opening | undefined {
  const row = readRow(store, keyOf(ciphertext), zOpening)
  if (row === undefined) return undefined
  return { value: row.value, randomness: bytesToBigint(row.randomness) }
}

/** Rows of ciphertexts that were never put in place, or are no longer: called where only `current` can still count. */
export async function staleOpenings(store: Store, current: Uint8Array): Promise<Uint8Array[]> {
  const keep = keyOf(current)
  const stale: Uint8Array[] = []
  for await (const { key } of store.range(tableRange('wallet', TABLE))) if (!equalBytes(key, keep)) stale.push(key)
  return stale
}
