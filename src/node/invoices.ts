/** The payee's side (R6): invoices issued, paid once. */
import { z } from 'zod'
import type { Amount } from '../base/amount.js'
import { bytesToHex, type Digest, utf8 } from '../base/bytes.js'
import { encodeAs, zText } from '../base/codec.js'
import type { Point } from '../base/curve/index.js'
import type { ChannelId } from '../base/ids.js'
import type { Store } from '../base/ports/store.js'
import { ok, type Result, refuse } from '../base/result.js'
import {
  createInvoice,
  formatInvoice,
  type Invoice,
  invoiceDigest,
  invoiceScalar,
  parseInvoice,
  type RouteHint,
} from '../router/invoice.js'
import { formatReceipt } from '../router/receipt.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Engine, Tx } from './engine.js'
import { enlist, pageOf } from './listing.js'
import type { RouterParts } from './router-parts.js'

const zRow = z.strictObject({
  invoice: zText(4_096),
  key: zText(256),
  /** Decided to be claimed: it is paid once (R1). */
  paid: z.boolean(),
  /** The amount is irrevocably ours: only now may t be shown, a hub could claim with it. */
  received: z.boolean().default(false),
})

export interface IssuedRow {
  readonly invoice: Invoice
  readonly text: string
  readonly paid: boolean
  readonly received: boolean
}

export interface InvoiceWish {
  readonly amount: Amount
  readonly reference: string
  /** Ledger seconds from now. */
  readonly expiresIn: number
  /** Instead of how payers reach us. */
  readonly hints?: readonly RouteHint[]
}

const keyOf = (point: Point): Uint8Array => tableKey('invoice', point)
/** Idempotency: key → point. */
const byKey = (key: string): Uint8Array => tableKey('node', utf8('invoice-key'), utf8(key))
/** invoiceDigest → point. */
const byId = (id: Digest): Uint8Array => tableKey('node', utf8('invoice-id'), id)

export class Invoices {
  constructor(
    private readonly parts: RouterParts,
    private readonly engine: Engine,
    private readonly store: Store,
    private readonly hints: () => readonly RouteHint[],
    /** Seconds that the payee's lock must last. */
    private readonly finalDelta: number,
  ) {}

  /** The same key gives the same invoice. Errors: `invoice_invalid`, `too_long`, `request_key_reused`. */
  async issue(key: string, wish: InvoiceWish): Promise<Result<IssuedRow>> {
    const made = this.engine.run((tx): Result<IssuedRow> => {
      const known = tx.get(byKey(key))
      if (known !== undefined) return this.#again(tx, known as Point, wish)
      const { time } = this.parts.view()
      const request = {
        ledger: this.parts.chain.ledger,
        amount: wish.amount,
        secret: new Uint8Array(this.parts.entropy(32)),
        reference: wish.reference,
        created: time,
        expires: time + wish.expiresIn,
        finalDelta: this.finalDelta,
        hints: [...(wish.hints ?? this.hints())],
      }
      const invoice = createInvoice(request, this.parts.seed, this.parts.key)
      if (!invoice.ok) return invoice
      const text = formatInvoice(invoice.value)
      tx.put({
        key: keyOf(invoice.value.point),
        value: encodeAs(zRow, { invoice: text, key, paid: false, received: false }),
      })
      tx.put({ key: byKey(key), value: invoice.value.point })
      tx.put({ key: byId(invoiceDigest(invoice.value)), value: invoice.value.point })
      enlist(tx, 'invoices', invoice.value.point)
      return ok({ invoice: invoice.value, text, paid: false, received: false })
    })
    await made.durable
    return made.value
  }

  byPoint(tx: Pick<Tx, 'get'>, point: Point): IssuedRow | undefined {
    const bytes = tx.get(keyOf(point))
    return bytes === undefined ? undefined : readRow(bytes)
  }

  /** Within the batch that decides to claim (R1: paid once). */
  markPaid(tx: Tx, invoice: Invoice): void {
    const bytes = tx.get(keyOf(invoice.point))
    if (bytes === undefined) return
    tx.put({ key: keyOf(invoice.point), value: encodeAs(zRow, { ...parseRow(bytes, zRow), paid: true }) })
  }

  /** The amount is irrevocably ours. */
  received(tx: Tx, point: Point, channel: ChannelId): void {
    const bytes = tx.get(keyOf(point))
    if (bytes === undefined) return
    const issued = readRow(bytes)
    tx.put({ key: keyOf(point), value: encodeAs(zRow, { ...parseRow(bytes, zRow), received: true }) })
    const { reference, amount } = issued.invoice
    const invoice = bytesToHex(invoiceDigest(issued.invoice))
    const { time } = this.parts.view()
    this.parts.events.append(tx, {
      type: 'invoice.paid',
      time,
      invoice,
      reference,
      amount,
      channel: bytesToHex(channel),
    })
  }

  /** R6: what the payer holds too; null before the amount is irrevocably ours. */
  receiptOf({ invoice, received }: IssuedRow): string | null {
    if (!received) return null
    return formatReceipt(invoice, invoiceScalar(this.parts.seed, invoice.ledger, invoice.secret))
  }

  /** @param id invoiceDigest. What it says is durable. */
  byId(id: Digest): IssuedRow | undefined {
    const point = this.store.get(byId(id))
    return point === undefined ? undefined : this.byPoint(this.store, point as Point)
  }

  /** In the order of issuing; what it says is durable. */
  async list(limit: number, after: number): Promise<(IssuedRow & { readonly cursor: number })[]> {
    const rows: (IssuedRow & { readonly cursor: number })[] = []
    for (const { cursor, id } of await pageOf(this.store, 'invoices', after, limit)) {
      const row = this.byPoint(this.store, id as Point)
      if (row !== undefined) rows.push({ ...row, cursor })
    }
    return rows
  }

  #again(tx: Tx, point: Point, wish: InvoiceWish): Result<IssuedRow> {
    const issued = this.byPoint(tx, point)
    const same = issued?.invoice.amount === wish.amount && issued.invoice.reference === wish.reference
    return same ? ok(issued) : refuse('request_key_reused')
  }
}

function readRow(bytes: Uint8Array): IssuedRow {
  const { invoice: text, paid, received } = parseRow(bytes, zRow)
  const invoice = parseInvoice(text)
  if (!invoice.ok) throw new Error('a stored invoice cannot be read')
  return { invoice: invoice.value, text, paid, received }
}
