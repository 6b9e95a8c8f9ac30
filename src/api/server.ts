/** The operator API of one node: loopback, a fresh bearer token at every start, JSON in and out (PRODUCT.md). */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { utf8 } from '../base/bytes.js'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Node } from '../node/node.js'
import type { Logger } from '../wire/environment.js'
import { removeApiFile, writeApiFile } from './api-file.js'
import { type Bodies, bodies } from './bodies.js'
import { idempotencyKey, parseAs, parseJsonBody } from './parse.js'
import { asMeridianError, PROBLEM_TYPE, problemOf } from './problem.js'
import { type Outcome, Requests } from './requests.js'
import { addAccountRoutes } from './routes/account.js'
import { addChannelRoutes } from './routes/channels.js'
import { addEventRoutes } from './routes/events.js'
import { addNodeRoutes } from './routes/node.js'
import { addPaymentRoutes, PAYMENTS } from './routes/payments.js'

export interface ApiOptions {
  readonly node: Node
  /** Where api.json goes; the node's directory. */
  readonly dir: string
  readonly logger: Logger
  /** Default: loopback alone. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  readonly heartbeat_ms?: number
  readonly stall_ms?: number
}

export interface Api {
  readonly url: string
  /** Takes no further write, ends waits and streams, gives running requests a moment, removes api.json. */
  close(): Promise<void>
}

/** What a write is told besides its body. */
export interface WriteContext {
  /** The client's idempotency key. */
  readonly key: string
  /** The same for what the node keeps under names of its own: no user's key collides with them. */
  readonly operation: string
  readonly request: FastifyRequest
}

/** What the routes share. */
export interface Routes {
  readonly app: FastifyInstance
  readonly node: Node
  readonly bodies: Bodies
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
  readonly heartbeat_ms: number
  readonly stall_ms: number
  /** A write under an idempotency key. */
  write<S extends z.ZodType>(
    path: string,
    body: S,
    run: (body: z.output<S>, context: WriteContext) => Promise<Outcome>,
  ): void
}

/** @throws what the system says where the port cannot be had. */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { node, dir, logger, host = '127.0.0.1', port = 0 } = options
  const token = randomBytes(32).toString('base64url')
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal) // one per wait and stream under way, each taken off again
  const app = createApp(logger, token)
  const requests = new Requests(node.engine, () => node.time)
  const routes: Routes = {
    app,
    node,
    bodies: bodies(node.wallet.parts.chain.genesis.amountBits),
    stopping: stopping.signal,
    heartbeat_ms: options.heartbeat_ms ?? LIMITS.api_heartbeat_ms,
    stall_ms: options.stall_ms ?? LIMITS.subscriber_stall_ms,
    write(path, schema, run) {
      app.post(path, async (request, reply) => {
        if (stopping.signal.aborted) throw new MeridianError('unavailable', 'the node is stopping')
        const key = idempotencyKey(request)
        const body = parseAs(schema, request.body)
        const forever = path === PAYMENTS
        const keyed = { key, method: 'POST', path: request.url, body: request.body, forever }
        const operation = `api/${createHash('sha256').update(key).digest('hex')}`
        const answer = await requests.run(keyed, () => run(body, { key, operation, request }))
        if (answer.replayed) reply.header('idempotency-replayed', 'true')
        return reply.code(answer.status).type(answer.type).send(answer.body)
      })
    },
  }
  addNodeRoutes(routes)
  addAccountRoutes(routes)
  addChannelRoutes(routes)
  addPaymentRoutes(routes)
  addEventRoutes(routes)
  const url = await app.listen({ host, port })
  await writeApiFile(dir, { url, token })
  return { url, close: () => closeApi(app, dir, stopping) }
}

async function closeApi(app: FastifyInstance, dir: string, stopping: AbortController): Promise<void> {
  await removeApiFile(dir)
  stopping.abort()
  const cut = setTimeout(() => app.server.closeAllConnections(), LIMITS.api_drain_ms)
  await app.close()
  clearTimeout(cut)
}

function createApp(logger: Logger, token: string): FastifyInstance {
  const app = fastify({
    exposeHeadRoutes: false,
    bodyLimit: LIMITS.api_body_bytes,
    requestTimeout: LIMITS.ledger_request_ms,
    // An idempotency key is part of an address; so is an invoice in a query, below Node's own bound on headers.
    routerOptions: { maxParamLength: LIMITS.key_characters * 3 },
    frameworkErrors: (error, request, reply) => fail(logger, error, request, reply),
  })
  app.server.maxConnections = LIMITS.api_connections
  const isToken = tokenCheck(token)
  app.addHook('onRequest', async ({ headers, routeOptions }) => {
    if (!routeOptions.config.open && !isToken(headers.authorization)) throw new MeridianError('unauthorized')
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) =>
    parseJsonBody(body),
  )
  app.setErrorHandler((error, request, reply) => fail(logger, error, request, reply))
  app.setNotFoundHandler((request, reply) => fail(logger, new MeridianError('not_found'), request, reply))
  return app
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without a token. */
    readonly open?: true
  }
}

/** In constant time: both sides are hashed to one length. */
function tokenCheck(token: string): (header: string | undefined) => boolean {
  const digest = (text: string) => createHash('sha256').update(utf8(text)).digest()
  const expected = digest(`Bearer ${token}`)
  return (header) => timingSafeEqual(digest(header ?? ''), expected)
}

function fail(logger: Logger, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const refusal = asMeridianError(error)
  const problem = problemOf(refusal)
  if (problem.code === 'internal')
    logger.warn('api.internal', { route: request.routeOptions?.url ?? '', ...whereOf(error) })
  if (problem.code === 'unauthorized') reply.header('www-authenticate', 'Bearer')
  return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
}

/** Name and place of a defect; its message may quote what a user sent. */
function whereOf(error: unknown): { readonly error: string; readonly at: string } {
  if (!(error instanceof Error)) return { error: typeof error, at: '' }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return { error: error.name, at: frames.slice(0, 4).join(' ').trim() }
}
