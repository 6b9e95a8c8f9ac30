/** The payee's side (R6): invoices issued, paid once; refunds that are asked for. */
import { z } from 'zod'
import { type Amount, amountToBytes, plus, ZERO } from '../base/amount.js'
import { bytesToHex, type Digest, equalBytes, utf8 } from '../base/bytes.js'
import { cbor, zAmount, zCount, zText } from '../base/codec.js'
import type { Point } from '../base/curve/index.js'
import { InvariantError } from '../base/errors.js'
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
import { KeptRows } from './kept-rows.js'
import { enlist, pageOf } from './listing.js'
import { addRefund } from './refunds.js'
import type { RouterParts } from './router-parts.js'

const zRow = z.strictObject({
  invoice: zText(4_096),
  key: zText(256),
  /** Decided to be claimed: it is paid once (R1). */
  paid: z.boolean(),
  /** Parts whose claim was decided, those of them whose lock is not out yet, and what the others brought. */
  parts: zCount,
  claiming: zCount,
  received: zAmount,
})

type Row = z.output<typeof zRow>

export interface IssuedRow {
  readonly invoice: Invoice
  readonly text: string
  /** A claim of all its parts is decided: no other payment is taken. */
  readonly paid: boolean
  /** All its parts are irrevocably out: only now may t be shown, a hub could claim with it. */
  readonly settled: boolean
  /** Irrevocably ours. */
  readonly received: Amount
}

/** A row with its invoice read. */
interface Issued {
  readonly row: Row
  readonly invoice: Invoice
}

export interface InvoiceWish {
  readonly amount: Amount
  /** Absent: that of the payment that is given back. */
  readonly reference?: string
  /** Ledger seconds from now. */
  readonly expiresIn: number
  /** Instead of how payers reach us. */
  readonly hints?: readonly RouteHint[]
  /** R6: invoiceDigest of the payment of ours that is to be given back, in whole or part. */
  readonly refundOf?: Digest
}

/** A payment of ours that succeeded, by its invoice's digest. */
export type PaidFor = (
  tx: Pick<Tx, 'get'>,
  id: Digest,
) => { readonly key: string; readonly invoice: Invoice } | undefined

const keyOf = (point: Point): Uint8Array => tableKey('invoice', point)
/** Idempotency: key → point. */
const byKey = (key: string): Uint8Array => tableKey('node', utf8('invoice-key'), utf8(key))
/** invoiceDigest → point. */
const byId = (id: Digest): Uint8Array => tableKey('node', utf8('invoice-id'), id)

export class Invoices {
  readonly #rows = new KeptRows<Issued>({
    encode: ({ row }) => cbor({ ...row, received: amountToBytes(row.received) }),
    decode: issuedOf,
  })

  constructor(
    private readonly parts: RouterParts,
    private readonly engine: Engine,
    private readonly store: Store,
    private readonly hints: () => readonly RouteHint[],
    /** Seconds that the payee's lock must last. */
    private readonly finalDelta: number,
    private readonly paidFor: PaidFor,
  ) {}

  /**
   * The same key gives the same invoice. Errors: `invoice_invalid`, `too_long`, `request_key_reused`; of a refund
   * `refund_unknown`, `refund_above_original`.
   */
  async issue(key: string, wish: InvoiceWish): Promise<Result<IssuedRow>> {
    const made = this.engine.run((tx): Result<IssuedRow> => {
      const known = tx.get(byKey(key))
      return known === undefined ? this.#issue(tx, key, wish) : this.#again(tx, known as Point, wish)
    })
    await made.durable
    return made.value
  }

  #issue(tx: Tx, key: string, wish: InvoiceWish): Result<IssuedRow> {
    const { amount, expiresIn, refundOf = null } = wish
    const original = refundOf === null ? undefined : this.paidFor(tx, refundOf)
    const reference = wish.reference ?? original?.invoice.reference
    if (reference === undefined) return refuse(refundOf === null ? 'invoice_invalid' : 'refund_unknown', 'reference')
    const { time } = this.parts.view()
    const request = {
      ledger: this.parts.chain.ledger,
      amount,
      secret: new Uint8Array(this.parts.entropy(32)),
      reference,
      refundOf,
      created: time,
      expires: time + expiresIn,
      finalDelta: this.finalDelta,
      hints: [...(wish.hints ?? this.hints())],
    }
    const invoice = createInvoice(request, this.parts.seed, this.parts.key)
    if (!invoice.ok) return invoice
    const { point } = invoice.value
    if (refundOf !== null) {
      if (original?.invoice.reference !== reference) return refuse('refund_unknown')
      const refunds = { list: 'refunds-issued', of: refundOf, most: original.invoice.amount } as const
      const added = addRefund(tx, refunds, { id: point, amount }, (id) => this.#mayBePaid(tx, id as Point))
      if (!added.ok) return added
    }
    const text = formatInvoice(invoice.value)
    const row = { invoice: text, key, paid: false, parts: 0, claiming: 0, received: ZERO }
    this.#rows.put(tx, keyOf(point), { row, invoice: invoice.value })
    tx.put({ key: byKey(key), value: point })
    tx.put({ key: byId(invoiceDigest(invoice.value)), value: point })
    enlist(tx, 'invoices', point)
    return ok({ invoice: invoice.value, text, paid: false, settled: false, received: ZERO })
  }

  /** An invoice that is neither paid nor past its time: it counts against what may be given back. */
  #mayBePaid(tx: Tx, point: Point): boolean {
    const issued = this.byPoint(tx, point)
    return issued !== undefined && (issued.paid || this.parts.view().time <= issued.invoice.expires)
  }

  /** Within a step. */
  byPoint(tx: Pick<Tx, 'get'>, point: Point): IssuedRow | undefined {
    const issued = this.#rows.get(tx, keyOf(point))
    return issued === undefined ? undefined : shown(issued)
  }

  /** Within the batch that decides to claim all parts (R1: paid once). */
  markPaid(tx: Tx, { point }: Invoice, parts: number): void {
    const issued = this.#rows.get(tx, keyOf(point))
    if (issued === undefined) return
    const row = { ...issued.row, paid: true, parts, claiming: parts }
    this.#rows.put(tx, keyOf(point), { ...issued, row })
  }

  /** A part that was claimed is out: its amount is irrevocably ours, or lost. The books hear of it once all are out. */
  partOut(tx: Tx, point: Point, channel: ChannelId, gained: Amount): void {
    const issued = this.#rows.get(tx, keyOf(point))
    if (issued === undefined) return
    const before = issued.row
    const row = { ...before, claiming: before.claiming - 1, received: plus(before.received, gained) }
    this.#rows.put(tx, keyOf(point), { ...issued, row })
    if (row.claiming === 0 && row.received > ZERO) this.#received(tx, shown({ ...issued, row }), row.parts, channel)
  }

  #received(tx: Tx, { invoice, received: amount }: IssuedRow, parts: number, channel: ChannelId): void {
    const { reference, refundOf } = invoice
    const { time } = this.parts.view()
    const id = bytesToHex(invoiceDigest(invoice))
    const { events } = this.parts
    events.append(tx, {
      type: 'invoice.paid',
      time,
      invoice: id,
      reference,
      amount,
      channel: bytesToHex(channel),
      parts,
    })
    const original = refundOf === null ? undefined : this.paidFor(tx, refundOf)
    if (refundOf === null || original === undefined) return
    const { key } = original
    const refunded = { invoice: bytesToHex(refundOf), refund: id, reference, amount }
    events.append(tx, { type: 'payment.refunded', time, key, ...refunded })
  }

  /** R6: what the payer holds too; null before the amount is irrevocably ours. */
  receiptOf({ invoice, settled }: IssuedRow): string | null {
    if (!settled) return null
    return formatReceipt(invoice, invoiceScalar(this.parts.seed, invoice.ledger, invoice.secret))
  }

  /** Within a step. @param id invoiceDigest */
  ofId(tx: Pick<Tx, 'get'>, id: Digest): IssuedRow | undefined {
    const point = tx.get(byId(id))
    return point === undefined ? undefined : this.byPoint(tx, point as Point)
  }

  /** @param id invoiceDigest. What it says is durable. */
  byId(id: Digest): IssuedRow | undefined {
    const point = this.store.get(byId(id))
    return point === undefined ? undefined : this.#durable(point as Point)
  }

  #durable(point: Point): IssuedRow | undefined {
    const issued = this.#rows.durable(this.store, keyOf(point))
    return issued === undefined ? undefined : shown(issued)
  }

  /** In the order of issuing; what it says is durable. */
  async list(limit: number, after: number): Promise<(IssuedRow & { readonly cursor: number })[]> {
    const rows: (IssuedRow & { readonly cursor: number })[] = []
    for (const { cursor, id } of await pageOf(this.store, 'invoices', after, limit)) {
      const row = this.#durable(id as Point)
      if (row !== undefined) rows.push({ ...row, cursor })
    }
    return rows
  }

  #again(tx: Tx, point: Point, wish: InvoiceWish): Result<IssuedRow> {
    const issued = this.byPoint(tx, point)
    if (issued === undefined) return refuse('request_key_reused')
    const { amount, reference, refundOf } = issued.invoice
    const of = wish.refundOf ?? null
    const sameOriginal = of === null || refundOf === null ? of === refundOf : equalBytes(of, refundOf)
    const same = amount === wish.amount && reference === (wish.reference ?? reference) && sameOriginal
    return same ? ok(issued) : refuse('request_key_reused')
  }
}

const shown = ({ row: { invoice: text, paid, claiming, received }, invoice }: Issued): IssuedRow => ({
  invoice,
  text,
  paid,
  settled: paid && claiming === 0,
  received,
})

function issuedOf(bytes: Uint8Array): Issued {
  const row = parseRow(bytes, zRow)
  const invoice = parseInvoice(row.invoice)
  if (!invoice.ok) throw new InvariantError('S1', 'a stored invoice cannot be read')
  return { row, invoice: invoice.value }
}
