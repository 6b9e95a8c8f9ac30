/**
 * Carries duties to the ledger until they are met (T3). A target is looked at, what it needs is submitted, and a failed or
 * lost submission is followed by another look: what is submitted always follows from the newest view.
 */
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { ChainAdapter } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { Transaction } from '../base/transaction.js'
import type { Logger, Timers } from '../wire/environment.js'

export interface Target {
  /** Targets of one name are never looked at twice at a time. */
  readonly name: string
  /** What is to be submitted now; undefined for nothing. Rejections are tried again. */
  look(): Promise<Transaction | undefined>
  /** The ledger has said yes or no. */
  told(transaction: Transaction, outcome: Result<void>): void
}

interface Standing {
  running: boolean
  /** Something happened during the look: look again. */
  again: boolean
  failures: number
  cancelWait: (() => void) | undefined
}

const BACKOFF_MS = 250

export class Responder {
  readonly #targets = new Map<string, Standing>()
  readonly #waiting: (() => void)[] = []
  #submitting = 0
  #closed = false

  constructor(
    private readonly chain: Pick<ChainAdapter, 'submit'>,
    private readonly timers: Timers,
    private readonly logger: Logger,
  ) {}

  /** Something new is known: look now. */
  poke(target: Target): void {
    const standing = this.#targets.get(target.name) ?? fresh()
    this.#targets.set(target.name, standing)
    standing.cancelWait?.()
    standing.cancelWait = undefined
    if (standing.running) standing.again = true
    else void this.#run(target, standing)
  }

  /** A look for caution's sake: not where one is under way or waits after a failure. */
  remind(target: Target): void {
    if (!this.#targets.has(target.name)) this.poke(target)
  }

  close(): void {
    this.#closed = true
    for (const standing of this.#targets.values()) standing.cancelWait?.()
    this.#targets.clear()
  }

  async #run(target: Target, standing: Standing): Promise<void> {
    standing.running = true
    let outcome: 'met' | 'failed'
    do {
      standing.again = false
      outcome = await this.#serve(target)
    } while (standing.again && !this.#closed)
    standing.running = false
    if (this.#closed) return
    if (outcome === 'met') {
      this.#targets.delete(target.name)
      return
    }
    const wait = Math.min(BACKOFF_MS * 2 ** standing.failures, LIMITS.tower_backoff_ms_max)
    standing.failures += 1
    standing.cancelWait = this.timers.after(wait, () => this.poke(target))
  }

  /** One look and, where it asks for it, one submission. */
  async #serve(target: Target): Promise<'met' | 'failed'> {
    await this.#turn()
    try {
      const transaction = await target.look()
      if (transaction === undefined || this.#closed) return 'met'
      const outcome = await this.#submit(transaction)
      if (this.#closed) return 'met'
      if (!outcome.ok) this.logger.info('tower.refused', { kind: transaction.kind, code: outcome.error.code })
      else this.logger.info('tower.final', { kind: transaction.kind })
      target.told(transaction, outcome)
      return outcome.ok ? 'met' : 'failed'
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error
      this.logger.info('tower.look_failed', { code: error.code })
      return 'failed'
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#submitting -= 1
      else next() // the turn is handed over
    }
  }

  /** Bounds how much is looked at and submitted at once, in the order in which it was asked for. */
  async #turn(): Promise<void> {
    if (this.#submitting < LIMITS.tower_submissions) this.#submitting += 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** A submission that stays without an answer counts as failed: the ledger knows the same bytes again (A1). */
  #submit(transaction: Transaction): Promise<Result<void>> {
    return new Promise((resolve, reject) => {
      const cancel = this.timers.after(LIMITS.tower_submission_ms, () => resolve(refuse('unavailable', 'no answer')))
      this.chain.submit(transaction).then(
        () => {
          cancel()
          resolve(ok(undefined))
        },
        (error: unknown) => {
          cancel()
          if (error instanceof MeridianError) resolve(refuse(error.code, error.detail))
          else reject(error)
        },
      )
    })
  }
}

const fresh = (): Standing => ({ running: false, again: false, failures: 0, cancelWait: undefined })
