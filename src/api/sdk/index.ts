/**
 * Meridian for programs: invoices, payments, channels and events of a node over its API. Amounts are bigints of minor
 * units. Writes take an idempotency key and act once however often they are called with it; where their outcome is not
 * known they answer with status `pending`: call again with the same key.
 */
import type { z } from 'zod'
import type { ErrorCode } from '../../base/errors.js'
import * as answers from '../answers.js'
import { type EventOptions, eventsOf, type MeridianEvent } from './events.js'
import { type Sdk, toSdk } from './shape.js'
import { type Sent, Transport, type TransportOptions } from './transport.js'

export { type Action, type ErrorCode, MeridianError } from '../../base/errors.js'
export type { EventOptions, MeridianEvent } from './events.js'
export { formatUsd, usd } from './money.js'

export type ConnectOptions = TransportOptions

export interface WriteOptions {
  /** 1 to 255 printable ASCII characters; the same key acts once. */
  readonly idempotencyKey: string
}

/** The outcome is not known, or not there yet: the same call with the same key asks again. */
export interface Pending {
  readonly status: 'pending'
  readonly idempotencyKey: string
  /** Why it is not known; null: the node has it and works on it. */
  readonly reason: ErrorCode | null
}
type Answer<S extends z.ZodType> = Sdk<z.output<S>>
export type Done<S extends z.ZodType> = Answer<S> & { readonly status: 'done' }

type InvoiceFields = Answer<typeof answers.zInvoiceJson>
export type Invoice = InvoiceFields & { readonly status: 'open' | 'paid' }
type PaymentFields = Omit<Answer<typeof answers.zPaymentJson>, 'status' | 'key'> & { readonly idempotencyKey: string }
export type EndedPayment =
  | (PaymentFields & { readonly status: 'succeeded'; readonly fee: bigint; readonly receipt: string })
  | (PaymentFields & { readonly status: 'failed'; readonly code: ErrorCode })
export type Payment = EndedPayment | Pending
export type Channel = Answer<typeof answers.zChannelJson>
export type NodeInfo = Answer<typeof answers.zNodeJson>
export type Account = Answer<typeof answers.zAccountJson>
export type Quote = Answer<typeof answers.zQuoteJson>
export type Tower = Answer<typeof answers.zTowerJson>

const enc = encodeURIComponent

export class Meridian {
  private constructor(private readonly transport: Transport) {}

  /** Reads the token; each call connects by itself. @throws MeridianError `bad_address`, `unauthorized` */
  static async connect(options: ConnectOptions): Promise<Meridian> {
    return new Meridian(await Transport.open(options))
  }

  /** @throws MeridianError, as every read does: the node's refusal, or `unavailable` after some attempts */
  readonly info = async (): Promise<NodeInfo> => toSdk(await this.transport.get('/v1/node', answers.zNodeJson))
  readonly account = async (): Promise<Account> => toSdk(await this.transport.get('/v1/account', answers.zAccountJson))

  readonly invoices = {
    /** @param wish `refundOf`: id of the invoice of a payment of ours that is to be given back; its reference is taken over. */
    create: async (
      wish: {
        readonly amount: bigint
        readonly reference?: string
        readonly expiresInSeconds?: number
        readonly refundOf?: string
      },
      { idempotencyKey }: WriteOptions,
    ): Promise<Invoice | Pending> => {
      const { amount, reference, expiresInSeconds: expires_in_s, refundOf: refund_of } = wish
      // what is absent does not stand in the JSON
      const body = { amount_minor: amount.toString(), reference, expires_in_s, refund_of }
      const sent = await this.transport.post('/v1/invoices', idempotencyKey, body, answers.zInvoiceJson)
      return sent.kind === 'answered' ? invoiceOf(toSdk(sent.value)) : pending(idempotencyKey, sent)
    },
    /** @param id as `create` answers it */
    get: async (id: string): Promise<Invoice> =>
      invoiceOf(toSdk(await this.transport.get(`/v1/invoices/${enc(id)}`, answers.zInvoiceJson))),
    /** Oldest first. */
    list: (): AsyncGenerator<Invoice> =>
      pages(async (after) => {
        const page = await this.transport.get(`/v1/invoices?after=${after}`, answers.zInvoicesJson)
        return { entries: page.invoices.map((one) => invoiceOf(toSdk(one))), cursor: page.cursor }
      }),
  }

  readonly payments = {
    /**
     * Pays an invoice. `failed` is an answer, not an error: nothing left, the code says why.
     * @throws MeridianError where the node refused to begin (`invoice_invalid`, `invoice_paid`, …) or was never reached
     */
    create: async (
      { invoice, feeMax }: { readonly invoice: string; readonly feeMax: bigint },
      { idempotencyKey, waitSeconds = 30 }: WriteOptions & { readonly waitSeconds?: number },
    ): Promise<Payment> => {
      const body = { invoice, fee_max_minor: feeMax.toString() }
      const sent = await this.transport.post('/v1/payments', idempotencyKey, body, answers.zPaymentJson, waitSeconds)
      return sent.kind === 'answered' ? paymentOf(sent.value) : pending(idempotencyKey, sent)
    },
    get: async (idempotencyKey: string): Promise<Payment> =>
      paymentOf(await this.transport.get(`/v1/payments/${enc(idempotencyKey)}`, answers.zPaymentJson)),
    /** Oldest first. */
    list: (): AsyncGenerator<Payment> =>
      pages(async (after) => {
        const page = await this.transport.get(`/v1/payments?after=${after}`, answers.zPaymentsJson)
        return { entries: page.payments.map(paymentOf), cursor: page.cursor }
      }),
    /** What a payment would cost now. */
    quote: async ({ invoice, feeMax }: { readonly invoice: string; readonly feeMax: bigint }): Promise<Quote> =>
      toSdk(await this.transport.get(`/v1/routes?invoice=${enc(invoice)}&fee_max_minor=${feeMax}`, answers.zQuoteJson)),
  }

  readonly channels = {
    list: async (): Promise<readonly Channel[]> => {
      const channels: Channel[] = []
      for (let after = ''; ; ) {
        const page = await this.transport.get(`/v1/channels?after=${after}`, answers.zChannelsJson)
        channels.push(...page.channels.map((one): Channel => toSdk(one)))
        if (page.channels.length === 0) return channels
        after = page.cursor
      }
    },
    get: async (id: string): Promise<Channel> =>
      toSdk(await this.transport.get(`/v1/channels/${enc(id)}`, answers.zChannelJson)),
    /** @param peer `account@ws://host:port`; answers once the ledger has the channel, or pending. */
    open: (
      { peer, deposit, inbound = 0n }: { readonly peer: string; readonly deposit: bigint; readonly inbound?: bigint },
      options: WriteOptions,
    ) => {
      const body = { peer, deposit_minor: deposit.toString(), inbound_minor: inbound.toString() }
      return this.#write('/v1/channels', body, answers.zChannelOpenedJson, options)
    },
    /** With the peer; answers once the ledger paid out, or pending. */
    close: (id: string, options: WriteOptions) =>
      this.#write(`/v1/channels/${enc(id)}/close`, {}, answers.zClosedJson, options),
  }

  readonly ledger = {
    transfer: ({ to, amount }: { readonly to: string; readonly amount: bigint }, options: WriteOptions) =>
      this.#write('/v1/account/transfer', { to, amount_minor: amount.toString() }, answers.zReceiptJson, options),
    redeem: ({ amount }: { readonly amount: bigint }, options: WriteOptions) =>
      this.#write('/v1/account/redeem', { amount_minor: amount.toString() }, answers.zReceiptJson, options),
  }

  readonly towers = async (): Promise<readonly Tower[]> =>
    (await this.transport.get('/v1/towers', answers.zTowersJson)).towers.map((one): Tower => toSdk(one))

  /** Endless, over restarts of the node: at least once, in order; write `cursor` down with what the event changed. */
  events(options: EventOptions = {}): AsyncGenerator<MeridianEvent> {
    return eventsOf(this.transport, options)
  }

  async #write<S extends z.ZodType>(
    path: string,
    body: object,
    schema: S,
    { idempotencyKey }: WriteOptions,
  ): Promise<Done<S> | Pending> {
    const sent = await this.transport.post(path, idempotencyKey, body, schema)
    if (sent.kind === 'unknown') return pending(idempotencyKey, sent)
    return { ...(toSdk(sent.value) as object), status: 'done' } as Done<S>
  }
}

const pending = (idempotencyKey: string, { reason }: Extract<Sent<unknown>, { kind: 'unknown' }>): Pending => ({
  status: 'pending',
  idempotencyKey,
  reason,
})

const invoiceOf = (invoice: InvoiceFields): Invoice => ({ ...invoice, status: invoice.paid ? 'paid' : 'open' })

function paymentOf(answer: z.output<typeof answers.zPaymentJson>): Payment {
  const { status, key: idempotencyKey, ...rest } = toSdk(answer)
  if (status === 'pending') return { status, idempotencyKey, reason: null }
  return { ...rest, status, idempotencyKey } as EndedPayment
}

async function* pages<T>(
  page: (after: number) => Promise<{ readonly entries: readonly T[]; readonly cursor: number }>,
): AsyncGenerator<T> {
  for (let after = 0; ; ) {
    const { entries, cursor } = await page(after)
    if (entries.length === 0) return
    yield* entries
    after = cursor
  }
}
