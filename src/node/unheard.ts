/**
 * What the ledger said of a channel and the channel could not take (a defect of ours): kept until it can, in order, with
 * every head and over restarts, or an exit that stands would never be answered (L7). Of several supersedes the last counts.
 */
import { z } from 'zod'
import { utf8 } from '../base/bytes.js'
import { encodeAs, zBytesUpTo, zCount, zDigest } from '../base/codec.js'
import { InvariantError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { LedgerEvent } from '../base/ports/chain.js'
import { decodeTransaction, encodeTransaction, type Transaction } from '../base/transaction.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'

/** Opening, exit, supersede, payout: the ledger takes no more kinds, and each but the supersede once. */
const KEPT_MAX = 4
const zKept = z
  .array(
    z.strictObject({
      transaction: zBytesUpTo(LIMITS.transaction_bytes),
      id: zDigest,
      cursor: zCount,
      height: zCount,
      time: zCount,
    }),
  )
  .max(KEPT_MAX)
type Kept = z.output<typeof zKept>

const UNHEARD = utf8('unheard')
const rowKey = ({ id }: LiveChannel): Uint8Array => tableKey('node', UNHEARD, id)

export class Unheard {
  /** By channel; only those of which something is kept. */
  readonly #kept = new Map<string, Kept>()

  /** After the channels were loaded. */
  load(get: Tx['get'], channels: readonly LiveChannel[]): void {
    for (const channel of channels) {
      const row = get(rowKey(channel))
      if (row !== undefined) this.#kept.set(channel.text, parseRow(row, zKept))
    }
  }

  /** What comes after an event that was not heard is not heard before it. */
  has(channel: LiveChannel): boolean {
    return this.#kept.has(channel.text)
  }

  keep(tx: Tx, channel: LiveChannel, { transaction, ...at }: LedgerEvent): void {
    const kept = this.#kept.get(channel.text) ?? []
    const before = kept.filter(({ transaction: bytes }) => kindOf(bytes) !== transaction.kind)
    this.#set(tx, channel, [...before, { ...at, transaction: encodeTransaction(transaction) }])
  }

  /** @param hear false where the channel still cannot: it and what follows stay. */
  again(tx: Tx, channel: LiveChannel, hear: (event: LedgerEvent) => boolean): void {
    for (let kept = this.#kept.get(channel.text) ?? []; kept.length > 0; kept = kept.slice(1)) {
      const [first, ...rest] = kept
      if (first === undefined || !hear({ ...first, transaction: read(first.transaction) })) return
      this.#set(tx, channel, rest)
    }
  }

  #set(tx: Tx, channel: LiveChannel, next: Kept): void {
    const before = this.#kept.get(channel.text)
    tx.undo(() => this.#place(channel, before))
    this.#place(channel, next)
    if (next.length === 0) tx.delete(rowKey(channel))
    else tx.put({ key: rowKey(channel), value: encodeAs(zKept, next) })
  }

  #place({ text }: LiveChannel, kept: Kept | undefined): void {
    if (kept === undefined || kept.length === 0) this.#kept.delete(text)
    else this.#kept.set(text, kept)
  }
}

function read(bytes: Uint8Array): Transaction {
  const transaction = decodeTransaction(bytes)
  if (!transaction.ok) throw new InvariantError('S1', 'a kept event cannot be read')
  return transaction.value
}

const kindOf = (bytes: Uint8Array): Transaction['kind'] => read(bytes).kind
