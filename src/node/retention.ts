/**
 * What is kept for a time only: rows whose key begins with the ledger time of their end, deleted in bounded pieces as
 * that time passes. A row's value, where it has one, is the key of another row that ends with it. The event log's archived rows
 * go with their age.
 */
import type { Digest } from '../base/bytes.js'
import { LIMITS } from '../base/limits.js'
import type { Row, Store } from '../base/ports/store.js'
import { type Table, tableKey } from '../store/tables.js'
import type { Engine, Tx } from './engine.js'
import type { EventLog } from './event-log.js'

const NOTHING = new Uint8Array(0)

/** R2: an onion is remembered until its own expiry, after which every rule list refuses it, and a margin. */
const replayKey = (expiry: number, tag: Digest): Uint8Array => tableKey('replay', expiry, tag)

export const wasSeen = (tx: Pick<Tx, 'get'>, expiry: number, tag: Digest): boolean =>
  tx.get(replayKey(expiry, tag)) !== undefined

export const remember = (tx: Tx, expiry: number, tag: Digest): void =>
  tx.put({ key: replayKey(expiry, tag), value: NOTHING })

/** Where nothing came of it: the same onion would be refused for the same reason. */
export const forget = (tx: Tx, expiry: number, tag: Digest): void => tx.delete(replayKey(expiry, tag))

/** The row of this key ends at `end`, ledger seconds. @param id names it among those that end with it. */
export const endingRow = (end: number, id: Digest, key: Uint8Array): Row => ({
  key: tableKey('requestEnd', end, id),
  value: key,
})

const SHELVES: readonly { readonly table: Table; readonly margin: number }[] = [
  { table: 'replay', margin: LIMITS.replay_margin_s },
  { table: 'requestEnd', margin: 0 },
]

export class Retention {
  #sweep: Promise<void> | undefined
  #now = 0
  #closed = false

  constructor(
    private readonly engine: Engine,
    private readonly store: Store,
    private readonly events: EventLog,
    /** Ledger seconds for which an archived event stays all the same. */
    private readonly eventsKept: number,
  ) {}

  /** Ledger time is `now`: what has ended goes, one sweep at a time. */
  advanced(now: number): void {
    this.#now = now
    if (this.#sweep !== undefined || this.#closed) return
    this.#sweep = this.#all().finally(() => {
      this.#sweep = undefined
    })
  }

  /** To be called while the engine still writes. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#sweep
  }

  async #all(): Promise<void> {
    for (let swept = 0; swept < this.#now; ) {
      swept = this.#now
      for (const { table, margin } of SHELVES) {
        while (!this.#closed && (await this.#piece(table, swept - margin)));
      }
      while (!this.#closed && (await this.events.prune(this.engine, swept - this.eventsKept)));
    }
  }

  /** @returns whether there may be more. */
  async #piece(table: Table, before: number): Promise<boolean> {
    if (before <= 0) return false
    const rows: Row[] = []
    const range = { from: tableKey(table, 0), to: tableKey(table, before), limit: LIMITS.sweep_rows }
    for await (const row of this.store.range(range)) rows.push(row)
    if (rows.length === 0) return false
    await this.engine.run((tx) => {
      for (const { key, value } of rows) {
        tx.delete(key)
        if (value.length > 0) tx.delete(value)
      }
    }).durable
    return rows.length === LIMITS.sweep_rows
  }
}
