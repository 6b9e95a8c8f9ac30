/** Parts that this payee holds (R1): rows by the point of their invoice, and when each set is to be given back. */
import { u64, utf8 } from '../base/bytes.js'
import type { Point } from '../base/curve/index.js'
import { InvariantError } from '../base/errors.js'
import { idText } from '../base/ids.js'
import type { Store } from '../base/ports/store.js'
import { decodeHeldParts, encodeHeldParts, type HeldPart } from '../router/held-part.js'
import { type LockRef, sameLock } from '../router/obligation-record.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'

const keyOf = (point: Point): Uint8Array => tableKey('held', point)
/** A held lock → its invoice's point. */
const byLock = ({ channel, id }: LockRef): Uint8Array => tableKey('node', utf8('held'), channel, u64(id))

export class HeldParts {
  /** Ledger time after which to look at a set again: never later than its end. A set that is gone is forgotten then. */
  readonly #ends = new Map<string, { readonly point: Point; ends: number }>()

  /** @param endOf last ledger second of a set's hold. */
  constructor(private readonly endOf: (tx: Pick<Tx, 'get'>, point: Point, parts: readonly HeldPart[]) => number) {}

  of(tx: Pick<Tx, 'get'>, point: Point): readonly HeldPart[] {
    const bytes = tx.get(keyOf(point))
    return bytes === undefined ? [] : read(bytes)
  }

  /** One more of its set. */
  add(tx: Tx, point: Point, part: HeldPart): void {
    tx.put({ key: byLock(part.lock), value: point })
    this.#put(tx, point, [...this.of(tx, point), part])
  }

  /** All of a set: claimed or given back by the caller. */
  take(tx: Tx, point: Point): readonly HeldPart[] {
    const parts = this.of(tx, point)
    for (const { lock } of parts) tx.delete(byLock(lock))
    tx.delete(keyOf(point))
    return parts
  }

  /** This lock is out while it was held. @returns whether it was. */
  drop(tx: Tx, lock: LockRef): boolean {
    const point = tx.get(byLock(lock)) as Point | undefined
    if (point === undefined) return false
    const left = this.of(tx, point).filter((part) => !sameLock(part.lock, lock))
    tx.delete(byLock(lock))
    if (left.length === 0) tx.delete(keyOf(point))
    else this.#put(tx, point, left)
    return true
  }

  /** Points of sets whose hold ended before `now`. */
  overdue(tx: Pick<Tx, 'get'>, now: number): Point[] {
    const found: Point[] = []
    for (const [name, known] of this.#ends) {
      if (known.ends >= now) continue
      const parts = this.of(tx, known.point)
      if (parts.length === 0) this.#ends.delete(name)
      else known.ends = this.endOf(tx, known.point, parts)
      if (parts.length > 0 && known.ends < now) found.push(known.point)
    }
    return found
  }

  /** Whether `overdue` has anything to look at. */
  isDue(now: number): boolean {
    for (const { ends } of this.#ends.values()) if (ends < now) return true
    return false
  }

  /** After a start. */
  load(tx: Pick<Tx, 'get'>, points: readonly Point[]): void {
    for (const point of points) this.#watch(tx, point, this.of(tx, point))
  }

  static async points(store: Store): Promise<Point[]> {
    const points: Point[] = []
    for await (const { key } of store.range(tableRange('held'))) points.push(key.slice(2) as Point)
    return points
  }

  #put(tx: Tx, point: Point, parts: readonly HeldPart[]): void {
    tx.put({ key: keyOf(point), value: encodeHeldParts(parts) })
    this.#watch(tx, point, parts)
  }

  #watch(tx: Pick<Tx, 'get'>, point: Point, parts: readonly HeldPart[]): void {
    if (parts.length > 0) this.#ends.set(idText(point), { point, ends: this.endOf(tx, point, parts) })
  }
}

function read(bytes: Uint8Array): readonly HeldPart[] {
  const parts = decodeHeldParts(bytes)
  if (!parts.ok) throw new InvariantError('S1', 'stored parts cannot be read')
  return parts.value
}
