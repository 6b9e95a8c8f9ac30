/** The payer's side (R5): a payment is durable with its first effect, has one attempt at a time and exactly one end. */
import type { Amount } from '../base/amount.js'
import { bytesToHex, utf8 } from '../base/bytes.js'
import { type ErrorCode, InvariantError } from '../base/errors.js'
import { idText } from '../base/ids.js'
import type { Store } from '../base/ports/store.js'
import { parseRequestKey } from '../base/request-key.js'
import { ok, type Result, refuse } from '../base/result.js'
import { findCircular, isCircular } from '../router/circular.js'
import { type Invoice, invoiceDigest, payable } from '../router/invoice.js'
import type { LockRef } from '../router/obligation-record.js'
import { sessionKeyFrom } from '../router/onion/crypto.js'
import {
  createPayment,
  mayAttempt,
  type PaymentEffect,
  type PaymentEvent,
  type PaymentRequest,
  type PaymentStep,
  samePayment,
  stepPayment,
} from '../router/payment.js'
import { decodePayment, encodePayment, type Payment } from '../router/payment-record.js'
import type { Policy } from '../router/policy.js'
import { formatReceipt } from '../router/receipt.js'
import { findRoutes, type Route, routeOffer } from '../router/route.js'
import { tableKey, tableRange } from '../store/tables.js'
import { randomBelow } from '../wire/environment.js'
import { capacityOf } from './capacity.js'
import type { Engine, Tx } from './engine.js'
import { enlist, pageOf } from './listing.js'
import { putOwner } from './offered.js'
import type { RouterParts } from './router-parts.js'
import { Waiters } from './waiters.js'

export interface PaymentView {
  readonly key: string
  readonly status: 'pending' | 'succeeded' | 'failed'
  /** invoiceDigest, hexadecimal. */
  readonly invoice: string
  readonly reference: string
  readonly payee: string
  readonly amount: Amount
  readonly fee: Amount | null
  readonly hops: number | null
  readonly code: ErrorCode | null
  readonly attempts: number
  /** Receipt file, once succeeded. */
  readonly receipt: string | null
}

/** Seconds added to every route: views of the ledger differ a little, and a random part hides how many hops are left. */
const SLACK_S = 60
const SLACK_RANDOM_S = 600

const keyOf = (key: string): Uint8Array => tableKey('payment', utf8(key))
/** invoice → key of the payment that pays it: two keys never pay one invoice. */
const payingKey = (invoice: Invoice): Uint8Array => tableKey('node', utf8('paying'), invoiceDigest(invoice))

export class Payments {
  readonly #waiting: Waiters
  /** What failed attempts of a payment taught about hubs; lost in a restart, bounded by the attempts. */
  readonly #learnt = new Map<string, { readonly avoid: Set<string>; readonly policies: Map<string, Policy> }>()

  constructor(
    private readonly parts: RouterParts,
    private readonly engine: Engine,
    private readonly store: Store,
    /** Longest time, seconds, for which a lock of ours may hold money. */
    private readonly expiryFar: number,
  ) {
    this.#waiting = new Waiters(parts.timers)
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
    const bytes = parseRequestKey(key).ok ? this.store.get(keyOf(key)) : undefined
    return bytes === undefined ? undefined : viewOf(read(bytes))
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

  /** What it would cost now. */
  quote(
    invoice: Invoice,
    feeMax: Amount,
  ): Result<{ readonly amount: Amount; readonly fee: Amount; readonly hops: number }> {
    const allowed = this.#payable(invoice)
    if (!allowed.ok) return allowed
    const routes = this.#routes({ invoice, feeMax, key: '' })
    if (!routes.ok) return routes
    const [route] = routes.value
    if (route === undefined) return refuse('no_route')
    return ok({ amount: invoice.amount, fee: route.fee, hops: route.hops.length })
  }

  /** An attempt's lock did something. */
  event(tx: Tx, key: string, event: PaymentEvent): void {
    const bytes = tx.get(keyOf(key))
    if (bytes !== undefined) this.#keep(tx, stepPayment(read(bytes), event))
  }

  /** After a start, and when a channel comes up: payments without an attempt try again. */
  resume(tx: Tx, keys: readonly string[]): void {
    for (const key of keys) {
      const bytes = tx.get(keyOf(key))
      if (bytes === undefined) continue
      const payment = read(bytes)
      if (payment.phase === 'idle') this.#attempt(tx, payment)
    }
  }

  static async idle(store: Store): Promise<string[]> {
    const keys: string[] = []
    for await (const { value } of store.range(tableRange('payment'))) {
      const payment = read(value)
      if (payment.phase === 'idle') keys.push(payment.key)
    }
    return keys
  }

  #start(tx: Tx, request: PaymentRequest, toSelf: boolean): Result<Payment> {
    const bytes = tx.get(keyOf(request.key))
    if (bytes !== undefined) return samePayment(read(bytes), request)
    const allowed = this.#payable(request.invoice, toSelf)
    if (!allowed.ok) return allowed
    const paying = tx.get(payingKey(request.invoice))
    if (paying !== undefined) {
      const other = tx.get(keyOf(new TextDecoder().decode(paying)))
      if (other !== undefined && read(other).phase !== 'failed') return refuse('invoice_paid')
    }
    const payment = createPayment(request)
    if (!payment.ok) return payment
    tx.put({ key: payingKey(request.invoice), value: utf8(request.key) })
    enlist(tx, 'payments', utf8(request.key))
    this.#put(tx, payment.value)
    this.#attempt(tx, payment.value)
    return payment
  }

  #payable(invoice: Invoice, toSelf = false): Result<Invoice> {
    const { chain, account, view } = this.parts
    const { amountBits } = chain.genesis
    return payable(invoice, { ledger: chain.ledger, amountBits, now: view().time, payer: toSelf ? null : account })
  }

  #routes({ invoice, feeMax, key }: PaymentRequest): Result<readonly Route[]> {
    const { chain, channels, view, entropy, account, graph, success } = this.parts
    const learnt = this.#learnt.get(key)
    const query = { invoice, amount: invoice.amount, feeMax }
    const find = isCircular(invoice, account) ? findCircular : findRoutes
    return find(query, {
      self: account,
      now: view().time,
      amountBits: chain.genesis.amountBits,
      graph,
      success,
      expirySlack: SLACK_S + randomBelow(entropy, SLACK_RANDOM_S),
      expiryFar: this.expiryFar,
      channels: channels.all().map((channel) => {
        const { ready, canSend, slotsFree } = capacityOf(channel)
        return { channel: channel.id, peer: channel.peer, ready, canSend, slotsFree }
      }),
      policyOf: (hub) => learnt?.policies.get(hub),
      avoid: { hub: (hub) => learnt?.avoid.has(hub) ?? false, edge: () => false },
    })
  }

  /** Takes the first route whose channel takes the lock; gives up where none does. */
  #attempt(tx: Tx, payment: Payment): undefined {
    if (this.parts.draining()) return // stays as it is: the next start takes it up
    const allowed = mayAttempt(payment)
    if (!allowed.ok) return this.#keep(tx, stepPayment(payment, { kind: 'give_up', code: allowed.error.code }))
    if (!this.parts.ledgerFresh()) return this.#giveUp(tx, payment, 'temporary_failure')
    const routes = this.#routes(payment)
    if (!routes.ok) return this.#giveUp(tx, payment, routes.error.code)
    let refusal: ErrorCode = 'no_route'
    for (const route of routes.value) {
      const tried = this.#propose(tx, payment, route)
      if (tried === undefined) return undefined
      refusal = tried
    }
    return this.#giveUp(tx, payment, refusal)
  }

  /** @returns why the channel did not take it. */
  #propose(tx: Tx, payment: Payment, route: Route): ErrorCode | undefined {
    const channel = this.parts.channels.get(route.channel)
    if (channel === undefined) return 'no_route'
    const sessionKey = sessionKeyFrom(this.parts.entropy(32))
    const offer = routeOffer(route, payment.invoice, sessionKey)
    if (!offer.ok) return offer.error.code
    const { amount, point, expiry, onion } = offer.value
    let refusal: ErrorCode | undefined
    this.parts.channels.offer(tx, channel, { kind: 'lock', amount, point, expiry, payload: onion }, (offered) => {
      if (!offered.ok) {
        refusal = offered.error.code
        return
      }
      const lock: LockRef = { channel: route.channel, id: offered.value }
      putOwner(tx, lock, { kind: 'payment', key: payment.key })
      this.#keep(tx, stepPayment(payment, { kind: 'attempted', route, sessionKey, lock }))
    })
    return refusal
  }

  #giveUp(tx: Tx, payment: Payment, code: ErrorCode): undefined {
    this.#keep(tx, stepPayment(payment, { kind: 'give_up', code }))
  }

  #keep(tx: Tx, { payment, effects }: PaymentStep): undefined {
    this.#put(tx, payment)
    for (const effect of effects) this.#effect(tx, payment, effect)
  }

  #put(tx: Tx, payment: Payment): void {
    tx.put({ key: keyOf(payment.key), value: encodePayment(payment) })
  }

  #effect(tx: Tx, payment: Payment, effect: PaymentEffect): void {
    const { key, invoice } = payment
    const digest = bytesToHex(invoiceDigest(invoice))
    const { time } = this.parts.view()
    switch (effect.kind) {
      case 'attempt_failed':
        this.#learn(key, effect)
        // Its own turn: the lock that failed is still being taken out of its channel.
        tx.after(() => this.engine.do((later) => this.resume(later, [key])))
        return
      case 'succeeded': {
        const { reference, amount } = invoice
        const { fee } = effect
        this.parts.events.append(tx, { type: 'payment.succeeded', time, key, invoice: digest, reference, amount, fee })
        break
      }
      case 'failed':
        this.parts.events.append(tx, { type: 'payment.failed', time, key, invoice: digest, code: effect.code })
        break
    }
    this.#learnt.delete(key)
    tx.after(() => this.#waiting.wake(key))
  }

  #learn(key: string, { hop, policy }: Extract<PaymentEffect, { kind: 'attempt_failed' }>): void {
    const learnt = this.#learnt.get(key) ?? { avoid: new Set<string>(), policies: new Map<string, Policy>() }
    this.#learnt.set(key, learnt)
    if (hop === null) return
    if (policy !== null && !learnt.policies.has(idText(hop))) learnt.policies.set(idText(hop), policy)
    else learnt.avoid.add(idText(hop))
  }
}

function read(bytes: Uint8Array): Payment {
  const payment = decodePayment(bytes)
  if (!payment.ok) throw new InvariantError('S1', 'a stored payment cannot be read')
  return payment.value
}

function viewOf(payment: Payment): PaymentView {
  const { key, invoice, attempts, phase } = payment
  return {
    key,
    status: phase === 'succeeded' || phase === 'failed' ? phase : 'pending',
    invoice: bytesToHex(invoiceDigest(invoice)),
    reference: invoice.reference,
    payee: idText(invoice.payee),
    amount: invoice.amount,
    fee: phase === 'succeeded' ? payment.fee : null,
    hops: phase === 'succeeded' ? payment.hops : null,
    code: phase === 'failed' ? payment.failure.code : null,
    attempts,
    receipt: phase === 'succeeded' ? formatReceipt(invoice, payment.proof) : null,
  }
}
