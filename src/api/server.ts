/** The operator API of one node: loopback, bearer tokens with scopes, JSON in and out (PRODUCT.md). */
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Node } from '../node/node.js'
import type { Logger } from '../wire/environment.js'
import { Rates } from '../wire/rates.js'
import { removeApiFile, writeApiFile } from './api-file.js'
import { endpoints } from './endpoints.js'
import { Metrics } from './metrics.js'
import { parseJsonBody } from './parse.js'
import { asMeridianError, PROBLEM_TYPE, problemOf } from './problem.js'
import { Requests } from './requests.js'
import { addAccountRoutes } from './routes/account.js'
import { addChannelRoutes } from './routes/channels.js'
import { addEventRoutes } from './routes/events.js'
import { addNodeRoutes } from './routes/node.js'
import { addPaymentRoutes } from './routes/payments.js'
import { addTokenRoutes } from './routes/tokens.js'
import { Routes } from './routes.js'
import { Strangers } from './strangers.js'
import { Tokens } from './tokens.js'

export interface ApiOptions {
  readonly node: Node
  /** Where api.json goes; the node's directory. */
  readonly dir: string
  readonly logger: Logger
  /** Default: loopback alone. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** Of one token, and of one address without a token. */
  readonly requests_per_s?: number
  readonly heartbeat_ms?: number
  readonly stall_ms?: number
  readonly stranger_ms?: number
}

export interface Api {
  readonly url: string
  /** Takes no further write, ends waits and streams, gives running requests a moment, removes api.json. */
  close(): Promise<void>
}

/** @throws what the system says where the port cannot be had. */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { node, dir, logger, host = '127.0.0.1', port = 0 } = options
  const token = randomBytes(32).toString('base64url')
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal) // one per wait and stream under way, each taken off again
  const now = () => node.time
  const tokens = new Tokens(node.engine, token, now)
  const rates = new Rates(options.requests_per_s ?? LIMITS.api_requests_per_s, LIMITS.api_addresses)
  const strangers = new Strangers(options.stranger_ms ?? LIMITS.api_stranger_ms)
  const app = createApp(logger, tokens, rates, strangers)
  const metrics = new Metrics(node)
  watchRequests(app, metrics)
  const routes = new Routes({
    app,
    node,
    api: endpoints(node.wallet.parts.chain.genesis.amountBits),
    tokens,
    metrics,
    requests: new Requests(node.engine, now),
    stopping: stopping.signal,
    heartbeat_ms: options.heartbeat_ms ?? LIMITS.api_heartbeat_ms,
    stall_ms: options.stall_ms ?? LIMITS.subscriber_stall_ms,
  })
  addNodeRoutes(routes)
  addTokenRoutes(routes)
  addAccountRoutes(routes)
  addChannelRoutes(routes)
  addPaymentRoutes(routes)
  addEventRoutes(routes)
  const url = await app.listen({ host, port })
  await writeApiFile(dir, { url, token })
  return { url, close: () => closeApi(app, dir, stopping).finally(() => metrics.close()) }
}

async function closeApi(app: FastifyInstance, dir: string, stopping: AbortController): Promise<void> {
  await removeApiFile(dir)
  stopping.abort()
  const cut = setTimeout(() => app.server.closeAllConnections(), LIMITS.api_drain_ms)
  await app.close()
  clearTimeout(cut)
}

function createApp(logger: Logger, tokens: Tokens, rates: Rates, strangers: Strangers): FastifyInstance {
  const app = fastify({
    exposeHeadRoutes: false,
    bodyLimit: LIMITS.api_body_bytes,
    requestTimeout: LIMITS.ledger_request_ms,
    // An idempotency key is part of an address; so is an invoice in a query, below Node's own bound on headers.
    clientErrorHandler: (error, socket) => refuseUnparsed(error.code, socket),
    routerOptions: { maxParamLength: LIMITS.key_characters * 3 },
    frameworkErrors: (error, request, reply) => fail(logger, error, request, reply),
  })
  app.server.maxConnections = LIMITS.api_connections
  app.server.on('connection', (socket) => strangers.enter(socket)).on('drop', () => strangers.makeRoom())
  app.server.on('checkExpectation', (_request, response) => refuseExpectation(response))
  app.addHook('onRequest', async ({ headers, routeOptions, socket }) => {
    const { scopes } = routeOptions.config
    if (scopes === null) return // as cheap as a refusal, and a probe must not starve beside a flood
    const caller = tokens.callerOf(headers.authorization, socket.remoteAddress)
    if (!rates.take(caller?.id ?? `from ${socket.remoteAddress}`)) throw new MeridianError('api_rate')
    if (caller === undefined) throw new MeridianError('unauthorized')
    strangers.known(socket)
    if (scopes === undefined || caller.scopes.includes('admin')) return
    if (!scopes.some((one) => caller.scopes.includes(one)))
      throw new MeridianError('scope_missing', scopes.join(' or '))
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    checkEncoding(request)
    return parseJsonBody(body)
  })
  app.setErrorHandler((error, request, reply) => fail(logger, error, request, reply))
  app.setNotFoundHandler((request, reply) => fail(logger, new MeridianError('not_found'), request, reply))
  return app
}

/** What HTTP's own parser refuses never becomes a request; it is told in the same words. */
function refuseUnparsed(reason: string, socket: Duplex): void {
  if (reason === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [line, refusal] =
    reason === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', new MeridianError('too_long', 'headers')]
      : reason === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', new MeridianError('bad_request', 'it did not come whole in time')]
        : ['400 Bad Request', new MeridianError('bad_request', 'no HTTP')]
  const body = JSON.stringify({ ...problemOf(refusal), status: Number(line.slice(0, 3)) })
  const headers = `content-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`
  socket.end(`HTTP/1.1 ${line}\r\n${headers}\r\n\r\n${body}`)
}

/** RFC 9110: nothing is expected of this API but `100-continue`, which HTTP's own side answers. */
function refuseExpectation(response: ServerResponse): void {
  const problem = { ...problemOf(new MeridianError('bad_request', 'expect: 100-continue')), status: 417 }
  response.writeHead(417, { 'content-type': PROBLEM_TYPE, connection: 'close' }).end(JSON.stringify(problem))
}

/** Bytes that say they are something else than they are read as. @throws MeridianError `bad_request` */
function checkEncoding({ headers }: FastifyRequest): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(headers['content-type'] ?? '')?.[1]
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) throw new MeridianError('bad_request', 'charset: utf-8')
  if (!/^(identity)?$/i.test(headers['content-encoding'] ?? ''))
    throw new MeridianError('bad_request', 'content-encoding: none')
}

/** A stream counts at its end, as its own route. */
function watchRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    const route = routeOptions.url ?? 'unknown' // never the address itself: it names keys and ids
    metrics.request(`${method} ${route}`, reply.statusCode, reply.elapsedTime / 1_000)
  })
}

function fail(logger: Logger, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const refusal = asMeridianError(error)
  const problem = problemOf(refusal)
  if (problem.code === 'internal')
    logger.warn('api.internal', { route: request.routeOptions?.url ?? '', ...whereOf(error) })
  if (problem.code === 'unauthorized') reply.header('www-authenticate', 'Bearer')
  if (problem.code === 'api_rate') reply.header('retry-after', '1')
  return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
}

/** Name and place of a defect; its message may quote what a user sent. */
function whereOf(error: unknown): { readonly error: string; readonly at: string } {
  if (!(error instanceof Error)) return { error: typeof error, at: '' }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return { error: error.name, at: frames.slice(0, 4).join(' ').trim() }
}
