import { setMaxListeners } from 'node:events'
import type { z } from 'zod'
import { equalBytes } from '../../base/bytes.js'
import { decodeAs } from '../../base/codec.js'
import { MeridianError } from '../../base/errors.js'
import { decodeGenesis, type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { idText, type LedgerId } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import type { ChainAdapter, LedgerEvent, LedgerHead, LedgerTime, SubmitReceipt, View } from '../../base/ports/chain.js'
import { encodeTransaction, type Transaction } from '../../base/transaction.js'
import { type Block, checkBlock, decodeBlock, isHeadSigned, zBlockDigest, zHead } from '../block.js'
import { eventsOf } from '../events.js'
import { need } from '../need.js'
import { zAccountAnswer, zBlockPage, zChannelAnswer, zReceipt, zRevealedAnswer } from '../protocol.js'
import { LedgerHttp } from './http.js'
import { feed } from './stream.js'

export interface ConnectOptions {
  /** How long a call is repeated before it rejects with `unavailable`: a submit's outcome is then unknown. */
  readonly unknown_ms?: number
}

/** A ledger elsewhere. Blocks, checked as events are, are there for audits. */
export interface RemoteLedger extends ChainAdapter {
  /** Raw blocks from a height on, a bounded page, empty above the head. The caller checks them (replayBlock). */
  blocks(from: number): Promise<readonly Block[]>
  /** The signed head: what an auditor pins. */
  head(): Promise<LedgerHead>
}

const ANSWER_BYTES = LIMITS.transaction_bytes

/**
 * A ChainAdapter over the embedded ledger's HTTP and WebSocket faces. It reconnects by itself, resumes events by
 * cursor, repeats a submit with the same bytes until its outcome is known, and checks the genesis, every head's
 * signature and the chain of heads. Answers about state are the ledger's word (SECURITY.md says what trust that is).
 * @throws MeridianError `ledger_other` where the ledger is not the expected one, `unavailable` where nobody answers
 */
export async function connectLedger(
  url: string,
  expected: LedgerId,
  options: ConnectOptions = {},
): Promise<RemoteLedger> {
  const closing = new AbortController()
  setMaxListeners(0, closing.signal) // one per request and feed under way, each taken off again
  const base = url.replace(/\/+$/, '')
  const { unknown_ms = LIMITS.ledger_unknown_ms } = options
  const http = new LedgerHttp({ url: base, closing: closing.signal, unknown_ms })
  const genesis = need(decodeGenesis(await http.get('/v1/genesis', ANSWER_BYTES)))
  const ledger = ledgerIdOf(genesis)
  if (!equalBytes(ledger, expected)) throw new MeridianError('ledger_other')
  const remote = new Remote(base.replace(/^http/, 'ws'), http, genesis, ledger, closing)
  await remote.head()
  return remote
}

class Remote implements RemoteLedger {
  /** The newest head seen: another one of its height proves that the ledger signed twice. */
  #newest: LedgerHead | undefined

  constructor(
    private readonly socketUrl: string,
    private readonly http: LedgerHttp,
    readonly genesis: Genesis,
    readonly ledger: LedgerId,
    private readonly closing: AbortController,
  ) {}

  submit(tx: Transaction): Promise<SubmitReceipt> {
    return this.#post('/v1/transactions', encodeTransaction(tx), zReceipt)
  }

  account(id: Parameters<ChainAdapter['account']>[0]) {
    return this.#view(`/v1/accounts/${idText(id)}`, zAccountAnswer)
  }

  channel(id: Parameters<ChainAdapter['channel']>[0]) {
    return this.#view(`/v1/channels/${idText(id)}`, zChannelAnswer)
  }

  revealed(point: Parameters<ChainAdapter['revealed']>[0]) {
    return this.#view(`/v1/revealed/${idText(point)}`, zRevealedAnswer)
  }

  async now(): Promise<LedgerTime> {
    const { height, time } = await this.head()
    return { height, time }
  }

  async head(): Promise<LedgerHead> {
    return this.#checkHead(need(decodeAs(zHead, await this.http.get('/v1/now', ANSWER_BYTES))))
  }

  async blocks(from: number): Promise<readonly Block[]> {
    const bytes = await this.http.get(`/v1/blocks?from=${from}`, 2 * LIMITS.block_page_bytes)
    return need(decodeAs(zBlockPage, bytes)).map((block) => need(decodeBlock(block)))
  }

  async *events(cursor: number, signal?: AbortSignal): AsyncGenerator<LedgerEvent, void> {
    let previous: LedgerHead | undefined
    const target = () =>
      `${this.socketUrl}/v1/events?${previous ? `height=${previous.height + 1}` : `cursor=${cursor}`}`
    for await (const bytes of feed(target, this.#until(signal))) {
      const block = need(decodeAs(zBlockDigest, bytes))
      const head = need(checkBlock(this.genesis, this.ledger, previous, block))
      const gap = previous === undefined && head.cursor - block.transactions.length > cursor
      if (gap) throw new MeridianError('ledger_head', 'events were left out')
      this.#checkHead(head)
      previous = head
      yield* eventsOf(block, cursor)
    }
  }

  async *heads(signal?: AbortSignal): AsyncGenerator<LedgerTime & { readonly cursor: number }, void> {
    let last = -1
    for await (const bytes of feed(() => `${this.socketUrl}/v1/heads`, this.#until(signal))) {
      const { height, time, cursor } = this.#checkHead(need(decodeAs(zHead, bytes)))
      if (height > last) yield { height, time, cursor } // a reconnected feed begins with the head it had
      last = Math.max(last, height)
    }
  }

  async close(): Promise<void> {
    this.closing.abort()
  }

  #until(signal?: AbortSignal): AbortSignal {
    return signal === undefined ? this.closing.signal : AbortSignal.any([this.closing.signal, signal])
  }

  async #post<S extends z.ZodType>(path: string, body: Uint8Array, schema: S): Promise<z.output<S>> {
    return need(decodeAs(schema, await this.http.post(path, body, ANSWER_BYTES)))
  }

  async #view<T>(
    path: string,
    schema: z.ZodType<LedgerTime & { readonly value: T | null }>,
  ): Promise<View<T | undefined>> {
    const { height, time, value } = need(decodeAs(schema, await this.http.get(path, ANSWER_BYTES)))
    return { height, time, value: value ?? undefined }
  }

  /** @throws MeridianError `ledger_head` */
  #checkHead(head: LedgerHead): LedgerHead {
    if (!isHeadSigned(this.genesis, this.ledger, head)) throw new MeridianError('ledger_head', 'signature')
    const newest = this.#newest
    if (newest?.height === head.height && !equalBytes(newest.stateHash, head.stateHash)) {
      throw new MeridianError('ledger_head', `two heads of height ${head.height}`)
    }
    if (newest === undefined || head.height > newest.height) this.#newest = head
    return head
  }
}
