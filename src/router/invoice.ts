/** Invoices (R6): what a payee asks for, signed, as one bech32m text. Shown to the payer alone. */
import { bech32m } from '@scure/base'
import { z } from 'zod'
import { amount, amountToBytes } from '../base/amount.js'
import { type Digest, equalBytes, utf8 } from '../base/bytes.js'
import { cbor, decodeAs, zAmount, zBytes, zCount, zDigest, zPoint, zSignature } from '../base/codec.js'
import { curve, type Point, type Scalar } from '../base/curve/index.js'
import { prfScalar, taggedHash } from '../base/digest.js'
import type { LedgerId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { oncePer } from '../base/once.js'
import { ok, type Result, refuse } from '../base/result.js'
import { plainPolicy, zPolicy } from './policy.js'

export const INVOICE_PREFIX = 'mrd'

/** Printable text of a bounded number of UTF-8 bytes: it reaches terminals and ledgers of others unchanged. */
export const isReference = (text: string): boolean =>
  utf8(text).length <= LIMITS.reference_bytes && !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)
const zReference = z.string().refine(isReference)

const zHubUrl = z
  .string()
  .max(LIMITS.address_characters)
  .regex(/^wss?:\/\/[A-Za-z0-9.:[\]-]+$/)

/** A hub with a channel to the payee, and what it asks for forwarding there. */
const zRouteHint = z.strictObject({
  hub: zPoint,
  /** Where the hub listens, for a payer that is not connected to it. */
  url: zHubUrl.nullable(),
  channel: zDigest,
  policy: zPolicy,
})
export type RouteHint = z.output<typeof zRouteHint>

const fields = {
  version: z.literal(1),
  ledger: zDigest,
  /** Also the key that signs. */
  payee: zPoint,
  /** Minor units, at least 1. */
  amount: zAmount,
  /** T = t*G. */
  point: zPoint,
  /** The payment secret: in the payee's part of the onion it shows that the payer has the invoice. */
  secret: zBytes(32),
  /** The payer's claim number. */
  reference: zReference,
  /** R6: invoiceDigest of the payment that this one gives back, in whole or part; its reference is this one's too. */
  refundOf: zDigest.nullable(),
  /** Ledger times, seconds. */
  created: zCount,
  expires: zCount,
  /** Seconds that the payee's lock must at least last when the payer sends it. */
  finalDelta: zCount,
  hints: z.array(zRouteHint).max(LIMITS.invoice_hints),
}
const zTerms = z.strictObject(fields)
export const zInvoice = z.strictObject({ ...fields, signature: zSignature })

export type InvoiceTerms = z.output<typeof zTerms>
export type Invoice = z.output<typeof zInvoice>

/** As CBOR has it. */
export const plainInvoice = <T extends InvoiceTerms>(invoice: T) => ({
  ...invoice,
  amount: amountToBytes(invoice.amount),
  hints: invoice.hints.map((hint) => ({ ...hint, policy: plainPolicy(hint.policy) })),
})

const digestOf = (plain: object): Digest => taggedHash('invoice', cbor(plain))
/** Invoices never change: what each of them comes to is worked out once, however often it is asked for. */
const digests = new WeakMap<InvoiceTerms, Digest>()
const texts = new WeakMap<Invoice, string>()

/** Identity of an invoice, and what its payee signs. */
export function invoiceDigest(invoice: InvoiceTerms): Digest {
  const known = digests.get(invoice)
  if (known !== undefined) return known
  const { signature: _, ...unsigned } = plainInvoice(invoice as Invoice)
  const digest = digestOf(unsigned)
  digests.set(invoice, digest)
  return digest
}

/** t. The payee keeps nothing for it: seed and payment secret give it again. */
export const invoiceScalar = (seed: Uint8Array, ledger: LedgerId, secret: Uint8Array): Scalar =>
  prfScalar(seed, 'invoice-scalar', ledger, secret)

/** What the payee chooses. `secret` is 32 fresh random bytes: it makes point and invoice unique. */
export type InvoiceRequest = Omit<InvoiceTerms, 'version' | 'point' | 'payee' | 'refundOf'> & {
  readonly refundOf?: Digest | null
}

/**
 * @param seed the node's seed, from which t is derived.
 * @param key the payee's account key.
 */
export function createInvoice(request: InvoiceRequest, seed: Uint8Array, key: Scalar): Result<Invoice> {
  const point = curve.multiplyBase(invoiceScalar(seed, request.ledger, request.secret))
  const refundOf = request.refundOf ?? null
  const terms: InvoiceTerms = { ...request, refundOf, version: 1, payee: publicOf(key), point }
  const encoded = z.safeEncode(zTerms, terms)
  if (!encoded.success) return refuse('invoice_invalid', encoded.error.issues[0]?.path.map(String).join('.') ?? 'shape')
  const digest = digestOf(encoded.data)
  const invoice = { ...terms, signature: curve.sign(digest, key) }
  digests.set(invoice, digest)
  const fault = termsFault(invoice)
  if (fault !== undefined) return refuse('invoice_invalid', fault)
  return formatInvoice(invoice).length <= LIMITS.invoice_characters ? ok(invoice) : refuse('too_long', 'invoice')
}

/** A payee's key signs all of its invoices. */
const publicOf = oncePer((key: Scalar): Point => curve.multiplyBase(key))

/** bech32m without its 90-character limit: the signature, not the checksum, guards the content. */
export function formatInvoice(invoice: Invoice): string {
  const text = texts.get(invoice) ?? bech32m.encode(INVOICE_PREFIX, bech32m.toWords(cbor(plainInvoice(invoice))), false)
  texts.set(invoice, text)
  return text
}

function bytesOf(text: string): Uint8Array | undefined {
  const decoded = bech32m.decodeUnsafe(text, false)
  if (decoded === undefined || decoded.prefix !== INVOICE_PREFIX) return undefined
  return bech32m.fromWordsUnsafe(decoded.words) ?? undefined
}

/** What no invoice may say, whoever signed it; names the field. */
function termsFault(invoice: InvoiceTerms): string | undefined {
  if (invoice.amount < 1n) return 'amount'
  if (invoice.expires < invoice.created) return 'expires'
  return undefined
}

/** Text, shape, canonical encoding and signature; whether it may be paid now is `payable`. */
export function parseInvoice(text: string): Result<Invoice> {
  if (text.length > LIMITS.invoice_characters) return refuse('too_long', 'invoice')
  const bytes = bytesOf(text)
  if (bytes === undefined) return refuse('invoice_invalid', 'checksum')
  const decoded = decodeAs(zInvoice, bytes)
  if (!decoded.ok) return refuse('invoice_invalid', decoded.error.detail)
  const invoice = decoded.value
  const fault = termsFault(invoice)
  if (fault !== undefined) return refuse('invoice_invalid', fault)
  // L10's rule for signatures holds here too: a high s is refused
  if (!curve.verify(invoiceDigest(invoice), invoice.signature, invoice.payee)) return refuse('invoice_signature')
  texts.set(invoice, text.toLowerCase()) // bech32's other form; the encoding is canonical, so there is no third
  return ok(invoice)
}

/** Where and when an invoice is to be paid. */
export interface PayableContext {
  readonly ledger: LedgerId
  /** L of genesis. */
  readonly amountBits: number
  /** Ledger time, seconds. */
  readonly now: number
  /** Null: the payee itself, which moves its own money (R7). */
  readonly payer: Point | null
}

export function payable(invoice: Invoice, context: PayableContext): Result<Invoice> {
  if (!equalBytes(invoice.ledger, context.ledger)) return refuse('invoice_wrong_ledger')
  if (context.payer !== null && equalBytes(invoice.payee, context.payer)) return refuse('circular_route')
  if (!amount(invoice.amount, context.amountBits).ok) return refuse('bad_amount')
  if (context.now > invoice.expires) return refuse('invoice_expired')
  return ok(invoice)
}
