/** Whose an outgoing lock is: a payment of ours, or what we owe on an incoming one. */
import { z } from 'zod'
import { cbor, zText } from '../base/codec.js'
import { type LockRef, zLockRef } from '../router/obligation-record.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Tx } from './engine.js'
import { KeptRows } from './kept-rows.js'
import { Registry } from './registry.js'

const zOwner = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('payment'), key: zText(256) }),
  z.strictObject({ kind: z.literal('forward'), incoming: zLockRef }),
])
export type OfferOwner = z.output<typeof zOwner>

const keyOf = ({ channel, id }: LockRef): Uint8Array => tableKey('offered', channel, id)

/** What is known of locks besides what their channels say. */
export interface LockFacts {
  readonly owners: OfferOwners
  readonly registry: Registry
}

export class OfferOwners {
  readonly #rows = new KeptRows<OfferOwner>({ encode: cbor, decode: (bytes) => parseRow(bytes, zOwner) })

  put(tx: Tx, lock: LockRef, owner: OfferOwner): void {
    this.#rows.put(tx, keyOf(lock), owner)
  }

  of(tx: Tx, lock: LockRef): OfferOwner | undefined {
    return this.#rows.get(tx, keyOf(lock))
  }

  /** Once the lock is out: nothing about it comes any more. */
  drop(tx: Tx, lock: LockRef): void {
    this.#rows.delete(tx, keyOf(lock))
  }
}

export const lockFacts = (): LockFacts => ({ owners: new OfferOwners(), registry: new Registry() })
