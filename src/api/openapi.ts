/** The OpenAPI document, made of the table of endpoints: what it says is what the server checks. */
import { z } from 'zod'
import { ERRORS } from '../base/errors.js'
import { type Endpoint, endpoints } from './endpoints.js'
import { PROBLEM_TYPE, zProblem } from './problem.js'

type Json = Readonly<Record<string, unknown>>

/** As sent: transforms are the reader's business. */
const schemaOf = (schema: z.ZodType): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return rest
}

const inputs = (schema: z.ZodType, where: 'path' | 'query'): Json[] => {
  const { properties = {}, required = [] } = schemaOf(schema) as {
    readonly properties?: Json
    readonly required?: readonly string[]
  }
  return Object.entries(properties).map(([name, of]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: of,
  }))
}

const IDEMPOTENCY_KEY: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: true,
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  description: 'The same key acts once: a repetition gets the first answer and `Idempotency-Replayed: true`.',
}
const PREFER: Json = {
  name: 'Prefer',
  in: 'header',
  required: false,
  schema: { type: 'string' },
  description: '`wait=SECONDS` (0 to 60, default 30): how long the answer may wait for the end of a payment.',
}

/** Their answer may wait for the end of a payment. */
const WAITS: ReadonlySet<string> = new Set(['pay', 'rebalance'])

const REPLAYED: Json = {
  schema: { type: 'string', enum: ['true'] },
  description: 'There where this is not the first answer to the key.',
}

function operationOf(name: string, endpoint: Endpoint): Json {
  const { scopes, text, params, answer } = endpoint
  const write = endpoint.method === 'POST'
  const statuses = write ? endpoint.statuses : [200]
  const replayed = write ? { headers: { 'Idempotency-Replayed': REPLAYED } } : {}
  const done = { description: text, ...replayed, content: contentOf(name, schemaOf(answer)) }
  return {
    operationId: name,
    summary: text,
    ...(scopes === null ? { security: [] } : { security: [{ bearer: scopes }] }),
    parameters: [
      ...inputs(params, 'path'),
      ...(write ? [IDEMPOTENCY_KEY, ...(WAITS.has(name) ? [PREFER] : [])] : inputs(endpoint.query, 'query')),
    ],
    ...(write
      ? { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(endpoint.body) } } } }
      : {}),
    responses: {
      ...Object.fromEntries(statuses.map((status) => [status, done])),
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

/** Events come as a page, or as frames whose `data` is one of them. */
function contentOf(name: string, schema: Json): Json {
  if (name === 'metrics') return { 'text/plain': { schema } }
  const page = { 'application/json': { schema } }
  return name === 'events' ? { ...page, 'text/event-stream': { schema: { type: 'string' } } } : page
}

/** `/v1/channels/:id` → `/v1/channels/{id}` */
const templateOf = (path: string): string => path.replace(/:(\w+)/g, '{$1}')

export function openApi(version: string): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const [name, endpoint] of Object.entries(endpoints())) {
    const path = templateOf(endpoint.path)
    paths[path] = { ...paths[path], [endpoint.method.toLowerCase()]: operationOf(name, endpoint as Endpoint) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Meridian node', version, description: 'Operator API of a payment channel node.' },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'Scopes: read, invoice, pay, admin.' },
      },
      responses: {
        Problem: {
          description: `RFC 9457. Codes: ${Object.keys(ERRORS).length}, docs/reference/errors.md.`,
          content: { [PROBLEM_TYPE]: { schema: schemaOf(zProblem) } },
        },
      },
    },
  }
}
