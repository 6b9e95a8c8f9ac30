/** C8: what a peer says at reestablish, what it proves, and what an unproven word changes: nothing. */
import t from 'tap'
import { equalBytes } from '../../src/base/bytes.js'
import { otherSide } from '../../src/base/channel-state.js'
import type { ChannelMessage, ChannelMessageOf } from '../../src/base/message/channel.js'
import { packOperations } from '../../src/channel/operation.js'
import { revocationSecret } from '../../src/channel/revocation.js'
import { clauseOf, heldCommit, hit, live, opened, pay, scalarOf, signs } from './mallory.js'

t.test('C8: false words at reestablish', async (t) => {
  for (const victim of [0, 1] as const) {
    const peer = otherSide(victim)
    const world = live()
    const { version } = world.parties[victim].state.current.content
    const { revocation: seed } = world.parties[victim].context.keys
    world.cut()
    const word = (patch: Partial<ChannelMessageOf<'reestablish'>>): ChannelMessage => ({
      name: 'reestablish',
      body: {
        channel: opened.terms.channel,
        version,
        outstanding: false,
        received: version,
        secret: revocationSecret(seed, version - 1),
        ...patch,
      },
    })
    const again = (): void => {
      world.parties[victim].input({ type: 'disconnected' })
      world.parties[victim].input({ type: 'connected' })
    }
    again()
    const claims = hit(world, victim, word({ version: version + 3, received: version + 3, secret: new Uint8Array(32) }))
    t.notOk(signs(claims), 'an unproven claim of being ahead changes nothing')
    t.equal(world.parties[victim].state.phase, 'open')
    t.equal(world.parties[victim].state.link, 'reestablishing', 'and rounds do not run with it')
    again()
    t.notOk(signs(hit(world, victim, word({ received: 2 ** 50 }))))
    again()
    const behind = hit(
      world,
      victim,
      word({ version: version - 2, received: version - 2, secret: revocationSecret(seed, version - 3) }),
    )
    t.ok(
      behind.some((effect) => effect.type === 'send' && effect.message.name === 'newest'),
      'who is behind gets the proof',
    )
    const lost = { version: version + 1, received: version + 1, secret: revocationSecret(seed, version) }
    const other = live()
    other.cut()
    other.parties[victim].input({ type: 'connected' })
    t.match(hit(other, victim, word(lost)), [{ type: 'dataLost', newest: null }], 'our own unrevoked secret is proof')
    t.equal(other.parties[victim].state.phase, 'recovery')
    again()
    t.equal(clauseOf(hit(world, victim, word({ secret: new Uint8Array(32) }))), 'C8', 'a secret that is not ours')
    t.ok(peer !== victim)
  }
})

t.test('C8: proof of our own loss of data freezes the channel: no round, no secret, no exit', async (t) => {
  for (const loser of [0, 1] as const) {
    const world = live()
    const old = world.parties[loser].disk
    for (let round = 0; round < 3; round++) {
      world.input(0, { type: 'offer', operations: [pay(1n)] })
      world.settle()
    }
    world.cut()
    world.parties[loser].disk = old
    world.parties[loser].restart()
    world.connect()
    world.settle()
    t.equal(world.parties[loser].state.phase, 'recovery')
    t.equal(world.parties[loser].toldOf('dataLost').length > 0, true)
    t.equal(world.parties[otherSide(loser)].state.phase, 'open', 'the other side is not lured into anything')
    const effects = [
      ...world.input(loser, { type: 'exitWanted' }),
      ...world.input(loser, { type: 'offer', operations: [pay(1n)] }),
      ...world.input(loser, { type: 'closeWanted' }),
      ...world.input(loser, { type: 'connected' }),
    ]
    t.notOk(signs(effects))
    const { from, id } = world.parties[loser].state.current.content.locks.find((lock) => lock.from !== loser)!
    world.input(loser, { type: 'fulfill', lock: { from, id }, scalar: scalarOf(from) })
    world.tick(492)
    t.equal(world.ledger.revealed.size, 1, 'reveal stays allowed')
  }
})

t.test('C8: a leader that lost only its outstanding commit is stopped by its own signature', async (t) => {
  const world = live()
  const old = world.alice.disk
  heldCommit(world)
  while (world.deliver(0));
  world.cut()
  t.equal(world.bob.state.current.content.version, old.current.content.version + 1)
  world.alice.disk = old
  world.alice.restart()
  world.connect()
  world.settle()
  t.equal(world.alice.state.phase, 'recovery')
  t.ok(equalBytes(world.alice.toldOf('dataLost')[0]!.newest!.state, world.bob.state.current.encoded))
})

t.test('C4: an id that was committed is never taken again, whatever reconnects lie between', async (t) => {
  const world = live()
  world.input(0, { type: 'offer', operations: [pay(7n)] })
  world.settle()
  const { id } = world.bob.toldOf('paid').at(-1)!
  world.heal()
  const operations = packOperations([{ id, from: 0, body: pay(7n) }])
  hit(world, 1, { name: 'propose', body: { channel: opened.terms.channel, operations } })
  t.equal(world.bob.state.pending.length, 0)
  t.equal(world.bob.state.phase, 'open', 'a repetition is no breach')
})
