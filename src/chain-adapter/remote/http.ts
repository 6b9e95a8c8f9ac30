import { setTimeout as sleep } from 'node:timers/promises'
import { type ErrorCode, MeridianError } from '../../base/errors.js'
import { LIMITS } from '../../base/limits.js'
import { CBOR_TYPE, zProblem } from '../protocol.js'

/** Waits between attempts: doubling, with jitter so that clients of one outage do not return together. */
export function* backoff(): Generator<number, never> {
  for (let ms = 50; ; ms = Math.min(ms * 2, LIMITS.ledger_backoff_ms_max)) yield ms * (0.5 + Math.random() / 2)
}

/** Refusals that say nothing about the request itself: it is sent again. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['unavailable', 'ledger_full', 'ledger_rate', 'busy'])

export interface HttpOptions {
  /** http(s)://host:port, without a trailing slash. */
  readonly url: string
  /** Aborted by `close`. */
  readonly closing: AbortSignal
  /** How long one call is attempted before it rejects with `unavailable`. */
  readonly unknown_ms: number
}

/** The ledger's HTTP face, asked until it answers. Every request may be repeated: reads, and submits by their bytes. */
export class LedgerHttp {
  constructor(private readonly options: HttpOptions) {}

  get(path: string, bytesMax: number): Promise<Uint8Array> {
    return this.#untilKnown(path, undefined, bytesMax)
  }

  post(path: string, body: Uint8Array, bytesMax: number): Promise<Uint8Array> {
    return this.#untilKnown(path, body, bytesMax)
  }

  /** @throws MeridianError with the ledger's code, `unavailable` where none came in time or after `close`. */
  async #untilKnown(path: string, body: Uint8Array | undefined, bytesMax: number): Promise<Uint8Array> {
    const { closing, unknown_ms } = this.options
    const expired = AbortSignal.timeout(unknown_ms)
    for (const wait of backoff()) {
      if (closing.aborted || expired.aborted) break
      const answer = await this.#once(path, body, bytesMax, expired)
      if (answer instanceof Uint8Array) return answer
      if (!PASSING.has(answer.code)) throw answer
      await sleep(wait, undefined, { signal: closing }).catch(() => undefined) // closing is looked at above
    }
    throw new MeridianError('unavailable', closing.aborted ? 'the adapter is closed' : 'no answer from the ledger')
  }

  /** A refusal is returned; a connection that broke is `unavailable`. */
  async #once(path: string, body: Uint8Array | undefined, bytesMax: number, expired: AbortSignal) {
    const request = new AbortController()
    const abort = () => request.abort()
    this.options.closing.addEventListener('abort', abort)
    expired.addEventListener('abort', abort)
    try {
      const post = { method: 'POST', headers: { 'content-type': CBOR_TYPE }, body: body as Uint8Array<ArrayBuffer> }
      const init = { signal: request.signal, redirect: 'error', ...(body === undefined ? {} : post) } as const
      const response = await fetch(`${this.options.url}${path}`, init)
      const bytes = await boundedBody(response, response.ok ? bytesMax : LIMITS.problem_bytes)
      return response.ok ? bytes : problemOf(bytes)
    } catch (error) {
      if (error instanceof MeridianError) return error
      return new MeridianError('unavailable', 'no connection to the ledger') // fetch throws TypeError or AbortError only
    } finally {
      this.options.closing.removeEventListener('abort', abort)
      expired.removeEventListener('abort', abort)
    }
  }
}

async function boundedBody(response: Response, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > bytesMax) throw new MeridianError('too_long', 'answer of the ledger')
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

/** An answer that is no problem of ours comes from something in between: a proxy without its ledger. */
function problemOf(bytes: Uint8Array): MeridianError {
  try {
    const problem = zProblem.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')))
    if (problem.success) return new MeridianError(problem.data.code, problem.data.detail)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return new MeridianError('unavailable', 'an answer that is not the ledger’s')
}
