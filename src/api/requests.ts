/**
 * Idempotency-Key (PRODUCT.md): a key stands for one request as long as it is kept. Its row is durable before anything happens; its
 * answer, once final, is what every repetition gets. Where the process died in between, the repetition runs again: the
 * node's own operations know the key and act once.
 */
import { z } from 'zod'
import { equalBytes, utf8 } from '../base/bytes.js'
import { encodeAs, zDigest, zText } from '../base/codec.js'
import { taggedHash } from '../base/digest.js'
import { ERRORS, MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Engine } from '../node/engine.js'
import { endingRow } from '../node/retention.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import { asMeridianError, PROBLEM_TYPE, problemOf } from './problem.js'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  /** Not the first answer to this key. */
  readonly replayed: boolean
}

/** What a handler makes of a request. */
export interface Outcome<T = unknown> {
  readonly status: number
  readonly value: T
  /** The next repetition asks the node again instead of getting these words: something is still under way. */
  readonly open?: boolean
  readonly replayed?: boolean
}

const zRow = z.strictObject({
  /** Of method, address and body. */
  request: zDigest,
  /** Null until the answer is final. */
  answer: z.strictObject({ status: z.int().min(100).max(599), type: zText(64), body: zText(1_048_576) }).nullable(),
})
type Row = z.output<typeof zRow>

export interface KeyedRequest {
  readonly key: string
  readonly method: string
  readonly path: string
  readonly body: unknown
  /** PRODUCT.md: payment keys are kept for ever, others for LIMITS.request_kept_s. */
  readonly forever: boolean
}

// Keys of rows rest in plain on disk; what a user writes into an idempotency key must not.
const hashOf = (key: string) => taggedHash('request-key', utf8(key))
const rowKey = (key: string): Uint8Array => tableKey('request', hashOf(key))

export class Requests {
  /** Keys under way, with the digest of their request. */
  readonly #running = new Map<string, Uint8Array>()

  constructor(
    private readonly engine: Pick<Engine, 'get' | 'run'>,
    /** Ledger seconds. */
    private readonly now: () => number,
  ) {}

  /** @throws MeridianError `request_key_reused`, `request_running`; whatever else is wrong is an answer. */
  async run(request: KeyedRequest, work: () => Promise<Outcome>): Promise<Answer> {
    const { key } = request
    const digest = digestOf(request)
    const running = this.#running.get(key)
    const row = this.#read(key)
    const first = running ?? row?.request
    if (first !== undefined && !equalBytes(first, digest)) throw new MeridianError('request_key_reused')
    if (running !== undefined) throw new MeridianError('request_running')
    if (row !== undefined && row.answer !== null) return { ...row.answer, replayed: true }
    this.#running.set(key, digest)
    try {
      if (row === undefined) await this.#begin(request, digest)
      return await this.#first(key, digest, work)
    } finally {
      this.#running.delete(key)
    }
  }

  async #first(key: string, request: Row['request'], work: () => Promise<Outcome>): Promise<Answer> {
    let made: { readonly answer: NonNullable<Row['answer']>; readonly final: boolean; readonly replayed: boolean }
    try {
      const { status, value, open = false, replayed = false } = await work()
      made = { answer: { status, type: 'application/json', body: JSON.stringify(value) }, final: !open, replayed }
    } catch (error) {
      const refusal = asMeridianError(error)
      if (refusal.code === 'internal') throw error // the outcome is unknown; the server notes the defect
      const problem = problemOf(refusal)
      const answer = { status: problem.status, type: PROBLEM_TYPE, body: JSON.stringify(problem) }
      made = { answer, final: isFinal(refusal), replayed: false }
    }
    if (made.final) await this.#write(key, { request, answer: made.answer })
    return { ...made.answer, replayed: made.replayed }
  }

  #read(key: string): Row | undefined {
    const bytes = this.engine.get(rowKey(key))
    return bytes === undefined ? undefined : parseRow(bytes, zRow)
  }

  /** Kept from its first sight on. */
  async #begin({ key, forever }: KeyedRequest, request: Row['request']): Promise<void> {
    const value = encodeAs(zRow, { request, answer: null })
    await this.engine.run((tx) => {
      tx.put({ key: rowKey(key), value })
      if (!forever) tx.put(endingRow(this.now() + LIMITS.request_kept_s, hashOf(key), rowKey(key)))
    }).durable
  }

  async #write(key: string, row: Row): Promise<void> {
    await this.engine.run((tx) => tx.put({ key: rowKey(key), value: encodeAs(zRow, row) })).durable
  }
}

/** Only a refusal that no waiting and no further money would change is the last word on a key. */
const isFinal = ({ code }: MeridianError): boolean => ERRORS[code].action === 'fix_request'

const digestOf = ({ method, path, body }: KeyedRequest): Row['request'] =>
  taggedHash('api-request', utf8(method), utf8(path), utf8(canonicalJson(body)))

/** Members in the order of their names. The body was checked: its depth is its schema's. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, item]) => `${JSON.stringify(name)}:${canonicalJson(item)}`).join(',')}}`
}
