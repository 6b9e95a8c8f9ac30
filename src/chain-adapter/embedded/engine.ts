/**
 * The embedded ledger's single writer (A2): admits transactions, has their proofs checked ahead by a pool, executes the
 * contract one transaction after the other. Runs in the ledger's own worker thread (engine-worker.ts).
 */
import type { Scalar } from '../../base/curve/index.js'
import { MeridianError } from '../../base/errors.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { LIMITS } from '../../base/limits.js'
import type { LedgerHead, SubmitReceipt } from '../../base/ports/chain.js'
import { decodeTransaction, transactionId } from '../../base/transaction.js'
import type { ProofCheck } from '../../privacy/statement.js'
import type { Block } from '../block.js'
import { BlockMaker } from './block-maker.js'
import type { ClockOptions } from './clock.js'
import { type Entry, Mempool } from './mempool.js'
import type { Execute, Missing, OpenBlock } from './open-block.js'
import type { LedgerStorage } from './storage.js'

/** Entries whose proofs are being checked at one time: keeps the pool's queue short and the order of arrival. */
const PROVING_MAX = 16

export interface EngineOptions {
  readonly genesis: Genesis
  readonly headKey: Scalar
  readonly storage: LedgerStorage
  readonly clock: ClockOptions
  readonly execute: Execute
  readonly digestOf: (check: ProofCheck) => Uint8Array
  /** In a pool of workers. */
  readonly verify: (check: ProofCheck) => Promise<boolean>
  /** The block is durable. */
  readonly onBlock: (block: Block) => void
}

/** One call of a manual clock: one block, so many seconds after the last. */
export interface Advance {
  readonly seconds: number
  /** Take what waits into the block (default), or withhold it. */
  readonly include?: boolean
  /** First wait until that many transactions have arrived. */
  readonly expect?: number
}

export class Engine {
  readonly #blocks: BlockMaker
  readonly #mempool = new Mempool()
  /** Ready to be tried, in order. */
  readonly #queue: Entry[] = []
  #running: Promise<void> | undefined
  /** Waiting for a block that takes them. */
  #parked: Entry[] = []
  readonly #unproven: { readonly entry: Entry; readonly missing: readonly Missing[] }[] = []
  readonly #proving = new Set<Promise<void>>()
  #arrivals: (() => void)[] = []
  #held: boolean
  /** What happens to a transaction that is ready: it begins a block, joins the open one, or waits. */
  #ready: 'begins' | 'joins' | 'waits'
  /** The manual step under way: only it begins and ends blocks. */
  #step: Promise<void> | undefined
  #beat: NodeJS.Timeout | undefined
  #closed = false

  /** @throws MeridianError `ledger_not_manual` for a manual clock where genesis is not flagged `test`. */
  constructor(private readonly options: EngineOptions) {
    const { clock, genesis } = options
    if (clock.kind === 'manual' && !genesis.test) throw new MeridianError('ledger_not_manual')
    const onFinal = (open: OpenBlock, block: Block) => this.#final(open, block)
    this.#blocks = new BlockMaker({ ...options, ledger: ledgerIdOf(genesis), onFinal })
    this.#held = clock.kind === 'manual' && clock.held
    this.#ready = this.#held ? 'waits' : 'begins'
    if (clock.kind === 'system') this.#beat = setInterval(() => this.#blocks.beat(), clock.idle_ms)
  }

  get head(): LedgerHead {
    return this.options.storage.head
  }

  get waiting(): number {
    return this.#mempool.size
  }

  /** Resolves when its block is durable. The same bytes again: the first receipt. @throws MeridianError */
  async submit(bytes: Uint8Array): Promise<SubmitReceipt> {
    if (this.#closed) throw new MeridianError('unavailable', 'the ledger is closing')
    const id = transactionId(bytes)
    const known = this.#mempool.get(id)
    if (known !== undefined) return known.outcome
    const receipt = this.options.storage.receipt(id)
    if (receipt !== undefined) return receipt
    const tx = decodeTransaction(bytes)
    if (!tx.ok) throw new MeridianError(tx.error.code, tx.error.detail)
    const entry = this.#mempool.add(id, bytes, tx.value)
    if (this.#mempool.isFirst(entry)) this.#enqueue(entry)
    for (const arrived of this.#arrivals.splice(0)) arrived()
    return entry.outcome
  }

  /** While held, blocks come by `advance` alone: a fault that tests inject. @throws MeridianError `ledger_not_manual`. */
  hold(held: boolean): void {
    this.#mustBeManual()
    this.#held = held
    if (this.#step === undefined) this.#resume()
  }

  /** @throws MeridianError `ledger_not_manual`. */
  async advance(step: Advance): Promise<LedgerHead> {
    this.#mustBeManual()
    while (this.#mempool.size < (step.expect ?? 0)) await new Promise<void>((resolve) => this.#arrivals.push(resolve))
    while (this.#step !== undefined) await this.#step
    this.#step = this.#advance(step)
    await this.#step
    this.#step = undefined
    const { head } = this
    this.#resume()
    return head
  }

  /** What was executed becomes durable; what still waits is rejected with `unavailable` and is not included. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#beat)
    await this.#running
    await this.#blocks.flush()
    this.#mempool.refuseAll({ code: 'unavailable', detail: 'the ledger is closing' })
  }

  async #advance({ seconds, include = true }: Advance): Promise<void> {
    await this.#idle()
    this.#ready = 'waits'
    await this.#blocks.flush()
    this.#blocks.begin(seconds)
    if (include) {
      this.#ready = 'joins'
      this.#unpark()
      await this.#idle()
      this.#ready = 'waits'
    }
    await this.#blocks.flush()
  }

  #mustBeManual(): void {
    if (this.options.clock.kind !== 'manual') throw new MeridianError('ledger_not_manual')
  }

  /** Until nothing is being tried or proven. */
  async #idle(): Promise<void> {
    while (this.#running !== undefined || this.#proving.size > 0) {
      await (this.#running ?? Promise.race(this.#proving))
    }
  }

  #resume(): void {
    this.#ready = this.#held ? 'waits' : 'begins'
    this.#unpark()
  }

  #unpark(): void {
    if (this.#ready === 'waits') return
    for (const entry of this.#parked.splice(0)) this.#enqueue(entry)
  }

  #enqueue(entry: Entry): void {
    this.#queue.push(entry)
    this.#running ??= this.#run()
  }

  /** One transaction a turn of the event loop: reads are answered in between. */
  async #run(): Promise<void> {
    for (let entry = this.#queue.shift(); entry !== undefined; entry = this.#queue.shift()) {
      await new Promise((resolve) => setImmediate(resolve))
      if (!this.#closed) this.#try(entry)
    }
    this.#running = undefined
    if (this.#ready === 'begins') this.#blocks.quiet()
  }

  #try(entry: Entry): void {
    const block = this.#blockFor()
    if (block === undefined) {
      this.#parked.push(entry)
      return
    }
    const missing = this.#attempt(block, entry)
    if (missing === undefined) {
      this.#drop(entry, 'internal')
    } else if (missing.length > 0) {
      this.#proveLater(entry, missing)
    } else {
      this.#leave(entry)
      this.#blocks.recorded()
    }
  }

  #blockFor(): OpenBlock | undefined {
    if (this.#ready === 'begins') return this.#blocks.begin()
    return this.#ready === 'joins' ? this.#blocks.open : undefined
  }

  /** Undefined for a defect of the contract: it concerns this transaction alone, of which nothing was written. */
  #attempt(block: OpenBlock, entry: Entry): readonly Missing[] | undefined {
    try {
      return block.attempt(entry)
    } catch (error) {
      console.error('ledger: a transaction of kind %s met a defect: %s', entry.tx.kind, (error as Error).name)
      return undefined
    }
  }

  #proveLater(entry: Entry, missing: readonly Missing[]): void {
    entry.attempts += 1
    if (entry.attempts > LIMITS.mempool_attempts) {
      this.#drop(entry, 'unavailable')
      return
    }
    this.#unproven.push({ entry, missing })
    this.#proveMore()
  }

  #proveMore(): void {
    while (this.#proving.size < PROVING_MAX) {
      const job = this.#unproven.shift()
      if (job === undefined) return
      const proving: Promise<void> = this.#prove(job.entry, job.missing).then(() => {
        this.#proving.delete(proving)
        this.#proveMore()
      })
      this.#proving.add(proving)
    }
  }

  async #prove(entry: Entry, missing: readonly Missing[]): Promise<void> {
    try {
      const check = async (job: Missing) => void entry.verdicts.set(job.digest, await this.options.verify(job.check))
      await Promise.all(missing.map(check))
      this.#enqueue(entry)
    } catch (error) {
      // No verdict is no refusal. A pool that broke ends the ledger: it could include nothing any more.
      if (!(error instanceof MeridianError) || (error.code !== 'unavailable' && error.code !== 'busy')) throw error
      this.#drop(entry, 'unavailable')
    }
  }

  /** Not included, not recorded. */
  #drop(entry: Entry, code: 'internal' | 'unavailable'): void {
    this.#mempool.refuse(entry, { code })
    this.#leave(entry)
  }

  /** Executed or dropped: the lane's next one may be tried. */
  #leave(entry: Entry): void {
    const next = this.#mempool.leaveLane(entry)
    if (next !== undefined) this.#enqueue(next)
  }

  #final(open: OpenBlock, block: Block): void {
    const { head } = block
    const { height, time } = head
    const first = head.cursor - open.accepted.length + 1
    this.options.onBlock(block)
    open.accepted.forEach((entry, i) => {
      this.#mempool.accept(entry, { id: entry.id, height, time, cursor: first + i })
    })
    for (const { entry, error } of open.refused) this.#mempool.refuse(entry, error)
    this.#unpark()
  }
}
