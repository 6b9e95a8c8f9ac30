/**
 * Rows of one kind with their decoded values: what is under way is read at every event and changes at a few of them. What
 * is not kept is read from its row, so to forget one costs a decoding and nothing else.
 */
import { keyText } from '../base/bytes.js'
import { LIMITS } from '../base/limits.js'
import type { Tx } from './engine.js'

export interface RowForm<T> {
  readonly encode: (value: T) => Uint8Array
  /** @throws InvariantError S1 for a row that this program did not write. */
  readonly decode: (bytes: Uint8Array) => T
}

type Source = Pick<Tx, 'get'>

/** The least lately written goes first. */
class Bounded<T> {
  readonly #values = new Map<string, T>()

  get(name: string): T | undefined {
    return this.#values.get(name)
  }

  set(name: string, value: T | undefined): void {
    this.#values.delete(name)
    if (value === undefined) return
    this.#values.set(name, value)
    if (this.#values.size > LIMITS.rows_kept) this.#values.delete(this.#values.keys().next().value ?? '')
  }
}

/** Values never change: a new one takes the place of the old. Only through here may rows of this kind be written. */
export class KeptRows<T> {
  /** As a step sees its rows: what is written and not yet synced included. */
  readonly #newest = new Bounded<T>()
  readonly #durable = new Bounded<T>()

  constructor(private readonly form: RowForm<T>) {}

  /** Within a step. */
  get(tx: Source, key: Uint8Array): T | undefined {
    const name = keyText(key)
    const kept = this.#newest.get(name)
    if (kept !== undefined) return kept
    const value = this.#read(tx, key)
    this.#newest.set(name, value)
    return value
  }

  /** As it stands on disk: what may be told. @param store not a step's view of it */
  durable(store: Source, key: Uint8Array): T | undefined {
    return this.#durable.get(keyText(key)) ?? this.#read(store, key)
  }

  put(tx: Tx, key: Uint8Array, value: T): void {
    tx.put({ key, value: this.form.encode(value) })
    this.#change(tx, keyText(key), value)
  }

  delete(tx: Tx, key: Uint8Array): void {
    tx.delete(key)
    this.#change(tx, keyText(key), undefined)
  }

  /** S1: the value in memory goes back with its row where the step fails, and is told once the row is on disk. */
  #change(tx: Tx, name: string, value: T | undefined): void {
    const before = this.#newest.get(name)
    this.#newest.set(name, value)
    tx.undo(() => this.#newest.set(name, before))
    tx.after(() => this.#durable.set(name, value))
  }

  #read(source: Source, key: Uint8Array): T | undefined {
    const bytes = source.get(key)
    return bytes === undefined ? undefined : this.form.decode(bytes)
  }
}
