/** The ledger's registry of reveals (L8), as far as the ledger was followed. Entries are never taken out. */
import { z } from 'zod'
import { encodeAs, zCount, zScalar } from '../base/codec.js'
import { curve, type Point, type Scalar } from '../base/curve/index.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Tx } from './engine.js'

const zRevealed = z.strictObject({ scalar: zScalar, time: zCount })

export interface Revealed {
  readonly scalar: Scalar
  /** Ledger time at which it was first seen. */
  readonly time: number
}

export class Registry {
  /** Not in it since the last reveal: every step asks about every lock that it knows a scalar of, and reveals are rare. */
  #absent = new WeakSet<Point>()

  of(tx: Pick<Tx, 'get'>, point: Point): Revealed | undefined {
    if (this.#absent.has(point)) return undefined
    const bytes = tx.get(tableKey('revealed', point))
    if (bytes !== undefined) return parseRow(bytes, zRevealed)
    this.#absent.add(point)
    return undefined
  }

  add(tx: Tx, revealed: Revealed): void {
    const key = tableKey('revealed', curve.multiplyBase(revealed.scalar))
    if (tx.get(key) !== undefined) return // L8: the first time counts
    this.#absent = new WeakSet()
    tx.put({ key, value: encodeAs(zRevealed, revealed) })
  }
}
