import { readU64, u64, utf8 } from '../base/bytes.js'
import { invariant } from '../base/errors.js'
import type { Row, Store } from '../base/ports/store.js'
import { lastCounter, tableKey, tableRange } from './tables.js'

export interface OutboxEffect {
  /** Strictly increasing over the life of the store, with gaps after a restart: an idempotent id. */
  readonly id: number
  readonly payload: Uint8Array
}

/** Ids are reserved on disk in blocks: a row per block, not per effect. */
const ID_BLOCK = 1_024
const DELETES_PER_BATCH_MAX = 256
const COUNTER_KEY = tableKey('counter', utf8('outbox'))

/**
 * C6: effects are rows written in the same batch as the state that caused them, run only after that batch's sync, and
 * deleted in some later batch. An effect that was done but not yet deleted runs again after a restart: at least once.
 *
 *   const { rows, effects } = outbox.stage(payloads)
 *   await store.write({ puts: [...state, ...rows], deletes: [...old, ...outbox.takeDone()] })
 *   for (const effect of effects) { await run(effect); outbox.done(effect.id) }
 */
export class Outbox {
  #next: number
  #reserved: number
  readonly #done: number[] = []

  private constructor(
    reserved: number,
    /** What an earlier process staged and did not delete, in order: to be run before anything new. */
    readonly leftover: readonly OutboxEffect[],
  ) {
    this.#next = reserved
    this.#reserved = reserved
  }

  static async open(store: Store): Promise<Outbox> {
    const row = store.get(COUNTER_KEY)
    const reserved = row === undefined ? 0 : readU64(row)
    invariant(reserved !== undefined, 'C6', 'the outbox counter is not a counter')
    const leftover: OutboxEffect[] = []
    for await (const { key, value } of store.range(tableRange('outbox'))) {
      leftover.push({ id: lastCounter(key), payload: value })
    }
    invariant(
      leftover.every(({ id }) => id < reserved),
      'C6',
      'an effect beyond the reserved ids',
    )
    return new Outbox(reserved, leftover)
  }

  /** Rows for the batch that is about to be written; the effects run after its sync. Batches are written in the order staged. */
  stage(payloads: readonly Uint8Array[]): { readonly rows: readonly Row[]; readonly effects: readonly OutboxEffect[] } {
    const effects = payloads.map((payload) => ({ id: this.#next++, payload }))
    const rows: Row[] = effects.map(({ id, payload }) => ({ key: tableKey('outbox', id), value: payload }))
    if (this.#next > this.#reserved) {
      this.#reserved = this.#next + ID_BLOCK
      rows.push({ key: COUNTER_KEY, value: u64(this.#reserved) })
    }
    return { rows, effects }
  }

  /** The rows of the last `stage` will not be written: the next one reserves its ids anew. */
  abandon(): void {
    this.#reserved = this.#next
  }

  done(id: number): void {
    this.#done.push(id)
  }

  /** Deletes for the next batch, which is written whatever else it holds (a failed write ends the process, S2). */
  takeDone(): readonly Uint8Array[] {
    return this.#done.splice(0, DELETES_PER_BATCH_MAX).map((id) => tableKey('outbox', id))
  }
}
