/** What the simulation of whole networks found in the machine (docs/crash.md): each case alone, as short as it gets. */
import t from 'tap'
import { otherSide, type Side } from '../../src/base/channel-state.js'
import { decodeChannel, encodeChannel } from '../../src/channel/snapshot.js'
import type { CloseProof } from '../../src/channel/types.js'
import { must } from '../chain-adapter/fixtures.js'
import { hit, live, opened, pay, scalarOf } from './mallory.js'
import { World } from './world.js'

/** Rounds go on until one side has no R left for another version: its worker is busy. */
function exhaust(world: World, side: Side): void {
  // The leader needs one to commit the next version, the follower one to acknowledge it: it names the one after.
  const isReady = (): boolean => {
    const { current, randomizers } = world.parties[side].state
    return randomizers.has(current.content.version + 1 + side)
  }
  for (let rounds = 0; isReady(); rounds++) {
    if (rounds > 10) throw new Error(`${side} never ran out of R`)
    world.input(0, { type: 'offer', operations: [pay(1n)] })
    world.parties[otherSide(side)].work()
    while (world.deliver(0) || world.deliver(1)) world.parties[otherSide(side)].work()
  }
}

/** The wallet of the side that was asked. */
function prove(world: World, side: Side): void {
  const asked = world.parties[side].toldOf('proveClose').at(-1)!
  const proof = {
    validUntil: asked.terms.validUntil,
    commitment: asked.terms.commitment,
    ciphertexts: [new Uint8Array(256).fill(1), new Uint8Array(256).fill(2)],
    ciphertextsRegulator: [new Uint8Array(256).fill(3), new Uint8Array(256).fill(4)],
    proof: new Uint8Array(64),
  } satisfies CloseProof
  world.input(side, { type: 'closeProved', proof })
}

function verify(world: World, side: Side): void {
  const asked = world.parties[side].toldOf('verifyClose').at(-1)!
  world.input(side, { type: 'closeVerified', validUntil: asked.terms.validUntil, valid: true })
}

t.test('C8, C10: what a leader repeats for its outstanding commit is no offer after its shutdown', async (t) => {
  const world = live()
  exhaust(world, 1)
  world.input(0, { type: 'offer', operations: [pay(1n)] })
  world.input(0, { type: 'closeWanted' })
  while (world.deliver(0));
  t.equal(world.bob.state.shutdown.received, true)
  t.ok(world.bob.state.held !== null, 'the commit waits for an R of bob')
  world.cut()
  world.connect()
  world.settle()
  t.equal(world.bob.state.phase, 'open')
  t.equal(world.bob.state.breach, null)
  t.equal(world.bob.state.current.content.version, world.alice.state.current.content.version)
})

t.test(
  'C4, C12: a lock that died with its claim on the way goes back to its payer, who has seen the scalar',
  async (t) => {
    const world = live()
    exhaust(world, 0)
    const { lock } = world.alice.toldOf('lockIn').find((effect) => effect.lock.from === 0)!
    world.input(1, { type: 'fulfill', lock, scalar: scalarOf(0) })
    world.deliver(1)
    t.equal(world.alice.toldOf('lockClaimed').length, 1, 'alice has seen the scalar and could not commit the claim')
    world.cut()
    world.bob.down = true // it sleeps through its margin
    world.ledger.time = lock.expiry + 1
    world.ledger.height += 1
    world.alice.input({ type: 'tick' })
    world.connect()
    world.settle()
    for (const { state } of world.parties) {
      t.notOk(state.current.content.locks.some(({ from, id }) => from === lock.from && id === lock.id))
    }
    t.ok(world.alice.toldOf('lockReturned').some((told) => told.lock.id === lock.id && told.lock.from === 0))
  },
)

t.test('C8: both have lost data, and one finds the channel only after it was spoken to', async (t) => {
  const world = live()
  const { channel } = opened.terms
  world.cut()
  for (const party of world.parties) party.input({ type: 'recover' })
  world.bob.input({ type: 'connected' })
  world.bob.outgoing = [] // alice does not know the channel yet, and says so
  hit(world, 1, { name: 'recovering', body: { channel, version: 0 } })
  world.bob.outgoing = []
  world.linked = true
  world.alice.input({ type: 'connected' })
  world.settle()
  for (const { state } of world.parties) t.match(state, { phase: 'recovery', link: 'live' })
})

t.test('C8: both have lost data at the same version, and one finds the channel last', async (t) => {
  for (const late of [0, 1] as const) {
    const early = otherSide(late)
    const world = new World(opened)
    const { channel } = opened.terms
    for (const party of world.parties) party.input({ type: 'recover' })
    world.parties[early].input({ type: 'connected' })
    hit(world, early, { name: 'recovering', body: { channel, version: 0 } })
    world.parties[early].outgoing = [] // read by a node that did not know the channel
    world.linked = true
    world.parties[late].input({ type: 'connected' })
    world.settle()
    for (const { state } of world.parties) t.match(state, { phase: 'recovery', link: 'live', peerRecovers: 0 })
  }
})

t.test('C8: who has lost data hears of it from a peer that has ended the rounds, before its exit', async (t) => {
  const world = live()
  const old = encodeChannel(world.bob.state)
  world.input(0, { type: 'offer', operations: [pay(1n)] })
  world.settle()
  world.input(0, { type: 'exitWanted' })
  t.equal(world.alice.state.phase, 'exiting')
  world.cut()
  world.bob.state = must(decodeChannel(old))
  world.connect()
  world.settle()
  t.match(world.bob.state, { phase: 'recovery' })
  t.equal(world.bob.state.current.content.version, world.alice.state.current.content.version)
})

t.test('C8: what the end says is no breach to a peer that has lost data: it is shown the newest first', async (t) => {
  for (const loser of [0, 1] as const) {
    const world = live()
    const old = encodeChannel(world.parties[loser].state)
    for (const side of [0, 1] as const) {
      const [theirs] = world.parties[side].state.current.content.locks.filter(({ from }) => from !== side)
      world.input(side, { type: 'giveBack', lock: theirs!, reason: new Uint8Array() })
      world.settle()
    }
    world.input(loser, { type: 'closeWanted' })
    world.settle()
    prove(world, 0)
    world.settle()
    verify(world, 1)
    world.settle()
    t.same(
      world.parties.map(({ state }) => state.phase),
      ['closing', 'closing'],
    )
    world.cut()
    world.parties[loser].state = must(decodeChannel(old))
    world.connect()
    while (world.deliver(otherSide(loser)));
    t.match(world.parties[loser].state, { phase: 'recovery', breach: null })
  }
})

t.test('C8: an end that is said to a side that has lost data twice', async (t) => {
  const world = live()
  const old = encodeChannel(world.alice.state)
  for (const side of [0, 1] as const) {
    const [theirs] = world.parties[side].state.current.content.locks.filter(({ from }) => from !== side)
    world.input(side, { type: 'giveBack', lock: theirs!, reason: new Uint8Array() })
    world.settle()
  }
  world.cut()
  world.alice.state = must(decodeChannel(old))
  world.connect()
  world.settle()
  prove(world, 1)
  t.match(world.bob.state, { phase: 'closing' }, 'the follower offers: it has lost nothing')
  world.cut()
  world.alice.state = must(decodeChannel(old))
  world.connect()
  while (world.deliver(1));
  t.match(world.alice.state, { phase: 'recovery', breach: null })
})
