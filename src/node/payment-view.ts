/** A payment of ours as its caller sees it. */
import type { Amount } from '../base/amount.js'
import { bytesToHex } from '../base/bytes.js'
import type { ErrorCode } from '../base/errors.js'
import { idText } from '../base/ids.js'
import { invoiceDigest } from '../router/invoice.js'
import { costOf, paymentStatus } from '../router/payment.js'
import type { PartFailure, Payment } from '../router/payment-record.js'
import { formatReceipt } from '../router/receipt.js'

export interface PaymentView {
  readonly key: string
  readonly status: 'pending' | 'succeeded' | 'failed'
  /** invoiceDigest, hexadecimal. */
  readonly invoice: string
  readonly reference: string
  readonly payee: string
  readonly amount: Amount
  /** R6: the invoice of ours whose payment this one gives back, hexadecimal. */
  readonly refundOf: string | null
  /** Once succeeded: of all parts together; less where one came back after all. */
  readonly fee: Amount | null
  /** Once succeeded: what left, or still stands to leave, for the payee. */
  readonly sent: Amount | null
  /** Of the longest route. */
  readonly hops: number | null
  /** Under way; once succeeded: those that were. */
  readonly parts: number
  readonly code: ErrorCode | null
  /** R3: the hop that said so, 1 the first of its route. */
  readonly failedAt: { readonly hop: number; readonly account: string } | null
  readonly attempts: number
  /** Receipt file, once succeeded. */
  readonly receipt: string | null
}

export interface PaymentQuote {
  readonly amount: Amount
  readonly fee: Amount
  readonly hops: number
  readonly parts: number
}

export function viewOf(payment: Payment): PaymentView {
  const { key, invoice, attempts, phase } = payment
  const cost = phase === 'succeeded' ? costOf(payment) : null
  return {
    key,
    status: paymentStatus(payment).status,
    invoice: bytesToHex(invoiceDigest(invoice)),
    reference: invoice.reference,
    payee: idText(invoice.payee),
    amount: invoice.amount,
    refundOf: invoice.refundOf === null ? null : bytesToHex(invoice.refundOf),
    fee: cost?.fee ?? null,
    sent: cost?.amount ?? null,
    hops: phase === 'succeeded' ? payment.hops : null,
    parts: phase === 'open' ? payment.parts.length : phase === 'succeeded' ? payment.parts : 0,
    code: phase === 'failed' ? payment.failure.code : null,
    failedAt: phase === 'failed' ? failedAt(payment.failure) : null,
    attempts,
    receipt: phase === 'succeeded' ? formatReceipt(invoice, payment.proof) : null,
  }
}

export const failedAt = ({ hop, place }: PartFailure): PaymentView['failedAt'] =>
  hop === null || place === null ? null : { hop: place, account: idText(hop) }
