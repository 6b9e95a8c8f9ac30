/** The payer's side (R5): a payment is durable with its first effect, goes in one part or several, and has exactly one end. */
import { type Amount, plus, ZERO } from '../base/amount.js'
import { bytesToHex, type Digest, utf8 } from '../base/bytes.js'
import { sha256 } from '../base/digest.js'
import { type ErrorCode, InvariantError, unreachable } from '../base/errors.js'
import { idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { Store } from '../base/ports/store.js'
import { parseRequestKey } from '../base/request-key.js'
import { ok, type Result, refuse } from '../base/result.js'
import { type Invoice, invoiceDigest, payable } from '../router/invoice.js'
import { Learnt } from '../router/learnt.js'
import type { LockRef } from '../router/obligation-record.js'
import { sessionKeyFrom } from '../router/onion/crypto.js'
import {
  createPayment,
  isDirect,
  type Missing,
  mayAttempt,
  type PaymentEffect,
  type PaymentEvent,
  type PaymentRequest,
  type PaymentStep,
  samePayment,
  stepPayment,
} from '../router/payment.js'
import { decodePayment, encodePayment, type Part, type Payment } from '../router/payment-record.js'
import { paymentSet, type Route, routeOffer } from '../router/route.js'
import { partMinOf, planParts } from '../router/split.js'
import { type AttemptEnd, lessonsOf } from '../router/success.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Engine, Tx } from './engine.js'
import type { Invoices } from './invoices.js'
import { KeptRows } from './kept-rows.js'
import { enlist, pageOf } from './listing.js'
import { pathsFor } from './payment-paths.js'
import { failedAt, type PaymentQuote, type PaymentView, viewOf } from './payment-view.js'
import { addRefund } from './refunds.js'
import type { RouterParts } from './router-parts.js'
import { TakenUp } from './taken-up.js'
import { Waiters } from './waiters.js'

const keyOf = (key: string): Uint8Array => tableKey('payment', utf8(key))
/** invoice → key of the payment that pays it: two keys never pay one invoice. */
const payingKey = (id: Digest): Uint8Array => tableKey('node', utf8('paying'), id)

/** Refunds that are paid: hash of the payment's key → the key. */
const byHash = (id: Uint8Array): Uint8Array => tableKey('node', utf8('refund'), id)

export class Payments {
  readonly #rows = new KeptRows<Payment>({ encode: encodePayment, decode: read })
  readonly #waiting: Waiters
  /** What failed parts of a payment taught about paths; lost in a restart, bounded by the attempts. */
  readonly #known = new Map<string, Learnt>()
  readonly #takenUp: TakenUp

  constructor(
    private readonly parts: RouterParts,
    private readonly engine: Engine,
    private readonly store: Store,
    private readonly invoices: Invoices,
    /** Longest time, seconds, for which a lock of ours may hold money. */
    private readonly expiryFar: number,
  ) {
    this.#waiting = new Waiters(parts.timers)
    this.#takenUp = new TakenUp(parts.channels, parts.timers, (keys) => engine.do((tx) => this.#resume(tx, keys)))
  }

  /**
   * Starts a payment, or finds the one of this key; durable when it resolves. Errors: `payment_key_reused`,
   * `invoice_paid` where another key pays this invoice, and why an invoice cannot be paid. `toSelf`: an invoice of our
   * own is paid, and that by the two channels that it names (R7).
   */
  async start(request: PaymentRequest, { toSelf = false } = {}): Promise<Result<PaymentView>> {
    const { value, durable } = this.engine.run((tx) => this.#start(tx, request, toSelf))
    await durable
    const stored = value.ok ? this.view(request.key) : undefined
    if (value.ok && stored === undefined) throw new InvariantError('R5', 'a payment was not stored')
    return value.ok ? ok(stored as PaymentView) : value
  }

  /** What is durable: a payment that was told as succeeded stays so whatever the disk does. */
  view(key: string): PaymentView | undefined {
    const payment = parseRequestKey(key).ok ? this.#rows.durable(this.store, keyOf(key)) : undefined
    return payment === undefined ? undefined : viewOf(payment)
  }

  /** Resolves at the payment's end, or after `ms` with what it is then: pending is not failed. */
  async wait(key: string, ms: number): Promise<PaymentView | undefined> {
    const now = this.view(key)
    if (now === undefined || now.status !== 'pending' || ms <= 0) return now
    await this.#waiting.wait(key, ms)
    return this.view(key)
  }

  /** Nobody waits any longer. */
  close(): void {
    this.#waiting.close()
    this.#takenUp.close()
  }

  /** In the order of starting; what it says is durable. */
  async list(limit: number, after: number): Promise<(PaymentView & { readonly cursor: number })[]> {
    const views: (PaymentView & { readonly cursor: number })[] = []
    for (const { cursor, id } of await pageOf(this.store, 'payments', after, limit)) {
      const view = this.view(new TextDecoder().decode(id))
      if (view !== undefined) views.push({ ...view, cursor })
    }
    return views
  }

  /** What it would cost now, and in how many parts it would go. */
  quote(invoice: Invoice, feeMax: Amount): Result<PaymentQuote> {
    const allowed = this.#payable(invoice)
    if (!allowed.ok) return allowed
    if (this.#isPaid(invoice)) return refuse('invoice_paid')
    const all = { amount: invoice.amount, feeMax, partsMax: LIMITS.payment_parts }
    const routes = this.#plan(invoice, all, new Learnt(this.parts.account))
    if (!routes.ok) return routes
    const fee = routes.value.reduce((sum, route) => plus(sum, route.fee), ZERO)
    const hops = Math.max(...routes.value.map((route) => route.hops.length))
    return ok({ amount: invoice.amount, fee, hops, parts: routes.value.length })
  }

  /** A part's lock did something. */
  event(tx: Tx, key: string, event: PaymentEvent): void {
    const payment = this.#read(tx, key)
    if (payment !== undefined) this.#keep(tx, payment, stepPayment(payment, event))
  }

  /** After a start: what is missing is tried again, now or when the channels for it are there. */
  takeUp(tx: Tx, keys: readonly string[]): void {
    this.#takenUp.begin(keys)
    this.#resume(tx, keys)
  }

  /** A channel of ours runs rounds again. */
  channelReady(): void {
    this.#takenUp.ready()
  }

  #resume(tx: Tx, keys: readonly string[]): void {
    for (const key of keys) this.#attempt(tx, key)
  }

  /** Keys of payments that have not ended. */
  static async open(store: Store): Promise<string[]> {
    const keys: string[] = []
    for await (const { value } of store.range(tableRange('payment'))) {
      const payment = read(value)
      if (payment.phase === 'open') keys.push(payment.key)
    }
    return keys
  }

  /** R6: a payment of ours that succeeded. @param id invoiceDigest */
  paidFor(tx: Pick<Tx, 'get'>, id: Digest): { readonly key: string; readonly invoice: Invoice } | undefined {
    const key = tx.get(payingKey(id))
    const payment = key === undefined ? undefined : this.#read(tx, new TextDecoder().decode(key))
    return payment?.phase === 'succeeded' ? payment : undefined
  }

  /** R1: by the payment of some key. @param step where within one: sees what it wrote, else what is durable */
  #isPaid(invoice: Invoice, step?: Tx): boolean {
    const key = (step ?? this.store).get(payingKey(invoiceDigest(invoice)))
    if (key === undefined) return false
    const row = keyOf(new TextDecoder().decode(key))
    const payment = step === undefined ? this.#rows.durable(this.store, row) : this.#rows.get(step, row)
    return payment !== undefined && payment.phase !== 'failed'
  }

  #read(tx: Pick<Tx, 'get'>, key: string): Payment | undefined {
    return this.#rows.get(tx, keyOf(key))
  }

  #start(tx: Tx, request: PaymentRequest, toSelf: boolean): Result<undefined> {
    const { key, invoice } = request
    const known = this.#read(tx, key)
    if (known !== undefined) {
      const same = samePayment(known, request)
      return same.ok ? ok(undefined) : same
    }
    const allowed = this.#payable(invoice, toSelf)
    if (!allowed.ok) return allowed
    if (this.#isPaid(invoice, tx)) return refuse('invoice_paid')
    const id = invoiceDigest(invoice)
    const payment = createPayment(request)
    if (!payment.ok) return payment
    const refund = this.#refund(tx, request)
    if (!refund.ok) return refund
    tx.put({ key: payingKey(id), value: utf8(key) })
    enlist(tx, 'payments', utf8(key))
    this.#put(tx, payment.value)
    this.#attempt(tx, key)
    return ok(undefined)
  }

  /** R6: only what was paid for an invoice of ours is given back, and no more than that in sum. */
  #refund(tx: Tx, { key, invoice }: PaymentRequest): Result<undefined> {
    const { refundOf, reference, amount } = invoice
    if (refundOf === null) return ok(undefined)
    const issued = this.invoices.ofId(tx, refundOf)
    if (issued?.paid !== true || issued.invoice.reference !== reference) return refuse('refund_unknown')
    const counts = (id: Uint8Array): boolean => {
      const other = tx.get(byHash(id))
      return other !== undefined && this.#read(tx, new TextDecoder().decode(other))?.phase !== 'failed'
    }
    const id = sha256(utf8(key))
    const refunds = { list: 'refunds-paid', of: refundOf, most: issued.received } as const
    const added = addRefund(tx, refunds, { id, amount }, counts)
    if (added.ok) tx.put({ key: byHash(id), value: utf8(key) })
    return added
  }

  #payable(invoice: Invoice, toSelf = false): Result<Invoice> {
    const { chain, account, view } = this.parts
    const { amountBits } = chain.genesis
    return payable(invoice, { ledger: chain.ledger, amountBits, now: view().time, payer: toSelf ? null : account })
  }

  #plan(
    invoice: Invoice,
    missing: Missing,
    learnt: Learnt,
    parts: readonly Part[] = [],
    refused?: ReadonlySet<string>,
  ): Result<readonly Route[]> {
    const query = { ...missing, partMin: partMinOf(invoice.amount) }
    return planParts(query, pathsFor(this.parts, this.expiryFar, { invoice, learnt, parts, refused }))
  }

  /** Starts parts for all that is missing; gives up where there is no way for it. */
  #attempt(tx: Tx, key: string): undefined {
    if (this.parts.draining()) return // stays as it is: the next start takes it up
    /** Own channels that did not take a part, and why the last of them did not. */
    const refused = new Set<string>()
    let refusal: ErrorCode | undefined
    for (;;) {
      const payment = this.#read(tx, key)
      if (payment?.phase !== 'open') return
      const missing = mayAttempt(payment)
      if (!missing.ok && missing.error.code === 'payment_pending') return
      if (!missing.ok) return this.#giveUp(tx, payment, missing.error.code)
      if (!this.parts.ledgerFresh()) return this.#giveUp(tx, payment, 'ledger_stale')
      const { invoice, parts } = payment
      const routes = this.#plan(invoice, missing.value, this.#learnt(key), parts, refused)
      if (!routes.ok && this.#takenUp.waits(key)) return
      if (!routes.ok) return this.#giveUp(tx, payment, refusal ?? routes.error.code)
      const told = this.#proposeAll(tx, key, routes.value)
      if (told === undefined) return
      refusal = told.code
      refused.add(told.channel)
    }
  }

  /** @returns which own channel did not take its part, and why; the routes after it are left for another plan. */
  #proposeAll(
    tx: Tx,
    key: string,
    routes: readonly Route[],
  ): { readonly channel: string; readonly code: ErrorCode } | undefined {
    for (const route of routes) {
      const payment = this.#read(tx, key) // the part before may have come back already
      if (payment?.phase !== 'open' || payment.ending !== null) return undefined
      const code = this.#propose(tx, payment, route)
      if (code !== undefined) return { channel: idText(route.channel), code }
    }
    return undefined
  }

  /** @returns why the channel did not take it. */
  #propose(tx: Tx, payment: Payment, route: Route): ErrorCode | undefined {
    const { channels, entropy, account, seed } = this.parts
    const channel = channels.get(route.channel)
    if (channel === undefined) return 'no_route'
    if (!isDirect(route, account)) return 'circular_route'
    const sessionKey = sessionKeyFrom(entropy(32)) // R1: fresh for every part
    const offer = routeOffer(route, payment.invoice, paymentSet(seed, payment.invoice), sessionKey)
    if (!offer.ok) return offer.error.code
    const { amount, point, expiry, onion } = offer.value
    let refusal: ErrorCode | undefined
    channels.offer(tx, channel, { kind: 'lock', amount, point, expiry, payload: onion }, (offered) => {
      if (!offered.ok) {
        refusal = offered.error.code
        return
      }
      const lock: LockRef = { channel: route.channel, id: offered.value }
      this.parts.owners.put(tx, lock, { kind: 'payment', key: payment.key })
      this.#keep(tx, payment, stepPayment(payment, { kind: 'attempted', route, sessionKey, lock }))
    })
    return refusal
  }

  #giveUp(tx: Tx, payment: Payment, code: ErrorCode): undefined {
    this.#keep(tx, payment, stepPayment(payment, { kind: 'give_up', code }))
  }

  #keep(tx: Tx, before: Payment, { payment, effects }: PaymentStep): undefined {
    if (payment !== before) this.#put(tx, payment)
    for (const effect of effects) this.#effect(tx, payment, effect)
    // Whoever claims one part had all of them.
    const won = before.phase === 'open' && payment.phase === 'succeeded'
    if (won) this.#taught(tx, before.parts, { kind: 'claimed' })
  }

  #put(tx: Tx, payment: Payment): void {
    this.#rows.put(tx, keyOf(payment.key), payment)
  }

  #effect(tx: Tx, payment: Payment, effect: PaymentEffect): void {
    const { key, invoice } = payment
    const { reference } = invoice
    const { events, view } = this.parts
    const at = { time: view().time, key, invoice: bytesToHex(invoiceDigest(invoice)) }
    switch (effect.kind) {
      case 'part_failed':
        this.#learnt(key).learn(effect, payment.phase === 'open' ? payment.parts : [])
        this.#taught(tx, [effect.part], { kind: 'failed', code: effect.code, hop: effect.hop })
        // Its own turn: the lock that failed is still being taken out of its channel.
        tx.after(() => this.engine.do((later) => this.#attempt(later, key)))
        return
      case 'came_back': {
        const { amount, fee } = effect
        events.append(tx, { type: 'payment.returned', ...at, reference, amount, fee })
        return
      }
      case 'succeeded': {
        const { amount, fee, parts } = effect
        events.append(tx, { type: 'payment.succeeded', ...at, reference, amount, fee, parts })
        this.#refunded(tx, invoice, at.invoice)
        break
      }
      case 'failed':
        events.append(tx, { type: 'payment.failed', ...at, code: effect.code, failedAt: failedAt(effect) })
        break
      default:
        unreachable(effect)
    }
    this.#known.delete(key)
    tx.after(() => this.#waiting.wake(key))
  }

  /** R6: the books link what was given back to what it was paid for. */
  #refunded(tx: Tx, { refundOf, reference, amount }: Invoice, refund: string): void {
    if (refundOf === null) return
    const { time } = this.parts.view()
    const invoice = bytesToHex(refundOf)
    this.parts.events.append(tx, { type: 'invoice.refunded', time, invoice, refund, reference, amount })
  }

  /** R4: what every later payment may profit by. */
  #taught(tx: Tx, parts: readonly Part[], end: AttemptEnd): void {
    for (const { accounts, amount } of parts) this.parts.learn(tx, lessonsOf(accounts, amount, end))
  }

  #learnt(key: string): Learnt {
    const learnt = this.#known.get(key) ?? new Learnt(this.parts.account)
    this.#known.set(key, learnt)
    return learnt
  }
}

function read(bytes: Uint8Array): Payment {
  const payment = decodePayment(bytes)
  if (!payment.ok) throw new InvariantError('S1', 'a stored payment cannot be read')
  return payment.value
}
