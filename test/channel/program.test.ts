/**
 * Programs of actions (C4 to C12): whatever two honest parties, their link and their power supply do, nothing breaks a
 * clause, no money appears, every offer ends exactly once and both sides agree on how.
 */
import fc from 'fast-check'
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { equalBytes, u64 } from '../../src/base/bytes.js'
import type { Side } from '../../src/base/channel-state.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prfScalar } from '../../src/base/digest.js'
import type { Channel, Effect } from '../../src/channel/types.js'
import { Court, exitOf } from './court.js'
import { openPair, type Party, World } from './world.js'

const opened = openPair({ deposit: 5_000n, share: 3_000n })
const scalarOf = (index: number): Scalar => prfScalar(new Uint8Array(32), 'test-scalar', u64(index))
const points = Array.from({ length: 100 }, (_, index) => curve.multiplyBase(scalarOf(index)))

type Action =
  | { readonly kind: 'pay'; readonly side: Side; readonly amount: number }
  | { readonly kind: 'lock'; readonly side: Side; readonly amount: number; readonly seconds: number }
  | { readonly kind: 'decide'; readonly side: Side; readonly which: number; readonly claim: boolean }
  | { readonly kind: 'deliver'; readonly side: Side; readonly repeat: boolean }
  | { readonly kind: 'crash'; readonly side: Side; readonly before: boolean }
  | { readonly kind: 'tick'; readonly seconds: number }
  | { readonly kind: 'work' | 'cut' | 'connect' | 'settle' }

const side = fc.constantFrom<Side>(0, 1)
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('pay' as const), side, amount: fc.integer({ min: 1, max: 3_000 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('lock' as const),
      side,
      amount: fc.integer({ min: 1, max: 1_500 }),
      seconds: fc.integer({ min: 25, max: 200 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('decide' as const), side, which: fc.nat(9), claim: fc.boolean() }),
  },
  { weight: 14, arbitrary: fc.record({ kind: fc.constant('deliver' as const), side, repeat: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash' as const), side, before: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick' as const), seconds: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('work' as const, 'connect' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('cut' as const, 'settle' as const) }) },
)

/** Steps of at most half the margin, so that nobody sleeps through it. */
function pass(world: World, seconds: number): void {
  for (let left = seconds; left > 0; left -= 5) {
    for (const party of world.parties) if (party.down) party.restart()
    world.tick(Math.min(5, left))
  }
}

function run(world: World, todo: Action, count: number): void {
  switch (todo.kind) {
    case 'pay': {
      const operation = { kind: 'pay' as const, amount: BigInt(todo.amount) as Amount, reference: u64(count) }
      world.input(todo.side, { type: 'offer', operations: [operation] })
      return
    }
    case 'lock': {
      const operation = {
        kind: 'lock' as const,
        amount: BigInt(todo.amount) as Amount,
        point: points[count]!,
        expiry: world.ledger.time + todo.seconds,
        payload: u64(count),
      }
      world.input(todo.side, { type: 'offer', operations: [operation] })
      return
    }
    case 'decide': {
      const incoming = world.parties[todo.side].toldOf('lockIn').filter(({ lock }) => lock.from !== todo.side)
      const chosen = incoming[todo.which]
      if (chosen === undefined) return
      const { from, id, point } = chosen.lock
      const index = points.findIndex((candidate) => equalBytes(candidate, point))
      const lock = { from, id }
      if (todo.claim) world.input(todo.side, { type: 'fulfill', lock, scalar: scalarOf(index) })
      else world.input(todo.side, { type: 'giveBack', lock, reason: u64(index) })
      return
    }
    case 'deliver':
      world.deliver(todo.side, todo.repeat)
      return
    case 'crash':
      world.parties[todo.side].crash = todo.before ? 'before the batch' : 'after the batch'
      return
    case 'tick':
      pass(world, todo.seconds)
      return
    default:
      world[todo.kind]()
  }
}

const keysOf = (effects: readonly Effect[]): string[] =>
  effects.flatMap((effect) => {
    if (effect.type === 'paid') return [`paid ${effect.from}/${effect.id} ${effect.amount}`]
    if (effect.type === 'lockIn') return [`in ${effect.lock.from}/${effect.lock.id}`]
    if (effect.type === 'lockSettled') return [`settled ${effect.lock.from}/${effect.lock.id}`]
    if (effect.type === 'lockReturned') return [`returned ${effect.lock.from}/${effect.lock.id}`]
    return []
  })

function agreeNow(world: World): void {
  const [a, b] = world.parties.map((party) => party.state)
  if (a === undefined || b === undefined) return
  const gap = a.current.content.version - b.current.content.version
  if (Math.abs(gap) > 1) throw new Error('versions are more than one apart')
  if (gap === 0 && !equalBytes(a.current.digest, b.current.digest)) throw new Error('one version, two contents')
  for (const { breach, phase } of [a, b])
    if (phase !== 'open') throw new Error(`an honest channel is ${phase}: ${breach}`)
}

/** Every own offer that got an id ended exactly once. */
function offersEnded(party: Party): void {
  const offered = party.toldOf('proposed').flatMap(({ results }) => results.flatMap((r) => (r.ok ? [r.value] : [])))
  const refused = party.toldOf('offerRefused').map(({ operation }) => operation.id)
  const paid = party.toldOf('paid').filter(({ from }) => from === party.side)
  const locked = party.toldOf('lockIn').filter(({ lock }) => lock.from === party.side)
  const ended = [...refused, ...paid.map(({ id }) => id), ...locked.map(({ lock }) => lock.id)]
  if (ended.length !== offered.length || offered.some((id) => !ended.includes(id))) {
    throw new Error(`offered ${offered.join()}, ended ${ended.join()}`)
  }
}

function balanceFromEvents(party: Party, start: bigint): bigint {
  let balance = start
  for (const effect of party.told) {
    if (effect.type === 'paid') balance += effect.from === party.side ? -effect.amount : effect.amount
    if (effect.type === 'lockIn' && effect.lock.from === party.side) balance -= effect.lock.amount
    if (effect.type === 'lockSettled' && effect.lock.from !== party.side) balance += effect.lock.amount
    if (effect.type === 'lockReturned' && effect.lock.from === party.side) balance += effect.lock.amount
  }
  return balance
}

function ended(world: World): void {
  for (const party of world.parties) party.crash = undefined
  for (let round = 0; round < 3; round++) {
    world.heal()
    pass(world, 100)
    world.settle()
  }
  agreeNow(world)
  const [a, b] = world.parties
  const { content } = a.state.current
  if (content.version !== b.state.current.content.version) throw new Error('not in step')
  if (a.state.link !== 'live' || b.state.link !== 'live') throw new Error('not live')
  if (
    content.locks.length + a.state.pending.length + b.state.pending.length + a.state.notes.size + b.state.notes.size >
    0
  ) {
    throw new Error(`something is left: ${content.locks.length} locks, ${a.state.pending.length} proposals`)
  }
  if (keysOf(a.told).sort().join() !== keysOf(b.told).sort().join()) throw new Error('the sides were told differently')
  for (const party of world.parties) {
    offersEnded(party)
    const start = party.side === 0 ? 5_000n : 3_000n
    if (balanceFromEvents(party, start) !== content.balances[party.side]) throw new Error('events do not add up')
  }
}

t.test('programs of honest parties', async (t) => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 10, maxLength: 80 }), (actions) => {
      const world = new World(opened)
      world.connect()
      world.settle()
      for (const [count, todo] of actions.entries()) {
        run(world, todo, count)
        agreeNow(world)
      }
      ended(world)
    }),
    { numRuns: 200 },
  )
  t.pass('no clause broken')
})

type Ending = {
  readonly kind: 'exit' | 'exit old' | 'restore' | 'restore and exit old'
  readonly side: Side
  /** Which of the states or disks that there were: 0 the first, 1 the last. */
  readonly which: number
  readonly after: readonly Action[]
}

const ending: fc.Arbitrary<Ending> = fc.record({
  kind: fc.constantFrom('exit' as const, 'exit old' as const, 'restore' as const, 'restore and exit old' as const),
  side,
  which: fc.double({ min: 0, max: 1, noNaN: true }),
  after: fc.array(action, { maxLength: 15 }),
})

const locksEnded = (party: Party): string[] =>
  keysOf(party.told).filter((key) => key.startsWith('settled') || key.startsWith('returned'))

/** C12: what an honest party was told adds up to what the ledger paid it, or it got all. */
function paidAsTold(party: Party, payout: readonly [bigint, bigint], pool: bigint): void {
  const locks = locksEnded(party)
  if (new Set(locks.map((key) => key.split(' ')[1])).size !== locks.length) throw new Error('a lock ended twice')
  offersEnded(party)
  if (payout[party.side] === pool) return
  const told = balanceFromEvents(party, party.side === 0 ? 5_000n : 3_000n)
  if (payout[party.side] !== told) throw new Error(`paid ${payout[party.side]}, told ${told}`)
}

const pick = <T>(list: readonly T[], which: number): T => list[Math.round(which * (list.length - 1))]!

/** @returns what came of it. */
function end(world: World, disks: readonly (readonly Channel[])[], { kind, side, which, after }: Ending): string {
  const court = new Court(world)
  const party = world.parties[side]
  const victim = world.parties[side === 0 ? 1 : 0]
  for (const one of world.parties) one.crash = undefined
  world.cut()
  for (const one of world.parties) if (one.down) court.restart(one)
  const old = pick(disks[side]!, which)
  if (kind !== 'exit' && kind !== 'exit old') {
    party.disk = old
    court.restart(party)
    party.input({ type: 'recover' })
    if (party.state.phase !== 'recovery') throw new Error('a restored disk starts in recovery')
  }
  if (kind === 'exit') party.input({ type: 'exitWanted' })
  const stolen = kind === 'exit old' || kind === 'restore and exit old'
  const revoked = stolen && old.current.content.version < victim.state.secrets.count
  if (stolen) court.submit(exitOf(party, old.current))
  world.connect()
  const steps = after.filter(({ kind }) => kind !== 'crash')
  for (const [count, todo] of steps.entries()) {
    run(world, todo, 85 + count)
    court.sit()
  }
  for (let round = 0; round < 40 && court.payout === undefined; round++) {
    world.connect()
    court.pass(20)
  }
  court.pass(250, 10) // what the shell is told comes as the registry decides
  const { payout } = court
  if (payout === undefined) throw new Error(`${kind}: never paid out`)
  if (revoked && payout[victim.side] !== 8_000n) throw new Error('a revoked state was not punished')
  paidAsTold(victim, payout, 8_000n)
  if (kind === 'exit') paidAsTold(party, payout, 8_000n)
  for (const one of world.parties) if (one.state.untold.length > 0) throw new Error('a lock is never told')
  return revoked ? 'punished' : kind
}

t.test('C12: programs that end on the ledger: exits new and old, restored disks', async (t) => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(fc.array(action, { minLength: 10, maxLength: 50 }), ending, (actions, last) => {
      const world = new World(opened)
      world.connect()
      world.settle()
      const disks: [Channel[], Channel[]] = [[world.alice.disk], [world.bob.disk]]
      for (const [count, todo] of actions.entries()) {
        run(world, todo, count)
        for (const { side, disk } of world.parties) if (disks[side].at(-1) !== disk) disks[side].push(disk)
      }
      const came = end(world, disks, last)
      seen.set(came, (seen.get(came) ?? 0) + 1)
    }),
    { numRuns: 120 },
  )
  t.equal(seen.size, 5, [...seen].join())
})

/** One exchange with everything in it, cut or crashed at each of its message boundaries in turn. */
t.test('disconnect and crash at every boundary', async (t) => {
  const script = (world: World): (() => void)[] => {
    const from = world.ledger.time
    const lockAt = (side: Side, index: number) => (): void =>
      run(world, { kind: 'lock', side, amount: 100, seconds: 90 + from - world.ledger.time }, index)
    return [
      () => run(world, { kind: 'pay', side: 0, amount: 10 }, 0),
      () => run(world, { kind: 'pay', side: 1, amount: 20 }, 1),
      lockAt(0, 2),
      lockAt(1, 3),
      () => world.work(),
      ...Array.from({ length: 12 }, (_, i) => () => void world.deliver(i % 2 === 0 ? 0 : 1)),
      () => world.work(),
      () => run(world, { kind: 'decide', side: 1, which: 0, claim: true }, 0),
      () => run(world, { kind: 'decide', side: 0, which: 0, claim: false }, 0),
      () => run(world, { kind: 'pay', side: 1, amount: 5 }, 4),
      ...Array.from({ length: 12 }, (_, i) => () => void world.deliver(i % 2 === 0 ? 1 : 0)),
    ]
  }
  const length = script(new World(opened)).length
  let runs = 0
  for (let at = 0; at <= length; at++) {
    for (const trouble of ['cut', 'alice before', 'alice after', 'bob before', 'bob after'] as const) {
      const world = new World(opened)
      world.connect()
      world.settle()
      for (const [index, action] of script(world).entries()) {
        if (index === at) {
          if (trouble === 'cut') world.heal()
          else {
            const party = trouble.startsWith('alice') ? world.alice : world.bob
            party.crash = trouble.endsWith('before') ? 'before the batch' : 'after the batch'
          }
        }
        action()
        if (!world.linked) world.connect()
        agreeNow(world)
      }
      ended(world)
      runs += 1
    }
  }
  t.equal(runs, (length + 1) * 5)
})
