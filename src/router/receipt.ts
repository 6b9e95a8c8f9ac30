/**
 * Proof of payment, checked offline: the payee's signed invoice, and the t of its T. In however many parts it was paid,
 * t is the same: a payee that claims one of them has said that it is paid (R1).
 */
import { z } from 'zod'
import type { Amount } from '../base/amount.js'
import { bytesToHex, type Digest, equalBytes, hexToBytes } from '../base/bytes.js'
import { parseScalar, type Scalar } from '../base/curve/index.js'
import type { AccountId, LedgerId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { formatInvoice, type Invoice, invoiceDigest, parseInvoice } from './invoice.js'
import { opens } from './point-lock.js'

/** The file's fields; everything else that a reader wants to know stands, signed, in the invoice. */
const zReceipt = z.strictObject({
  format: z.literal('meridian-receipt-1'),
  /** The invoice's text. */
  invoice: z.string().max(LIMITS.invoice_characters),
  /** t, hexadecimal: only the payee could have given it, and only for the payment. */
  scalar: z.string().regex(/^[0-9a-f]{64}$/),
})

/** Throws nothing: the payment machine checked that t opens T. */
export const formatReceipt = (invoice: Invoice, scalar: Scalar): string =>
  `${JSON.stringify({ format: 'meridian-receipt-1', invoice: formatInvoice(invoice), scalar: bytesToHex(scalar) }, null, 2)}\n`

export interface VerifiedReceipt {
  /** invoiceDigest: the same for every receipt of one invoice. */
  readonly id: Digest
  readonly ledger: LedgerId
  readonly payee: AccountId
  /** Minor units. */
  readonly amount: Amount
  readonly reference: string
  /** The invoice of the payment that this one gave back, in whole or part (R6). */
  readonly refundOf: Digest | null
  /** Ledger times, seconds: when the invoice was made, and until when its payee took the payment. */
  readonly created: number
  readonly expires: number
}

/** Whom the reader expects: without it a receipt of anybody's own making verifies, for its maker's account. */
export interface ExpectedParties {
  readonly ledger?: LedgerId
  readonly payee?: AccountId
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // no receipt is `undefined`: the schema refuses it
  }
}

export function verifyReceipt(text: string, expected: ExpectedParties = {}): Result<VerifiedReceipt> {
  if (text.length > LIMITS.receipt_bytes) return refuse('too_long', 'receipt')
  const parsed = zReceipt.safeParse(parseJson(text))
  if (!parsed.success) return refuse('receipt_invalid', parsed.error.issues[0]?.path.join('.') || 'json')
  const read = parseInvoice(parsed.data.invoice)
  if (!read.ok) return read
  const invoice = read.value
  const scalar = parseScalar(hexToBytes(parsed.data.scalar))
  if (!scalar.ok || !opens(invoice.point, scalar.value)) return refuse('receipt_invalid', 'scalar')
  const { ledger, payee, amount, reference, refundOf, created, expires } = invoice
  if (expected.ledger !== undefined && !equalBytes(expected.ledger, ledger)) return refuse('receipt_foreign', 'ledger')
  if (expected.payee !== undefined && !equalBytes(expected.payee, payee)) return refuse('receipt_foreign', 'payee')
  return ok({ id: invoiceDigest(invoice), ledger, payee, amount, reference, refundOf, created, expires })
}
