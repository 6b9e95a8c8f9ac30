/** How an endpoint of the table becomes a route: its inputs parsed, its scopes asked, its answer typed. */
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { MeridianError } from '../base/errors.js'
import type { Node } from '../node/node.js'
import type { Scope } from './bodies.js'
import type { Endpoint, Endpoints, ReadEndpoint, WriteEndpoint } from './endpoints.js'
import type { Metrics } from './metrics.js'
import { idempotencyKey, parseAs, statedWait } from './parse.js'
import type { Outcome, Requests } from './requests.js'
import type { Tokens } from './tokens.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** As its endpoint has them; absent: any token. */
    readonly scopes?: readonly Scope[] | null
  }
}

export interface ReadInput<E extends ReadEndpoint> {
  readonly params: z.output<E['params']>
  readonly query: z.output<E['query']>
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What a write is told besides its body. */
export interface WriteContext<E extends WriteEndpoint> {
  readonly params: z.output<E['params']>
  /** The client's idempotency key. */
  readonly key: string
  /** The same for what the node keeps under names of its own: no user's key collides with them. */
  readonly operation: string
  readonly request: FastifyRequest
}

/** What the routes share. */
export interface RouteParts {
  readonly app: FastifyInstance
  readonly node: Node
  readonly api: Endpoints
  readonly tokens: Tokens
  readonly metrics: Metrics
  readonly requests: Requests
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
  readonly heartbeat_ms: number
  readonly stall_ms: number
}

export type Answered<E extends Endpoint> = z.input<E['answer']>

export class Routes {
  readonly app: FastifyInstance
  readonly node: Node
  readonly api: Endpoints
  readonly tokens: Tokens
  readonly metrics: Metrics
  readonly stopping: AbortSignal
  readonly heartbeat_ms: number
  readonly stall_ms: number
  readonly #requests: Requests

  constructor(parts: RouteParts) {
    this.app = parts.app
    this.node = parts.node
    this.api = parts.api
    this.tokens = parts.tokens
    this.metrics = parts.metrics
    this.stopping = parts.stopping
    this.heartbeat_ms = parts.heartbeat_ms
    this.stall_ms = parts.stall_ms
    this.#requests = parts.requests
  }

  /** Where `run` took the reply over (a stream) or set its type, it answers with the reply or a text. */
  read<E extends ReadEndpoint>(
    endpoint: E,
    run: (input: ReadInput<E>) => Promise<Answered<E> | FastifyReply> | Answered<E> | FastifyReply,
  ): void {
    const { path, scopes } = endpoint
    this.app.get(path, { config: { scopes } }, async (request, reply) => {
      const params = paramsOf(endpoint, request)
      const query = parseAs(endpoint.query, request.query) as z.output<E['query']>
      return run({ params, query, request, reply })
    })
  }

  /** A write under an idempotency key. */
  write<E extends WriteEndpoint>(
    endpoint: E,
    run: (body: z.output<E['body']>, context: WriteContext<E>) => Promise<Outcome<Answered<E>>>,
  ): void {
    const { path, scopes } = endpoint
    const pays = path === this.api.pay.path
    this.app.post(path, { config: { scopes } }, async (request, reply) => {
      if (this.stopping.aborted) throw new MeridianError('unavailable', 'the node is stopping')
      const key = idempotencyKey(request)
      const params = paramsOf(endpoint, request)
      const body = parseAs(endpoint.body, request.body) as z.output<E['body']>
      const keyed = { key, method: 'POST', path: request.url, body: request.body, forever: pays }
      const operation = `api/${createHash('sha256').update(key).digest('hex')}`
      const answer = await this.#requests.run(keyed, () => run(body, { params, key, operation, request }))
      if (answer.replayed) reply.header('idempotency-replayed', 'true')
      const wait = pays ? statedWait(request) : undefined
      if (wait !== undefined) reply.header('preference-applied', `wait=${wait}`)
      return reply.code(answer.status).type(answer.type).send(answer.body)
    })
  }
}

/** A name that cannot be one names nothing. */
function paramsOf<E extends Endpoint>(endpoint: E, request: FastifyRequest): z.output<E['params']> {
  const params = endpoint.params.safeParse(request.params)
  if (!params.success) throw new MeridianError('not_found')
  return params.data as z.output<E['params']>
}

/** A page of a set in the order of its ids; the cursor is the last one's. */
export function setPage<T>(
  entries: readonly T[],
  idOf: (entry: T) => string,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit?: number | undefined },
  most: number,
): { readonly page: T[]; readonly cursor: string } {
  const page = entries
    .filter((entry) => idOf(entry) > after)
    .sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
    .slice(0, limit ?? most)
  const last = page.at(-1)
  return { page, cursor: last === undefined ? after : idOf(last) }
}
