/** The references, made of the code's own tables: `npm run docs` writes them, a test fails when they drift. */
import { z } from 'zod'
import { type Endpoint, endpoints } from '../../src/api/endpoints.js'
import { EVENT_SCHEMAS, EVENT_TEXTS, type EventType } from '../../src/api/event-types.js'
import { METRICS } from '../../src/api/metrics.js'
import { statusOf } from '../../src/api/problem.js'
import { ERRORS, type ErrorCode } from '../../src/base/errors.js'
import { LIMITS } from '../../src/base/limits.js'
import type { MessageDefinition } from '../../src/base/message/codec.js'
import * as session from '../../src/base/message/session.js'
import { towerCodec } from '../../src/base/message/tower.js'
import { CONFIG, CONFIG_NAMES, environmentOf, OTHER_ENVIRONMENT } from '../../src/cli/config-table.js'
import { nodeCodec } from '../../src/node/messages.js'
import { isNamed, MESSAGE_TEXTS } from './messages.js'

const MADE = '<!-- Made by `npm run docs` from the tables of the code: edit those. -->'

const page = (title: string, intro: string, ...parts: readonly string[]): string =>
  `${[MADE, `# ${title}`, intro, ...parts].join('\n\n')}\n`

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, header.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')
const code = (text: string): string => `\`${text}\``

interface Schema {
  readonly description?: string
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly maxItems?: number
  readonly items?: Schema
  readonly prefixItems?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly default?: unknown
}

const schemaOf = (schema: z.ZodType): Schema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as unknown as Schema

/** One line for a field: its type and what is said of it. */
function typeOf(schema: Schema): string {
  const type = bareType(schema)
  if (schema.description === undefined) return type
  return type === 'any' ? schema.description : `${type}: ${schema.description}`
}

function bareType(schema: Schema): string {
  const choices = schema.anyOf ?? schema.oneOf
  if (schema.properties !== undefined)
    return `{ ${fieldsOf(schema)
      .map(([name, type]) => `${name}: ${type}`)
      .join('; ')} }`
  if (choices !== undefined) return choices.map(typeOf).join(' or ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(', ')
  if (schema.prefixItems !== undefined) return `[${schema.prefixItems.map(typeOf).join(', ')}]`
  if (schema.items !== undefined) return listOf(schema.items, schema.maxItems)
  if (schema.type === 'integer') return wholeNumber(schema)
  if (schema.type === 'string') return schema.maxLength === undefined ? 'text' : `text, up to ${schema.maxLength}`
  if (Array.isArray(schema.type)) return (schema.type as string[]).map((type) => typeOf({ type })).join(' or ')
  return typeof schema.type === 'string' ? schema.type : 'any'
}

/** Of entries with many fields the names: an endpoint of their own has their types. */
function listOf(items: Schema, most: number | undefined): string {
  const names = Object.keys(items.properties ?? {})
  const each = names.length > 3 ? `{ ${names.join(', ')} }` : typeOf(items)
  return `list of ${each}${most === undefined ? '' : `, up to ${most}`}`
}

function wholeNumber({ minimum, maximum }: Schema): string {
  const bounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
  return bounded ? `whole number, ${minimum ?? 0} to ${maximum}` : 'whole number'
}

const fieldsOf = ({ properties = {}, required = [] }: Schema): [string, string][] =>
  Object.entries(properties).map(([name, of]) => [
    name,
    `${typeOf(of)}${required.includes(name) ? '' : of.default === undefined ? ' (optional)' : ` (default ${JSON.stringify(of.default)})`}`,
  ])

const fieldTable = (schema: z.ZodType): string =>
  table(
    ['field', 'type'],
    fieldsOf(schemaOf(schema)).map(([name, type]) => [code(name), type]),
  )

function errors(): string {
  const rows = (Object.keys(ERRORS) as ErrorCode[])
    .sort()
    .map((name) => [code(name), `${statusOf(name)}`, ERRORS[name].action, ERRORS[name].text])
  const intro = `Every refusal, anywhere, is one of these: codes never change their meaning and are never used again. \`action\`
says what the reader is to do: \`fix_request\` (another request is needed), \`retry_same_key\` (the same call with the same
key), \`wait\` (the same later), \`add_capacity\` (money or a channel is missing), \`call_operator\` (a human looks at it). The
status is that of the HTTP API (RFC 9457 problem+json).`
  return page('Errors', intro, table(['code', 'status', 'action', 'meaning'], rows))
}

function metrics(): string {
  const rows = Object.entries(METRICS).map(([name, { kind, labels, help }]) => [
    code(name),
    kind,
    labels.join(', '),
    help,
  ])
  const intro =
    '`GET /metrics` with a token of scope read, Prometheus text 0.0.4. No amount, no id and no byte of a peer is in it. Histograms have buckets of seconds; their series end in `_bucket`, `_sum` and `_count`.'
  return page('Metrics', intro, table(['metric', 'type', 'labels', 'meaning'], rows))
}

function configuration(): string {
  const rows = CONFIG_NAMES.map((name) => {
    const { purpose, unit, bounds, fallback, required, danger } = CONFIG[name]
    const without = required ? 'has to be given' : fallback === undefined ? 'none' : code(JSON.stringify(fallback))
    return [code(name), purpose, unit ?? '', without, bounds, danger ?? '']
  })
  const others = Object.entries(OTHER_ENVIRONMENT).map(([name, text]) => [code(name), text])
  const example = environmentOf('drain_s')
  const intro = `\`config.json\` in the node's directory, written by \`init\`: one object with these keys and no others (for an unknown key the
nearest name is offered). Each can be overridden by the environment (\`drain_s\` by \`${example}\`), and both by the command line
(\`--set drain_s=60\`; some have flags of their own): flag > environment > file > default. Secrets never stand in it; they come
as files (\`…_FILE\`). \`meridian doctor\` checks it.`
  return page(
    'Configuration',
    intro,
    table(['key', 'purpose', 'unit', 'default', 'bounds', 'danger'], rows),
    '## Other variables',
    table(['variable', 'purpose'], others),
  )
}

function messages(): string {
  const part = (title: string, definitions: readonly MessageDefinition[]): string[] => [
    `## ${title}`,
    ...[...definitions].sort((a, b) => a.type - b.type).map(messageText),
  ]
  const intro =
    'After Noise (BOLT 8) each WebSocket frame holds one message: two bytes of type, big-endian, then deterministic CBOR (RFC 8949, 4.2) of a map with exactly these fields. An unknown odd type is ignored, an unknown even one ends the connection. Amounts are eight bytes whatever they are.'
  const { hello, error, ping, pong } = session
  return page(
    'Wire messages',
    intro,
    ...part('Every connection', [hello, error, ping, pong]),
    ...part('Between nodes', nodeCodec.definitions),
    ...part('Between a node and its watchtower', towerCodec.definitions),
  )
}

function messageText({ type, name, schema }: MessageDefinition): string {
  if (!isNamed(name)) throw new Error(`${name} has no line in messages.ts`)
  return `### ${type} ${code(name)}\n\n${MESSAGE_TEXTS[name]}\n\n${fieldTable(schema)}`
}

function api(): string {
  const all = Object.entries(endpoints()) as [string, Endpoint][]
  const intro = `HTTP on loopback, JSON. A bearer token opens what its scopes name (\`meridian token create --scope read,invoice --out FILE\`);
the token in \`api.json\` is admin and works on this machine only. The same as OpenAPI 3.1: \`GET /v1/openapi.json\`.

- Amounts are strings of digits in \`*_minor\` fields: minor units (cents). Times are ledger seconds since 1970.
- Writes need \`Idempotency-Key\` (1 to ${LIMITS.key_characters} printable ASCII characters): the same key acts once, a repetition gets the first answer with
  \`Idempotency-Replayed: true\`; another request under it is 422, while the first one runs it is 409. Keys of payments are kept
  for ever, others ${LIMITS.request_kept_s / 86_400} days.
- Lists and sets come in pages: \`limit\` (1 to ${LIMITS.api_page}), \`after\` the \`cursor\` of the page before; an empty page is the end.
- Errors are problem+json with a stable \`code\` and an \`action\` (errors.md).
- Bodies: JSON in UTF-8, up to ${LIMITS.api_body_bytes} bytes, ${LIMITS.api_json_depth} levels deep, no field twice, none that is unknown.`
  return page('HTTP API', intro, ...all.map(([name, endpoint]) => endpointText(name, endpoint)), eventsText())
}

function endpointText(name: string, endpoint: Endpoint): string {
  const { method, path, scopes, text, params, answer } = endpoint
  const who =
    scopes === null
      ? 'no token'
      : `scope ${[...scopes, 'admin'].filter((s, i, all) => all.indexOf(s) === i).join(', ')}`
  const success = method === 'POST' ? endpoint.statuses.join(' or ') : '200'
  const input = method === 'POST' ? endpoint.body : endpoint.query
  const parts = [`## ${code(`${method} ${path}`)}`, `${text} *(${who}; ${name})*`]
  if (fieldsOf(schemaOf(params)).length > 0) parts.push(`Path:\n\n${fieldTable(params)}`)
  if (fieldsOf(schemaOf(input)).length > 0)
    parts.push(`${method === 'POST' ? 'Body' : 'Query'}:\n\n${fieldTable(input)}`)
  if (name === 'metrics') parts.push('Answer (200): text (metrics.md).')
  else if (name === 'events') parts.push('Answer (200): `events`, each as below, and `cursor`; or a stream of them.')
  else if (name !== 'openapi') parts.push(`Answer (${success}):\n\n${answerTable(answer)}`)
  return parts.join('\n\n')
}

/** Of several shapes the richest is shown. */
const answerTable = (answer: z.ZodType): string =>
  answer instanceof z.ZodUnion ? fieldTable(answer.options[0] as z.ZodType) : fieldTable(answer)

function eventsText(): string {
  const intro = `# Events

Each has \`cursor\` (its stable id: without gaps, the same at every delivery), \`type\` and \`time\`. A stream (SSE) sends
\`id: CURSOR\` and \`data: EVENT\`, and a comment every ${LIMITS.api_heartbeat_ms / 1_000} s; at most ${LIMITS.api_streams} are open at once. It can break off at any moment: go on with
\`after\` (or Last-Event-ID) from the last event that you have dealt with. What was not acknowledged comes again: at least once.`
  const each = Object.entries(EVENT_SCHEMAS).map(
    ([type, schema]) => `## ${code(type)}\n\n${EVENT_TEXTS[type as EventType]}\n\n${fieldTable(schema)}`,
  )
  return [intro, ...each].join('\n\n')
}

/** File name → text. */
export const references = (): Readonly<Record<string, string>> => ({
  'api.md': api(),
  'configuration.md': configuration(),
  'errors.md': errors(),
  'messages.md': messages(),
  'metrics.md': metrics(),
})
