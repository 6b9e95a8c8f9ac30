/** Four nodes, two towers, a ledger, their disks and their network under one seed; a step is an action and some of what it sets off. */
import { equalBytes } from '../../../src/base/bytes.js'
import type { ChannelId } from '../../../src/base/ids.js'
import { Apart, type Distance } from './apart.js'
import {
  type Base,
  base,
  configOf,
  type Hubs,
  KINDS,
  NAMES,
  type Name,
  pairsOf,
  seedOf,
  TOWERS,
  type TowerName,
} from './base.js'
import { Schedule } from './clock.js'
import type { Image } from './disk.js'
import { Host } from './host.js'
import { SimulatedLedger } from './ledger.js'
import type { Machine, Site } from './machine.js'
import { Network, pairOf } from './network.js'
import { Oracle } from './oracle.js'
import { PaymentBook } from './payments.js'
import type { Instruction } from './program.js'
import { Proofs } from './proofs.js'
import { Random, Trace } from './random.js'
import { Reckoning } from './reckoning.js'
import { TowerHost } from './tower-host.js'
import { TowerNetwork } from './tower-network.js'

export type Counts = Record<string, number>

const COPIES = 12
/** So often does the cheat keep her files for later. */
const CHEAT_STEPS = 12

export class World implements Site {
  readonly trace = new Trace()
  readonly schedule = new Schedule(this.trace)
  /** Reseeded by every step. */
  readonly random: Random
  readonly proofs = new Proofs()
  readonly ledger: SimulatedLedger
  readonly network: Network
  readonly towers: TowerNetwork
  readonly hosts: Readonly<Record<Name, Host>>
  readonly towerHosts: Readonly<Record<TowerName, TowerHost>>
  readonly hubs: Hubs
  readonly pairs: ReturnType<typeof pairsOf>
  readonly apart: Apart
  readonly oracle: Oracle
  readonly payments: PaymentBook
  readonly reckoning: Reckoning
  /** Copies of everybody's files, the oldest first. */
  readonly copies: Readonly<Record<Name, Image[]>>
  readonly counts: Counts = {}
  /** Steps from now until each thing that was taken away comes back. */
  readonly healing: { left: number; readonly heal: () => void }[] = []
  steps = 0
  #instructions = 0
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
      if (message.name === 'announcements') this.count('gossip')
      this.oracle.leaving(name as Name, to, message)
    })
    this.towers = new TowerNetwork(this.schedule)
    const kind = new Random(`${seed} towers`).below(KINDS)
    this.hubs = new Random(`${seed} hubs`).oneIn(2) ? ['hub'] : ['hub', 'hospital']
    this.pairs = pairsOf(this.hubs)
    const hosts = {} as Record<Name, Host>
    for (const name of NAMES) {
      hosts[name] = new Host(name, seedOf(name), this, configOf(name, kind, this.hubs))
      hosts[name].disk.restore(made.disks[name])
    }
    this.hosts = hosts
    const towerHosts = {} as Record<TowerName, TowerHost>
    for (const name of TOWERS) towerHosts[name] = new TowerHost(name, seedOf(name), this)
    this.towerHosts = towerHosts
    this.apart = new Apart(
      () => this.schedule.now,
      () => this.#distances(),
    )
    this.network.reestablished = (pair, listener) => this.apart.heard(pair, listener)
    this.copies = { payer: [], hub: [], hospital: [], mallory: [] }
    for (const name of NAMES) this.copies[name].push(made.disks[name])
    this.oracle = new Oracle(this)
    this.towers.witness = this.oracle.towers
    this.towers.arrived = () => {
      this.steps += 1
      this.count('deliver.tower')
    }
    this.ledger.onBlock = (at) => this.oracle.towers.block(at)
    this.payments = new PaymentBook(this)
    this.reckoning = new Reckoning(this)
    this.ledger.onAccepted = (event) => {
      this.count(`ledger.${event.transaction.kind}`)
      this.oracle.court.accepted(event)
    }
  }

  static async build(seed: string): Promise<World> {
    const world = new World(seed, await base())
    for (const machine of world.machines) machine.start()
    await world.settle()
    return world
  }

  count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }

  get list(): readonly Host[] {
    return NAMES.map((name) => this.hosts[name])
  }

  /** Of this node's files; the first and the newest are kept. */
  copy(name: Name): void {
    const copies = this.copies[name]
    copies.push(this.hosts[name].disk.image())
    if (copies.length > COPIES) copies.splice(1, 1)
  }

  get machines(): readonly Machine[] {
    return [...this.list, ...TOWERS.map((name) => this.towerHosts[name])]
  }

  *#distances(): Iterable<readonly [string, Distance]> {
    for (const [name, peer] of this.pairs) {
      const pair = pairOf(name, peer)
      const far = !this.hosts[name].up || !this.hosts[peer].up || this.network.blocked.has(pair)
      yield [pair, far ? 'far' : this.network.stalled.has(pair) ? 'held' : 'near']
    }
  }

  /** Channels of this node that the ledger has not paid out. */
  channelIds(name: Name): ChannelId[] {
    return this.hosts[name].channels().flatMap(({ id, state }) => (state.phase === 'closed' ? [] : [id]))
  }

  /** Those with this peer that both could still use. */
  channelsWith(name: Name, peer: Name): readonly ChannelId[] {
    const { account } = this.hosts[peer]
    return this.hosts[name]
      .channels()
      .flatMap((each) => (each.state.phase !== 'closed' && equalBytes(each.peer, account) ? [each.id] : []))
  }

  forwards(name: Name): boolean {
    return this.hubs.some((hub) => hub === name)
  }

  /** Everything that is ready runs; connections that can stand do. */
  async settle(): Promise<void> {
    for (let again = true; again; ) {
      this.#connect()
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
    this.#instructions += 1
    if (this.#instructions % CHEAT_STEPS === 0) this.copy('mallory')
    this.count(await act(this, instruction))
    for (const thing of this.healing) thing.left -= 1
    for (const { left, heal } of this.healing) if (left === 0) heal()
    for (const machine of this.machines) if (!machine.up && this.random.oneIn(5)) machine.start()
    if (this.ledger.waiting > 0 && this.random.oneIn(5)) this.ledger.propose()
    this.#connect()
    if (this.random.oneIn(3))
      for (let left = this.random.below(6); left > 0; left--) await this.schedule.runOne(this.random)
    else await this.settle()
    if (this.random.oneIn(4)) await this.#advance(250)
    await this.check()
  }

  /** Seconds in which nobody sleeps through anything: blocks come, and every node that is up hears of them. */
  async pass(seconds: number): Promise<void> {
    await this.#advance(seconds * 1_000)
    this.ledger.propose()
    await this.settle()
    this.oracle.states()
  }

  async #advance(ms: number): Promise<void> {
    const before = this.apart.seen()
    await this.schedule.advance(ms)
    this.apart.moved(ms, before)
  }

  #connect(): void {
    this.network.connect()
    this.towers.connect()
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
    for (const machine of this.machines) {
      machine.disk.fault = undefined
      machine.life?.light(Number.POSITIVE_INFINITY)
      machine.away = false
      machine.start()
    }
  }

  async check(): Promise<void> {
    this.oracle.states()
    this.payments.check()
    await this.reckoning.check()
    const [first] = this.unhandled
    if (first !== undefined) this.oracle.break('code', first)
    if (this.oracle.first !== undefined) throw this.oracle.first
  }
}
