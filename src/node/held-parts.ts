/** Parts that this payee holds (R1): rows by invoice and payment, and when each set is to be given back. */
import type { Brand } from '../base/brand.js'
import { bytesToHex, concatBytes, equalBytes, u64, utf8 } from '../base/bytes.js'
import type { Point } from '../base/curve/index.js'
import { InvariantError } from '../base/errors.js'
import type { Store } from '../base/ports/store.js'
import { decodeHeldParts, encodeHeldParts, type HeldPart } from '../router/held-part.js'
import { type LockRef, sameLock } from '../router/obligation-record.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'

/** The point of an invoice, and what one payer names its payment of it by: two payers never fill one set. */
export type SetName = Brand<Uint8Array, 'SetName'>
export const setName = (point: Point, set: Uint8Array): SetName => concatBytes(point, set) as SetName
const POINT_BYTES = 33
const pointOf = (name: SetName): Point => name.slice(0, POINT_BYTES) as Point

const keyOf = (name: SetName): Uint8Array => tableKey('held', name)
/** A held lock → its set. */
const byLock = ({ channel, id }: LockRef): Uint8Array => tableKey('node', utf8('held'), channel, u64(id))

export class HeldParts {
  /** Ledger time after which to look at a set again: never later than its end. A set that is gone is forgotten then. */
  readonly #ends = new Map<string, { readonly name: SetName; ends: number }>()

  /** @param endOf last ledger second of a set's hold. @param point its invoice's. */
  constructor(private readonly endOf: (tx: Pick<Tx, 'get'>, point: Point, parts: readonly HeldPart[]) => number) {}

  of(tx: Pick<Tx, 'get'>, name: SetName): readonly HeldPart[] {
    const bytes = tx.get(keyOf(name))
    return bytes === undefined ? [] : read(bytes)
  }

  /** One more of its set. */
  add(tx: Tx, name: SetName, part: HeldPart): void {
    tx.put({ key: byLock(part.lock), value: name })
    this.#put(tx, name, [...this.of(tx, name), part])
  }

  /** All of a set: claimed or given back by the caller. */
  take(tx: Tx, name: SetName): readonly HeldPart[] {
    const parts = this.of(tx, name)
    for (const { lock } of parts) tx.delete(byLock(lock))
    tx.delete(keyOf(name))
    return parts
  }

  /** All parts of all payments of an invoice: it is paid, and whoever else was paying it has them back. */
  takeAll(tx: Tx, point: Point): readonly HeldPart[] {
    const sets = [...this.#ends.values()].filter(({ name }) => equalBytes(pointOf(name), point))
    return sets.flatMap(({ name }) => this.take(tx, name))
  }

  /** This lock is out while it was held. @returns whether it was. */
  drop(tx: Tx, lock: LockRef): boolean {
    const name = tx.get(byLock(lock)) as SetName | undefined
    if (name === undefined) return false
    const left = this.of(tx, name).filter((part) => !sameLock(part.lock, lock))
    tx.delete(byLock(lock))
    if (left.length === 0) tx.delete(keyOf(name))
    else this.#put(tx, name, left)
    return true
  }

  /** Sets whose hold ended before `now`. */
  overdue(tx: Pick<Tx, 'get'>, now: number): SetName[] {
    const found: SetName[] = []
    for (const [key, known] of this.#ends) {
      if (known.ends >= now) continue
      const parts = this.of(tx, known.name)
      if (parts.length === 0) this.#ends.delete(key)
      else known.ends = this.endOf(tx, pointOf(known.name), parts)
      if (parts.length > 0 && known.ends < now) found.push(known.name)
    }
    return found
  }

  /** Whether `overdue` has anything to look at. */
  isDue(now: number): boolean {
    for (const { ends } of this.#ends.values()) if (ends < now) return true
    return false
  }

  /** After a start. */
  load(tx: Pick<Tx, 'get'>, names: readonly SetName[]): void {
    for (const name of names) this.#watch(tx, name, this.of(tx, name))
  }

  static async names(store: Store): Promise<SetName[]> {
    const names: SetName[] = []
    for await (const { key } of store.range(tableRange('held'))) names.push(key.slice(2) as SetName)
    return names
  }

  #put(tx: Tx, name: SetName, parts: readonly HeldPart[]): void {
    tx.put({ key: keyOf(name), value: encodeHeldParts(parts) })
    this.#watch(tx, name, parts)
  }

  #watch(tx: Pick<Tx, 'get'>, name: SetName, parts: readonly HeldPart[]): void {
    if (parts.length > 0) this.#ends.set(bytesToHex(name), { name, ends: this.endOf(tx, pointOf(name), parts) })
  }
}

function read(bytes: Uint8Array): readonly HeldPart[] {
  const parts = decodeHeldParts(bytes)
  if (!parts.ok) throw new InvariantError('S1', 'stored parts cannot be read')
  return parts.value
}
