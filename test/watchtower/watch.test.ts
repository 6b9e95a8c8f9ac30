/** T3: what a tower does when the ledger moves. The contract is real; only blocks, losses and reorganisations are the test's. */
import t from 'tap'
import { curve } from '../../src/base/curve/index.js'
import { sha256 } from '../../src/base/digest.js'
import { receiptDigest } from '../../src/base/message/tower.js'
import type { Row } from '../../src/base/ports/store.js'
import { parseRow } from '../../src/store/rows.js'
import { zWatched } from '../../src/watchtower/record.js'
import { dutyOf } from '../../src/watchtower/watcher.js'
import { closeChannel, reveal, supersede } from '../contract/channel-transactions.js'
import { alice, appointmentOf, bob, Client, exitOf, quiet, towerRole, Yard } from './yard.js'

t.test('a revoked state of the counterparty is punished, an older unrevoked one superseded', async (t) => {
  const yard = await Yard.opened()
  const receipt = await yard.alice.ask(appointmentOf(yard.channel, yard.state(5), yard.secrets(alice, 0, 4)))
  if (receipt.name !== 'receipt') throw new Error(receipt.name)
  const { signature, ...body } = receipt.body
  t.match(body, { version: 5, secrets: 4, height: yard.chain.head.height })
  const parties = { ledger: yard.world.ledger, tower: towerRole.account, client: alice.account }
  t.ok(curve.verify(receiptDigest(parties, body), signature, towerRole.account), 'the receipt is signed')

  yard.chain.take(yard.exit(1, 4))
  await quiet()
  t.same(yard.chain.kinds().slice(-2), ['exit', 'supersede'], 'the secret of 4 is not known: superseded')
  t.equal(yard.world.channel(yard.channel.id).dispute?.standingVersion, 5)
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(5), yard.secrets(alice, 4, 5)))
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'punish', 'the secret came late and serves still')
  t.same(yard.tower.status().submitted, { punish: 1, supersede: 1, reveal: 0 })
  t.end()
})

t.test('punished at once where the secret is held, also after the deadline', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 3)))
  yard.chain.link = 'dark'
  yard.chain.take(yard.exit(1, 1))
  yard.chain.pass(1_000)
  yard.chain.reconnect()
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'punish')
  t.equal(yard.world.channel(yard.channel.id).phase, 'closed')
  t.end()
})

t.test('a wrong secret of a version never seen does not keep the tower from superseding', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(2), yard.secrets(alice, 0, 1)))
  yard.chain.take(yard.exit(1, 0)) // state 0 of this channel has other secrets than the tree's
  await quiet()
  t.same(yard.chain.kinds().slice(-2), ['exit', 'supersede'])
  t.end()
})

t.test("the client's own exit is never punished; the other party is served apart", async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(2), yard.secrets(alice, 0, 2)))
  yard.chain.take(yard.exit(0, 2))
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'exit', 'an honest exit with the newest state is left alone')
  await yard.bob.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(bob, 0, 1)))
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'supersede', "bob's state is higher")
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(4)))
  await quiet()
  t.same(yard.chain.kinds().slice(-3), ['exit', 'supersede', 'supersede'], "alice's own exit, a higher state of hers")
  t.equal(yard.world.channel(yard.channel.id).dispute?.standingVersion, 4)
  await yard.bob.ask(appointmentOf(yard.channel, yard.state(4), yard.secrets(bob, 1, 3)))
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'punish', 'bob holds the secret of what alice recorded')
  t.end()
})

t.test('whatever secrets are held, the own exit of a client gives no reason to punish', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 3)))
  const row = (await rowsOf(yard)).map(({ value }) => parseRow(value, zWatched)).find(({ side }) => side === 0)
  const view = { ...yard.world.channel(yard.channel.id), phase: 'disputed' as const }
  const dispute = {
    poster: 1 as const,
    version: 1,
    revocation: sha256(yard.secrets(alice, 1, 2).list[0]!),
    deadline: 5_000,
    standing: yard.state(3).encoded,
    standingVersion: 3,
  }
  const at = { ledger: yard.world.ledger, now: 1_000 }
  t.equal(dutyOf(row!, { ...view, dispute }, at)?.kind, 'punish')
  t.equal(dutyOf(row!, { ...view, dispute: { ...dispute, poster: 0 } }, at), undefined)
  t.end()
})

t.test('a supersede below ours is superseded; after the deadline nothing is tried', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(1)))
  yard.chain.take(yard.exit(1, 1))
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'exit', 'equal is not higher')
  yard.chain.link = 'dark'
  yard.chain.take(supersede(yard.world, yard.channel, yard.state(2)))
  yard.chain.reconnect()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3)))
  await quiet()
  t.same(yard.chain.kinds().slice(-3), ['exit', 'supersede', 'supersede'])
  t.equal(yard.world.channel(yard.channel.id).dispute?.standingVersion, 3)
  yard.chain.pass(101)
  const tried = yard.chain.submitted.length
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(4)))
  await quiet()
  t.equal(yard.chain.submitted.length, tried)
  t.end()
})

t.test('an exit posted while the tower is down, and a crash in the middle of its answer', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 2)))
  await yard.tower.stop()
  yard.chain.take(yard.exit(1, 2))
  for (let block = 0; block < 20; block++) yard.chain.pass(1)
  yard.chain.faults.push('silent')
  await yard.startTower(yard.store.crash())
  await quiet()
  t.equal(yard.chain.submitted.at(-1)?.kind, 'supersede', 'caught up from its cursor')
  t.equal(yard.chain.kinds().at(-1), 'exit', 'but the submission hangs')
  for (let block = 0; block < 20; block++) yard.chain.pass(1)
  await yard.crash()
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'supersede', 'the reopened tower knows its dispute, however old')
  t.end()
})

t.test('views out of reach while events come: nothing of it is forgotten by a crash', async (t) => {
  const yard = await Yard.opened({ settlementDepth: 2 })
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 2)))
  yard.chain.link = 'events only'
  yard.chain.take(yard.exit(1, 2))
  for (let block = 0; block < 10; block++) {
    yard.chain.pass(1)
    await quiet()
  }
  t.equal(yard.chain.kinds().at(-1), 'exit')
  await yard.crash()
  yard.chain.reconnect()
  await quiet()
  yard.timers.advance(60_000)
  await quiet()
  t.same(yard.chain.kinds().slice(-2), ['exit', 'supersede'])
  t.end()
})

t.test('refused, lost and unanswered submissions are repeated until the ledger has one', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 3)))
  yard.chain.faults.push('lost', 'ledger_full', 'silent', 'internal', 'answer lost')
  yard.chain.take(yard.exit(1, 2))
  for (let round = 0; round < 6; round++) {
    await quiet()
    yard.timers.advance(90_000)
  }
  await quiet()
  t.equal(yard.chain.kinds().filter((kind) => kind === 'punish').length, 1)
  t.equal(yard.chain.submitted.length, 5, 'after a lost answer the view shows it done')
  const tried = yard.chain.submitted.length
  for (let block = 0; block < 5; block++) yard.chain.pass(1)
  await quiet()
  t.equal(yard.chain.submitted.length, tried, 'and then it rests')
  t.end()
})

t.test(
  'a reorganisation takes the answer back: it is given again; a closed channel is forgotten after the depth',
  async (t) => {
    const yard = await Yard.opened()
    await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 3)))
    yard.chain.take(yard.exit(1, 1))
    await quiet()
    t.same(yard.chain.kinds().slice(-2), ['exit', 'punish'])
    yard.chain.reorganise(1)
    await quiet()
    t.same(yard.chain.kinds().slice(-2), ['exit', 'punish'], 'punished again')
    t.equal(yard.chain.submitted.length, 2)
    yard.chain.reorganise(2)
    await quiet()
    t.equal(yard.world.channel(yard.channel.id).phase, 'open', 'the exit itself is gone')
    yard.chain.take(yard.exit(1, 2))
    await quiet()
    t.same(yard.chain.kinds().slice(-2), ['exit', 'punish'], 'another exit at the same place in the ledger')

    t.equal(yard.tower.status().channels, 2)
    for (let block = 0; block < 10; block++) {
      yard.chain.pass(1)
      await quiet()
    }
    t.match(yard.tower.status(), { channels: 0, attention: 0, clients: 0 })
    t.equal(await yard.alice.verdict(appointmentOf(yard.channel, yard.state(4))), 'tower_not_watched')
    t.equal(await yard.alice.register(yard.channel), 'channel_closed')
    t.end()
  },
)

t.test('a reorganisation without a lower head is found by looking again', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 2)))
  yard.chain.take(yard.exit(1, 2))
  await quiet()
  yard.chain.link = 'dark'
  yard.chain.reorganise(1)
  yard.chain.take(reveal(yard.world, alice, [yard.world.scalar()]))
  yard.chain.pass(1)
  yard.chain.reconnect()
  await quiet()
  t.equal(yard.world.channel(yard.channel.id).dispute?.standingVersion, 3)
  t.end()
})

t.test('a reorganisation while the tower is down: another exit stands where one was seen', async (t) => {
  const yard = await Yard.opened()
  const [one, other] = [yard.plant('one'), yard.plant('other')]
  for (const channel of [one, other]) {
    await yard.alice.register(channel)
    await yard.alice.ask(appointmentOf(channel, yard.planted(channel, 3)))
  }
  yard.chain.pass(1)
  yard.chain.take(exitOf(yard.world, one, 1, yard.planted(one, 3)))
  await quiet()
  await yard.tower.stop()
  yard.chain.reorganise(1)
  yard.chain.take(exitOf(yard.world, other, 1, yard.planted(other, 2)))
  yard.chain.pass(1)
  await yard.startTower(yard.store.crash())
  await quiet()
  t.equal(yard.world.channel(other.id).dispute?.standingVersion, 3)
  t.end()
})

t.test('a channel that closes in agreement is forgotten; its tower submits nothing', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(3), yard.secrets(alice, 0, 2)))
  yard.chain.take(closeChannel(yard.world, yard.channel, [60n, 50n]))
  for (let block = 0; block < 10; block++) {
    yard.chain.pass(1)
    await quiet()
  }
  t.match(yard.tower.status(), { channels: 0, attention: 0 })
  t.same(yard.chain.submitted, [])
  t.same([...(await rowsOf(yard))], [], 'nothing of it is left on disk')
  t.end()
})

async function rowsOf(yard: Yard): Promise<Row[]> {
  const rows: Row[] = []
  const range = { from: Uint8Array.of(17), to: Uint8Array.of(19) }
  for await (const row of yard.store.range(range)) rows.push(row)
  return rows
}

t.test('a thousand channels: an event costs what it costs with one', async (t) => {
  const yard = await Yard.opened()
  const planted = Array.from({ length: 1_000 }, (_, n) => yard.plant(`one of many ${n}`))
  const client = new Client(alice, yard.tower)
  const registered = await Promise.all(planted.map((channel) => client.register(channel)))
  t.ok(registered.every((verdict) => verdict === 'registered'))
  const target = planted[500]!
  const state = (version: number) => ({ ...yard.planted(target, version) })
  await client.ask(appointmentOf(target, state(3)))
  let reads = 0
  const { get } = yard.store
  yard.store.get = (key) => {
    reads += 1
    return get.call(yard.store, key)
  }
  const looks = yard.chain.looks
  yard.chain.take(exitOf(yard.world, target, 1, state(1)))
  await quiet()
  t.equal(yard.chain.kinds().at(-1), 'supersede')
  t.ok(reads <= 8, `${reads} rows read for two events`)
  t.ok(yard.chain.looks - looks <= 4, 'one channel was looked at')
  t.end()
})
