/**
 * What channels want the ledger to do (C6, C10): rows of the outbox, submitted until the ledger has said yes or no, again
 * after a restart. A refusal ends an effect: the ledger's answer is final and every one of these is once-only there.
 */
import { z } from 'zod'
import { cbor, zBytesUpTo, zScalar } from '../base/codec.js'
import { curve, type Scalar } from '../base/curve/index.js'
import { type ErrorCode, InvariantError, MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { ChainAdapter, SubmitReceipt } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { decodeTransaction, encodeTransaction, type Transaction, transactionDigest } from '../base/transaction.js'
import type { Outbox } from '../store/outbox.js'
import { parseRow } from '../store/rows.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { Tx } from './engine.js'
import { type Ending, isEnding } from './ledger-events.js'

const zEffect = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('submit'), transaction: zBytesUpTo(LIMITS.transaction_bytes) }),
  z.strictObject({ kind: z.literal('reveal'), scalar: zScalar }),
])
type LedgerJob = z.output<typeof zEffect>

const RETRY_MS_MAX = 10_000
/** Not looked at yet, or outcome unknown: the same bytes again (the ledger knows them). */
const AGAIN: ReadonlySet<ErrorCode> = new Set([
  'unavailable',
  'internal',
  'busy',
  'ledger_full',
  'ledger_rate',
  'quota_exceeded',
])

export class LedgerDesk {
  #closed = false
  #waiting = 0
  readonly #wakers = new Set<() => void>()

  constructor(
    private readonly chain: ChainAdapter,
    private readonly outbox: Outbox,
    /** The account's. */
    private readonly key: Scalar,
    private readonly logger: Logger,
    private readonly timers: Timers,
    private readonly channels: {
      /** Asked before every attempt: whether the channel still wants it. */
      stands(transaction: Ending): boolean
      /** Told once, in the batch that forgets its row, or again after a crash. */
      refused(transaction: Ending, code: ErrorCode): void
    },
  ) {}

  /** What an earlier process did not finish. `told` hears what became of its transactions, in the row's last batch. */
  resume(told: (transaction: Transaction, outcome: Result<SubmitReceipt>) => void): void {
    for (const { id, payload } of this.outbox.leftover) {
      const job = parseRow(payload, zEffect)
      const transaction = this.#transactionOf(job)
      void this.#finish(id, job).then((outcome) => outcome !== undefined && told(transaction, outcome))
    }
  }

  submit(tx: Tx, transaction: Transaction, told?: (outcome: Result<SubmitReceipt>) => void): void {
    this.#stage(tx, { kind: 'submit', transaction: encodeTransaction(transaction) }, told)
  }

  reveal(tx: Tx, scalar: Scalar): void {
    this.#stage(tx, { kind: 'reveal', scalar })
  }

  /** Effects to which the ledger has not said yes or no. */
  get waiting(): number {
    return this.#waiting
  }

  close(): void {
    this.#closed = true
    for (const wake of this.#wakers) wake()
  }

  #stage(tx: Tx, job: LedgerJob, told?: (outcome: Result<SubmitReceipt>) => void): void {
    const { rows, effects } = this.outbox.stage([cbor(job)])
    tx.undo(() => this.outbox.abandon())
    for (const row of rows) tx.put(row)
    const [effect] = effects
    if (effect === undefined) throw new InvariantError('C6', 'an effect was not staged')
    tx.after(() => void this.#finish(effect.id, job).then((outcome) => outcome !== undefined && told?.(outcome)))
  }

  /** Undefined where the node stopped first: the row stands and the next start finishes it. */
  async #finish(id: number, job: LedgerJob): Promise<Result<SubmitReceipt> | undefined> {
    this.#waiting += 1
    try {
      return await this.#submit(id, job)
    } finally {
      this.#waiting -= 1
    }
  }

  async #submit(id: number, job: LedgerJob): Promise<Result<SubmitReceipt> | undefined> {
    const transaction = this.#transactionOf(job)
    for (let wait = 250; !this.#closed; wait = Math.min(wait * 2, RETRY_MS_MAX)) {
      if (isEnding(transaction) && !this.channels.stands(transaction)) {
        this.outbox.done(id)
        return refuse('exit_unlicensed', 'the channel is in recovery')
      }
      try {
        const receipt = await this.chain.submit(transaction)
        this.outbox.done(id)
        return ok(receipt)
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error
        if (!AGAIN.has(error.code)) {
          this.logger.info('ledger.refused', { kind: transaction.kind, code: error.code })
          if (isEnding(transaction)) this.channels.refused(transaction, error.code)
          this.outbox.done(id)
          return refuse(error.code, error.detail)
        }
      }
      await this.#pause(wait)
    }
    return undefined
  }

  #transactionOf(job: LedgerJob): Transaction {
    if (job.kind === 'submit') {
      const transaction = decodeTransaction(job.transaction)
      if (!transaction.ok) throw new InvariantError('C6', 'a stored transaction cannot be read')
      return transaction.value
    }
    const unsigned = {
      kind: 'reveal' as const,
      ledger: this.chain.ledger,
      account: curve.multiplyBase(this.key),
      delegate: null,
      scalars: [job.scalar],
    }
    return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), this.key) }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        callOff()
        this.#wakers.delete(wake)
        resolve()
      }
      const callOff = this.timers.after(ms, wake)
      this.#wakers.add(wake)
    })
  }
}
