/** Value is conserved over random programs of transactions: what everybody holds is what was minted and not redeemed. */
import fc from 'fast-check'
import t from 'tap'
import type { Side } from '../../src/base/channel-state.js'
import { curve } from '../../src/base/curve/index.js'
import type { Transaction } from '../../src/base/transaction.js'
import { readRevealed } from '../../src/chain-adapter/contract/state.js'
import { fund, mint, redeem, rollover, transfer } from './account-transactions.js'
import {
  closeChannel,
  exit,
  lock,
  openChannel,
  punish,
  reveal,
  type SignedState,
  settle,
  signState,
  supersede,
  type TestChannel,
  type TestLock,
} from './channel-transactions.js'
import { type Role, role, World } from './world.js'

const people = [role('alice'), role('bob'), role('carol')] as const
const SUPPLY_MAX = 2n ** 16n - 1n

interface Step {
  readonly kind: (typeof KINDS)[number]
  readonly a: number
  readonly b: number
  readonly value: bigint
}

interface Live {
  readonly channel: TestChannel
  readonly pool: bigint
  poster: Side
  recorded: number
  standing: SignedState | undefined
  balance: bigint
  version: number
}

/** A program's ledger, and beside it what everybody should hold. */
class Program {
  readonly world = new World()
  readonly owned = new Map<Role, bigint>(people.map((who) => [who, 0n]))
  readonly live: Live[] = []
  readonly sent: Transaction[] = []
  minted = 0n
  redeemed = 0n

  constructor() {
    fund(this.world, this.owned)
  }

  submit(tx: Transaction): void {
    this.world.accept(tx)
    this.sent.push(tx)
  }

  move(who: Role, value: bigint): void {
    this.owned.set(who, this.owned.get(who)! + value)
  }

  /** A deposit or payment that this person can afford; 0 where there is none. */
  affordable(who: Role, value: bigint): bigint {
    const { available } = this.world.balance(who)
    return available === 0n ? 0n : (value % available) + 1n
  }

  at(index: number, disputed: boolean): Live | undefined {
    const fitting = this.live.filter(({ standing }) => (standing !== undefined) === disputed)
    return fitting[index % fitting.length]
  }

  end(live: Live, opener: bigint): void {
    this.move(live.channel.parties[0], opener)
    this.move(live.channel.parties[1], live.pool - opener)
    this.live.splice(this.live.indexOf(live), 1)
  }

  /** A co-signed state that splits the pool into two balances and two locks. */
  stateOf(live: Live, step: Step): SignedState {
    const quarter = live.pool / 4n
    const locks = ([0, 1] as const).map((from) => lock(this.world, from, quarter, this.world.at.time + step.a * 20))
    live.balance = step.value % (live.pool - 2n * quarter + 1n)
    live.version += 1 + step.b
    return signState(this.world, live.channel, { version: live.version, balance: live.balance, locks })
  }

  isWon({ scalar, expiry }: TestLock): boolean {
    const revealed = readRevealed(this.world.view, curve.multiplyBase(scalar))
    return revealed !== undefined && revealed.time <= expiry
  }
}

const ACTIONS = {
  mint(program: Program, { a, value }: Step): void {
    const who = people[a % 3]!
    if (program.minted + value > SUPPLY_MAX || value === 0n) return
    program.submit(mint(program.world, who, value))
    program.minted += value
    program.move(who, value)
  },
  rollover(program: Program, { a }: Step): void {
    program.submit(rollover(program.world, people[a % 3]!))
  },
  transfer(program: Program, { a, b, value }: Step): void {
    const [from, to] = [people[a % 3]!, people[(a + 1 + (b % 2)) % 3]!]
    const paid = program.affordable(from, value)
    if (paid === 0n) return
    program.submit(transfer(program.world, from, to, paid))
    program.move(from, -paid)
    program.move(to, paid)
  },
  redeem(program: Program, { a, value }: Step): void {
    const who = people[a % 3]!
    const paid = program.affordable(who, value)
    if (paid === 0n) return
    program.submit(redeem(program.world, who, paid))
    program.redeemed += paid
    program.move(who, -paid)
  },
  open(program: Program, { a, b, value }: Step): void {
    const parties = [people[a % 3]!, people[(a + 1 + (b % 2)) % 3]!] as const
    const deposits = [
      program.affordable(parties[0], value),
      b < 2 ? program.affordable(parties[1], value) : 0n,
    ] as const
    if (deposits[0] === 0n) return
    const { tx, channel } = openChannel(program.world, { parties, deposits })
    program.submit(tx)
    program.move(parties[0], -deposits[0])
    program.move(parties[1], -deposits[1])
    const pool = deposits[0] + deposits[1]
    program.live.push({ channel, pool, poster: 0, recorded: 0, standing: undefined, balance: 0n, version: 0 })
  },
  close(program: Program, { a, b, value }: Step): void {
    const live = program.at(a, b === 0)
    if (live === undefined) return
    const opener = value % (live.pool + 1n)
    program.submit(closeChannel(program.world, live.channel, [opener, live.pool - opener]))
    program.end(live, opener)
  },
  exit(program: Program, step: Step): void {
    const live = program.at(step.a, false)
    if (live === undefined) return
    live.poster = (step.b % 2) as Side
    live.standing = program.stateOf(live, step)
    live.recorded = live.version
    program.submit(exit(program.world, live.channel, live.poster, live.standing))
  },
  supersede(program: Program, step: Step): void {
    const live = program.at(step.a, true)
    if (live === undefined || program.world.at.time > program.world.channel(live.channel.id).dispute!.deadline) return
    live.standing = program.stateOf(live, step)
    program.submit(supersede(program.world, live.channel, live.standing))
  },
  reveal(program: Program, { a, b }: Step): void {
    const lock = program.at(a, true)?.standing?.locks[b % 2]
    if (lock === undefined || readRevealed(program.world.view, curve.multiplyBase(lock.scalar)) !== undefined) return
    program.submit(reveal(program.world, people[a % 3]!, [lock.scalar]))
  },
  punish(program: Program, { a }: Step): void {
    const live = program.at(a, true)
    if (live === undefined) return
    program.submit(punish(program.world, live.channel, live.poster, live.recorded))
    program.end(live, live.poster === 1 ? live.pool : 0n)
  },
  settle(program: Program, { a }: Step): void {
    const live = program.at(a, true)
    if (live?.standing === undefined) return
    program.world.pass(200)
    const toOpener = live.standing.locks.filter((lock) => (lock.from === 0) !== program.isWon(lock))
    program.submit(settle(program.world, live.channel, live.standing, toOpener))
    program.end(live, live.balance + toOpener.reduce((sum, { amount }) => sum + amount, 0n))
  },
  pass(program: Program, { a }: Step): void {
    program.world.pass(a * 25)
  },
} as const

const KINDS = Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS),
  a: fc.nat(5),
  b: fc.nat(3),
  value: fc.bigInt(1n, 9_000n),
})
/** Everybody has money at hand, and there is a channel to quarrel over. */
const START: readonly Step[] = [
  ...[0, 1, 2].map((a) => ({ kind: 'mint' as const, a, b: 0, value: 5_000n })),
  ...[0, 1, 2, 0, 1, 2].map((a) => ({ kind: 'rollover' as const, a, b: 0, value: 0n })),
  { kind: 'open', a: 0, b: 0, value: 3_000n },
]

/** The rarest way through: whatever the random programs are, a breach is in one of them. */
const BREACH: Step[] = (['exit', 'supersede', 'punish'] as const).map((kind) => ({ kind, a: 0, b: 1, value: 700n }))

t.test('value is conserved, and nothing is accepted twice', (t) => {
  const used = new Map<string, number>()
  fc.assert(
    fc.property(fc.array(step, { minLength: 8, maxLength: 20 }), (steps) => {
      const program = new Program()
      for (const one of [...START, ...steps]) {
        const before = program.sent.length
        ACTIONS[one.kind](program, one)
        if (program.sent.length > before) used.set(one.kind, (used.get(one.kind) ?? 0) + 1)
      }
      let held = 0n
      for (const who of people) {
        const { available, pending } = program.world.balance(who)
        if (available + pending !== program.owned.get(who)) throw new Error(`${who.name} holds another amount`)
        held += available + pending
      }
      const pools = program.live.reduce((sum, { pool }) => sum + pool, 0n)
      if (held + pools !== program.minted - program.redeemed) throw new Error('value came or went')
      for (const tx of program.sent) {
        if (program.world.verdict(tx) === 'accepted') throw new Error(`${tx.kind} is accepted again`)
      }
    }),
    { numRuns: 8, seed: 20_260_727, endOnFailure: true, examples: [[BREACH]] },
  )
  t.same([...used.keys()].sort(), KINDS.filter((kind) => kind !== 'pass').sort(), 'every kind was part of some program')
  t.end()
})
