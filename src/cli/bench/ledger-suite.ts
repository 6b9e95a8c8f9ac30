/**
 * The embedded ledger (A2): how many transactions a second it checks, and how soon a submitter knows. All are proven before
 * they are submitted, so that its two verifiers have the machine to themselves; clients use its HTTP face.
 */
import { randomBytes } from 'node:crypto'
import type { Amount } from '../../base/amount.js'
import { curve } from '../../base/curve/index.js'
import { prfScalar } from '../../base/digest.js'
import { MeridianError } from '../../base/errors.js'
import type { AccountView } from '../../base/ports/chain.js'
import { type Transaction, transactionDigest } from '../../base/transaction.js'
import { bytesIn } from './disk.js'
import { checkBalances, type Run } from './figures.js'
import { load, type Shape } from './load.js'
import { type Metered, measure, type Plan } from './measure.js'
import { closing, holdings, type Opened, Prover, viewOf } from './proven.js'
import type { Resident, Town } from './town.js'
import { UsageMeter } from './usage.js'

export interface LedgerOptions {
  /** Of each kind and load. */
  readonly transactions: number
  /** Of one scalar each: no proof, so that what else a transaction costs is seen. */
  readonly reveals: number
  readonly accounts: number
}

/** More than a load of a given number takes. */
const FOREVER_S = 86_400
const AMOUNT = 1_000n as Amount

export const LEDGER_DRIVEN =
  'driven: submit over HTTP from the bench’s process; all proven before; counts when its block is durable, two threads verify'

export async function* ledgerSuite(town: Town, plan: Plan, options: LedgerOptions): AsyncGenerator<Run> {
  await town.found()
  plan.progress.say('ledger and issuer are up')
  const market = await Market.build(town, plan, options)
  const { transactions, reveals } = options
  await market.submitAll(await market.transfers(options.accounts * 2)) // warm
  const atFirst = await market.restart()
  for (const shape of plan.shapes) {
    yield await market.measured('transfers', shape, await market.transfers(transactions))
    yield await market.measured('openings', shape, await market.openings(transactions))
    yield await market.measured('closes', shape, await market.closes())
    const run = await market.measured('reveals', shape, market.reveals(reveals))
    const last = shape === plan.shapes.at(-1)
    if (!last) yield run
    else yield { ...run, facts: { ...run.facts, ...named('first', atFirst), ...named('last', await market.restart()) } }
  }
}

interface Restarted {
  readonly transactions: number
  readonly restart_ms: number
  readonly disk_bytes: number
}

const named = (which: string, { transactions, restart_ms, disk_bytes }: Restarted): Record<string, number> => ({
  [`${which}_transactions`]: transactions,
  [`${which}_restart_ms`]: restart_ms,
  [`${which}_disk_bytes`]: disk_bytes,
})

class Market {
  readonly #meter = new UsageMeter()
  readonly #opened: { readonly opener: Resident; readonly opened: Opened }[] = []

  private constructor(
    private readonly town: Town,
    private readonly plan: Plan,
    private readonly provers: readonly Prover[],
    private readonly payee: Resident,
    private readonly payeeView: AccountView,
    private readonly minted: bigint,
  ) {}

  static async build(town: Town, plan: Plan, { accounts, transactions }: LedgerOptions): Promise<Market> {
    const share = AMOUNT * BigInt(plan.shapes.length * 2 * (transactions + accounts) + accounts)
    const payee = await town.resident(0n)
    const provers: Prover[] = []
    for (let at = 0; at < accounts; at++) provers.push(await Prover.of(await town.resident(share)))
    return new Market(town, plan, provers, payee, await viewOf(town.chain, payee), share * BigInt(accounts))
  }

  transfers(count: number): Promise<readonly Transaction[]> {
    return this.#proven('transfers', count, (prover) => prover.transfer(this.payeeView, AMOUNT))
  }

  openings(count: number): Promise<readonly Transaction[]> {
    return this.#proven('openings', count, async (prover) => {
      const { tx, ...opened } = await prover.opening(this.payee, this.payeeView, AMOUNT)
      this.#opened.push({ opener: prover.resident, opened })
      return tx
    })
  }

  /** Of every channel that stands open. */
  async closes(): Promise<readonly Transaction[]> {
    return Promise.all(this.#opened.splice(0).map(({ opener, opened }) => closing(opener, opened)))
  }

  reveals(count: number): readonly Transaction[] {
    const { wallet, secrets } = this.payee
    const { ledger } = this.town.chain
    return Array.from({ length: count }, () => {
      const scalars = [prfScalar(new Uint8Array(randomBytes(32)), 'bench-reveal')]
      const unsigned = { kind: 'reveal' as const, ledger, account: wallet.account, delegate: null, scalars }
      return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), secrets.signingKey) }
    })
  }

  async measured(kind: string, shape: Shape, stock: readonly Transaction[]): Promise<Run> {
    const { ledger } = this.town
    await ledger.call('blocks', null)
    const { run } = await measure({ ...this.plan, suite: `ledger, ${kind}`, warmUp: 0 }, shape, {
      parties: [ledger, this.#self()],
      count: stock.length,
      drive: async (shape, _, tell) => ({ ...(await this.#load(shape, stock, tell)), paid: 0n, fees: 0n }),
    })
    const { blocks, transactions, ...intervals } = await ledger.call('blocks', null)
    const facts = { blocks, transactions_per_block: blocks === 0 ? 0 : transactions / blocks, ...intervals }
    return { ...run, facts, balance_check: await this.#checked() }
  }

  async submitAll(stock: readonly Transaction[]): Promise<void> {
    await Promise.all(stock.map((tx) => this.town.chain.submit(tx)))
  }

  /** The ledger is killed, and started again: from the start of its process until it answers. */
  async restart(): Promise<Restarted> {
    const restarted = await this.town.restartLedger()
    return { ...restarted, disk_bytes: bytesIn(this.town.ledgerDir) }
  }

  #load(shape: Shape, stock: readonly Transaction[], tell: (done: number) => void) {
    const left = stock.values()
    const act = async (): Promise<string | null> => {
      const { value } = left.next()
      if (value === undefined) return 'none left'
      try {
        await this.town.chain.submit(value)
        return null
      } catch (error) {
        if (error instanceof MeridianError) return error.code
        throw error
      }
    }
    return load({ shape, seconds: FOREVER_S, count: stock.length, act, tell })
  }

  #self(): Metered {
    return {
      name: 'bench',
      resetUsage: async () => this.#meter.reset(),
      usage: async () => this.#meter.read(),
    }
  }

  /** Transactions of all accounts in turn: each account's own stay in their order. */
  async #proven(what: string, count: number, prove: (prover: Prover) => Promise<Transaction>) {
    const share = Math.ceil(count / this.provers.length)
    let made = 0
    const chains = await Promise.all(
      this.provers.map(async (prover) => {
        const chain: Transaction[] = []
        while (chain.length < share) {
          chain.push(await prove(prover))
          this.plan.progress.bar(`${what} proven ahead`, ++made / count, made)
        }
        return chain
      }),
    )
    return Array.from({ length: share }, (_, at) => chains.map((chain) => chain[at]!)).flat()
  }

  /** Nothing is made or lost: what the accounts hold and what is in channels is what was minted. */
  async #checked(): Promise<'ok'> {
    let found = AMOUNT * BigInt(this.#opened.length)
    for (const resident of [this.payee, ...this.provers.map(({ resident }) => resident)])
      found += await holdings(resident)
    return checkBalances([{ what: 'what all accounts hold', expected: this.minted, found }])
  }
}
