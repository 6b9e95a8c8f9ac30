/**
 * C8, C10: the close that a recovering peer is offered, beside a commit that it may have signed, and beside another close.
 * Whatever the peer then publishes, what was told is what was paid.
 */
import t from 'tap'
import { curve } from '../../src/base/curve/index.js'
import { type TransactionOf, transactionDigest } from '../../src/base/transaction.js'
import { step } from '../../src/channel/step.js'
import type { Channel, CloseTerms } from '../../src/channel/types.js'
import { Court, exitOf, witnessOf } from './court.js'
import { hit, live, pay, scalarOf, signs } from './mallory.js'
import { openPair, type Party, POLICY, World } from './world.js'

const FIRST = 1_000n
const SECOND = 500n

/** Alice paid, and pays once more: bob has signed, alice does not know it. Not connected. */
function halfway() {
  const world = new World(openPair())
  world.connect()
  world.settle()
  const court = new Court(world)
  world.input(0, { type: 'offer', operations: [pay(FIRST)] })
  world.settle()
  const before = world.bob.disk
  world.input(0, { type: 'offer', operations: [pay(SECOND)] })
  while (world.deliver(0));
  world.cut()
  const newest = world.bob.state.current
  const { version } = world.alice.state.current.content
  if (newest.content.version !== version + 1 || world.alice.state.outstanding === null) throw new Error('not halfway')
  const [alice, bob] = before.current.content.balances
  return { world, court, before, newest, version, paidOnce: [alice, bob], paidTwice: [alice - SECOND, bob + SECOND] }
}

const proved = ({ validUntil, commitment, ...terms }: CloseTerms) => ({ validUntil, commitment, ...witnessOf(terms) })

/** Bob says that he has lost data, as of this version. */
function bobRecovers(world: World, version: number): void {
  world.alice.input({ type: 'connected' })
  hit(world, 0, { name: 'recovering', body: { channel: world.alice.context.terms.channel, version } })
}

const bobShows = (world: World, { encoded: state, signatures }: Channel['current']) => {
  const { channel } = world.alice.context.terms
  return hit(world, 0, { name: 'newest', body: { channel, state, signatures: [signatures[0], signatures[1]] } })
}

/** Alice's worker proves what she asked for last; what she signs then. */
function aliceOffers({ alice }: World) {
  alice.input({ type: 'closeProved', proof: proved(alice.toldOf('proveClose').at(-1)!.terms) })
  return alice.state.close
}

function bobAccepts({ bob, alice }: World): TransactionOf<'closeChannel'> {
  const { offer, by } = alice.state.close!
  if (by !== 0) throw new Error('not alice’s')
  const { channel, signature, ...fields } = offer
  const { ledger } = alice.context.terms
  const unsigned = { kind: 'closeChannel' as const, ledger, channel, ...fields } as unknown as Omit<
    TransactionOf<'closeChannel'>,
    'signatures'
  >
  const accepted = signBy(bob, unsigned)
  return { ...unsigned, signatures: [signature, accepted] }
}

function signBy({ context }: Party, unsigned: Omit<TransactionOf<'closeChannel'>, 'signatures'>) {
  return curve.sign(transactionDigest(unsigned), context.keys.signing)
}

const fates = ({ alice }: World) => [alice.toldOf('paid').length, alice.toldOf('offerRefused').length]

t.test('a peer that lost the commit it had signed is closed with the version before; the commit is void', (t) => {
  const { world, court, before, paidOnce } = halfway()
  world.bob.disk = before
  world.bob.restart()
  world.bob.input({ type: 'recover', revoked: before.current.content.version + 1 }) // as its high-water file says
  world.connect()
  for (let i = 0; i < 8; i++) {
    world.settle()
    court.sit()
  }
  t.same(court.payout, paidOnce)
  t.same(fates(world), [1, 1], 'the first payment; the second never was')
  t.same(
    world.parties.map(({ state }) => state.phase),
    ['closed', 'closed'],
  )
  t.end()
})

t.test('a peer that claims the commit shows it before any close is signed', (t) => {
  const { world, court, newest, version, paidTwice } = halfway()
  bobRecovers(world, version + 1)
  t.equal(world.alice.toldOf('proveClose').length, 0)
  t.equal(world.alice.state.waiting?.on, `state ${version + 1}`, 'owed, so that stall_s ends it')
  bobShows(world, newest)
  t.equal(world.alice.state.waiting, null)
  t.equal(aliceOffers(world)?.version, version + 1)
  court.submit(bobAccepts(world))
  court.sit()
  t.same(court.payout, paidTwice)
  t.same(fates(world), [2, 0])
  t.end()
})

t.test('a peer that hid the commit until the close was signed: each thing it can publish is told as it is', (t) => {
  const hidden = () => {
    const made = halfway()
    bobRecovers(made.world, made.version)
    t.equal(aliceOffers(made.world)?.version, made.version)
    const early = bobAccepts(made.world)
    bobShows(made.world, made.newest)
    t.equal(made.world.alice.state.current.content.version, made.version + 1)
    return { ...made, early }
  }
  const closed = hidden()
  closed.court.submit(closed.early)
  closed.court.sit()
  t.same(closed.court.payout, closed.paidOnce)
  t.same(fates(closed.world), [1, 1])

  const posted = hidden()
  posted.court.submit(exitOf(posted.world.bob, posted.newest))
  posted.court.pass(posted.world.alice.context.terms.window + 20, 50)
  t.same(posted.court.payout, posted.paidTwice)
  t.same(fates(posted.world), [2, 0])

  const waited = hidden()
  waited.court.censored.add(1)
  waited.world.tick(1)
  t.equal(waited.world.alice.toldOf('proveClose').length, 1, 'not two closes at a time')
  waited.world.tick(POLICY.closeValid + 1)
  t.equal(aliceOffers(waited.world)?.version, waited.version + 1)
  t.equal(waited.court.submit(waited.early), 'expired', 'of the two only one can land')
  t.equal(waited.court.submit(bobAccepts(waited.world)), undefined)
  waited.court.sit()
  t.same(waited.court.payout, waited.paidTwice)
  t.same(fates(waited.world), [2, 0])
  t.end()
})

/** What an honest alice would offer at this state to a bob that recovers. */
function offerAt({ alice }: World, current: Channel['current']) {
  const state: Channel = { ...alice.state, phase: 'open', link: 'live', current, outstanding: null, close: null }
  const told = { ...state, signed: { version: current.content.version, digest: current.digest }, peerRecovers: 0 }
  const asked = step({ ...told, shutdown: { sent: true, received: true } }, { type: 'tick' }, alice.env)
  const prove = asked.effects.find((effect) => effect.type === 'proveClose')
  if (prove?.type !== 'proveClose') throw new Error('nothing to prove')
  const { effects } = step(asked.state, { type: 'closeProved', proof: proved(prove.terms) }, alice.env)
  const offer = effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []))
  return offer.find(({ name }) => name === 'closeOffer')!
}

t.test('in recovery: a newer state shown after a close was accepted is closed with once that one has lapsed', (t) => {
  const { world, before, newest } = halfway()
  world.bob.disk = before
  world.bob.restart()
  world.bob.input({ type: 'recover', revoked: 0 })
  world.bob.input({ type: 'connected' })
  const verify = () => {
    const { terms } = world.bob.toldOf('verifyClose').at(-1)!
    return world.bob.input({ type: 'closeVerified', validUntil: terms.validUntil, valid: true })
  }
  hit(world, 1, offerAt(world, before.current))
  t.ok(signs(verify()))
  world.bob.input({ type: 'newestShown', state: newest.encoded, signatures: newest.signatures })
  t.equal(world.bob.state.current.content.version, newest.content.version)
  world.tick(1)
  const asked = world.bob.toldOf('verifyClose').length
  hit(world, 1, offerAt(world, newest))
  t.equal(world.bob.toldOf('verifyClose').length, asked, 'the first may still land')
  t.equal(world.bob.state.close?.version, before.current.content.version, 'and is what a payout is told by')
  world.tick(POLICY.closeValid + 1)
  hit(world, 1, offerAt(world, newest))
  t.ok(signs(verify()))
  t.end()
})

t.test('in recovery: whoever accepted a close and offers the next waits for the first as well', (t) => {
  const { world, before, newest } = halfway()
  const first = offerAt(world, before.current)
  if (first.name !== 'closeOffer') return t.fail('no offer')
  const { version } = before.current.content
  const close = { by: 1 as const, version, offer: first.body, accepted: first.body.signature }
  const recovering = { phase: 'recovery' as const, peerRecovers: 0, link: 'live' as const, outstanding: null, close }
  const signed = { version: newest.content.version, digest: newest.digest }
  const state: Channel = { ...world.alice.state, ...recovering, current: newest, signed }
  for (const [time, signing] of [
    [first.body.validUntil, false],
    [first.body.validUntil + 1, true],
  ] as const) {
    world.ledger.time = time
    const asked = step(state, { type: 'tick' }, world.alice.env)
    const prove = asked.effects.find((effect) => effect.type === 'proveClose')
    if (prove?.type !== 'proveClose') return t.fail('nothing to prove')
    t.equal(
      signs(step(asked.state, { type: 'closeProved', proof: proved(prove.terms) }, world.alice.env).effects),
      signing,
    )
  }
  t.end()
})

t.test('R3, C8: a payer that knows the scalar of its lock reveals it for a payee that has forgotten it', (t) => {
  const world = live()
  const court = new Court(world)
  const old = world.bob.disk
  world.input(1, { type: 'fulfill', lock: { from: 0, id: 1 }, scalar: scalarOf(0) })
  while (world.deliver(1));
  t.equal(world.alice.toldOf('lockClaimed').length, 1, 'upstream is paid by it')
  world.cut()
  t.equal(world.ledger.revealed.size, 0, 'for a payee that has lost nothing it is not alice’s to do')
  world.bob.disk = old
  world.bob.restart()
  world.bob.input({ type: 'recover', revoked: old.current.content.version })
  world.connect()
  world.settle()
  t.equal(world.ledger.revealed.size, 1)
  court.pass(700, 50)
  t.same(court.payout, [999_000n, 501_000n], 'bob’s lock is won, hers is his again')
  t.end()
})
