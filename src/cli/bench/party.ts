/** The process of one party or of several: nodes, driven in this process by their own API, never over HTTP. */
import { randomBytes, randomInt } from 'node:crypto'
import { type Amount, ZERO } from '../../base/amount.js'
import { idText } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { createPool, type ProofPool } from '../../privacy/pool.js'
import { register, registrationRequest } from '../../wallet/registration.js'
import type { Handlers, InputOf, Loaded, PartyCalls, Timed } from './calls.js'
import { attend, say } from './child.js'
import { channelOf, House } from './house.js'
import { load } from './load.js'

/** Threads of the process's pool: what is computed ahead of a round, and the proofs of openings. */
const THREADS = 1
const INVOICE_S = 86_400
const STOCK_TOLD_EVERY = 16
const PAYMENT_MS = 120_000
/** Most that a routed payment may cost. */
const FEE_MAX = 1_000_000n as Amount

interface Paid {
  readonly amount: Amount
  readonly fee: Amount
}

class Host {
  readonly #pool: ProofPool = createPool({ threads: THREADS })
  readonly #houses: House[] = []
  readonly #invoices: string[] = []
  #wake: () => void = () => undefined
  #turn = 0
  #issued = 0

  readonly handlers: Handlers<PartyCalls> = {
    open: async (setup) => {
      const house = await House.open(setup, this.#pool)
      const member = this.#houses.push(house) - 1
      return { member, account: idText(house.node.account), url: house.url }
    },
    request: (member) => registrationRequest(this.#house(member).node.wallet),
    register: async ({ member, admission }) => {
      need(await register(this.#house(member).node.wallet, admission))
      return null
    },
    balance: (member) => this.#house(member).balance(),
    openChannel: ({ member, peer, url, deposit, share }) => this.#house(member).openChannel(peer, url, deposit, share),
    channel: async ({ member, channel }) => this.#house(member).channel(channel),
    rows: (member) => this.#house(member).rows(),
    channels: async (member) => this.#house(member).channels(),
    payDirect: (input) => this.#payDirect(input),
    issue: ({ count, max }) => this.#issue(count, max),
    payInvoices: (input) => this.#payInvoices(input),
    invoices: async (texts) => {
      this.#invoices.push(...texts)
      this.#wake()
      return null
    },
    feesEarned: async (member) => this.#house(member).node.status().feesEarned,
  }

  async close(): Promise<void> {
    await Promise.all(this.#houses.map((house) => house.close()))
    await this.#pool.close()
  }

  #house(member: number): House {
    const house = this.#houses[member]
    if (house === undefined) throw new Error('the party is not open')
    return house
  }

  /** One after the other. */
  #next<T>(of: readonly T[]): T {
    return of[this.#turn++ % of.length]!
  }

  /** Runs `pay`, which answers with what it paid or why it did not. */
  async #load({ shape, seconds, count }: Timed, pay: () => Promise<Paid | string>): Promise<Loaded> {
    let paid = 0n
    let fees = 0n
    const act = async (): Promise<string | null> => {
      const outcome = await pay()
      if (typeof outcome === 'string') return outcome
      paid += outcome.amount + outcome.fee
      fees += outcome.fee
      return null
    }
    const plan = { shape, seconds, act, tell: (done: number) => say({ done }) }
    const figures = await load(count === undefined ? plan : { ...plan, count })
    return { ...figures, paid, fees }
  }

  #payDirect({ lanes, max, ...timed }: InputOf<PartyCalls, 'payDirect'>): Promise<Loaded> {
    const ways = lanes.map(({ member, channel }) => ({ node: this.#house(member).node, id: channelOf(channel) }))
    const reference = new Uint8Array(8)
    return this.#load(timed, async () => {
      const { node, id } = this.#next(ways)
      const amount = BigInt(randomInt(1, max)) as Amount
      const result = await node.payDirect(id, { amount, reference })
      return result.ok ? { amount, fee: ZERO } : result.error.code
    })
  }

  async #issue(count: number, max: number): Promise<readonly string[]> {
    const issued = Array.from({ length: count }, async () => {
      const key = `bench-${this.#issued++}`
      const wish = { amount: BigInt(randomInt(1, max)) as Amount, reference: key, expiresIn: INVOICE_S }
      return need(await this.#next(this.#houses).node.issueInvoice(key, wish)).text
    })
    return Promise.all(issued)
  }

  #payInvoices(timed: Timed): Promise<Loaded> {
    return this.#load(timed, async () => {
      const text = await this.#nextInvoice()
      const { node } = this.#next(this.#houses)
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
        // Not at every one: what the bench is told costs the payer, who is measured.
        if (this.#invoices.length % STOCK_TOLD_EVERY === 0) say({ stock: this.#invoices.length })
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

const host = new Host()
attend<PartyCalls>(host.handlers, () => host.close())
