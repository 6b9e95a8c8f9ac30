import { Worker } from 'node:worker_threads'
import type { Scalar } from '../../base/curve/index.js'
import { MeridianError } from '../../base/errors.js'
import { encodeGenesis, type Genesis, ledgerIdOf } from '../../base/genesis.js'
import type { LedgerId } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import type { LedgerHead } from '../../base/ports/chain.js'
import { ok, type Result, refuse } from '../../base/result.js'
import { FATAL_EXIT_CODE } from '../../store/fatal.js'
import { type ClockOptions, SYSTEM_CLOCK } from './clock.js'
import type { Advance } from './engine.js'
import type { BlockNotice, EngineApi, EngineStart } from './engine-api.js'
import { Caller } from './rpc.js'

export interface LedgerOptions {
  /** Directory of the ledger; left out, it lives in memory (tests). */
  readonly dir?: string
  readonly genesis: Genesis
  /** Secret key of genesis's headKey. */
  readonly headKey: Scalar
  readonly clock?: ClockOptions
  /** Threads that check proofs. */
  readonly verifiers?: number
  /** The ledger's thread ended by a defect or a write error (S2). Default: ends the process. */
  readonly onFatal?: (error: Error) => void
}

/** Where a follower begins. */
export type FollowFrom = { readonly cursor: number } | { readonly height: number }

const endProcess = (error: Error): void => {
  console.error(`meridian: FATAL the ledger stopped: ${error.message}`)
  process.exit(FATAL_EXIT_CODE)
}

/**
 * The embedded ledger (A2) as its process holds it: every call is answered by the ledger's own thread; this side only
 * passes bytes on. Close it to release the directory.
 */
export class Ledger {
  readonly genesis: Genesis
  readonly ledger: LedgerId
  readonly #worker: Worker
  readonly #caller: Caller<EngineApi, BlockNotice>
  readonly #recent = new Map<number, Uint8Array>()
  readonly #woken = new Set<() => void>()
  #head: LedgerHead | undefined
  #closing: Promise<void> | undefined
  #closed = false

  /** Creates `dir`'s database: what `init` does. Refuses with `store_exists`, `bad_genesis`, `store_failed`, … */
  static create(options: LedgerOptions): Promise<Result<Ledger>> {
    return Ledger.#start(options, true)
  }

  /**
   * Opens what `create` made. Refuses with `store_missing`, `store_locked` (another process has it), `store_corrupt`,
   * `store_newer`, `ledger_other` (another genesis), `ledger_behind`, `ledger_block` or `ledger_head`.
   */
  static open(options: LedgerOptions): Promise<Result<Ledger>> {
    return Ledger.#start(options, false)
  }

  static async #start(options: LedgerOptions, create: boolean): Promise<Result<Ledger>> {
    const ledger = new Ledger(options, create)
    try {
      ledger.#head = await ledger.#caller.call('ready')
      return ok(ledger)
    } catch (error) {
      ledger.#closed = true
      await ledger.#worker.terminate()
      if (error instanceof MeridianError) return refuse(error.code, error.detail)
      throw error
    }
  }

  private constructor(options: LedgerOptions, create: boolean) {
    const { genesis, headKey, dir, clock = SYSTEM_CLOCK, verifiers = 1, onFatal = endProcess } = options
    this.genesis = genesis
    this.ledger = ledgerIdOf(genesis)
    const workerData: EngineStart = { dir, create, genesis: encodeGenesis(genesis), headKey, clock, verifiers }
    this.#worker = new Worker(new URL('./engine-worker.js', import.meta.url), { workerData })
    this.#caller = new Caller(this.#worker, (notice) => this.#onBlock(notice))
    const ended = (error: Error) => {
      if (this.#closed) return
      this.#closed = true
      this.#caller.fail(new MeridianError('unavailable', 'the ledger stopped'))
      this.#wake()
      onFatal(error)
    }
    this.#worker.on('error', ended)
    this.#worker.on('exit', (code) => ended(new Error(`its thread ended with code ${code}`)))
  }

  /** The last final block. */
  get head(): LedgerHead {
    return this.#head!
  }

  readonly submit = (bytes: Uint8Array) => this.#call('submit', bytes)
  readonly account = (id: Parameters<EngineApi['account']>[0]) => this.#call('account', id)
  readonly channel = (id: Parameters<EngineApi['channel']>[0]) => this.#call('channel', id)
  readonly revealed = (point: Parameters<EngineApi['revealed']>[0]) => this.#call('revealed', point)
  readonly stats = () => this.#call('stats')
  /** One block by a manual clock. @throws MeridianError `ledger_not_manual`. */
  readonly advance = (step: Advance) => this.#call('advance', step)
  /** Withholds every transaction until `advance` or `hold(false)`. @throws MeridianError `ledger_not_manual`. */
  readonly hold = (held: boolean) => this.#call('hold', held)
  /** Raw blocks (decodeBlock) from a height on, a bounded page; empty above the head: for audits. */
  readonly blocks = (from: number) => this.#call('blocks', from)

  /**
   * Every block from there on (cbor of zBlockDigest), then live ones, as fast as the consumer takes them.
   * @throws MeridianError `ledger_behind` where it begins beyond the head
   */
  async *follow(from: FollowFrom, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const ended = () => this.#closed || this.#closing !== undefined || signal?.aborted === true
    const wake = () => this.#wake()
    signal?.addEventListener('abort', wake)
    try {
      const ahead = 'height' in from ? from.height > this.head.height + 1 : from.cursor > this.head.cursor
      // Whoever asks has seen blocks that this database does not hold: it was rolled back behind the ledger's word.
      if (ahead) throw new MeridianError('ledger_behind')
      let height = 'height' in from ? from.height : await this.#call('heightAfter', from.cursor)
      while (!ended()) {
        const known = height <= this.head.height
        const bytes = this.#recent.get(height) ?? (known ? await this.#call('blockDigest', height) : undefined)
        if (bytes === undefined) {
          await new Promise<void>((resolve) => this.#woken.add(resolve))
          continue
        }
        yield bytes
        height += 1
      }
    } finally {
      signal?.removeEventListener('abort', wake)
    }
  }

  /** The head, then newer ones; a slow consumer sees only the newest. */
  async *heads(signal?: AbortSignal): AsyncGenerator<LedgerHead, void> {
    const wake = () => this.#wake()
    signal?.addEventListener('abort', wake)
    try {
      for (let last = -1; !this.#closed && this.#closing === undefined && signal?.aborted !== true; ) {
        if (this.head.height > last) {
          last = this.head.height
          yield this.head
        } else {
          await new Promise<void>((resolve) => this.#woken.add(resolve))
        }
      }
    } finally {
      signal?.removeEventListener('abort', wake)
    }
  }

  /** Resolves when everything executed is durable and the directory is free. Pending calls reject with `unavailable`. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#closed) return
    this.#wake()
    await this.#caller.call('close')
    this.#closed = true
    this.#caller.fail(new MeridianError('unavailable', 'the ledger is closed'))
    await this.#worker.terminate()
  }

  #call<K extends keyof EngineApi>(method: K, ...args: Parameters<EngineApi[K]>): ReturnType<EngineApi[K]> {
    if (this.#closing !== undefined) {
      return Promise.reject(new MeridianError('unavailable', 'the ledger is closed')) as ReturnType<EngineApi[K]>
    }
    return this.#caller.call(method, ...args)
  }

  #onBlock({ head, digest }: BlockNotice): void {
    this.#head = head
    this.#recent.set(head.height, digest)
    this.#recent.delete(head.height - LIMITS.blocks_remembered)
    this.#wake()
  }

  #wake(): void {
    const woken = [...this.#woken]
    this.#woken.clear()
    for (const resolve of woken) resolve()
  }
}
