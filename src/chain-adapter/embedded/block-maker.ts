import type { Scalar } from '../../base/curve/index.js'
import { invariant } from '../../base/errors.js'
import type { LedgerId } from '../../base/ids.js'
import type { LedgerTime } from '../../base/ports/chain.js'
import type { ProofCheck } from '../../privacy/statement.js'
import { type Block, sealBlock } from '../block.js'
import { type ClockOptions, LedgerClock } from './clock.js'
import { type Execute, OpenBlock } from './open-block.js'
import type { LedgerStorage } from './storage.js'

export interface BlockMakerOptions {
  readonly ledger: LedgerId
  readonly headKey: Scalar
  readonly storage: LedgerStorage
  readonly clock: ClockOptions
  readonly execute: Execute
  readonly digestOf: (check: ProofCheck) => Uint8Array
  /** The block is durable: now its submitters and subscribers may hear of it. */
  readonly onFinal: (open: OpenBlock, block: Block) => void
}

/** Opens, seals and commits one block after the other: the next is executed while the last is on its way to the disk. */
export class BlockMaker {
  readonly #clock: LedgerClock
  #open: OpenBlock | undefined
  #committing: Promise<void> | undefined
  /** Head of the block on its way to the disk. */
  #sealed: LedgerTime | undefined
  #sealWanted = false
  #timer: NodeJS.Timeout | undefined

  constructor(private readonly options: BlockMakerOptions) {
    this.#clock = new LedgerClock(options.clock)
  }

  /** The block that takes more transactions; undefined while there is none. */
  get open(): OpenBlock | undefined {
    return this.#open?.full ? undefined : this.#open
  }

  /** Begins a block, `seconds` after the last one where the clock is manual. A full one must be sealed first. */
  begin(seconds = 0): OpenBlock | undefined {
    if (this.#open !== undefined) return this.open
    const { storage, execute, digestOf } = this.options
    const last = this.#sealed ?? storage.head
    const at = { height: last.height + 1, time: this.#clock.next(last, seconds) }
    this.#open = new OpenBlock(at, { get: (key) => storage.stateAhead(key) }, execute, digestOf)
    return this.#open
  }

  /** Something was executed into the open block. */
  recorded(): void {
    const { clock } = this.options
    if (this.#open?.full) this.seal()
    else if (clock.kind === 'system') this.#timer ??= setTimeout(() => this.seal(), clock.interval_ms)
  }

  /** Nothing is ready to be executed. An empty block is forgotten: kept, its time would grow stale. */
  quiet(): void {
    if (this.#open?.empty) this.#open = undefined
    else if (this.options.clock.kind === 'manual') this.seal()
  }

  /** Carries time on where no transaction did; where time stands still, that the ledger is there. */
  beat(): void {
    if (this.#open !== undefined || this.#committing !== undefined) return
    this.begin()
    this.seal()
  }

  /** Now, or as soon as the block before is durable. */
  seal(): void {
    this.#sealWanted = true
    if (this.#committing !== undefined || this.#open === undefined) return
    const block = this.#open
    this.#open = undefined
    this.#sealWanted = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    // A failed commit is left unhandled on purpose: it ends the ledger's thread, and with it the process (S2).
    this.#committing = this.#commit(block)
  }

  /** Until everything executed is durable. */
  async flush(): Promise<void> {
    while (this.#open !== undefined || this.#committing !== undefined) {
      this.seal()
      await this.#committing
    }
  }

  async #commit(open: OpenBlock): Promise<void> {
    const { ledger, storage, headKey, onFinal } = this.options
    invariant(open.at.height === storage.head.height + 1, 'A2', 'blocks are sealed in order')
    const block = sealBlock(ledger, storage.head, open.at.time, open.body(), headKey)
    this.#sealed = block.head
    this.#clock.sealed()
    await storage.commit(block)
    this.#sealed = undefined
    this.#committing = undefined
    onFinal(open, block)
    if (this.#sealWanted) this.seal()
  }
}
