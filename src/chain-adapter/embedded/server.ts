import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { cbor, decodeAs } from '../../base/codec.js'
import { parsePoint } from '../../base/curve/index.js'
import { ERRORS, type ErrorCode, MeridianError } from '../../base/errors.js'
import { encodeGenesis } from '../../base/genesis.js'
import { parseAccountId, parseChannelId } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import type { View } from '../../base/ports/chain.js'
import { Rates } from '../../wire/rates.js'
import { need } from '../need.js'
import { CBOR_TYPE, PROBLEM_TYPE, zAdvance, zHold } from '../protocol.js'
import type { Ledger } from './ledger.js'
import { Subscribers } from './subscribers.js'

export interface ServerOptions {
  /** Default: loopback alone. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** Default: LIMITS.ledger_requests_per_s. */
  readonly requests_per_s?: number
  readonly subscriber_stall_ms?: number
}

export interface LedgerServer {
  /** http://host:port */
  readonly url: string
  /** Cuts every connection; the ledger stays open. What was being submitted is decided by the ledger: ask again. */
  close(): Promise<void>
}

/**
 * The embedded ledger's HTTP and WebSocket faces (A2, protocol.ts). Plain HTTP: everything it tells is public or
 * ciphertext and heads are signed; where a network in between is not trusted, TLS is the deployment's (a reverse proxy).
 */
export async function serveLedger(ledger: Ledger, options: ServerOptions = {}): Promise<LedgerServer> {
  const { host = '127.0.0.1', port = 0, requests_per_s = LIMITS.ledger_requests_per_s } = options
  const app = fastify({
    bodyLimit: LIMITS.transaction_bytes,
    requestTimeout: LIMITS.ledger_request_ms,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 66 },
  })
  const rates = new Rates(requests_per_s, LIMITS.ledger_addresses)
  const subscribers = new Subscribers(ledger, options.subscriber_stall_ms)
  app.server.maxConnections = LIMITS.ledger_connections
  app.server.on('upgrade', (request, socket, head) => {
    if (rates.take(request.socket.remoteAddress)) subscribers.upgrade(request, socket, head)
    else socket.destroy()
  })
  app.addHook('onRequest', async ({ socket }) => {
    if (!rates.take(socket.remoteAddress)) throw new MeridianError('ledger_rate')
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(CBOR_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, _request, reply) => problem(reply, asMeridianError(error)))
  app.setNotFoundHandler((_request, reply) => problem(reply, new MeridianError('ledger_no_route')))
  addReads(app, ledger)
  addWrites(app, ledger)
  await app.listen({ host, port })
  const address = app.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async close() {
      subscribers.close()
      await app.close()
    },
  }
}

function addReads(app: FastifyInstance, ledger: Ledger): void {
  const genesis = encodeGenesis(ledger.genesis)
  app.get('/healthz', async () => 'ok')
  app.get('/v1/genesis', async (_request, reply) => answer(reply, genesis))
  app.get('/v1/now', async (_request, reply) => answer(reply, cbor(ledger.head)))
  app.get<{ Params: { id: string } }>('/v1/accounts/:id', async ({ params }, reply) =>
    answerView(reply, await ledger.account(need(parseAccountId(params.id)))),
  )
  app.get<{ Params: { id: string } }>('/v1/channels/:id', async ({ params }, reply) =>
    answerView(reply, await ledger.channel(need(parseChannelId(params.id)))),
  )
  app.get<{ Params: { id: string } }>('/v1/revealed/:id', async ({ params }, reply) =>
    answerView(reply, await ledger.revealed(need(parsePoint(need(parseAccountId(params.id)))))),
  )
  app.get<{ Querystring: { from?: string } }>('/v1/blocks', async ({ query }, reply) => {
    if (!/^\d{1,15}$/.test(query.from ?? '')) throw new MeridianError('bad_encoding', 'from')
    return answer(reply, cbor(await ledger.blocks(Number(query.from))))
  })
}

function addWrites(app: FastifyInstance, ledger: Ledger): void {
  app.post('/v1/transactions', async (request, reply) => answer(reply, cbor(await ledger.submit(bodyOf(request)))))
  if (!ledger.genesis.test) return
  app.post('/v1/test/advance', async (request, reply) =>
    answer(reply, cbor(await ledger.advance(parse(zAdvance, request)))),
  )
  app.post('/v1/test/hold', async (request, reply) => {
    await ledger.hold(parse(zHold, request).held)
    return answer(reply, new Uint8Array())
  })
}

/** A copy of its own: a Buffer may be a slice of a pool, which would cross to the ledger's thread whole. */
function bodyOf(request: FastifyRequest): Uint8Array {
  if (!(request.body instanceof Uint8Array)) throw new MeridianError('bad_encoding', 'body')
  return new Uint8Array(request.body)
}

const parse = <S extends z.ZodType>(schema: S, request: FastifyRequest): z.output<S> =>
  need(decodeAs(schema, bodyOf(request)))

const answer = (reply: FastifyReply, bytes: Uint8Array): FastifyReply => reply.type(CBOR_TYPE).send(Buffer.from(bytes))

const answerView = (reply: FastifyReply, { height, time, value }: View<unknown>): FastifyReply =>
  answer(reply, cbor({ height, time, value: value ?? null }))

function problem(reply: FastifyReply, error: MeridianError): FastifyReply {
  const { text, action } = ERRORS[error.code]
  const body = { type: 'about:blank', title: text, status: statusOf(error.code), code: error.code, action }
  return reply
    .code(body.status)
    .type(PROBLEM_TYPE)
    .send(JSON.stringify(error.detail === undefined ? body : { ...body, detail: error.detail }))
}

function statusOf(code: ErrorCode): number {
  if (code === 'unavailable' || code === 'ledger_full') return 503
  if (code === 'ledger_rate') return 429
  if (code === 'ledger_no_route') return 404
  if (code === 'too_long') return 413
  if (code === 'bad_encoding' || code === 'bad_point' || code === 'bad_scalar') return 400
  return code === 'internal' ? 500 : 422
}

/** Fastify's own refusals (body too large, wrong content type, cut off) carry a status; anything else is a defect. */
function asMeridianError(error: unknown): MeridianError {
  if (error instanceof MeridianError) return error
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : 500
  if (status === 413) return new MeridianError('too_long', 'body')
  return typeof status === 'number' && status < 500 ? new MeridianError('bad_encoding') : new MeridianError('internal')
}
