/** Refunds of one payment (R6), by its invoice's digest: at who gives back, and at who gets back. Bounded, and in sum too. */
import { z } from 'zod'
import { type Amount, plus } from '../base/amount.js'
import { type Digest, utf8 } from '../base/bytes.js'
import { encodeAs, zAmount, zBytes } from '../base/codec.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Tx } from './engine.js'

/** `issued`: refund invoices of ours, by their point; `paid`: payments of ours that are refunds, by the hash of their key. */
export type RefundList = 'refunds-issued' | 'refunds-paid'

const zRefunds = z.array(z.strictObject({ id: zBytes(33).or(zBytes(32)), amount: zAmount })).max(LIMITS.payment_refunds)

/** @param counts whether this one has taken place, or still may. */
export function addRefund(
  tx: Pick<Tx, 'get' | 'put'>,
  { list, of, most }: { readonly list: RefundList; readonly of: Digest; readonly most: Amount },
  refund: { readonly id: Uint8Array; readonly amount: Amount },
  counts: (id: Uint8Array) => boolean,
): Result<undefined> {
  const key = tableKey('node', utf8(list), of)
  const row = tx.get(key)
  const before = (row === undefined ? [] : parseRow(row, zRefunds)).filter(({ id }) => counts(id))
  const sum = plus(...before.map(({ amount }) => amount))
  if (before.length === LIMITS.payment_refunds || plus(sum, refund.amount) > most) {
    return refuse('refund_above_original')
  }
  tx.put({ key, value: encodeAs(zRefunds, [...before, refund]) })
  return ok(undefined)
}
