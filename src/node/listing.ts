/** Lists in the order in which their entries came, numbered from 1 without gaps; pages of them after any number. */
import { readU64, u64, utf8 } from '../base/bytes.js'
import type { Store } from '../base/ports/store.js'
import { lastCounter, tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'

export type List = 'invoices' | 'payments'

const countKey = (list: List): Uint8Array => tableKey('node', utf8('listed'), utf8(list))
const entryKey = (list: List, cursor: number): Uint8Array => tableKey('listed', utf8(list), cursor)

/** Within the batch that makes the entry. */
export function enlist(tx: Tx, list: List, id: Uint8Array): void {
  const row = tx.get(countKey(list))
  const cursor = (row === undefined ? 0 : (readU64(row) ?? 0)) + 1
  tx.put({ key: countKey(list), value: u64(cursor) })
  tx.put({ key: entryKey(list, cursor), value: id })
}

/** A page, oldest first, of what is durable. */
export async function pageOf(
  store: Store,
  list: List,
  after: number,
  limit: number,
): Promise<readonly { readonly cursor: number; readonly id: Uint8Array }[]> {
  const page: { readonly cursor: number; readonly id: Uint8Array }[] = []
  const { to } = tableRange('listed', utf8(list))
  for await (const { key, value } of store.range({ from: entryKey(list, after + 1), to, limit })) {
    page.push({ cursor: lastCounter(key), id: value })
  }
  return page
}
