/**
 * Requests that may be lost: reads are repeated, writes are repeated with the same idempotency key. Once any attempt of a
 * write may have begun something, nothing is thrown any more: its outcome is told as pending, and the same call with the
 * same key asks again.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { type ErrorCode, MeridianError } from '../../base/errors.js'
import { boundedText } from '../client.js'
import { isKey, KEY_FORM } from '../parse.js'
import { readProblem } from '../problem.js'

/** Waits before the second, third… attempt. */
export const RETRY_MS: readonly number[] = [100, 300, 1_000, 2_000, 4_000]
/** Longest silence of an answer, above what it was asked to wait. */
const ATTEMPT_MS = 90_000

export interface TransportOptions {
  readonly url: string
  /** A file that holds the token, or api.json. */
  readonly tokenFile: string
  readonly retryMs?: readonly number[]
}

/** What became of a write, as far as its caller can know. */
export type Sent<T> =
  | { readonly kind: 'answered'; readonly value: T; readonly replayed: boolean }
  | { readonly kind: 'unknown'; readonly reason: ErrorCode }

type Attempt =
  | { readonly kind: 'answer'; readonly status: number; readonly body: unknown; readonly replayed: boolean }
  /** Nobody took the connection: nothing was sent. */
  | { readonly kind: 'unsent' }
  | { readonly kind: 'broken' }

interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export class Transport {
  #token = ''

  private constructor(
    readonly url: string,
    private readonly tokenFile: string,
    readonly retryMs: readonly number[],
  ) {}

  /** @throws MeridianError `bad_address`, `unauthorized` where the token cannot be read */
  static async open({ url, tokenFile, retryMs = RETRY_MS }: TransportOptions): Promise<Transport> {
    const transport = new Transport(originOf(url), tokenFile, retryMs)
    await transport.reread()
    return transport
  }

  get authorization(): string {
    return `Bearer ${this.#token}`
  }

  /** A node that was started anew has another token in api.json. @returns whether it changed */
  async reread(): Promise<boolean> {
    const token = await readToken(this.tokenFile)
    const changed = token !== this.#token
    this.#token = token
    return changed
  }

  /** @throws MeridianError the node's refusal, or `unavailable` after the last attempt */
  async get<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> {
    let last = new MeridianError('unavailable', this.url)
    for (const wait of [0, ...this.retryMs]) {
      if (wait > 0) await pause(wait)
      const attempt = await this.#attempt({ method: 'GET', path, headers: {} })
      if (attempt.kind !== 'answer') continue
      if (attempt.status < 400) {
        const parsed = schema.safeParse(attempt.body)
        if (parsed.success) return parsed.data
        throw new MeridianError('internal', 'the answer is not of this version')
      }
      const problem = readProblem(attempt.body) ?? new MeridianError('unavailable', `HTTP ${attempt.status}`)
      if (!mayHelp(attempt.status, problem) && !(await this.#renewed(problem))) throw problem
      last = problem
    }
    throw last
  }

  /** @throws MeridianError where the first word of the node was a refusal, or nothing could be sent at all */
  async post<S extends z.ZodType>(
    path: string,
    idempotencyKey: string,
    body: object,
    schema: S,
    wait_s?: number,
  ): Promise<Sent<z.output<S>>> {
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': idempotencyKey,
      ...(wait_s === undefined ? {} : { prefer: `wait=${wait_s}` }),
    }
    if (!isKey(idempotencyKey)) throw new MeridianError('bad_request', KEY_FORM) // never could be sent
    const call: Call = { method: 'POST', path, headers, body: JSON.stringify(body) }
    let begun: ErrorCode | undefined
    let held: MeridianError | undefined
    for (const wait of [0, ...this.retryMs]) {
      if (wait > 0) await pause(wait)
      const attempt = await this.#attempt(call)
      if (attempt.kind === 'unsent') continue
      if (attempt.kind === 'broken') {
        begun = 'unavailable'
        continue
      }
      const { status, replayed } = attempt
      const parsed = status < 400 ? schema.safeParse(attempt.body) : undefined
      if (parsed?.success) return { kind: 'answered', value: parsed.data, replayed }
      const problem = readProblem(attempt.body) ?? new MeridianError('unavailable', `HTTP ${status}`)
      if (problem.code === 'api_rate') held = problem
      else if (parsed !== undefined || mayHelp(status, problem)) begun = problem.code
      else if (!(await this.#renewed(problem))) {
        if (begun === undefined) throw problem
        return { kind: 'unknown', reason: problem.code } // an earlier attempt may have done it
      }
    }
    if (begun === undefined)
      throw held ?? new MeridianError('unavailable', `nobody answers at ${this.url}; nothing was sent`)
    return { kind: 'unknown', reason: begun }
  }

  async #attempt({ method, path, headers, body }: Call): Promise<Attempt> {
    try {
      const response = await fetch(`${this.url}${path}`, {
        method,
        headers: { ...headers, accept: 'application/json', authorization: this.authorization },
        redirect: 'error',
        signal: AbortSignal.timeout(ATTEMPT_MS),
        ...(body === undefined ? {} : { body }),
      })
      const text = await boundedText(response)
      const replayed = response.headers.get('idempotency-replayed') === 'true'
      return { kind: 'answer', status: response.status, body: parseJson(text), replayed }
    } catch (error) {
      return { kind: neverLeft(error) ? 'unsent' : 'broken' }
    }
  }

  /** Another token since then: worth another attempt. */
  async #renewed({ code }: MeridianError): Promise<boolean> {
    return code === 'unauthorized' && (await this.reread().catch(() => false))
  }
}

/** Whether the same request may fare better: the node is busy, is at it, stumbled, or a proxy answers in its place. */
const mayHelp = (status: number, { action }: MeridianError): boolean =>
  status >= 500 || status === 429 || action === 'retry_same_key' || (status === 409 && action === 'wait')

/** The connection itself was refused: no byte of the request reached a node. */
function neverLeft(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].some((known) => known === code)
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/** @throws MeridianError `bad_address`: a token never crosses a network in plain. */
function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'https:' || (parsed?.protocol === 'http:' && LOOPBACK.test(parsed.hostname))) {
    return parsed.href.replace(/\/$/, '')
  }
  throw new MeridianError('bad_address', 'https://host[:port], or http:// on this machine')
}

const zApiJson = z.object({ token: z.string() })
const TOKEN_CHARACTERS = 4_096

/** @throws MeridianError `unauthorized` naming the file, never what is in it */
async function readToken(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new MeridianError('unauthorized', `cannot read the token file ${path}`)
  })
  const api = zApiJson.safeParse(text.startsWith('{') ? parseJson(text) : undefined)
  const token = api.success ? api.data.token : text.trim()
  if (token.length > TOKEN_CHARACTERS || !/^[\x21-\x7e]+$/.test(token)) {
    throw new MeridianError('unauthorized', `${path} holds no token`)
  }
  return token
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // of another make than a node's: the caller's schema refuses it
  }
}
