/** Four nodes, a ledger, their disks and their network under one seed; a step is an action and some of what it sets off. */
import type { ChannelId } from '../../../src/base/ids.js'
import { type Base, base, CONFIG, NAMES, type Name, seedOf } from './base.js'
import { Schedule } from './clock.js'
import type { Image } from './disk.js'
import { Host, type Site } from './host.js'
import { SimulatedLedger } from './ledger.js'
import { Network } from './network.js'
import { Oracle } from './oracle.js'
import { PaymentBook } from './payments.js'
import type { Instruction } from './program.js'
import { Proofs } from './proofs.js'
import { Random, Trace } from './random.js'

export type Counts = Record<string, number>

export class World implements Site {
  readonly trace = new Trace()
  readonly schedule = new Schedule(this.trace)
  /** Reseeded by every step. */
  readonly random: Random
  readonly proofs = new Proofs()
  readonly ledger: SimulatedLedger
  readonly network: Network
  readonly hosts: Readonly<Record<Name, Host>>
  readonly oracle: Oracle
  readonly payments: PaymentBook
  /** Copies of everybody's files, the oldest first. */
  readonly copies: Readonly<Record<Name, Image[]>>
  readonly counts: Counts = {}
  /** Steps from now until each thing that was taken away comes back. */
  readonly healing: { left: number; readonly heal: () => void }[] = []
  steps = 0
  /** Rejections that nobody handled: a defect, unless its process died of its disk. */
  readonly unhandled: string[] = []

  private constructor(
    readonly seed: string,
    made: Base,
  ) {
    this.random = new Random(seed)
    this.ledger = new SimulatedLedger(made.genesis, this.proofs, this.schedule, this.random, made.ledger)
    this.schedule.now = made.now
    this.network = new Network(this.schedule, this.random, (name, to, message) => {
      this.trace.note(`${name} sends ${message.name}`)
      this.oracle.leaving(name as Name, to, message)
    })
    const hosts = {} as Record<Name, Host>
    for (const name of NAMES) {
      hosts[name] = new Host(name, seedOf(name), this, { ...CONFIG, forwarding: name === 'hub' })
      hosts[name].disk.restore(made.disks[name])
    }
    this.hosts = hosts
    this.copies = { payer: [], hub: [], hospital: [], mallory: [] }
    for (const name of NAMES) this.copies[name].push(made.disks[name])
    this.oracle = new Oracle(this)
    this.payments = new PaymentBook(this)
    this.ledger.onAccepted = (event) => {
      this.count(`ledger.${event.transaction.kind}`)
      this.oracle.accepted(event)
    }
  }

  static async build(seed: string): Promise<World> {
    const world = new World(seed, await base())
    for (const name of NAMES) world.hosts[name].start()
    await world.settle()
    return world
  }

  count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }

  get list(): readonly Host[] {
    return NAMES.map((name) => this.hosts[name])
  }

  /** Channels of this node that the ledger has not paid out. */
  channelIds(name: Name): ChannelId[] {
    return this.hosts[name].channels().flatMap(({ id, state }) => (state.phase === 'closed' ? [] : [id]))
  }

  /** Everything that is ready runs; connections that can stand do. */
  async settle(): Promise<void> {
    for (let again = true; again; ) {
      this.network.connect()
      again = this.schedule.ready > 0
      await this.schedule.runAll(this.random)
    }
  }

  /** One instruction, then some of what it set off: mostly all of it, sometimes little. */
  async step(
    instruction: Instruction,
    act: (world: World, instruction: Instruction) => Promise<string>,
  ): Promise<void> {
    this.random.reseed(instruction.seed)
    this.steps += 1
    this.count(await act(this, instruction))
    for (const thing of this.healing) thing.left -= 1
    for (const { left, heal } of this.healing) if (left === 0) heal()
    for (const host of this.list) if (!host.up && this.random.oneIn(5)) host.start()
    if (this.ledger.waiting > 0 && this.random.oneIn(5)) this.ledger.propose()
    this.network.connect()
    if (this.random.oneIn(3))
      for (let left = this.random.below(6); left > 0; left--) await this.schedule.runOne(this.random)
    else await this.settle()
    if (this.random.oneIn(4)) await this.schedule.advance(250)
    this.check()
  }

  /** Seconds in which nobody sleeps through anything: blocks come, and every node that is up hears of them. */
  async pass(seconds: number): Promise<void> {
    await this.schedule.advance(seconds * 1_000)
    this.ledger.propose()
    await this.settle()
  }

  /** Messages and answers go on until nothing moves. */
  async exchange(): Promise<void> {
    for (let name: string | undefined = ''; name !== undefined; ) {
      await this.settle()
      name = this.network.deliver()
      if (name === undefined || name === 'end') continue
      this.steps += 1
      this.count('deliver')
    }
  }

  later(steps: number, heal: () => void): void {
    this.healing.push({ left: steps, heal })
  }

  /** Every broken thing is mended and every node up. */
  heal(): void {
    for (const { left, heal } of this.healing.splice(0)) if (left > 0) heal()
    this.ledger.lost = 0
    for (const host of this.list) {
      host.disk.fault = undefined
      host.life?.light(Number.POSITIVE_INFINITY)
      host.start()
    }
  }

  check(): void {
    this.oracle.states()
    this.payments.check()
    const [first] = this.unhandled
    if (first !== undefined) this.oracle.break('code', first)
    if (this.oracle.first !== undefined) throw this.oracle.first
  }
}
