/** The ledger's process: the embedded ledger over its directory, with its HTTP and WebSocket faces. */
import { parseScalar } from '../../base/curve/index.js'
import { decodeGenesis } from '../../base/genesis.js'
import { idText } from '../../base/ids.js'
import { inProcessAdapter } from '../../chain-adapter/embedded/in-process.js'
import { Ledger } from '../../chain-adapter/embedded/ledger.js'
import { serveLedger } from '../../chain-adapter/embedded/server.js'
import { need } from '../../chain-adapter/need.js'
import type { BlockFigures, Breached, Handlers, LedgerCalls, LedgerSetup, OutputOf } from './calls.js'
import { attend, say } from './child.js'
import { Latency } from './latency.js'
import { Tally } from './load.js'

const CLOCK = { kind: 'system', interval_ms: 100, idle_ms: 1_000 } as const
const VERIFIERS = 2

/** When blocks came, and how much was in them. */
class BlockWatch {
  #intervals = new Latency()
  #last: number | undefined
  #blocks = 0
  #cursor = 0
  #from = 0

  saw(cursor: number): void {
    const now = performance.now()
    if (this.#last !== undefined && cursor > this.#cursor) this.#intervals.record(now - this.#last)
    if (cursor > this.#cursor) this.#blocks += 1
    this.#last = now
    this.#cursor = cursor
  }

  take(): BlockFigures {
    const { p50_ms, max_ms } = this.#intervals.figures
    const figures = {
      blocks: this.#blocks,
      transactions: this.#cursor - this.#from,
      interval_p50_ms: p50_ms,
      interval_max_ms: max_ms,
    }
    this.#intervals = new Latency()
    this.#blocks = 0
    this.#from = this.#cursor
    return figures
  }
}

class Host {
  readonly #watch = new BlockWatch()
  readonly #closers: (() => Promise<unknown>)[] = []
  readonly #exits: Uint8Array[] = []
  #ledger: Ledger | undefined

  readonly handlers: Handlers<LedgerCalls> = {
    open: (setup) => this.#open(setup),
    submit: async (transactions) => {
      const outcomes = await Promise.all(transactions.map((bytes) => codeOf(this.ledger.submit(bytes))))
      return outcomes.find((code) => code !== null) ?? null
    },
    blocks: async () => this.#watch.take(),
    holdExits: async (exits) => {
      this.#exits.push(...exits)
      return null
    },
    breach: ({ seconds }) => this.#breach(this.#exits.splice(0), seconds),
  }

  get ledger(): Ledger {
    if (this.#ledger === undefined) throw new Error('the ledger is not open')
    return this.#ledger
  }

  async close(): Promise<void> {
    for (const closer of this.#closers.splice(0).reverse()) await closer()
  }

  async #open({ dir, create, port, ...setup }: LedgerSetup): Promise<OutputOf<LedgerCalls, 'open'>> {
    const genesis = need(decodeGenesis(setup.genesis))
    const options = { dir, genesis, headKey: need(parseScalar(setup.headKey)), clock: CLOCK, verifiers: VERIFIERS }
    const ledger = need(await (create ? Ledger.create(options) : Ledger.open(options)))
    this.#ledger = ledger
    this.#closers.push(() => ledger.close())
    const server = await serveLedger(ledger, { port })
    this.#closers.push(() => server.close())
    void this.#watchBlocks(ledger)
    return { url: server.url, transactions: ledger.head.cursor }
  }

  async #watchBlocks(ledger: Ledger): Promise<void> {
    for await (const { cursor } of ledger.heads()) this.#watch.saw(cursor)
  }

  /** Times are those of the blocks, as this process hears of them. */
  async #breach(exits: readonly Uint8Array[], seconds: number): Promise<Breached> {
    const chain = inProcessAdapter(this.ledger)
    const tally = new Tally({ shape: { window: exits.length }, seconds, count: exits.length, act: async () => null })
    const ending = AbortSignal.timeout(seconds * 1_000)
    const stood = new Map<string, number>()
    const response = new Latency()
    let exits_ms = 0
    const events = chain.events(this.ledger.head.cursor, ending)
    const posted = Promise.all(exits.map((bytes) => codeOf(this.ledger.submit(bytes))))
    for await (const { transaction } of events) {
      if (transaction.kind === 'exit') {
        exits_ms = tally.elapsed
        stood.set(idText(transaction.channel), exits_ms)
      }
      if (transaction.kind !== 'punish') continue
      response.record(tally.elapsed - (stood.get(idText(transaction.channel)) ?? 0))
      tally.succeeded(0)
      say({ done: tally.done })
      if (tally.done === exits.length) break
    }
    for (const code of await posted) if (code !== null) tally.failed(`exit: ${code}`)
    for (let missing = tally.done; missing < exits.length; missing++) tally.failed('not punished')
    const { p50_ms, p99_ms } = response.figures
    return { punished: tally.figures, response_p50_ms: p50_ms, response_p99_ms: p99_ms, exits_ms }
  }
}

const codeOf = (submitted: Promise<unknown>): Promise<string | null> =>
  submitted.then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : 'failed'),
  )

const host = new Host()
attend<LedgerCalls>(
  host.handlers,
  () => host.close(),
  async () => (await host.ledger.stats()).counts,
)
