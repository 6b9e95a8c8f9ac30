import { MeridianError } from '../base/errors.js'
import type { LedgerEvent } from '../base/ports/chain.js'
import { decodeTransaction, transactionId } from '../base/transaction.js'
import type { BlockDigest } from './block.js'

/** The events of a block after `cursor`. @throws MeridianError `ledger_block` where a transaction cannot be read. */
export function eventsOf({ head, transactions }: BlockDigest, cursor: number): LedgerEvent[] {
  const { height, time } = head
  const first = head.cursor - transactions.length + 1
  return transactions.flatMap((bytes, i): LedgerEvent[] => {
    if (first + i <= cursor) return []
    const tx = decodeTransaction(bytes)
    if (!tx.ok) throw new MeridianError('ledger_block', `transaction ${i} of block ${height}`)
    return [{ cursor: first + i, height, time, id: transactionId(bytes), transaction: tx.value }]
  })
}
