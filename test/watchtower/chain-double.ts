/** A ledger that a test owns: the real contract over a World, block by block, with lost submissions and reorganisations. */
import type { ErrorCode } from '../../src/base/errors.js'
import { MeridianError } from '../../src/base/errors.js'
import { idText } from '../../src/base/ids.js'
import type { ChainAdapter, LedgerEvent, LedgerTime, SubmitReceipt, View } from '../../src/base/ports/chain.js'
import { encodeTransaction, type Transaction, type TransactionKind, transactionId } from '../../src/base/transaction.js'
import { readAccount, readChannel, readRevealed } from '../../src/chain-adapter/contract/state.js'
import type { World } from '../contract/world.js'

/** What happens to the next submission: not taken; taken but the answer is lost; no answer ever; refused. */
export type Fault = 'lost' | 'answer lost' | 'silent' | ErrorCode

interface Block extends LedgerTime {
  /** State before it. */
  readonly before: ReadonlyMap<string, Uint8Array>
  readonly cursor: number
}

/** A process's own way to the ledger: after `die` nothing that it does arrives, and nothing comes back. */
export function lifeline(chain: ChainAdapter): { readonly chain: ChainAdapter; readonly die: () => void } {
  let dead = false
  const never = new Promise<never>(() => {})
  const ifAlive = <T>(work: () => Promise<T>): Promise<T> => (dead ? never : work())
  return {
    die: () => {
      dead = true
    },
    chain: {
      genesis: chain.genesis,
      ledger: chain.ledger,
      submit: (tx) => ifAlive(() => chain.submit(tx)),
      account: (id) => ifAlive(() => chain.account(id)),
      channel: (id) => ifAlive(() => chain.channel(id)),
      revealed: (point) => ifAlive(() => chain.revealed(point)),
      now: () => ifAlive(() => chain.now()),
      events: (cursor, signal) => chain.events(cursor, signal),
      heads: (signal) => chain.heads(signal),
      close: () => chain.close(),
    },
  }
}

export class ChainDouble implements ChainAdapter {
  readonly genesis
  readonly ledger
  readonly #blocks: Block[] = []
  #events: LedgerEvent[] = []
  readonly #receipts = new Map<string, SubmitReceipt>()
  readonly #waiting = new Set<() => void>()
  /** Faults of the next submissions, in order. */
  readonly faults: Fault[] = []
  /** Everything that was submitted, taken or not. */
  readonly submitted: Transaction[] = []
  /** Views and submissions reject with `unavailable`; 'dark': nothing new is heard either. */
  link: 'up' | 'events only' | 'dark' = 'up'
  looks = 0

  constructor(readonly world: World) {
    this.genesis = world.genesis
    this.ledger = world.ledger
    this.pass(0)
  }

  get head(): LedgerTime & { readonly cursor: number } {
    const { height, time, cursor } = this.#blocks.at(-1)!
    return { height, time, cursor }
  }

  kinds(): TransactionKind[] {
    return this.#events.map(({ transaction }) => transaction.kind)
  }

  /** A block without transactions. */
  pass(seconds: number): void {
    this.#seal([], seconds)
  }

  /** As a party's node would; throws the code of a refusal. */
  take(...transactions: readonly Transaction[]): void {
    this.#seal(transactions, 0)
  }

  /** The newest blocks never happened. Their transactions are gone, unless somebody submits them again. */
  reorganise(depth: number): void {
    const [first] = this.#blocks.splice(-depth)
    this.world.records.clear()
    for (const [key, value] of first!.before) this.world.records.set(key, value)
    this.#events = this.#events.slice(0, this.head.cursor)
    this.#receipts.clear()
    const { height, time } = this.head
    this.world.at = { height, time }
    this.#wake()
  }

  reconnect(): void {
    this.link = 'up'
    this.#wake()
  }

  async submit(tx: Transaction): Promise<SubmitReceipt> {
    this.submitted.push(tx)
    if (this.link !== 'up') throw new MeridianError('unavailable')
    const fault = this.faults.shift()
    if (fault === 'lost') throw new MeridianError('unavailable')
    if (fault === 'silent') return new Promise(() => {})
    if (fault !== undefined && fault !== 'answer lost') throw new MeridianError(fault)
    const id = idText(transactionId(encodeTransaction(tx)))
    const known = this.#receipts.get(id)
    if (known !== undefined) return known
    this.take(tx)
    const { cursor, height, time } = this.head
    const receipt = { id: transactionId(encodeTransaction(tx)), cursor, height, time }
    this.#receipts.set(id, receipt)
    if (fault === 'answer lost') throw new MeridianError('unavailable')
    return receipt
  }

  account = async (id: Parameters<ChainAdapter['account']>[0]) => this.#view(readAccount(this.world.view, id))
  channel = async (id: Parameters<ChainAdapter['channel']>[0]) => {
    this.looks += 1
    return this.#view(readChannel(this.world.view, id))
  }
  revealed = async (point: Parameters<ChainAdapter['revealed']>[0]) => this.#view(readRevealed(this.world.view, point))
  now = async (): Promise<LedgerTime> => ({ height: this.head.height, time: this.head.time })

  async *events(cursor: number, signal?: AbortSignal): AsyncGenerator<LedgerEvent> {
    for (let next = cursor + 1; signal?.aborted !== true; ) {
      const event = this.link === 'dark' ? undefined : this.#events[next - 1]
      if (event === undefined) {
        await this.#more(signal)
        continue
      }
      next = event.cursor + 1
      yield event
    }
  }

  async *heads(signal?: AbortSignal): AsyncGenerator<LedgerTime & { readonly cursor: number }> {
    let last = ''
    while (signal?.aborted !== true) {
      const { head } = this
      const text = `${head.height}/${head.cursor}`
      if (text === last || this.link === 'dark') {
        await this.#more(signal)
        continue
      }
      last = text
      yield head
    }
  }

  async close(): Promise<void> {}

  #view<T>(value: T): View<T> {
    if (this.link !== 'up') throw new MeridianError('unavailable')
    return { value, height: this.head.height, time: this.head.time }
  }

  #seal(transactions: readonly Transaction[], seconds: number): void {
    const before = new Map(this.world.records)
    this.world.pass(seconds)
    const { height, time } = this.world.at
    for (const transaction of transactions) {
      const applied = this.world.apply(transaction, () => true)
      if (!applied.ok) throw new MeridianError(applied.error.code, applied.error.detail)
      for (const [key, bytes] of applied.writes) this.world.records.set(key, bytes)
      const id = transactionId(encodeTransaction(transaction))
      this.#events.push({ cursor: this.#events.length + 1, id, transaction, height, time })
    }
    this.#blocks.push({ height, time, before, cursor: this.#events.length })
    this.#wake()
  }

  #more(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#waiting.delete(end)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      this.#waiting.add(end)
      signal?.addEventListener('abort', end)
      if (signal?.aborted === true) end()
    })
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}
