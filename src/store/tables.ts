import { concatBytes, readU64, u64 } from '../base/bytes.js'
import { invariant } from '../base/errors.js'
import type { Range } from '../base/ports/store.js'

/** The first byte of every key, for ever: never changed, never reused. 0 is the store's own (own-rows.ts), 255 stays free. */
export const TABLES = {
  /** Named counters. */
  counter: 1,
  /** One row per channel: its whole state, with its journal's head. */
  channel: 2,
  /** channel, index → entry. */
  journal: 3,
  /** id → effect. */
  outbox: 4,
  /** The ledger account's openings and transactions (K1). */
  wallet: 5,
  /** channel → what never changes of it. */
  terms: 6,
  /** point → scalar and the ledger time of its reveal (L8), as far as the ledger was followed. */
  revealed: 7,
  /** channel, lock → what is owed on an incoming lock (R3). */
  obligation: 8,
  /** idempotency key → payment (R5). */
  payment: 9,
  /** point → invoice of ours, paid or not (R6). */
  invoice: 10,
  /** expiry of an onion that was seen, its tag → nothing (R2). */
  replay: 11,
  /** cursor → event of the node's own log. */
  event: 12,
  /** hash of an idempotency key → request and answer of the operator API. */
  request: 13,
  /** Names and single values of the node (peers, policies, cursors). */
  node: 14,
  /** channel, lock → the payment or obligation that offered it. */
  offered: 15,
  /** channel → ledger time until which its opening may still be accepted, and the key that asked for it. */
  funding: 16,
  /** A tower's: channel, side of the client → newest state and secrets (T1). */
  watched: 17,
  /** A tower's: client, job → a scalar to reveal (T3). */
  revealJob: 18,
  /** A tower's cursor. */
  tower: 19,
  /** channel, tower → the newest receipt of that tower (T2). */
  towerReceipt: 20,
  /** point of an invoice of ours → parts of its payment that are held (R1). */
  held: 21,
  /** ledger time, name → key of a row of the operator API that ends then. */
  requestEnd: 24,
  /** list, number → id of the entry. */
  listed: 25,
  /** channel, part → an announcement of the public graph (R4). */
  graph: 26,
  /** PRF of a pair of hubs → what own payments taught of it (R4). */
  success: 27,
} as const
export type Table = keyof typeof TABLES

/** An id or name of at most 255 bytes, or a counter. Keys stay plain on disk: ids and counters only, never an amount. */
export type KeyPart = Uint8Array | number

/**
 * Rows of one table order by their parts, counters numerically. Byte parts carry their length, so that no id runs into
 * what follows it; one table's keys all have the same kinds of parts.
 */
export function tableKey(table: Table, ...parts: readonly KeyPart[]): Uint8Array {
  return concatBytes(Uint8Array.of(TABLES[table]), ...parts.map(encodePart))
}

function encodePart(part: KeyPart): Uint8Array {
  if (typeof part === 'number') return u64(part)
  invariant(part.length <= 255, 'S1', 'a key part of more than 255 bytes')
  return concatBytes(Uint8Array.of(part.length), part)
}

/** All rows whose key begins with these parts. */
export function tableRange(table: Table, ...parts: readonly KeyPart[]): Range {
  const from = tableKey(table, ...parts)
  return { from, to: successor(from) }
}

/** The smallest key that no longer begins with `prefix`. */
function successor(prefix: Uint8Array): Uint8Array {
  let length = prefix.length
  while (prefix[length - 1] === 255) length -= 1
  const next = prefix.slice(0, length)
  next[length - 1]! += 1
  return next
}

/** The counter that a key ends with. */
export function lastCounter(key: Uint8Array): number {
  const value = readU64(key, key.length - 8)
  invariant(value !== undefined, 'S1', 'a key without a counter at its end')
  return value
}
