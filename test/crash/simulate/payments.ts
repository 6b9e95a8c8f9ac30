/** Payments as their callers see them: each ends once, the same on both sides, whatever happens between (R5). */
import type { Amount } from '../../../src/base/amount.js'
import { utf8 } from '../../../src/base/bytes.js'
import type { NumberedEvent } from '../../../src/node/event-log.js'
import { tableKey } from '../../../src/store/tables.js'
import type { Name } from './base.js'
import { keyText } from './disk.js'
import type { Life } from './life.js'
import type { World } from './world.js'

interface Payment {
  readonly key: string
  readonly from: Name
  readonly to: Name
  readonly amount: bigint
  /** The node said that it has it. */
  accepted: boolean
  /** Refused before it began. */
  refused: boolean
  /** A node on its way lost its books meanwhile: it may never know what became of a lock (C12). */
  voided: boolean
  readonly lives: readonly (Life | undefined)[]
  status: 'pending' | 'succeeded' | 'failed'
  fee: bigint
  /** Its row when it was last looked at, and how often since. */
  seen: Uint8Array | undefined
  looks: number
}

/** Asking is costly: of so many looks at a row that stays the same, one asks its node. */
const LOOKS = 8
const EXPIRES_S = 10_000
const FEE_MAX = 1_000n as Amount

export class PaymentBook {
  readonly all: Payment[] = []
  #open: Payment[] = []
  readonly #logs = new Map<Name, NumberedEvent[]>()
  #count = 0

  constructor(private readonly world: World) {}

  get pending(): number {
    return this.#open.length
  }

  /** Those that must still end. */
  get owed(): number {
    return this.#open.filter(({ voided }) => !voided).length
  }

  /** This node's disk was put back: of what runs over it nobody is sure any more. What begins from now on counts in full. */
  voidAll(name: Name): void {
    this.#logs.delete(name)
    for (const payment of this.all) if (this.#mayCross(payment, name)) payment.voided = true
  }

  /** Pays, is paid, or may forward: the second hub lies on the way to Mallory alone. */
  #mayCross({ from, to }: Payment, name: Name): boolean {
    if (name === 'hub' || from === name || to === name) return true
    return this.world.forwards(name) && (from === 'mallory' || to === 'mallory')
  }

  /** Invoice at the payee, payment at the payer; a crash of either on the way leaves it at that. */
  start(from: Name, to: Name, amount: bigint): void {
    const { hosts } = this.world
    const [payer, payee] = [hosts[from].node, hosts[to].node]
    if (payer === undefined || payee === undefined || !hosts[from].up || !hosts[to].up) return
    const key = `pay ${this.#count++}`
    const lives = [hosts[from].life, hosts[to].life]
    const begun = {
      accepted: false,
      refused: false,
      voided: false,
      status: 'pending' as const,
      fee: 0n,
      seen: undefined,
      looks: 0,
    }
    const payment: Payment = { key, from, to, amount, lives, ...begun }
    this.all.push(payment)
    this.#open.push(payment)
    const wish = { amount: amount as Amount, reference: key, expiresIn: EXPIRES_S }
    const run = async (): Promise<void> => {
      const invoice = await payee.issueInvoice(key, wish)
      const started = invoice.ok ? await payer.pay(key, invoice.value.text, FEE_MAX) : invoice
      if (started.ok) payment.accepted = true
      else payment.refused = true
    }
    run().catch((error: unknown) => {
      if (lives.some((life) => life?.alive === false)) return
      this.world.unhandled.push(`pay: ${error instanceof Error ? error.message : 'unknown'}`)
    })
  }

  /** Looks at every payment that has not ended. */
  check(): void {
    const { hosts, oracle } = this.world
    this.#open = this.#open.filter((payment) => {
      if (payment.refused) return false
      const host = hosts[payment.from]
      if (!host.up || host.node === undefined) return true
      const row = host.disk.rows.get(keyText(tableKey('payment', utf8(payment.key))))
      payment.looks = row === payment.seen ? payment.looks + 1 : 0
      // A row may be on the disk before its node has heard so.
      if (row !== undefined && payment.looks % LOOKS !== 0) return true
      payment.seen = row
      const view = host.node.payment(payment.key)
      if (view === undefined) {
        const forgotten = payment.accepted && !payment.voided
        if (forgotten) oracle.break('R5', `${payment.from} has forgotten ${payment.key}`)
        // Its caller's process, or the payee's, ended before it had begun.
        return !payment.accepted && payment.lives.every((life) => life?.alive === true)
      }
      if (view.status === 'pending') return true
      payment.status = view.status
      payment.fee = view.fee ?? 0n
      this.world.count(`payment.${view.code ?? view.status}`)
      if ((view.hops ?? 0) > 2) this.world.count('payment.two hubs')
      return false
    })
  }

  /** Once all is calm: what was told stays told, and both sides agree. */
  async agree(): Promise<void> {
    const { hosts, oracle } = this.world
    const paidTo = new Map<Name, Set<string>>()
    for (const payment of this.all) {
      const { verdicts, lapses } = oracle
      if (payment.refused) continue
      if (verdicts.excused(payment.voided, 'payment: a disk on its way was put back')) continue
      // What it published took from it what it was paid, or what it would have paid with (L7).
      const cheats = lapses.dishonest.has(payment.from) || lapses.dishonest.has(payment.to)
      if (verdicts.excused(cheats, 'payment: of a cheater')) continue
      const view = hosts[payment.from].node?.payment(payment.key)
      if (view === undefined) {
        if (payment.accepted) oracle.break('R5', `${payment.key} was forgotten`)
        continue
      }
      if (view.status === 'pending') oracle.break('R5', `${payment.key} is pending for ever`)
      if (payment.status !== 'pending' && view.status !== payment.status) {
        oracle.break('R5', `${payment.key} ended ${payment.status}, then ${view.status}`)
      }
      const received = paidTo.get(payment.to) ?? (await this.#received(payment.to))
      paidTo.set(payment.to, received)
      const [has, succeeded] = [received.has(payment.key), view.status === 'succeeded']
      // L7: the payee got all of the channel that the forwarder published old: it paid, and was not paid.
      const atHubsCost = has && this.world.hubs.some((hub) => lapses.dishonest.has(hub) && this.#mayCross(payment, hub))
      if (has !== succeeded && !verdicts.excused(atHubsCost, 'payment: paid by a cheating hub')) {
        oracle.break('R5', `${payment.key} is ${view.status}, its payee ${has ? 'has' : 'lacks'} it`)
      }
    }
  }

  /** What the node's own log says that it has gained since its deposits: payments, fees, and less what it paid. */
  async gains(name: Name): Promise<bigint> {
    let total = 0n
    for (const event of await this.#log(name)) {
      if (event.type === 'invoice.paid' || event.type === 'pay.received') total += event.amount
      if (event.type === 'pay.sent') total -= event.amount
      if (event.type === 'payment.succeeded') total -= event.amount + event.fee
      if (event.type === 'payment.returned') total += event.amount + event.fee
      if (event.type === 'forward.claimed') total += event.fee
    }
    return total
  }

  /** Whether more than its books say can have come from those who cheat or have lost data. */
  mayHaveMore(name: Name): boolean {
    const { books, lapses, verdicts } = this.world.oracle
    // L7: a peer that published what it had revoked left all of it; one that lost data may leave what was paid to it.
    const left = books.funded().some(({ id, owners }) => {
      const peer = owners.find((owner) => owner !== name)
      return owners.includes(name) && peer !== undefined && (lapses.dishonest.has(peer) || lapses.lost(peer, id))
    })
    return verdicts.excused(left, 'totals: more than its own')
  }

  /** Read on from where it was read last: a log only grows, but with its disk. */
  async #log(name: Name): Promise<readonly NumberedEvent[]> {
    const known = this.#logs.get(name) ?? []
    this.#logs.set(name, known)
    const { node } = this.world.hosts[name]
    if (node !== undefined) known.push(...(await node.events.page(known.at(-1)?.cursor ?? 0, 100_000)))
    return known
  }

  /** References of invoices that were paid, by the payee's own log; twice is a defect. */
  async #received(name: Name): Promise<Set<string>> {
    const paid = new Set<string>()
    for (const event of await this.#log(name)) {
      if (event.type !== 'invoice.paid') continue
      if (paid.has(event.reference)) this.world.oracle.break('R1', `${event.reference} was paid twice`)
      paid.add(event.reference)
    }
    return paid
  }
}
