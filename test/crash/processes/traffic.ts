/**
 * Payments all the time, through the operators' API, under idempotency keys; and the books over them. What was answered
 * is appended to a file as it comes, so that a later run judges the earlier one's payments too.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { ApiClient } from '../../../src/api/client.js'
import type { Amount } from '../../../src/base/amount.js'
import { ERRORS, MeridianError } from '../../../src/base/errors.js'
import type { Rng } from '../../wire/mutate.js'
import { DEPOSITS, type MemberName, PARTIES, type PartyName } from './network.js'

export interface Payment {
  readonly key: string
  readonly from: MemberName
  readonly to: MemberName
  readonly amount: bigint
  status: 'started' | 'succeeded' | 'failed'
  fee: bigint
}

const EXPIRES_S = 1_000_000
const FEE_MAX = 1_000n as Amount
const WAIT_S = 2
const AGAIN_MS = 40
const SAMPLE = 20

/** What a rule of the protocol says must not be. */
export class Violation extends Error {}

export class Traffic {
  readonly payments = new Map<string, Payment>()
  readonly #apis = new Map<PartyName, ApiClient>()
  /** References in each member's books, with how often. */
  readonly #books = { payer: new Map<string, number>(), hospital: new Map<string, number>() }
  readonly #cursors = { payer: 0, hospital: 0 }
  #checked = 0
  #streams: Promise<void>[] = []
  #paused = false
  #over = false
  #failure: unknown
  retries = 0
  /** Payments that succeeded in this run. */
  arrived = 0

  constructor(
    private readonly file: string,
    private readonly rng: Rng,
  ) {
    for (const line of existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []) {
      if (!line.endsWith('}')) continue // the end of a line that a kill of this program cut off
      const { key, amount, fee, ...rest } = JSON.parse(line) as Record<string, string>
      this.payments.set(key!, { ...rest, key, amount: BigInt(amount!), fee: BigInt(fee!) } as Payment)
    }
  }

  get succeeded(): number {
    return [...this.payments.values()].filter(({ status }) => status === 'succeeded').length
  }

  /** This node answers here from now on; undefined: it is down. */
  reach(name: PartyName, api: ApiClient | undefined): void {
    if (api === undefined) this.#apis.delete(name)
    else this.#apis.set(name, api)
  }

  /** Starts streams of payments, one after the other in each; what an earlier run left begins first. */
  flow(streams: number): void {
    this.#paused = false
    const left = [...this.payments.values()].filter(({ status }) => status === 'started')
    this.#streams = Array.from({ length: streams }, async (_, stream) => {
      try {
        for (const payment of left.filter((_one, i) => i % streams === stream)) await this.#pay(payment)
        while (!this.#paused) await this.#pay(this.#next())
      } catch (error) {
        this.#failure ??= error
      }
    })
  }

  /** Resolves when every payment has its end. @throws what a node answered that no payment may get */
  async pause(): Promise<void> {
    this.#paused = true
    await Promise.all(this.#streams)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Ends every call that is being repeated. */
  stop(): void {
    this.#over = true
  }

  #next(): Payment {
    const refund = this.rng.below(4) === 0
    const key = `payment-${this.payments.size}`
    const amount = BigInt(100 + this.rng.below(900))
    const [from, to] = refund ? (['hospital', 'payer'] as const) : (['payer', 'hospital'] as const)
    const payment: Payment = { key, from, to, amount, status: 'started', fee: 0n }
    this.payments.set(key, payment)
    this.#note(payment)
    return payment
  }

  async #pay(payment: Payment): Promise<void> {
    const { key, from, to, amount } = payment
    const issued = await this.ask(to, (api) => api.createInvoice(key, amount as Amount, key, EXPIRES_S))
    for (;;) {
      const answer = await this.ask(from, (api) => api.pay(key, issued.invoice, FEE_MAX, WAIT_S))
      if (answer.status === 'pending') continue
      payment.status = answer.status
      payment.fee = answer.fee_minor ?? 0n
      if (payment.status === 'succeeded') this.arrived += 1
      this.#note(payment)
      // A node on the way is down: it fails at once, and so would the next.
      if (payment.status === 'failed') await new Promise((resolve) => setTimeout(resolve, AGAIN_MS * 5))
      return
    }
  }

  #note(payment: Payment): void {
    const text = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
    appendFileSync(this.file, `${JSON.stringify(payment, text)}\n`)
  }

  /** Repeats a call, under its key, until the node answers: it may be down. */
  async ask<T>(name: PartyName, call: (api: ApiClient) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#over) throw new MeridianError('unavailable', 'over')
      const api = this.#apis.get(name)
      try {
        if (api !== undefined) return await call(api)
      } catch (error) {
        const again = error instanceof MeridianError && ['wait', 'retry_same_key'].includes(ERRORS[error.code].action)
        if (!again) throw error
      }
      this.retries += 1
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }

  /** One attempt, for what mends itself later too. */
  poke(name: PartyName, call: (api: ApiClient) => Promise<unknown>): void {
    const api = this.#apis.get(name)
    if (api !== undefined) call(api).catch(() => undefined) // the node went down again, or dials by itself
  }

  /** C8, C7: no channel may have been shown behind its peer. */
  async healthy(name: PartyName): Promise<void> {
    const { channels } = await this.ask(name, (api) => api.channels())
    for (const { phase, stopped } of channels) {
      if (phase !== 'open' || stopped !== null) throw new Violation(`C8 a channel of ${name} is ${stopped ?? phase}`)
    }
  }

  /**
   * All payments have ended and nothing is in the air. Every one since the last time, and some older ones, against both
   * ends' own words; then the sums. @param all of them
   */
  async reconcile(all: boolean): Promise<void> {
    for (const name of PARTIES) await this.healthy(name)
    await this.#stillAir()
    const payments = [...this.payments.values()]
    const fresh = payments.slice(all ? 0 : this.#checked)
    const older = Array.from({ length: all ? 0 : Math.min(SAMPLE, this.#checked) }, () => this.rng.pick(payments))
    for (const payment of [...fresh, ...older]) {
      const { status, fee_minor } = await this.ask(payment.from, (api) => api.payment(payment.key))
      const same = status === payment.status && (fee_minor ?? 0n) === payment.fee
      if (!same) throw new Violation(`R5 ${payment.key} was answered ${payment.status}, it is ${status}`)
    }
    await this.#readBooks()
    for (const { key, to, status } of payments) {
      const times = this.#books[to].get(key) ?? 0
      if (times !== (status === 'succeeded' ? 1 : 0)) throw new Violation(`R5 ${key} ${status}, booked ${times} times`)
    }
    await this.#sums(payments)
    this.#checked = payments.length
  }

  async #stillAir(): Promise<void> {
    for (const name of PARTIES) {
      while ((await this.ask(name, (api) => api.channels())).channels.some(({ locks, ready }) => locks > 0 || !ready)) {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      }
    }
  }

  async #readBooks(): Promise<void> {
    for (const name of ['payer', 'hospital'] as const) {
      const book = this.#books[name]
      for (;;) {
        const { events, cursor } = await this.ask(name, (api) => api.eventPage(this.#cursors[name]))
        for (const { type, reference } of events as readonly { type: string; reference?: unknown }[]) {
          if (type === 'invoice.paid') book.set(String(reference), (book.get(String(reference)) ?? 0) + 1)
        }
        if (events.length === 0) break
        this.#cursors[name] = cursor
      }
    }
  }

  /** To the unit: what each end has is what it had, less what it paid and its fees, plus what it got. */
  async #sums(payments: readonly Payment[]): Promise<void> {
    let fees = 0n
    const own = { payer: DEPOSITS.payer.own, hospital: DEPOSITS.hospital.own }
    for (const { from, to, amount, fee, status } of payments) {
      if (status !== 'succeeded') continue
      own[from] -= amount + fee
      own[to] += amount
      fees += fee
    }
    for (const name of ['payer', 'hospital'] as const) {
      const [channel] = (await this.ask(name, (api) => api.channels())).channels
      if (channel?.balance_minor !== own[name])
        throw new Violation(`C11 ${name} has ${channel?.balance_minor}, its books say ${own[name]}`)
    }
    const hub = (await this.ask('hub', (api) => api.channels())).channels
    const held = hub.reduce((sum, { balance_minor }) => sum + balance_minor, 0n)
    const all = DEPOSITS.payer.own + DEPOSITS.payer.hub + DEPOSITS.hospital.own + DEPOSITS.hospital.hub
    if (held + own.payer + own.hospital !== all)
      throw new Violation(`C11 the channels hold ${held + own.payer + own.hospital}, not ${all}`)
    const { fees_earned_minor } = await this.ask('hub', (api) => api.node())
    if (fees_earned_minor !== fees)
      throw new Violation(`R3 the hub booked fees of ${fees_earned_minor}, ${fees} were paid`)
  }
}
