/**
 * What may leave the event log, and what has left it. A row goes when its operator has it elsewhere, by the operator's own
 * word, and it is older than is asked for; what it moved in channels stays behind as one sum, so that books which
 * begin after it still add up.
 */
import { z } from 'zod'
import { readU64, u64, utf8 } from '../base/bytes.js'
import { cbor, zCount, zText } from '../base/codec.js'
import { unreachable } from '../base/errors.js'
import type { Row, Store } from '../base/ports/store.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Tx } from './engine.js'
import type { NodeEvent } from './event-log.js'

/** Of all events that have left. */
export interface CarriedOver {
  /** Cursor of the newest of them; 0: none has left. */
  readonly cursor: number
  /** Ledger time of the newest. */
  readonly time: number
  /** What they changed in the channels together: received less sent, fees with it. */
  readonly channels: bigint
}

const NOTHING: CarriedOver = { cursor: 0, time: 0, channels: 0n }
const CARRIED = tableKey('node', utf8('events-carried'))
const ARCHIVED = tableKey('node', utf8('events-archived'))

/** A sum of any number of amounts outgrows one amount's bytes. */
const zCarried = z.strictObject({ cursor: zCount, time: zCount, channels: zText(64).regex(/^(0|-?[1-9]\d*)$/) })

export function readCarried(store: Pick<Store, 'get'>): CarriedOver {
  const row = store.get(CARRIED)
  if (row === undefined) return NOTHING
  const { cursor, time, channels } = parseRow(row, zCarried)
  return { cursor, time, channels: BigInt(channels) }
}

export const carriedRow = ({ cursor, time, channels }: CarriedOver): Row => ({
  key: CARRIED,
  value: cbor({ cursor, time, channels: channels.toString() }),
})

/** The operator has everything up to this cursor elsewhere. */
export const readArchived = (store: Pick<Store, 'get'>): number => readU64(store.get(ARCHIVED) ?? u64(0)) ?? 0

/** Never back: what may have left already is not taken back by a late word. */
export function markArchived(tx: Tx, cursor: number): void {
  if (cursor > readArchived(tx)) tx.put({ key: ARCHIVED, value: u64(cursor) })
}

/** What an event changes in the node's channels: the same that `account export` lists for it. */
export function channelsChange(event: NodeEvent): bigint {
  switch (event.type) {
    case 'invoice.paid':
    case 'pay.received':
      return event.amount
    case 'pay.sent':
      return -event.amount
    case 'payment.succeeded':
      return -(event.amount + event.fee)
    case 'payment.returned':
      return event.amount + event.fee
    case 'forward.claimed':
      return event.fee
    case 'channel.opened':
    case 'channel.exited':
    case 'channel.disputed':
    case 'channel.punished':
    case 'channel.closed':
    case 'channel.broken':
    case 'payment.refunded': // the movement is the `invoice.paid` of the refund
    case 'invoice.refunded': // the movement is the `payment.succeeded` of the refund
    case 'payment.failed':
      return 0n
    default:
      return unreachable(event)
  }
}
