/** Reading a request: a body or query by its schema, the headers that carry meaning. */
import type { FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { type Digest, hexToBytes } from '../base/bytes.js'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { parseJson } from './json.js'

/** Prefer: wait (RFC 7240) where the client does not say, seconds. */
const WAIT_S = 30

/** @throws MeridianError `bad_request` (`bad_amount` for an amount) naming the field, never its value. */
export function parseAs<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  const field = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys')
    throw new MeridianError('bad_request', `unknown field ${shown(issue.keys[0])}`)
  const code = field.endsWith('_minor') ? 'bad_amount' : 'bad_request'
  throw new MeridianError(code, field === '' ? issue.message : `${field}: ${issue.message}`)
}

const shown = (name: string | undefined): string =>
  name !== undefined && /^\w{1,40}$/.test(name) ? name : '(not printable)'

/** @throws MeridianError `request_key_missing`, `bad_request` */
export function idempotencyKey({ headers, raw }: FastifyRequest): string {
  const key = headers['idempotency-key']
  if ((raw.headersDistinct['idempotency-key']?.length ?? 0) > 1) throw new MeridianError('bad_request', KEY_TWICE)
  if (key === undefined || key === '') throw new MeridianError('request_key_missing')
  if (isKey(key)) return key
  throw new MeridianError('bad_request', KEY_FORM)
}

const KEY_TWICE = 'Idempotency-Key: there twice'
export const KEY_FORM = `Idempotency-Key: 1 to ${LIMITS.key_characters} printable ASCII characters`

/** Idempotency keys (R5) are printable ASCII. */
export const isKey = (text: unknown): text is string =>
  typeof text === 'string' && text.length >= 1 && text.length <= LIMITS.key_characters && /^[\x20-\x7e]+$/.test(text)

/** 64 hexadecimal digits; undefined for anything else. */
export const parseDigest = (text: string): Digest | undefined =>
  /^[0-9a-f]{64}$/.test(text) ? (hexToBytes(text) as Digest) : undefined

/** Seconds that a client would wait for the end of what it starts; undefined where it does not say. */
export function statedWait({ headers }: FastifyRequest): number | undefined {
  const prefer = headers['prefer']
  const wait = /(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:[,;]|$)/i.exec(typeof prefer === 'string' ? prefer : '')
  return wait === null ? undefined : Math.min(Number(wait[1]), LIMITS.api_wait_s)
}

export const preferredWait = (request: FastifyRequest): number => statedWait(request) ?? WAIT_S

/** JSON in UTF-8; an empty body is an empty object. @throws MeridianError `bad_request` */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return {}
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new MeridianError('bad_request', 'the body is no JSON in UTF-8')
  }
  return parseJson(text)
}
