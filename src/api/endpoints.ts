/**
 * Every endpoint of the operator API: who may, what it takes, what it answers. Routes are registered by it, the client
 * reads answers by it, and the OpenAPI document is made of it.
 */
import { z } from 'zod'
import { zRegistrationRequest } from '../wallet/registration.js'
import * as answers from './answers.js'
import { type Bodies, bodies, type Scope, zArchive, zNoQuery, zPageQuery, zSetQuery } from './bodies.js'
import { zKnownEvent } from './event-types.js'

interface Common<P extends z.ZodType, A extends z.ZodType> {
  readonly path: string
  /** One of them suffices, admin always does; null: no token is asked for. */
  readonly scopes: readonly Scope[] | null
  readonly text: string
  readonly params: P
  readonly answer: A
}
export interface ReadEndpoint<
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  A extends z.ZodType = z.ZodType,
> extends Common<P, A> {
  readonly method: 'GET'
  readonly query: Q
}
export interface WriteEndpoint<
  P extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
  A extends z.ZodType = z.ZodType,
> extends Common<P, A> {
  readonly method: 'POST'
  readonly body: B
  /** Of success. */
  readonly statuses: readonly number[]
}
export type Endpoint = ReadEndpoint | WriteEndpoint

export const zNoParams = z.object({})
const zIdParams = z.object({ id: z.string().max(66).describe('64 hexadecimal digits.') })
const zKeyParams = z.object({ key: z.string().max(255).describe('The idempotency key of the payment.') })
const zTokenParams = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/) })

const zEvents = z.object({ events: z.array(zKnownEvent), cursor: z.int() })
const zText = z.string()

const get = <A extends z.ZodType>(
  path: string,
  scopes: Common<z.ZodType, A>['scopes'],
  text: string,
  answer: A,
): ReadEndpoint<typeof zNoParams, typeof zNoQuery, A> => ({
  method: 'GET',
  path,
  scopes,
  text,
  params: zNoParams,
  query: zNoQuery,
  answer,
})

const post = <B extends z.ZodType, A extends z.ZodType>(
  path: string,
  scope: Scope,
  text: string,
  body: B,
  answer: A,
  statuses: readonly number[] = [200],
): WriteEndpoint<typeof zNoParams, B, A> => ({
  method: 'POST',
  path,
  scopes: [scope],
  text,
  params: zNoParams,
  body,
  answer,
  statuses,
})

const READ: readonly Scope[] = ['read']
const INVOICE: readonly Scope[] = ['read', 'invoice']
const PAY: readonly Scope[] = ['read', 'pay']

const byId = { params: zIdParams }

const ofNode = (body: Bodies) => ({
  health: get('/healthz', null, 'The process answers.', answers.zHealthJson),
  ready: get(
    '/readyz',
    null,
    '200 while the node takes payments; 503 before its start is done, once it stops, and while its view of the ledger is stale (A1).',
    answers.zReadyJson,
  ),
  openapi: get('/v1/openapi.json', null, 'This document.', z.looseObject({ openapi: z.string() })),
  metrics: get(
    '/metrics',
    READ,
    'Prometheus text: counts, ages, delays; no amount (docs/reference/metrics.md).',
    zText,
  ),

  node: get('/v1/node', READ, 'The node: ledger view, channels by state, towers.', answers.zNodeJson),
  peers: { ...get('/v1/peers', READ, 'Connected and kept peers.', answers.zPeersJson), query: zSetQuery },
  connect: post('/v1/peers', 'admin', 'Connects a peer and keeps it.', body.peer, answers.zConnectedJson),
  towers: { ...get('/v1/towers', READ, 'Watchtowers of the node (T).', answers.zTowersJson), query: zSetQuery },
  tokens: { ...get('/v1/tokens', ['admin'], 'Tokens, without themselves.', answers.zTokensJson), query: zSetQuery },
  createToken: post(
    '/v1/tokens',
    'admin',
    'Takes a token by its hash; the token itself never reaches the node before its first use.',
    body.token,
    answers.zTokenJson,
    [201],
  ),
  revokeToken: {
    ...post('/v1/tokens/:id/revoke', 'admin', 'Ends a token at once.', body.none, answers.zRevokedJson),
    params: zTokenParams,
  },
})

const ofAccount = (body: Bodies) => ({
  account: get('/v1/account', READ, 'The ledger account: what it holds.', answers.zAccountJson),
  registration: get(
    '/v1/account/registration',
    READ,
    'What the issuer asks for before it admits this account.',
    answers.zRegistrationJson,
  ),
  register: post(
    '/v1/account/register',
    'admin',
    'Onto the ledger (L2).',
    body.register,
    answers.zRegisteredJson,
    [201],
  ),
  admit: post(
    '/v1/account/admit',
    'admin',
    'Issuer: checks a key proof and admits the account.',
    zRegistrationRequest,
    answers.zAdmissionJson,
    [201],
  ),
  mint: post('/v1/account/mint', 'admin', 'Issuer: creates money (L3).', body.mint, answers.zReceiptJson, [201]),
  redeem: post(
    '/v1/account/redeem',
    'admin',
    'Back to the issuer, who burns it.',
    body.redeem,
    answers.zReceiptJson,
    [201],
  ),
  transfer: post('/v1/account/transfer', 'admin', 'Pays on the ledger.', body.transfer, answers.zReceiptJson, [201]),
  rollover: post(
    '/v1/account/rollover',
    'admin',
    'Makes frozen credits available; happens by itself when needed.',
    body.none,
    answers.zReceiptJson,
    [201],
  ),
})

const ofChannels = (body: Bodies) => ({
  channels: { ...get('/v1/channels', READ, 'All channels.', answers.zChannelsJson), query: zSetQuery },
  channel: { ...get('/v1/channels/:id', READ, 'One channel.', answers.zChannelJson), ...byId },
  openChannel: post(
    '/v1/channels',
    'admin',
    'Locks a deposit in a channel with a peer; answers once the ledger has it.',
    body.channel,
    answers.zChannelOpenedJson,
    [201],
  ),
  closeChannel: {
    ...post(
      '/v1/channels/:id/close',
      'admin',
      'Settles a channel: with its peer, 200 once the ledger paid out; with `force` alone, 202 while the window runs.',
      body.close,
      z.union([answers.zForcedJson, answers.zClosedJson]),
      [200, 202],
    ),
    ...byId,
  },
  rebalance: post(
    '/v1/channels/rebalance',
    'admin',
    'Moves money from one own channel into another by a payment to oneself (R7): 201 with its end, 202 while it has none.',
    body.rebalance,
    answers.zPaymentJson,
    [201, 202],
  ),
  towerReceipts: {
    ...get('/v1/channels/:id/receipts', READ, 'What towers signed for (T2).', answers.zTowerReceiptsJson),
    ...byId,
  },
  channelPolicy: {
    ...get('/v1/channels/:id/policy', READ, 'What forwarding costs there.', answers.zPolicyJson),
    ...byId,
  },
  setChannelPolicy: {
    ...post('/v1/channels/:id/policy', 'admin', 'Sets it; the peer is told.', body.policy, answers.zPolicyJson),
    ...byId,
  },
  policy: get('/v1/policy', READ, 'The policy of channels without their own.', answers.zPolicyJson),
  setPolicy: post('/v1/policy', 'admin', 'Sets it; peers are told.', body.policy, answers.zPolicyJson),
})

const ofPayments = (body: Bodies) => ({
  invoices: { ...get('/v1/invoices', INVOICE, 'Invoices, oldest first.', answers.zInvoicesJson), query: zPageQuery },
  invoice: {
    ...get('/v1/invoices/:id', INVOICE, 'One invoice; its receipt once paid.', answers.zInvoiceJson),
    ...byId,
  },
  createInvoice: post('/v1/invoices', 'invoice', 'Asks for a payment (R6).', body.invoice, answers.zInvoiceJson, [201]),
  routes: {
    ...get('/v1/routes', PAY, 'What paying an invoice would cost now.', answers.zQuoteJson),
    query: body.payment,
  },
  payments: { ...get('/v1/payments', PAY, 'Payments, oldest first.', answers.zPaymentsJson), query: zPageQuery },
  payment: {
    ...get('/v1/payments/:key', PAY, 'The payment of an idempotency key.', answers.zPaymentJson),
    params: zKeyParams,
  },
  pay: post(
    '/v1/payments',
    'pay',
    'Pays an invoice (R5): 201 with its end where it comes within `Prefer: wait`, else 202. A failed payment is a resource, not an error. The key is kept for ever.',
    body.payment,
    answers.zPaymentJson,
    [201, 202],
  ),
  events: {
    ...get(
      '/v1/events',
      INVOICE,
      'What happened: a page of JSON, or with `Accept: text/event-stream` a stream (SSE) after any cursor (`after`; Last-Event-ID, where there is one, counts instead). At least once, in order, with stable ids; a cursor beyond the newest event is refused (`cursor_ahead`), and one before what has left the log (`cursor_pruned`).',
      zEvents,
    ),
    query: zPageQuery,
  },
  eventArchive: get(
    '/v1/events/archive',
    INVOICE,
    'What of the event log is archived, and the sum of what has left it.',
    answers.zEventArchiveJson,
  ),
  archiveEvents: post(
    '/v1/events/archive',
    'admin',
    'Says that everything up to a cursor is archived elsewhere: it leaves the log once it is older than `events_kept_days`. There is no way back.',
    zArchive,
    answers.zEventArchiveJson,
  ),
})

/** @param bits L of the node's ledger; the document does not depend on it. */
export function endpoints(bits = 64) {
  const body = bodies(bits)
  return { ...ofNode(body), ...ofAccount(body), ...ofChannels(body), ...ofPayments(body) }
}
export type Endpoints = ReturnType<typeof endpoints>
