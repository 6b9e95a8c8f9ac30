/** Every claim: invoiced by the hospital, paid by the payer through the hub, booked by the hospital. */
import { setTimeout as sleep } from 'node:timers/promises'
import { bytesToHex, utf8 } from '../../base/bytes.js'
import { sha256 } from '../../base/digest.js'
import { type ErrorCode, isErrorCode, MeridianError } from '../../base/errors.js'
import { Lanes } from './lanes.js'
import type { PartyName, PlannedPayment } from './money.js'
import { insist, isPassing, type Member } from './parties.js'
import type { BookEntry, PaymentEnd } from './reconcile.js'
import type { Party } from './stage.js'

/** Payments under way at once: rounds take several in one signature (C5). */
const PAY_LANES = 24
const INVOICE_S = 7_200
/** One request's wait; a payment that is pending then is asked for again. */
const WAIT_S = 20
const PENDING_MS = 180_000
/** For so long a refusal that passes is asked again: longer than the hub's outage takes. */
const RETRY_FOR_MS = 120_000
const RETRY_MS = 1_000
const BOOKS_MS = 30_000

export type Members = ReadonlyMap<PartyName, Member>

/** R5: made of the claim's Id, so that one claim is one invoice and one payment, however often it is asked for. */
const keyOf = ({ reference }: PlannedPayment): string => `claim-${bytesToHex(sha256(utf8(reference))).slice(0, 32)}`

/** A hop answers alike where it is poor and where its peer is away for a moment (R3): only waiting tells. */
const AWAY: ReadonlySet<ErrorCode> = new Set(['no_capacity_on_route', 'no_capacity_to_payee'])
const mayPass = (code: ErrorCode): boolean => isPassing(code) || AWAY.has(code)

export async function payOne(members: Members, payment: PlannedPayment): Promise<PaymentEnd> {
  const [hospital, payer] = [members.get(payment.hospital)!.party, members.get(payment.payer)!.party]
  const key = keyOf(payment)
  try {
    const { invoice } = await insist(hospital, () =>
      hospital.api.createInvoice(key, payment.amount, payment.reference, INVOICE_S),
    )
    const late = Date.now() + RETRY_FOR_MS
    for (let attempt = 1; ; attempt++) {
      // A failed payment stays failed under its key; the invoice is paid once under however many.
      const tried = await pay(payer, attempt === 1 ? key : `${key}-${attempt}`, invoice, payment)
      const end = { ...tried, retries: tried.retries + attempt - 1 }
      const passing = end.code !== null && isErrorCode(end.code) && mayPass(end.code)
      if (end.paid || !passing || Date.now() > late || payer.ending.aborted) return end
      await sleep(RETRY_MS)
    }
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error
    return { payment, paid: false, code: error.code, fee: 0n, hops: 0, retries: 0 }
  }
}

async function pay(payer: Party, key: string, invoice: string, payment: PlannedPayment): Promise<PaymentEnd> {
  for (const late = Date.now() + PENDING_MS; ; ) {
    const { status, code, fee_minor, hops, attempts, parts } = await insist(payer, () =>
      payer.api.pay(key, invoice, payment.fee, WAIT_S),
    )
    if (status !== 'pending' || Date.now() > late || payer.ending.aborted) {
      const retries = Math.max(0, attempts - parts)
      return { payment, paid: status === 'succeeded', code, fee: fee_minor ?? 0n, hops: hops ?? 0, retries }
    }
  }
}

export async function payAll(
  members: Members,
  payments: readonly PlannedPayment[],
  tell: (ends: number) => void,
): Promise<PaymentEnd[]> {
  const lanes = new Lanes(PAY_LANES)
  let ended = 0
  return Promise.all(
    payments.map((payment) =>
      lanes.run(async () => {
        const end = await payOne(members, payment)
        tell(++ended)
        return end
      }),
    ),
  )
}

/** What the hospital's own node says that it was paid, once it says so of `expected` invoices or nothing more comes. */
export async function booksOf({ api, ending }: Party, expected: number): Promise<BookEntry[]> {
  const entries: BookEntry[] = []
  const end = Date.now() + BOOKS_MS
  for (let after = 0; ; ) {
    const { events, cursor } = await api.eventPage(after)
    for (const event of events) {
      if (event.type !== 'invoice.paid') continue
      entries.push({ reference: String(event['reference']), amount: BigInt(String(event['amount_minor'])) })
    }
    if (cursor > after) after = cursor
    else if (entries.length >= expected || Date.now() > end || ending.aborted) return entries
    else await sleep(100)
  }
}
