/**
 * A node's API as a program calls it: the command line and the demo. Every write takes an idempotency key and may be
 * repeated with it: it acts once. What fails is a MeridianError with the server's code; `unavailable` means that the
 * outcome is not known or nothing began, and that the same call with the same key asks again.
 */
import type { z } from 'zod'
import type { Amount } from '../base/amount.js'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { RegistrationRequest } from '../wallet/registration.js'
import {
  zAccountJson,
  zAdmissionJson,
  zChannelJson,
  zChannelOpenedJson,
  zChannelsJson,
  zClosedJson,
  zConnectedJson,
  zEventArchiveJson,
  zEventsJson,
  zForcedJson,
  zInvoiceJson,
  zInvoicesJson,
  zNodeJson,
  zPaymentJson,
  zPaymentsJson,
  zPeersJson,
  zPolicyJson,
  zQuoteJson,
  zReceiptJson,
  zRegisteredJson,
  zRegistrationJson,
  zRevokedJson,
  zTokenJson,
  zTokensJson,
  zTowerReceiptsJson,
} from './answers.js'
import { readApiFile } from './api-file.js'
import type { Scope } from './bodies.js'
import { type ApiEvent, followEvents } from './event-stream.js'
import { readProblem } from './problem.js'
import type { PolicyJson } from './views.js'

export interface ApiAddress {
  readonly url: string
  readonly token: string
}

/** @throws MeridianError `unavailable` where no node runs in this directory. */
export async function connectApi(dir: string): Promise<ApiClient> {
  const address = await readApiFile(dir)
  if (address === undefined)
    throw new MeridianError('unavailable', `no node runs in ${dir}: meridian start --dir ${dir}`)
  return new ApiClient(address, `is the node running? meridian start --dir ${dir}`)
}

const key = (text: string) => ({ 'idempotency-key': text })

export class ApiClient {
  /** @param hint what to say where nobody answers. */
  constructor(
    private readonly address: ApiAddress,
    private readonly hint = 'is the node running?',
  ) {}

  node = () => this.#get('/v1/node', zNodeJson)
  async peers() {
    return { peers: await this.#all('/v1/peers', zPeersJson, ({ peers }) => peers) }
  }
  tokens = () => this.#get('/v1/tokens', zTokensJson)
  /** The token stays here: the node is told its hash. */
  createToken = (
    idempotencyKey: string,
    token: { readonly name: string; readonly scopes: readonly Scope[]; readonly hash: string },
  ) => this.#post('/v1/tokens', idempotencyKey, token, zTokenJson)
  revokeToken = (idempotencyKey: string, id: string) =>
    this.#post(`/v1/tokens/${encodeURIComponent(id)}/revoke`, idempotencyKey, {}, zRevokedJson)
  connect = (idempotencyKey: string, address: string) =>
    this.#post('/v1/peers', idempotencyKey, { address }, zConnectedJson)

  account = () => this.#get('/v1/account', zAccountJson)
  /** What the issuer asks for before it admits this account. */
  registration = () => this.#get('/v1/account/registration', zRegistrationJson)
  register = (idempotencyKey: string, admission: string) =>
    this.#post('/v1/account/register', idempotencyKey, { admission }, zRegisteredJson)
  /** Of the issuer's node. */
  admit = (idempotencyKey: string, request: RegistrationRequest) =>
    this.#post('/v1/account/admit', idempotencyKey, request, zAdmissionJson)
  mint = (idempotencyKey: string, to: string, amount: Amount) =>
    this.#post('/v1/account/mint', idempotencyKey, { to, amount_minor: amount.toString() }, zReceiptJson)
  transfer = (idempotencyKey: string, to: string, amount: Amount) =>
    this.#post('/v1/account/transfer', idempotencyKey, { to, amount_minor: amount.toString() }, zReceiptJson)
  redeem = (idempotencyKey: string, amount: Amount) =>
    this.#post('/v1/account/redeem', idempotencyKey, { amount_minor: amount.toString() }, zReceiptJson)
  rollover = (idempotencyKey: string) => this.#post('/v1/account/rollover', idempotencyKey, {}, zReceiptJson)

  async channels() {
    return { channels: await this.#all('/v1/channels', zChannelsJson, ({ channels }) => channels) }
  }
  channel = (id: string) => this.#get(`/v1/channels/${encodeURIComponent(id)}`, zChannelJson)
  /** What towers signed for: one line of a receipt file per tower. */
  towerReceipts = (id: string) => this.#get(`/v1/channels/${encodeURIComponent(id)}/receipts`, zTowerReceiptsJson)
  /** @param peer `<account>@ws://host:port`; `inbound` is asked of the peer (R7). */
  openChannel = (idempotencyKey: string, peer: string, deposit: Amount, inbound: Amount) =>
    this.#post(
      '/v1/channels',
      idempotencyKey,
      { peer, deposit_minor: deposit.toString(), inbound_minor: inbound.toString() },
      zChannelOpenedJson,
    )
  closeChannel = (idempotencyKey: string, id: string) =>
    this.#post(`/v1/channels/${encodeURIComponent(id)}/close`, idempotencyKey, {}, zClosedJson)
  /** R7: between own channels, by a payment to oneself; its end, or pending after `wait_s`. */
  rebalance = (
    idempotencyKey: string,
    wish: { readonly from: string; readonly to: string; readonly amount: Amount; readonly feeMax: Amount },
    wait_s = 30,
  ) => {
    const { from, to, amount, feeMax } = wish
    const body = { from, to, amount_minor: amount.toString(), fee_max_minor: feeMax.toString() }
    return this.#post('/v1/channels/rebalance', idempotencyKey, body, zPaymentJson, { prefer: `wait=${wait_s}` })
  }
  /** The default of channels without their own. */
  policy = () => this.#get('/v1/policy', zPolicyJson)
  /** Alone, by an exit. Errors: `exit_not_yet`, `exit_unlicensed` with what is missing. */
  forceClose = (idempotencyKey: string, id: string) =>
    this.#post(`/v1/channels/${encodeURIComponent(id)}/close`, idempotencyKey, { force: true }, zForcedJson)
  /** @param id null: the default of channels without their own policy. */
  setPolicy = (idempotencyKey: string, id: string | null, policy: PolicyJson) =>
    this.#post(
      id === null ? '/v1/policy' : `/v1/channels/${encodeURIComponent(id)}/policy`,
      idempotencyKey,
      policy,
      zPolicyJson,
    )

  /** A page, oldest first, after the cursor of the one before. */
  invoices = (after = 0) => this.#get(`/v1/invoices?after=${after}`, zInvoicesJson)
  /** @param id as `createInvoice` answers it: the invoice's digest. */
  invoice = (id: string) => this.#get(`/v1/invoices/${encodeURIComponent(id)}`, zInvoiceJson)
  /** @param expires_s ledger seconds from now. @param refundOf id of the invoice whose payment is to be given back. */
  createInvoice = (
    idempotencyKey: string,
    amount: Amount,
    reference: string | undefined,
    expires_s?: number,
    refundOf?: string,
  ) => {
    // what is absent does not stand in the JSON
    const body = { amount_minor: amount.toString(), reference, expires_in_s: expires_s, refund_of: refundOf }
    return this.#post('/v1/invoices', idempotencyKey, body, zInvoiceJson)
  }

  quote = (invoice: string, feeMax: Amount) =>
    this.#get(`/v1/routes?${new URLSearchParams({ invoice, fee_max_minor: feeMax.toString() })}`, zQuoteJson)
  /** A page, oldest first, after the cursor of the one before. */
  payments = (after = 0) => this.#get(`/v1/payments?after=${after}`, zPaymentsJson)
  payment = (idempotencyKey: string) => this.#get(`/v1/payments/${encodeURIComponent(idempotencyKey)}`, zPaymentJson)
  /** Pending, succeeded or failed: after `wait_s` (at most 60) it says pending, and the same call asks again. */
  pay = (idempotencyKey: string, invoice: string, feeMax: Amount, wait_s = 30) =>
    this.#post('/v1/payments', idempotencyKey, { invoice, fee_max_minor: feeMax.toString() }, zPaymentJson, {
      prefer: `wait=${wait_s}`,
    })

  /** A page of the event log after a cursor. */
  eventPage = (after: number) => this.#get(`/v1/events?after=${after}`, zEventsJson)
  eventArchive = () => this.#get('/v1/events/archive', zEventArchiveJson)
  /** Everything up to this cursor is elsewhere, and may leave the log with its age. */
  archiveEvents = (idempotencyKey: string, cursor: number) =>
    this.#post('/v1/events/archive', idempotencyKey, { cursor }, zEventArchiveJson)
  /** Every event after a cursor, then live ones, at least once, over reconnections; ends when the signal aborts. */
  events = (after: number, signal: AbortSignal): AsyncIterable<ApiEvent> =>
    followEvents(this.address, after, signal, (error) => this.#lost(error))

  /** Every page of a set. */
  async #all<S extends z.ZodType<{ readonly cursor: string }>, T>(
    path: string,
    schema: S,
    entriesOf: (page: z.output<S>) => readonly T[],
  ): Promise<T[]> {
    const all: T[] = []
    for (let after = ''; ; ) {
      const page = await this.#get(`${path}?after=${after}`, schema)
      const entries = entriesOf(page)
      all.push(...entries)
      if (entries.length < LIMITS.api_page) return all
      after = page.cursor
    }
  }

  #get<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> {
    return this.#call('GET', path, {}, undefined, schema)
  }

  #post<S extends z.ZodType>(
    path: string,
    idempotencyKey: string,
    body: object,
    schema: S,
    headers: Record<string, string> = {},
  ): Promise<z.output<S>> {
    const all = { ...headers, ...key(idempotencyKey), 'content-type': 'application/json' }
    return this.#call('POST', path, all, JSON.stringify(body), schema)
  }

  async #call<S extends z.ZodType>(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: string | undefined,
    schema: S,
  ): Promise<z.output<S>> {
    const { url, token } = this.address
    let status: number
    let answer: unknown
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { ...headers, accept: 'application/json', authorization: `Bearer ${token}` },
        redirect: 'error',
        ...(body === undefined ? {} : { body }),
      })
      status = response.status
      answer = JSON.parse(await boundedText(response))
    } catch (error) {
      throw this.#lost(error)
    }
    if (status >= 400) throw this.#refused(method, readProblem(answer))
    const parsed = schema.safeParse(answer)
    if (!parsed.success) throw this.#lost(undefined)
    return parsed.data
  }

  /** A defect in the midst of a write says nothing about what became of it. */
  #refused(method: string, problem: MeridianError | undefined): MeridianError {
    if (problem === undefined) return this.#lost(undefined)
    if (method === 'GET' || problem.code !== 'internal') return problem
    return new MeridianError('unavailable', 'a defect stopped the request: node.log; the same key asks again')
  }

  /** Nobody answered, or nobody of ours. */
  #lost(error: unknown): MeridianError {
    return error instanceof MeridianError ? error : new MeridianError('unavailable', this.hint)
  }
}

export async function boundedText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    if (text.length > LIMITS.api_answer_bytes) throw new MeridianError('too_long', 'answer')
  }
  return text + decoder.decode()
}
