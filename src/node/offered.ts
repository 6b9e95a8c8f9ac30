/** Whose an outgoing lock is: a payment of ours, or what we owe on an incoming one. */
import { z } from 'zod'
import { cbor, zText } from '../base/codec.js'
import { type LockRef, zLockRef } from '../router/obligation-record.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Tx } from './engine.js'

const zOwner = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('payment'), key: zText(256) }),
  z.strictObject({ kind: z.literal('forward'), incoming: zLockRef }),
])
export type OfferOwner = z.output<typeof zOwner>

const keyOf = ({ channel, id }: LockRef): Uint8Array => tableKey('offered', channel, id)

export const putOwner = (tx: Tx, lock: LockRef, owner: OfferOwner): void =>
  tx.put({ key: keyOf(lock), value: cbor(owner) })

export function ownerOf(tx: Tx, lock: LockRef): OfferOwner | undefined {
  const row = tx.get(keyOf(lock))
  return row === undefined ? undefined : parseRow(row, zOwner)
}

/** Once the lock is out: nothing about it comes any more. */
export const dropOwner = (tx: Tx, lock: LockRef): void => tx.delete(keyOf(lock))
