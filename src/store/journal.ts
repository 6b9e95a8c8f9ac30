import { createHash } from 'node:crypto'
import { z } from 'zod'
import { concatBytes, type Digest, equalBytes, framed, u64, utf8 } from '../base/bytes.js'
import { zCount, zDigest } from '../base/codec.js'
import { taggedHash } from '../base/digest.js'
import { MeridianError } from '../base/errors.js'
import type { ChannelId } from '../base/ids.js'
import type { Row, Store } from '../base/ports/store.js'
import { ok, type Result, refuse } from '../base/result.js'
import { lastCounter, tableKey, tableRange } from './tables.js'

/** Entries kept behind the snapshot that the state row is; twice as many are on disk at the most, so a restart is flat. */
export const JOURNAL_KEEP = 16

/**
 * S2: a channel's journal is a gap-free hash chain. Its head is part of the channel's state row and is written in the
 * same batch as the entry: entries [first, next), `anchor` the hash before the first, `hash` that of the last.
 */
export const zJournalHead = z.strictObject({ first: zCount, anchor: zDigest, next: zCount, hash: zDigest })
export type JournalHead = z.output<typeof zJournalHead>

export interface JournalEntry {
  readonly index: number
  readonly payload: Uint8Array
}

const PREVIOUS_BYTES = 32

export function emptyJournal(channel: ChannelId): JournalHead {
  const anchor = taggedHash('journal', channel)
  return { first: 0, anchor, next: 0, hash: anchor }
}

/** Pure: the new head belongs into the state row of the batch that carries `put`. */
export function appendEntry(
  channel: ChannelId,
  head: JournalHead,
  payload: Uint8Array,
): { readonly head: JournalHead; readonly put: Row } {
  const put = { key: tableKey('journal', channel, head.next), value: concatBytes(head.hash, payload) }
  return { head: { ...head, next: head.next + 1, hash: entryHash(channel, head.next, put.value) }, put }
}

/** Drops what the snapshot covers: nothing until 2 * keep entries stand, then all but the newest `keep`. */
export function truncateJournal(
  store: Store,
  channel: ChannelId,
  head: JournalHead,
  keep = JOURNAL_KEEP,
): { readonly head: JournalHead; readonly deletes: readonly Uint8Array[] } {
  const first = head.next - keep
  const oldestKept = head.next - head.first >= 2 * keep ? store.get(tableKey('journal', channel, first)) : undefined
  if (oldestKept === undefined) return { head, deletes: [] }
  const deletes: Uint8Array[] = []
  for (let index = head.first; index < first; index++) deletes.push(tableKey('journal', channel, index))
  return { head: { ...head, first, anchor: oldestKept.slice(0, PREVIOUS_BYTES) as Digest }, deletes }
}

/**
 * The entries that the head promises, each continuing the one before, and none beyond it.
 * Refuses with `journal_broken`, or `store_tampered` or `store_corrupt` where a row cannot be read: the channel goes to
 * RECOVERY. That head and entries vanished together, only the high-water file can tell.
 */
export async function verifyJournal(
  store: Pick<Store, 'range'>,
  channel: ChannelId,
  head: JournalHead,
): Promise<Result<JournalEntry[]>> {
  const rows: Row[] = []
  try {
    for await (const row of store.range(tableRange('journal', channel))) rows.push(row)
  } catch (error) {
    if (!(error instanceof MeridianError) || error.code === 'store_closed') throw error
    return refuse(error.code, 'journal')
  }
  return followChain(channel, head, rows)
}

function followChain(channel: ChannelId, head: JournalHead, rows: readonly Row[]): Result<JournalEntry[]> {
  const entries: JournalEntry[] = []
  let [expected, hash] = [head.first, head.anchor]
  for (const { key, value } of rows) {
    const index = lastCounter(key)
    if (index !== expected) return refuse('journal_broken', `gap at ${expected}`)
    if (!equalBytes(value.subarray(0, PREVIOUS_BYTES), hash)) return refuse('journal_broken', `chain at ${index}`)
    entries.push({ index, payload: value.slice(PREVIOUS_BYTES) })
    hash = entryHash(channel, index, value)
    expected += 1
  }
  const complete = expected === head.next && equalBytes(hash, head.hash)
  return complete ? ok(entries) : refuse('journal_broken', `end at ${expected}`)
}

/** taggedHash('journal-entry', channel, index, value) by OpenSSL: entries carry up to 60,000 bytes on the hot path. */
const entryHash = (channel: ChannelId, index: number, value: Uint8Array): Digest =>
  new Uint8Array(
    createHash('sha256')
      .update(framed(utf8('meridian/1/journal-entry'), channel, u64(index), value))
      .digest(),
  ) as Digest
