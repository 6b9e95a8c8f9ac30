/** A party's process: one node, driven in this process by its own API, never over HTTP. */
import { randomBytes, randomInt } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Amount, ZERO } from '../../base/amount.js'
import { decodeGenesis, ledgerIdOf } from '../../base/genesis.js'
import { type ChannelId, idText, parseAccountId, parseChannelId } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { defaultConfig } from '../../node/config.js'
import { Node } from '../../node/node.js'
import { createPool, type ProofPool } from '../../privacy/pool.js'
import { createDirectory } from '../../store/directory.js'
import { register, registrationRequest } from '../../wallet/registration.js'
import { silent } from '../../wire/environment.js'
import type { Handlers, InputOf, Loaded, OutputOf, PartyCalls, PartySetup, Timed } from './calls.js'
import { attend, say } from './child.js'
import { load } from './load.js'

/** Threads of a party's pool: what is computed ahead of a round, and the proofs of openings. */
const THREADS = 1
const INVOICE_S = 86_400
const PAYMENT_MS = 120_000
/** Most that a routed payment may cost. */
const FEE_MAX = 1_000_000n as Amount

interface Paid {
  readonly amount: Amount
  readonly fee: Amount
}

class Host {
  readonly #closers: (() => Promise<unknown>)[] = []
  #node: Node | undefined
  readonly #invoices: string[] = []
  #wake: () => void = () => undefined
  #issued = 0

  readonly handlers: Handlers<PartyCalls> = {
    open: (setup) => this.#open(setup),
    request: () => registrationRequest(this.node.wallet),
    register: async (admission) => {
      need(await register(this.node.wallet, admission))
      return null
    },
    balance: () => this.#balance(),
    openChannel: async ({ peer, url, deposit, share }) => {
      const account = need(parseAccountId(peer))
      need(await this.node.connect({ account, url }))
      const wish = { peer: account, deposit: deposit as Amount, share: share as Amount }
      return idText(need(await this.node.openChannel(`open ${peer}`, wish)))
    },
    channel: async (text) => {
      const found = this.node.channel(channelOf(text))
      const { ready = false, balance = ZERO, locks = 0, version = 0 } = found ?? {}
      return { channel: text, ready, balance, locks, version }
    },
    payDirect: (input) => this.#payDirect(input),
    issue: ({ count, max }) => this.#issue(count, max),
    payInvoices: (input) => this.#payInvoices(input),
    invoices: async (texts) => {
      this.#invoices.push(...texts)
      this.#wake()
      return null
    },
    feesEarned: async () => this.node.status().feesEarned,
  }

  get node(): Node {
    if (this.#node === undefined) throw new Error('the party is not open')
    return this.#node
  }

  async close(): Promise<void> {
    for (const closer of this.#closers.splice(0).reverse()) await closer()
  }

  async #open({ dir, ledgerUrl, genesis, forwarding }: PartySetup): Promise<OutputOf<PartyCalls, 'open'>> {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const passphrase = join(dir, 'passphrase')
    await writeFile(passphrase, 'a bench keeps nothing', { mode: 0o600 })
    const options = { test: true, seed: new Uint8Array(randomBytes(32)) }
    const directory = need(await createDirectory(join(dir, 'data'), passphrase, options))
    this.#closers.push(() => directory.close())
    const terms = need(decodeGenesis(genesis))
    const chain = await connectLedger(ledgerUrl, ledgerIdOf(terms))
    this.#closers.push(() => chain.close())
    const pool: ProofPool = createPool({ threads: THREADS })
    this.#closers.push(() => pool.close())
    const base = defaultConfig(terms.amountBits)
    const config = {
      ...base,
      listen: { host: '127.0.0.1', port: 0 },
      forwarding,
      open: { ...base.open, shareMax: (1n << 46n) as Amount },
    }
    const node = await Node.open({ directory, chain, pool, config, logger: silent })
    this.#node = node
    this.#closers.push(() => node.stop())
    const { listening } = need(await node.start())
    return { account: idText(node.account), url: listening ?? '' }
  }

  async #balance(): Promise<bigint> {
    for (const stage of [1, 2]) need(await this.node.wallet.rollover(`bench ${stage}`))
    const { available, pendingOpen, pendingFrozen } = need(await this.node.wallet.balance())
    return available + pendingOpen + pendingFrozen
  }

  /** Runs `pay`, which answers with what it paid or why it did not. */
  async #load({ shape, seconds }: Timed, pay: () => Promise<Paid | string>): Promise<Loaded> {
    let paid = 0n
    let fees = 0n
    const act = async (): Promise<string | null> => {
      const outcome = await pay()
      if (typeof outcome === 'string') return outcome
      paid += outcome.amount + outcome.fee
      fees += outcome.fee
      return null
    }
    const figures = await load({ shape, seconds, act, tell: (done) => say({ done }) })
    return { ...figures, paid, fees }
  }

  #payDirect({ channel, max, ...timed }: InputOf<PartyCalls, 'payDirect'>): Promise<Loaded> {
    const { node } = this
    const id = channelOf(channel)
    const reference = new Uint8Array(8)
    return this.#load(timed, async () => {
      const amount = BigInt(randomInt(1, max)) as Amount
      const result = await node.payDirect(id, { amount, reference })
      return result.ok ? { amount, fee: ZERO } : result.error.code
    })
  }

  async #issue(count: number, max: number): Promise<readonly string[]> {
    const issued = Array.from({ length: count }, async () => {
      const key = `bench-${this.#issued++}`
      const wish = { amount: BigInt(randomInt(1, max)) as Amount, reference: key, expiresIn: INVOICE_S }
      return need(await this.node.issueInvoice(key, wish)).text
    })
    return Promise.all(issued)
  }

  #payInvoices(timed: Timed): Promise<Loaded> {
    const { node } = this
    return this.#load(timed, async () => {
      const text = await this.#nextInvoice()
      const key = randomBytes(12).toString('hex')
      const started = await node.pay(key, text, FEE_MAX)
      if (!started.ok) return started.error.code
      const ended = await node.waitPayment(key, PAYMENT_MS)
      if (ended?.status !== 'succeeded') return ended?.code ?? ended?.status ?? 'unknown'
      return { amount: ended.amount, fee: ended.fee ?? ZERO }
    })
  }

  async #nextInvoice(): Promise<string> {
    for (;;) {
      const text = this.#invoices.shift()
      if (text !== undefined) {
        say({ stock: this.#invoices.length })
        return text
      }
      await new Promise<void>((resolve) => {
        const before = this.#wake
        this.#wake = () => {
          before()
          resolve()
        }
      })
    }
  }
}

const channelOf = (text: string): ChannelId => need(parseChannelId(text))

const host = new Host()
attend<PartyCalls>(host.handlers, () => host.close())
