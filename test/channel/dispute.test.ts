/** L7 to L9, C10, C12: what an honest machine does about exits, and what everybody is paid in the end. */
import t from 'tap'
import type { Side } from '../../src/base/channel-state.js'
import { otherSide } from '../../src/base/channel-state.js'
import { curve } from '../../src/base/curve/index.js'
import { idText } from '../../src/base/ids.js'
import { EMPTY_STORE, insertSecret, type RevocationStore, revocationSecret } from '../../src/channel/revocation.js'
import { openState } from '../../src/channel/settlement.js'
import type { Cosigned, Effect } from '../../src/channel/types.js'
import { Court, exitOf, supersedeOf } from './court.js'
import { flip, live, lockBody, opened, pay, scalarOf, signs } from './mallory.js'
import type { Party, World } from './world.js'

const POOL = 1_500_000n

/** After live(): alice 1,000,000 - 1,100 + 100, bob 500,000 - 1,100 + 100, a lock of 1,000 from each. */
interface Scene {
  readonly world: World
  readonly court: Court
  /** Every state that alice and bob ever co-signed. */
  readonly history: readonly Cosigned[]
}

function scene(rounds = 2): Scene {
  const world = live()
  const court = new Court(world)
  const history: Cosigned[] = [world.alice.state.current]
  for (let round = 0; round < rounds; round++) {
    world.input(0, { type: 'offer', operations: [pay(1_000n)] })
    world.settle()
    history.push(world.alice.state.current)
  }
  return { world, court, history }
}

const submits = (effects: readonly Effect[], kind: string): number =>
  effects.filter((effect) => effect.type === 'submit' && effect.transaction.kind === kind).length
const ends = (party: Party): string[] =>
  party.told.flatMap((effect) =>
    effect.type === 'lockSettled' || effect.type === 'lockReturned'
      ? [`${effect.type} ${effect.lock.from}/${effect.lock.id}`]
      : [],
  )

/** Alice's next round, which bob has co-signed and alice does not know of: his ack and what follows are lost. */
function ackLost(world: World): void {
  world.input(0, { type: 'offer', operations: [pay(7n)] })
  while (world.deliver(0));
  world.work()
  world.cut()
}

t.test('a revoked state loses all, also where its poster supersedes itself or the victim comes late', async (t) => {
  for (const thief of [0, 1] as const) {
    const victim = otherSide(thief)
    for (const cover of [false, true]) {
      const { world, court, history } = scene()
      t.equal(court.submit(exitOf(world.parties[thief], history[0]!)), undefined)
      if (cover) t.equal(court.submit(supersedeOf(world.parties[thief], history[2]!)), undefined)
      court.sit()
      t.equal(court.payout?.[victim], POOL, `thief ${thief}, covers itself: ${cover}`)
      t.equal(submits(world.parties[victim].told, 'punish'), 1)
      t.equal(submits(world.parties[victim].told, 'supersede'), 0)
    }
    const { world, court, history } = scene()
    court.submit(exitOf(world.parties[thief], history[0]!))
    world.parties[victim].down = true
    court.censored.add(thief)
    for (let i = 0; i < 30; i++) world.tick(5) // far past the deadline
    court.restart(world.parties[victim])
    court.sit()
    t.equal(court.payout?.[victim], POOL, 'L7: until settled')
  }
})

t.test('an older state that was not revoked is superseded; the deadline stays', async (t) => {
  const { world, court } = scene()
  const old = world.alice.state.current
  ackLost(world)
  court.submit(exitOf(world.alice, old))
  const deadline = court.dispute?.deadline
  court.sit()
  t.equal(court.dispute?.standingVersion, old.content.version + 1, 'bob held more')
  t.equal(court.dispute?.deadline, deadline)
  t.equal(world.alice.state.current.content.version, old.content.version + 1, 'C12: alice adopts her own commit')
  court.pass(700)
  t.same(court.payout, [1_000_000n - 2_007n, 500_000n + 2_007n], 'as both had signed; dead locks returned')
  for (const party of world.parties) {
    t.equal(party.toldOf('paid').filter(({ amount }) => amount === 7n).length, 1, 'told once')
    t.equal(party.toldOf('offerRefused').length, 0)
    t.equal(party.state.phase, 'closed')
  }
})

t.test('L7: in the second of the deadline there is still time, after it there is none', async (t) => {
  for (const late of [0, 1]) {
    const { world, court } = scene()
    const old = world.alice.state.current
    ackLost(world)
    world.bob.down = true
    court.submit(exitOf(world.alice, old))
    world.tick(opened.terms.window + late)
    court.restart(world.bob)
    court.sit()
    t.equal(court.dispute?.standingVersion, old.content.version + 1 - late, `late by ${late}`)
    t.equal(submits(world.bob.told, 'supersede'), 1 - late)
  }
})

t.test('where nobody supersedes in time the older state is paid out, and what it lacks never was', async (t) => {
  const { world, court } = scene()
  const old = world.alice.state.current
  world.input(1, { type: 'offer', operations: [pay(3n)] })
  while (world.deliver(1));
  world.input(1, { type: 'fulfill', lock: { from: 0, id: 1 }, scalar: scalarOf(0) })
  while (world.deliver(1));
  ackLost(world)
  t.equal(world.bob.state.current.content.version, old.content.version + 1)
  court.censored.add(1)
  court.submit(exitOf(world.alice, old))
  court.pass(700)
  t.same(court.payout, [1_000_000n - 2_000n - 1_000n, 500_000n + 2_000n + 1_000n], 'but bob revealed what he knew')
  t.ok(world.ledger.revealed.has(idText(curve.multiplyBase(scalarOf(0)))))
  t.same(
    world.bob.toldOf('offerRefused').map(({ operation, code }) => [operation.from, code]),
    [[1, 'proposal_void']],
  )
  for (const party of world.parties) t.same(ends(party).sort(), ['lockReturned 1/1', 'lockSettled 0/1'], 'once each')
})

t.test('k+1 that we only proposed, posted by the peer, and k shown later', async (t) => {
  const { world, court, history } = scene()
  ackLost(world)
  const held = world.bob.state.current
  court.submit(exitOf(world.bob, held))
  court.sit()
  t.equal(world.alice.state.current.content.version, held.content.version)
  t.equal(world.alice.state.outstanding, null)
  const [opener, peer] = history.at(-1)!.signatures
  world.input(0, { type: 'newestShown', state: history.at(-1)!.encoded, signatures: [opener, peer] })
  t.equal(world.alice.state.phase, 'disputed', 'an older state proves nothing')
  t.equal(court.submit(supersedeOf(world.bob, history.at(-1)!)), 'not_newer')
  court.pass(700)
  t.same(court.payout, [1_000_000n - 2_007n, 500_000n + 2_007n])
  t.equal(world.alice.toldOf('paid').filter(({ amount }) => amount === 7n).length, 1)
})

t.test('C12: a lock that an outstanding commit claims is not dead for good while that may stand', async (t) => {
  const { world, court, history } = scene()
  world.cut()
  world.connect()
  world.settle()
  world.input(1, { type: 'fulfill', lock: { from: 0, id: 1 }, scalar: scalarOf(0) })
  while (world.deliver(1)); // the claim is in alice's commit now
  t.equal(world.alice.state.outstanding?.operations[0]?.body.kind, 'claim')
  court.submit(exitOf(world.bob, history.at(-1)!))
  court.sit()
  t.equal(world.alice.toldOf('lockClaimed').length, 1, 'the scalar is known')
  world.ledger.revealed.clear() // bob keeps it to himself
  court.censored.add(1)
  world.cut()
  while (world.ledger.time < world.bob.state.current.content.locks[0]!.expiry + 5) world.tick(5)
  t.same(
    world.alice.toldOf('lockDead').map(({ lock }) => lock.from),
    [],
    'bob could have posted the commit as long as he could',
  )
  court.pass(50)
  t.same(ends(world.alice).sort(), ['lockReturned 0/1', 'lockReturned 1/1'])
})

t.test('the expiry second is won, the next is dead; settle waits for both', async (t) => {
  for (const late of [0, 1]) {
    const { world, court } = scene(0)
    const { expiry } = world.alice.state.current.content.locks[0]!
    world.input(0, { type: 'exitWanted' })
    court.sit()
    t.equal(world.bob.state.phase, 'disputed')
    while (world.ledger.time < expiry) court.pass(Math.min(10, expiry - world.ledger.time), 10)
    t.equal(court.payout, undefined, 'undecided at the expiry itself')
    t.equal(submits(world.bob.told, 'settle'), 0)
    if (late === 1) court.pass(1)
    world.input(1, { type: 'fulfill', lock: { from: 0, id: 1 }, scalar: scalarOf(0) })
    court.pass(10)
    const won = late === 0
    t.equal(ends(world.bob).includes(won ? 'lockSettled 0/1' : 'lockReturned 0/1'), true, `late by ${late}`)
    t.same(court.payout, won ? [999_000n, 501_000n] : [1_000_000n, 500_000n])
  }
})

t.test('own exit: terminal, what is known is revealed, settled by one proof after refusals and restarts', async (t) => {
  for (const side of [0, 1] as const) {
    const { world, court } = scene()
    const party = world.parties[side]
    world.cut()
    world.input(side, { type: 'fulfill', lock: { from: otherSide(side), id: 1 }, scalar: scalarOf(otherSide(side)) })
    t.equal(world.ledger.revealed.size, 0, 'not while a round may take it in')
    world.input(side, { type: 'exitWanted' })
    t.equal(world.ledger.revealed.size, 1, 'C10: at once')
    world.input(side, { type: 'submitRefused', kind: 'exit', code: 'unavailable' })
    t.equal(submits(party.told, 'exit'), 1)
    world.tick(1)
    t.equal(submits(party.told, 'exit'), 2, 'asked again with the next tick')
    party.restart()
    court.sit()
    t.equal(court.refused.length, 1, 'the second of them')
    world.connect()
    t.notOk(signs(world.input(side, { type: 'offer', operations: [pay(1n)] })))
    t.equal(party.state.phase, 'disputed')
    world.input(side, { type: 'exitWanted' })
    t.equal(submits(party.told, 'exit'), 2)
    court.pass(90)
    t.equal(court.payout, undefined)
    court.pass(600)
    const gain = side === 0 ? 1_000n : -1_000n
    t.same(court.payout, [1_000_000n - 2_000n + gain, 500_000n + 2_000n - gain])
    t.equal(party.toldOf('proveSettle').length, 1)
    const before = party.told.length
    court.restart(party)
    court.pass(20)
    t.equal(party.told.length, before, 'all events again: nothing is told twice')
  }
})

t.test('a worker that never answers is asked again; a refused settle is proved again', async (t) => {
  const { world, court } = scene()
  world.input(0, { type: 'exitWanted' })
  court.sit()
  court.censored.add(0)
  court.censored.add(1)
  court.pass(700, 50)
  t.equal(submits(world.bob.told, 'settle'), 1)
  world.input(1, { type: 'submitRefused', kind: 'settle', code: 'unavailable' })
  world.tick(1)
  t.equal(world.bob.toldOf('proveSettle').length, 2)
  for (let i = 0; i < 3; i++) world.tick(6)
  t.equal(world.bob.toldOf('proveSettle').length, 3, 'after a margin without an answer')
})

t.test('half a close and an exit: the close may still land, nothing else is signed', async (t) => {
  const { world, court } = scene(1)
  for (const side of [0, 1] as const) {
    world.input(side, { type: 'giveBack', lock: { from: otherSide(side), id: 1 }, reason: new Uint8Array() })
    world.settle()
  }
  world.input(0, { type: 'closeWanted' })
  world.settle()
  const asked = world.alice.toldOf('proveClose').at(-1)!
  const old = world.bob.state.current
  court.sit()
  world.cut() // the offer is lost
  t.equal(world.alice.state.phase, 'closing')
  t.equal(world.alice.state.close?.version, asked.terms.version)
  world.input(0, { type: 'exitWanted' })
  court.sit()
  t.equal(court.dispute?.standingVersion, old.content.version)
  world.connect()
  world.settle()
  court.sit()
  t.notOk(world.bob.toldOf('verifyClose').length, 'in a dispute nobody signs')
  court.pass(200)
  t.same(court.payout, [1_000_000n - 1_000n, 500_000n + 1_000n])
})

t.test('C4: proposals in no commit are void once the channel ends, whoever ends it', async (t) => {
  for (const ender of [0, 1] as Side[]) {
    const { world, court } = scene(0)
    world.parties[1].input({ type: 'offer', operations: [pay(5n), lockBody(50n, 9, world.ledger.time + 300)] })
    world.input(ender, { type: 'exitWanted' })
    world.cut()
    court.sit()
    t.same(
      world.bob.toldOf('offerRefused').map(({ operation }) => operation.body.kind),
      ['pay', 'lock'],
      `ended by ${ender}`,
    )
    t.equal(world.bob.state.pending.length, 0)
  }
})

t.test('our own stolen backup, posted: what we hold supersedes it, though the peer punishes', async (t) => {
  const { world, court, history } = scene()
  court.censored.add(1)
  court.submit(exitOf(world.alice, history[0]!))
  court.sit()
  t.equal(court.dispute?.standingVersion, history.at(-1)!.content.version)
  court.censored.clear()
  t.equal(submits(world.bob.told, 'punish'), 1)
  t.equal(opened.terms.window, 100)
})

t.test('C1: a sealed part that lies is refused, whatever is changed', async (t) => {
  const { world } = scene()
  const { secret } = world.alice.context
  const { encoded } = world.alice.state.current
  t.ok(openState(secret, encoded).ok)
  let refused = 0
  for (let at = 0; at < encoded.length; at += 7) if (!openState(secret, flip(encoded, at)).ok) refused += 1
  t.ok(refused > encoded.length / 7 / 4, 'commitments, locks, nonce, box, version')
  t.notOk(openState(flip(secret), encoded).ok)
  t.notOk(openState(secret, new Uint8Array(10)).ok)
})

t.test(
  'C8: secrets that a tower shows: whole trees that open what is signed; where nothing tells, an exit does',
  async (t) => {
    const storeOf = (seed: Uint8Array, count: number): RevocationStore => {
      let store = EMPTY_STORE
      for (let version = 0; version < count; version++) store = insertSecret(store, revocationSecret(seed, version))!
      return store
    }
    const { world, court, history } = scene(4)
    const { alice, bob } = world
    const newest = history.at(-1)!
    const { revocation: own } = bob.context.keys
    const { version } = newest.content
    world.cut()
    bob.down = true
    alice.state = { ...alice.state, secrets: EMPTY_STORE } // as brought back from a state that somebody showed
    const show = (secrets: RevocationStore): number => {
      const [opener, follower] = newest.signatures
      world.input(0, { type: 'newestShown', state: newest.encoded, signatures: [opener, follower], secrets })
      return alice.state.secrets.count
    }
    t.equal(show(storeOf(own, version)), 0, 'not where nothing was lost')
    world.input(0, { type: 'recover' })
    t.equal(alice.state.phase, 'recovery')
    const right = storeOf(own, version)
    const bent = right.slots.map((slot, place) => (slot && place === 1 ? { ...slot, secret: flip(slot.secret) } : slot))
    t.equal(show({ ...right, slots: bent }), 0, 'no tree')
    const other = new Uint8Array(32).fill(9)
    t.equal(show(storeOf(other, version + 1)), 0, 'not the hash that both have signed')
    t.equal(show(storeOf(other, version - 2)), version - 2, 'nothing tells')
    t.equal(show(right), version - 2, 'one that contradicts what is held')
    alice.restart()
    const old = history[1]!
    t.equal(court.submit(exitOf(bob, old)), undefined)
    court.sit()
    t.equal(submits(alice.told, 'punish'), 0, 'with secrets that are not bob’s')
    t.equal(show(storeOf(other, version - 1)), version - 2, 'the record does not open')
    t.equal(show(storeOf(own, old.content.version)), version - 2, 'a store that does not reach the record')
    t.equal(show(right), version, 'the record tells')
    court.sit()
    t.same(court.payout, [POOL, 0n])
  },
)
