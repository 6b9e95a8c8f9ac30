/** T3: reveal jobs of both kinds, under the client's delegation and quota (L8). */
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { curve, type Scalar, scalarSubtract } from '../../src/base/curve/index.js'
import { sha256 } from '../../src/base/digest.js'
import { jobReceiptDigest, type TowerMessageOf, towerCodec } from '../../src/base/message/tower.js'
import { readRevealed } from '../../src/chain-adapter/contract/state.js'
import { reveal } from '../contract/channel-transactions.js'
import { alice, bob, Client, jobOf, quiet, towerRole, Yard } from './yard.js'

const registered = (yard: Yard, scalar: Scalar): boolean =>
  readRevealed(yard.world.view, curve.multiplyBase(scalar)) !== undefined

const deadline = (scalar: Scalar, from: number, until: number): TowerMessageOf<'revealJob'>['task'] => ({
  kind: 'deadline',
  scalar,
  from,
  deadline: until,
})

const cancel = (name: string) => ({ name: 'cancelJob', body: { job: sha256(utf8(name)) } }) as const

t.test('a deadline: revealed from its time on, under the client, once; pruned after it', async (t) => {
  const yard = await Yard.opened()
  const { world, chain, channel } = yard
  const { time } = world.at
  const scalars = Array.from({ length: 3 }, () => world.scalar())
  const request = jobOf(world, alice, channel, 'one', deadline(scalars[0]!, time + 50, time + 80))
  const answer = await yard.alice.ask(request)
  if (answer.name !== 'jobReceipt') throw new Error(answer.name)
  const parties = { ledger: world.ledger, tower: towerRole.account, client: alice.account }
  const digest = jobReceiptDigest(parties, towerCodec.encode(request), answer.body)
  t.ok(curve.verify(digest, answer.body.signature, towerRole.account), 'the receipt is signed')
  await yard.alice.ask(jobOf(world, alice, channel, 'two', deadline(scalars[1]!, time + 50, time + 90)))
  await yard.alice.ask(jobOf(world, alice, channel, 'three', deadline(scalars[2]!, time + 50, time + 80)))
  t.equal(await yard.alice.verdict(cancel('three')), 'jobCancelled')
  t.equal(await yard.bob.verdict(cancel('one')), 'jobCancelled', "another client's name means another job")
  chain.pass(49)
  await quiet()
  t.same(chain.submitted, [], 'not before its time')
  chain.pass(1)
  await quiet()
  t.same(
    scalars.map((scalar) => registered(yard, scalar)),
    [true, true, false],
  )
  const [tx] = chain.submitted
  t.match(tx, { kind: 'reveal', account: alice.account, delegate: { account: towerRole.account } })
  t.equal(chain.submitted.length, 1, 'both in one transaction')
  t.equal(yard.tower.status().jobs, 2)
  chain.pass(30)
  await quiet()
  t.equal(yard.tower.status().jobs, 2, 'its deadline is its last second')
  chain.pass(1)
  await quiet()
  t.equal(yard.tower.status().jobs, 1)
  chain.pass(10)
  await quiet()
  t.match(yard.tower.status(), { jobs: 0, submitted: { reveal: 1 } })
  t.equal(chain.submitted.length, 1)
  t.end()
})

t.test('a job that somebody else has done is not done again', async (t) => {
  const yard = await Yard.opened()
  const { world, chain, channel } = yard
  const { time } = world.at
  const [seen, unseen] = [world.scalar(), world.scalar()]
  await yard.alice.ask(jobOf(world, alice, channel, 'seen', deadline(seen, time + 80, time + 80)))
  chain.take(reveal(world, alice, [seen]))
  await quiet()
  chain.pass(50)
  await quiet()
  t.same(chain.submitted, [], 'the reveal was seen')
  chain.reorganise(2)
  await quiet()
  t.notOk(registered(yard, seen), 'taken back, and before its time: not yet the tower’s turn')
  chain.pass(80)
  await quiet()
  t.ok(registered(yard, seen), 'but at its time, which here is its last second too')
  chain.submitted.length = 0
  chain.take(reveal(world, bob, [unseen]))
  await yard.alice.ask(jobOf(world, alice, channel, 'known', deadline(unseen, time, time + 200)))
  await quiet()
  t.equal(chain.submitted.length, 1)
  yard.timers.advance(100_000)
  chain.pass(1)
  await quiet()
  t.equal(chain.submitted.length, 1, 'known_point ends it')
  t.end()
})

t.test('derived: when the outgoing point is revealed, the incoming one is, at once', async (t) => {
  const yard = await Yard.opened()
  const { world, chain, channel } = yard
  const { time } = world.at
  const derived = (name: string, outgoing: Scalar, y: Scalar) =>
    jobOf(world, alice, channel, name, {
      kind: 'derived',
      point: curve.multiplyBase(outgoing),
      y,
      deadline: time + 500,
    })
  const incoming = Array.from({ length: 4 }, () => world.scalar())
  const y = Array.from({ length: 4 }, () => world.scalar())
  const outgoing = incoming.map((scalar, n) => scalarSubtract(scalar, y[n]!)!)
  await yard.alice.ask(derived('live', outgoing[0]!, y[0]!))
  await quiet()
  t.same(chain.submitted, [])
  chain.take(reveal(world, bob, [outgoing[0]!]))
  await quiet()
  t.ok(registered(yard, incoming[0]!))

  chain.take(reveal(world, bob, [outgoing[1]!]))
  await yard.alice.ask(derived('late', outgoing[1]!, y[1]!))
  await quiet()
  t.ok(registered(yard, incoming[1]!), 'revealed before the job came')

  await yard.alice.ask(derived('down', outgoing[2]!, y[2]!))
  await yard.tower.stop()
  chain.take(reveal(world, bob, [outgoing[2]!]))
  for (let block = 0; block < 20; block++) chain.pass(1)
  await yard.startTower(yard.store.crash())
  await quiet()
  t.ok(registered(yard, incoming[2]!), 'revealed while the tower was down')

  const client = new Client(alice, yard.tower)
  const [before, ownY] = [world.scalar(), world.scalar()]
  const point = scalarSubtract(before, ownY)!
  chain.take(reveal(world, bob, [point]))
  for (let block = 0; block < 10; block++) {
    chain.pass(1)
    await quiet()
  }
  chain.link = 'events only'
  t.equal(await client.verdict(derived('unchecked', point, ownY)), 'jobReceipt')
  await yard.crash()
  await quiet()
  chain.reconnect()
  yard.timers.advance(1_000)
  await quiet()
  t.ok(registered(yard, before), 'revealed long before, and the tower died before it could look')

  const last = new Client(alice, yard.tower)
  await last.ask(derived('cancelled', outgoing[3]!, y[3]!))
  await last.ask(cancel('cancelled'))
  chain.take(reveal(world, bob, [outgoing[3]!]))
  await quiet()
  t.notOk(registered(yard, incoming[3]!))
  t.end()
})

t.test('a reveal is repeated when it is lost, refused by the quota, or taken back', async (t) => {
  const yard = await Yard.opened()
  const { world, chain, channel } = yard
  const { time } = world.at
  const scalar = world.scalar()
  chain.faults.push('lost', 'quota_exceeded', 'silent')
  await yard.alice.ask(jobOf(world, alice, channel, 'job', deadline(scalar, time, time + 1_000)))
  for (let round = 0; round < 4; round++) {
    await quiet()
    yard.timers.advance(90_000)
  }
  await quiet()
  t.ok(registered(yard, scalar))
  t.equal(chain.submitted.length, 4)
  chain.reorganise(1)
  t.notOk(registered(yard, scalar))
  await quiet()
  t.ok(registered(yard, scalar), 'once more after the reorganisation')

  const many = Array.from({ length: 600 }, () => world.scalar())
  await Promise.all(
    many.map((one, n) =>
      yard.alice.ask(jobOf(world, alice, channel, `many ${n}`, deadline(one, time + 10, time + 1_000))),
    ),
  )
  await yard.crash()
  chain.pass(10)
  await quiet()
  t.ok(
    many.every((one) => registered(yard, one)),
    'more than one transaction holds, after a crash',
  )
  t.end()
})
