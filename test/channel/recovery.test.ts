/** RECOVERY (C8, S2): whoever has lost data gets its newest balance back through a close, and never harms itself. */
import t from 'tap'
import { equalBytes } from '../../src/base/bytes.js'
import { otherSide, type Side } from '../../src/base/channel-state.js'
import { curve } from '../../src/base/curve/index.js'
import type { ChannelView } from '../../src/base/ports/chain.js'
import { channelKeys, createContext, poolBlinding } from '../../src/channel/keys.js'
import { recoverChannel } from '../../src/channel/recovery.js'
import { revocationSecret } from '../../src/channel/revocation.js'
import { encodeChannel } from '../../src/channel/snapshot.js'
import { step } from '../../src/channel/step.js'
import { decodeTerms, encodeTerms } from '../../src/channel/terms.js'
import type { Channel, Cosigned } from '../../src/channel/types.js'
import { commit } from '../../src/privacy/commitment.js'
import { Court, exitOf, witnessOf } from './court.js'
import { flip, hit, live, lockBody, opened, pay, scalarOf, signs } from './mallory.js'
import { LIMITS_FOR_TESTS, openPair, PEOPLE, POLICY, World } from './world.js'

interface Scene {
  readonly world: World
  readonly court: Court
  /** Disks before the rounds. */
  readonly old: readonly [Channel, Channel]
  readonly history: readonly Cosigned[]
}

/** Two locks, then two rounds of 1,000 from alice to bob, then no connection. */
function scene(): Scene {
  const world = live()
  const court = new Court(world)
  const old = [world.alice.disk, world.bob.disk] as const
  const history = [world.alice.state.current]
  for (let round = 0; round < 2; round++) {
    world.input(0, { type: 'offer', operations: [pay(1_000n)] })
    world.settle()
    history.push(world.alice.state.current)
  }
  world.cut()
  return { world, court, old, history }
}

/** The disk as it was, told by the shell that it is old (S2), or not. */
function restore({ world, old }: Scene, side: Side, revoked?: number): void {
  const party = world.parties[side]
  party.disk = old[side]
  party.restart()
  if (revoked !== undefined) party.input({ type: 'recover', revoked })
}

const shownOf = ({ encoded, signatures }: Cosigned) => ({
  type: 'newestShown' as const,
  state: encoded,
  signatures: [signatures[0], signatures[1]] as const,
})

t.test(
  'an old disk, known or proved to be: frozen, shown the newest, closed with it once locks are decided',
  async (t) => {
    for (const loser of [0, 1] as const) {
      for (const known of [true, false]) {
        const made = scene()
        const { world, court, history } = made
        restore(made, loser, known ? 0 : undefined)
        world.connect()
        world.settle()
        const party = world.parties[loser]
        const other = world.parties[otherSide(loser)]
        t.equal(party.state.phase, 'recovery')
        t.ok(equalBytes(party.state.current.digest, history.at(-1)!.digest), 'the newest, opened by the channel secret')
        t.same(party.state.current.content.balances, history.at(-1)!.content.balances)
        t.equal(other.state.peerRecovers === null, false)
        t.equal(other.state.phase, 'open')
        t.match(world.input(otherSide(loser), { type: 'offer', operations: [pay(1n)] }), [
          { results: [{ error: { code: 'channel_not_open' } }] },
        ])
        world.input(loser, {
          type: 'fulfill',
          lock: { from: otherSide(loser), id: 1 },
          scalar: scalarOf(otherSide(loser)),
        })
        t.equal(world.ledger.revealed.size, 1, 'at once: no round will take it in')
        court.pass(100, 10)
        t.equal(other.toldOf('proveClose').length, 0, 'not while a lock is undecided')
        court.restart(party)
        world.cut()
        world.connect()
        world.settle()
        court.pass(500, 20)
        const gain = loser === 0 ? 1_000n : -1_000n
        t.same(court.payout, [998_000n + gain, 502_000n - gain], `loser ${loser}, known: ${known}`)
        t.equal(court.accepted.at(-1)?.transaction.kind, 'closeChannel')
        for (const one of world.parties) {
          t.equal(one.state.phase, 'closed')
          t.equal(one.toldOf('lockSettled').length, 1)
          t.equal(one.toldOf('lockReturned').length, 1)
        }
      }
    }
  },
)

t.test('in recovery nothing that could be punished, or lured out, leaves', async (t) => {
  for (const loser of [0, 1] as const) {
    const made = scene()
    const { world, history } = made
    restore(made, loser, 0)
    const party = world.parties[loser]
    party.input({ type: 'connected' })
    const stale = {
      name: 'newest' as const,
      body: { channel: opened.terms.channel, state: made.old[0].current.encoded },
    }
    const [opener, peer] = made.old[0].current.signatures
    const lure = hit(world, loser, { ...stale, body: { ...stale.body, signatures: [opener, peer] } })
    t.same(lure, [], 'an older state changes nothing')
    const newer = history.at(-1)!
    const forged = [flip(newer.signatures[0]), newer.signatures[1]] as const
    for (const signatures of [forged, [newer.signatures[0], flip(newer.signatures[1])] as const]) {
      party.input({ type: 'newestShown', state: newer.encoded, signatures })
      t.not(party.state.current.content.version, newer.content.version, 'both signatures or nothing')
    }
    party.input({ type: 'newestShown', state: flip(newer.encoded, 50), signatures: newer.signatures })
    t.not(party.state.current.content.version, newer.content.version)
    const stranger = openPair({ deposit: 77_000n, limits: LIMITS_FOR_TESTS })
    const elsewhere = new World(stranger).alice.state.current
    party.input(shownOf(elsewhere))
    t.not(party.state.current.content.version, newer.content.version, 'another channel')
    const effects = [
      ...party.input({ type: 'exitWanted' }),
      ...party.input({ type: 'closeWanted' }),
      ...party.input({ type: 'offer', operations: [pay(1n)] }),
      ...party.input({ type: 'connected' }),
      ...party.input({ type: 'tick' }),
    ]
    t.notOk(signs(effects))
    t.equal(party.state.exit, null)
  }
})

t.test('C8: no close of less than what is known or proved to exist', async (t) => {
  const made = scene()
  const { world, court, history } = made
  // The peer plays both: its own machine at an old state offers, while it held more.
  for (const party of world.parties) party.disk = made.old[party.side]
  world.alice.restart()
  world.bob.restart()
  world.bob.input({ type: 'recover', revoked: history.at(-1)!.content.version })
  world.ledger.time += 600
  world.connect()
  for (let i = 0; i < 6; i++, court.sit()) world.settle()
  t.equal(world.alice.state.phase, 'closing', 'alice offers what she says is the newest')
  t.equal(world.bob.toldOf('verifyClose').length, 0, 'bob knows that more was signed')
  world.bob.input(shownOf(history.at(-1)!))
  court.pass(20)
  t.equal(world.alice.toldOf('dataLost').length, 1, 'bob handed it on: alice has lost more')
  court.pass(POLICY.closeValid)
  t.same(court.payout, [998_000n, 502_000n], 'signed for nothing less')
})

t.test('a state shown between verifying and signing: the older close is not signed', async (t) => {
  const made = scene()
  const { world, court, history } = made
  for (const party of world.parties) party.disk = made.old[party.side]
  world.alice.restart()
  world.bob.restart()
  world.bob.input({ type: 'recover' })
  world.ledger.time += 600
  world.connect()
  world.settle()
  world.tick(1)
  world.settle()
  const { terms } = world.alice.toldOf('proveClose')[0]!
  world.input(0, {
    type: 'closeProved',
    proof: { validUntil: terms.validUntil, commitment: terms.commitment, ...witnessOf(terms) },
  })
  world.settle()
  const [asked] = world.bob.toldOf('verifyClose')
  world.bob.input(shownOf(history.at(-1)!))
  const effects = world.bob.input({ type: 'closeVerified', validUntil: asked!.terms.validUntil, valid: true })
  t.notOk(signs(effects))
  t.equal(court.payout, undefined)
})

t.test('both have lost data: the opener offers once it holds what the other claims', async (t) => {
  const made = scene()
  const { world, court, history } = made
  restore(made, 0, 0)
  restore(made, 1, 0)
  world.connect()
  world.settle()
  t.same(
    world.parties.map(({ state }) => state.phase),
    ['recovery', 'recovery'],
  )
  world.ledger.time += 600
  world.input(1, shownOf(history.at(-1)!))
  world.cut()
  world.connect()
  world.settle()
  t.equal(world.alice.toldOf('proveClose')[0]?.terms.version, history.at(-1)!.content.version, 'not before')
  t.equal(world.alice.state.current.content.version, history.at(-1)!.content.version, 'bob hands it on')
  court.pass(600, 50)
  t.same(court.payout, [998_000n, 502_000n])
  t.same(
    world.parties.map(({ state }) => state.phase),
    ['closed', 'closed'],
  )
})

t.test(
  'a healthy peer that says `recovering` gains nothing: locks are decided first, exit stays open to us',
  async (t) => {
    for (const liar of [0, 1] as const) {
      const { world, court } = scene()
      const victim = otherSide(liar)
      world.connect()
      world.settle()
      world.input(victim, { type: 'offer', operations: [lockBody(500n, 7, world.ledger.time + 300)] })
      world.parties[victim].work()
      const { channel } = opened.terms
      world.cut()
      world.parties[victim].input({ type: 'connected' })
      world.parties[victim].input({ type: 'fulfill', lock: { from: liar, id: 1 }, scalar: scalarOf(liar) })
      hit(world, victim, { name: 'recovering', body: { channel, version: 0 } })
      t.equal(world.ledger.revealed.size, 1, 'known scalars are revealed')
      const offered = (): number => world.parties[victim].toldOf('proveClose').length
      t.equal(offered(), 0)
      const secret = revocationSecret(world.parties[liar].context.keys.revocation, 3)
      const word = { channel, version: 5, outstanding: false, received: 0, secret }
      const after = hit(world, victim, { name: 'reestablish', body: word })
      t.notOk(signs(after), 'no round ever again')
      world.input(victim, { type: 'exitWanted' })
      court.pass(700, 50)
      const gain = victim === 0 ? 1_000n : -1_000n
      t.same(court.payout, [998_000n + gain, 502_000n - gain], `liar ${liar}`)
    }
  },
)

t.test('an exit in recovery: what stands above us is taken over; what we are shown supersedes', async (t) => {
  for (const loser of [0, 1] as const) {
    const other = otherSide(loser)
    const above = scene()
    restore(above, loser)
    above.court.submit(exitOf(above.world.parties[other], above.history.at(-1)!))
    above.court.sit()
    t.equal(above.world.parties[loser].state.phase, 'recovery')
    t.ok(equalBytes(above.world.parties[loser].state.current.digest, above.history.at(-1)!.digest))
    above.court.censored.add(other)
    above.court.pass(700, 50)
    t.same(above.court.payout, [998_000n, 502_000n], 'settled by who had lost it')

    const below = scene()
    restore(below, loser, 0)
    below.court.censored.add(other)
    below.court.submit(exitOf(below.world.parties[other], below.history[1]!)) // its secret was lost with the disk
    below.court.sit()
    t.equal(below.court.dispute?.standingVersion, below.history[1]!.content.version)
    below.world.parties[loser].input(shownOf(below.history.at(-1)!))
    below.court.sit()
    t.equal(below.court.dispute?.standingVersion, below.history.at(-1)!.content.version)

    const stale = scene()
    restore(stale, loser, 0)
    const older = stale.history[0]!
    stale.court.submit(exitOf(stale.world.parties[other], older))
    stale.court.censored.add(other)
    stale.court.pass(700, 50)
    t.equal(stale.court.payout !== undefined, true, 'with nothing newer to be had, what stands is settled')
  }
})

t.test('C12: what lost data had is never told as failed', async (t) => {
  const world = live()
  const court = new Court(world)
  const old = world.alice.disk
  world.input(1, { type: 'fulfill', lock: { from: 0, id: 1 }, scalar: scalarOf(0) }) // claimed off the ledger
  world.settle()
  world.cut()
  world.alice.disk = old
  world.alice.told.length = 0
  world.alice.restart()
  const { expiry } = old.current.content.locks[0]!
  const dead = { ...world.alice.env, view: { height: 99, time: expiry + 1 } }
  const frozen = step(world.alice.state, { type: 'recover' }, dead).state
  t.same(step(frozen, { type: 'tick' }, dead).effects, [], 'dead, but for good?')
  world.connect()
  world.settle()
  t.equal(world.alice.state.phase, 'recovery')
  t.same(
    world.alice.state.untold.map(({ lock, lost }) => [lock.from, lock.id, lost]),
    [[0, 1, true]],
  )
  court.pass(700, 50)
  t.equal(world.alice.state.phase, 'closed')
  const told = world.alice.told.filter(({ type }) => type === 'lockReturned' || type === 'lockDead')
  t.same(
    told.map((effect) => ('lock' in effect ? effect.lock.from : '')),
    [1],
    'bob was paid: alice cannot know, so she says nothing',
  )
})

t.test('from seed, ledger and one co-signed state alone', async (t) => {
  for (const side of [0, 1] as const) {
    const { world, court, history } = scene()
    const newest = history.at(-1)!
    const { terms } = world.alice.context
    const view: ChannelView = {
      channel: terms.channel,
      accounts: terms.accounts,
      channelKeys: terms.channelKeys,
      window: terms.window,
      state: terms.state,
      pool: commit(world.alice.context.pool, poolBlinding(terms))!,
      poolCiphertexts: [new Uint8Array(256), new Uint8Array(256)],
      phase: 'open',
      dispute: null,
    }
    const remains = {
      ledger: terms.ledger,
      view,
      account: PEOPLE[side].account as (typeof terms.accounts)[0],
      seed: PEOPLE[side].seed,
      nonce: terms.nonce,
      moduli: terms.moduli,
      state: newest.encoded,
      signatures: newest.signatures,
      policy: POLICY,
    }
    const wrong: readonly [string, Partial<typeof remains>][] = [
      ['bad_key', { seed: new Uint8Array(32) }],
      ['bad_key', { nonce: 8 }],
      ['bad_signature', { signatures: [flip(newest.signatures[0]), newest.signatures[1]] }],
      ['channel_closed', { view: { ...view, phase: 'closed' } }],
      ['wrong_state', { view: { ...view, pool: curve.multiplyBase(scalarOf(1)) } }],
    ]
    for (const [code, patch] of wrong) t.match(recoverChannel({ ...remains, ...patch }), { error: { code } }, code)
    const made = recoverChannel(remains)
    if (!made.ok) return t.fail(made.error.code)
    const again = decodeTerms(encodeTerms(made.value.terms))
    if (!again.ok) return t.fail('terms')
    const context = createContext(again.value, side, channelKeys(PEOPLE[side].seed, again.value), POLICY)
    if (!context.ok) return t.fail('context')
    const party = world.parties[side]
    Object.assign(party, { context: context.value, disk: made.value.channel })
    party.restart()
    t.ok(encodeChannel(party.state).length > 0)
    world.connect()
    world.settle()
    t.equal(party.state.phase, 'recovery')
    world.input(side, { type: 'fulfill', lock: { from: otherSide(side), id: 1 }, scalar: scalarOf(otherSide(side)) })
    court.pass(600, 50)
    const gain = side === 0 ? 1_000n : -1_000n
    t.same(court.payout, [998_000n + gain, 502_000n - gain])
    t.equal(party.state.phase, 'closed')
  }
})

t.test('messages of the end in every wrong phase: nothing is signed, nothing thrown', async (t) => {
  const { world, history } = scene()
  const { channel } = opened.terms
  const [opener, peer] = history[0]!.signatures
  for (const phase of ['funding', 'open', 'closing', 'exiting', 'broken', 'disputed', 'recovery', 'closed'] as const) {
    for (const party of world.parties) {
      for (const link of ['down', 'reestablishing', 'live'] as const) {
        const state: Channel = { ...party.disk, phase, link }
        const messages = [
          { name: 'recovering' as const, body: { channel, version: 0 } },
          {
            name: 'newest' as const,
            body: { channel, state: history[0]!.encoded, signatures: [opener, peer] as [typeof opener, typeof peer] },
          },
          { name: 'closeAccept' as const, body: { channel, validUntil: 5, signature: opener } },
          { name: 'shutdown' as const, body: { channel } },
        ]
        for (const message of messages) {
          const { effects } = step(state, { type: 'received', message }, party.env)
          t.notOk(signs(effects), `${message.name} in ${phase}`)
        }
        const inputs = [
          { type: 'submitRefused', kind: 'exit', code: 'unavailable' } as const,
          { type: 'recover' } as const,
          { type: 'exitWanted' } as const,
        ]
        for (const input of inputs) {
          const { effects, state: after } = step(state, input, party.env)
          const exits = input.type === 'exitWanted' && ['open', 'broken', 'closing'].includes(phase)
          t.equal(signs(effects), exits, `${input.type} in ${phase}`)
          if (input.type === 'recover')
            t.equal(after.phase === 'recovery', ['funding', 'open', 'broken', 'recovery'].includes(phase))
        }
      }
    }
  }
})
