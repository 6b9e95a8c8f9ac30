/**
 * What happened, for the books of whoever runs the node: durable with the change that it reports, numbered without gaps,
 * replayed from any number. Amounts are in it: it never leaves but through the operator API.
 */
import { z } from 'zod'
import { AMOUNT_BYTES, type Amount, amountToBytes } from '../base/amount.js'
import { bytesToHex, readU64, u64, utf8 } from '../base/bytes.js'
import { cbor, zAmount, zBytesUpTo, zCount, zText } from '../base/codec.js'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Store } from '../base/ports/store.js'
import { ok, type Result, refuse } from '../base/result.js'
import { parseRow } from '../store/rows.js'
import { lastCounter, tableKey, tableRange } from '../store/tables.js'
import type { Engine, Tx } from './engine.js'
import {
  type CarriedOver,
  carriedRow,
  channelsChange,
  markArchived,
  readArchived,
  readCarried,
} from './event-archive.js'
import { type PaidPart, packPays, unpackPays } from './packed-pays.js'

const zHex = zText(128)
const at = { time: zCount }
/** `invoice`: its digest. */
const ofPayment = { ...at, key: zText(256), invoice: zHex, reference: zText(256), amount: zAmount }

export const zNodeEvent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('channel.opened'), ...at, channel: zHex, peer: zHex }),
  /** We signed an exit: alone, and for good (C10). */
  z.strictObject({
    type: z.literal('channel.exited'),
    ...at,
    channel: zHex,
    version: zCount,
    reason: z.enum(['broken', 'absent', 'stalled', 'forced']),
  }),
  /** L7: a state stands on the ledger: an exit's, or a higher one that superseded it. */
  z.strictObject({
    type: z.literal('channel.disputed'),
    ...at,
    channel: zHex,
    peer: zHex,
    by: z.enum(['us', 'peer']),
    version: zCount,
    deadline: zCount,
  }),
  /** L7: the whole pool went to `winner`. */
  z.strictObject({
    type: z.literal('channel.punished'),
    ...at,
    channel: zHex,
    peer: zHex,
    winner: z.enum(['us', 'peer']),
  }),
  /** `how`: by which transaction the ledger paid out. */
  z.strictObject({
    type: z.literal('channel.closed'),
    ...at,
    channel: zHex,
    peer: zHex,
    how: z.enum(['closeChannel', 'settle', 'punish']).default('closeChannel'),
  }),
  z.strictObject({ type: z.literal('channel.broken'), ...at, channel: zHex, peer: zHex, clause: zText(64) }),
  z.strictObject({
    type: z.literal('invoice.paid'),
    ...at,
    invoice: zHex,
    reference: zText(256),
    amount: zAmount,
    /** In which the last of its parts came. */
    channel: zHex,
    parts: zCount,
  }),
  /** `amount` is what its parts carry to the payee. */
  z.strictObject({
    type: z.literal('payment.succeeded'),
    ...ofPayment,
    fee: zAmount,
    parts: zCount,
  }),
  /** Of a payment that succeeded: a part that its payee never took came back. Less left than `payment.succeeded` said. */
  z.strictObject({
    type: z.literal('payment.returned'),
    ...ofPayment,
    fee: zAmount,
  }),
  /** R6: our payment of `invoice` was given back by the one of `refund`, whose `invoice.paid` is the movement. */
  z.strictObject({
    type: z.literal('payment.refunded'),
    ...ofPayment,
    refund: zHex,
  }),
  /** R6: we gave back what was paid for our `invoice`; the movement is the `payment.succeeded` of `refund`. */
  z.strictObject({
    type: z.literal('invoice.refunded'),
    ...at,
    invoice: zHex,
    refund: zHex,
    reference: zText(256),
    amount: zAmount,
  }),
  z.strictObject({
    type: z.literal('payment.failed'),
    ...at,
    key: zText(256),
    invoice: zHex,
    code: zText(64),
    /** R3: the hop that said so. */
    failedAt: z.strictObject({ hop: zCount, account: zHex }).nullable().default(null),
  }),
  z.strictObject({ type: z.literal('forward.claimed'), ...at, channel: zHex, fee: zAmount }),
  z.strictObject({ type: z.literal('pay.received'), ...at, channel: zHex, amount: zAmount, reference: zHex }),
  z.strictObject({ type: z.literal('pay.sent'), ...at, channel: zHex, amount: zAmount, reference: zHex }),
])
export type NodeEvent = z.output<typeof zNodeEvent>
export type NumberedEvent = NodeEvent & { readonly cursor: number }

const PAY_BYTES_MAX = AMOUNT_BYTES + 1 + LIMITS.pay_reference_bytes

/** As stored: an event, or all the pays of one step, whose cursors end at the row's. */
const zRow = z.discriminatedUnion('type', [
  ...zNodeEvent.options,
  z.strictObject({
    type: z.literal('pays'),
    ...at,
    sent: z.boolean(),
    channel: zHex,
    // A round's, and those of the round before where both become irrevocable in one step.
    pays: zBytesUpTo(2 * LIMITS.round_operations * PAY_BYTES_MAX),
  }),
])

/** Whatever is a bigint in an event is an amount. */
const encodeRow = (row: z.output<typeof zRow>): Uint8Array =>
  cbor(
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        typeof value === 'bigint' ? amountToBytes(value as Amount) : value,
      ]),
    ),
  )

const eventsOf = (row: z.output<typeof zRow>): readonly NodeEvent[] => {
  if (row.type !== 'pays') return [row]
  const { time, channel, sent } = row
  return unpackPays(row.pays).map(({ amount, reference }) => ({
    type: sent ? 'pay.sent' : 'pay.received',
    time,
    channel,
    amount,
    reference: bytesToHex(reference),
  }))
}

const LAST = tableKey('node', utf8('last-event'))

export class EventLog {
  readonly #listeners = new Set<(event: NumberedEvent) => void>()

  constructor(private readonly store: Store) {}

  append(tx: Tx, event: NodeEvent): void {
    this.#append(tx, event, 1)
  }

  /** The pays of one side that one step made irrevocable: an event each, one row for all. */
  appendPays(
    tx: Tx,
    at: { readonly sent: boolean; readonly time: number; readonly channel: string },
    pays: readonly PaidPart[],
  ): void {
    this.#append(tx, { type: 'pays', ...at, pays: packPays(pays) }, pays.length)
  }

  #append(tx: Tx, row: z.output<typeof zRow>, count: number): void {
    const before = tx.get(LAST)
    const first = (before === undefined ? 0 : (readU64(before) ?? 0)) + 1
    const last = first + count - 1
    tx.put({ key: LAST, value: u64(last) })
    tx.put({ key: tableKey('event', last), value: encodeRow(row) })
    tx.after(() => {
      if (this.#listeners.size === 0) return
      for (const [index, event] of eventsOf(row).entries()) {
        for (const listener of this.#listeners) listener({ ...event, cursor: first + index })
      }
    })
  }

  /** Number of the newest event that is durable; 0 before the first. */
  get last(): number {
    const row = this.store.get(LAST)
    return row === undefined ? 0 : (readU64(row) ?? 0)
  }

  /** What has left the log. */
  get carried(): CarriedOver {
    return readCarried(this.store)
  }

  /** Cursor up to which the operator has everything elsewhere. */
  get archived(): number {
    return readArchived(this.store)
  }

  /** The operator has everything up to `cursor` elsewhere. Errors: `cursor_ahead`. */
  archive(tx: Tx, cursor: number): Result<undefined> {
    if (cursor > this.last) return refuse('cursor_ahead')
    markArchived(tx, cursor)
    return ok(undefined)
  }

  /** Archived rows from before this ledger time leave, a bounded piece; one caller at a time. @returns whether there may be more. */
  async prune(engine: Engine, before: number): Promise<boolean> {
    const { archived, carried } = this
    if (before <= 0 || archived <= carried.cursor) return false
    const keys: Uint8Array[] = []
    let { cursor, time, channels } = carried
    const range = { from: tableKey('event', cursor + 1), to: tableKey('event', archived + 1), limit: LIMITS.sweep_rows }
    for await (const { key, value } of this.store.range(range)) {
      const row = parseRow(value, zRow)
      if (row.time >= before) break
      for (const event of eventsOf(row)) channels += channelsChange(event)
      cursor = lastCounter(key)
      time = row.time
      keys.push(key)
    }
    if (keys.length === 0) return false
    await engine.run((tx) => {
      for (const key of keys) tx.delete(key)
      tx.put(carriedRow({ cursor, time, channels }))
    }).durable
    return keys.length === LIMITS.sweep_rows
  }

  /** @throws MeridianError `cursor_pruned`, where events after `cursor` have left the log */
  needAfter(cursor: number): void {
    const { carried } = this
    if (carried.cursor > cursor) throw new MeridianError('cursor_pruned', `after=${carried.cursor}`)
  }

  /** Events after `cursor`, oldest first, a bounded page. @throws MeridianError `cursor_pruned` */
  async page(cursor: number, limit: number): Promise<NumberedEvent[]> {
    const events: NumberedEvent[] = []
    const { to } = tableRange('event')
    for await (const { key, value } of this.store.range({ from: tableKey('event', cursor + 1), to, limit })) {
      const row = eventsOf(parseRow(value, zRow))
      const first = lastCounter(key) - row.length + 1
      for (const [index, event] of row.entries()) {
        if (first + index > cursor && events.length < limit) events.push({ ...event, cursor: first + index })
      }
      if (events.length >= limit) break
    }
    this.needAfter(cursor) // asked after the rows were read: what left meanwhile is not passed over in silence
    return events
  }

  /** Live ones from now on, once durable. @returns how to stop. */
  listen(listener: (event: NumberedEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
