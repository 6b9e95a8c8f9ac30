/**
 * A peer that stays away with locks in flight both ways (C10, L8, L9): reveal, exit, wait, settle with one proof, to the
 * unit, although the power of the node goes in every phase.
 */
import t from 'tap'
import { sha256 } from '../../src/base/digest.js'
import { parseInvoice } from '../../src/router/invoice.js'
import { sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { type Route, routeOffer } from '../../src/router/route.js'
import { must } from '../chain-adapter/fixtures.js'
import { about, byHand, cutPower, isClosed, LeapingTimers, types, unanswered } from './adversary.js'
import { cents, total, until, Village } from './village.js'

const ABSENT = 1_000
const WINDOW = 600
const HOUR = 3_600

const village = await Village.build()
t.teardown(() => village.close())
const { ledger } = village
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const config = { ledgerAgeMax: 1_000_000, absent: ABSENT, window: WINDOW, open }

let timers = new LeapingTimers()
let bob = await village.start('bob', config, { timers })
const alice = await village.start('alice', config)
await village.fund(bob, 100_000n)
await village.fund(alice, 200_000n)
const id = await village.channel(alice, bob, 100_000n, 50_000n)

let asked: string[] = []
/** The power goes and comes back; transactions of these kinds get no answer in this life. */
async function relive(...kinds: readonly string[]): Promise<void> {
  await cutPower(village, bob)
  timers = new LeapingTimers()
  const line = unanswered(ledger, ...kinds)
  asked = line.asked
  bob = await village.start('bob', config, { timers, chain: line.chain })
}

async function block(seconds = 1): Promise<void> {
  await ledger.advance({ seconds })
  await until(() => bob.node.status().height >= ledger.head.height)
}

const wish = (key: string, amount: bigint) => ({ amount: cents(amount), reference: key, expiresIn: 100_000 })
const hers = must(await alice.node.issueInvoice('to alice', wish('to alice', 5_000n)))
const his = must(parseInvoice(must(await bob.node.issueInvoice('to bob', wish('to bob', 7_000n))).text))
const puppet = await byHand(village, alice, bob, id)

t.test('locks both ways: alice takes neither hers, nor bob’s claim of his, and goes', async (t) => {
  must(await bob.node.pay('to alice', hers.text, cents(0n)))
  while (bob.node.channel(id)?.locks !== 1 || puppet.state.outstanding !== null) await puppet.pump()
  await until(() => bob.node.channel(id)?.waiting === null)
  const last = { account: bob.node.account, amount: cents(7_000n), expiry: ledger.head.time + 3 * HOUR }
  const route: Route = { channel: id as Route['channel'], fee: cents(0n), hops: [last] }
  const { amount, point, expiry, onion } = must(
    routeOffer(route, his, new Uint8Array(16), sessionKeyFrom(sha256(Uint8Array.of(1)))),
  )
  puppet.input({ type: 'offer', operations: [{ kind: 'lock', amount, point, expiry, payload: onion }] })
  while (puppet.state.outstanding !== null) await puppet.pump()
  await until(() => /^commit of/.test(bob.node.channel(id)?.waiting ?? ''))
  puppet.stranger.close()
  await until(() => bob.node.channel(id)?.connected === false)
  t.match(bob.node.channel(id), { phase: 'open', locks: 2, waiting: 'the peer', balance: 45_000n })
})

t.test('away, and the power goes: the waiting begins anew', async (t) => {
  await block()
  timers.leap(ABSENT - 5)
  await relive('exit', 'settle')
  await block()
  timers.leap(ABSENT - 5)
  await block()
  t.equal(bob.node.channel(id)?.phase, 'open')
  t.match(bob.node.channel(id)?.exit, { kind: 'later' })
  timers.leap(5)
  await block()
  await until(() => asked.includes('exit'))
  t.match(bob.node.channel(id), { phase: 'exiting', waiting: 'the exit on the ledger' })
  t.ok(asked.includes('reveal'), 'what is known is revealed, long before the expiry')
})

t.test('the exit was decided, and the power goes: the same exit, again', async (t) => {
  await relive('settle')
  await until(async () => types(await about(bob, id)).includes('channel.disputed'))
  t.match(bob.node.channel(id), { waiting: 'the deadline', deadline: ledger.head.time + WINDOW })
  const events = await about(bob, id)
  t.equal(types(events).filter((type) => type === 'channel.exited').length, 1)
  t.match(events.at(-1), { type: 'channel.disputed', by: 'us' })
  t.equal(bob.node.payment('to alice')?.status, 'pending')
})

t.test('disputed, and the power goes: past the deadline the locks are still waited for', async (t) => {
  await relive('settle')
  t.equal(bob.node.channel(id)?.phase, 'disputed')
  await block(WINDOW + 1)
  t.equal(bob.node.channel(id)?.waiting, 'locks to be won or dead')
  t.notOk(asked.includes('settle'))
  await relive('settle')
  await block(4 * HOUR)
  await until(() => asked.includes('settle'))
  t.equal(bob.node.channel(id)?.phase, 'disputed')
  t.match(await bob.node.waitPayment('to alice', 60_000), { status: 'failed', code: 'lock_expired' }, 'dead for good')
})

t.test('the settlement was asked for, and the power goes: settled once, to the unit', async (t) => {
  const before = await total(bob)
  await relive()
  await until(() => isClosed(bob, id))
  t.equal(await total(bob), before + 50_000n + 7_000n)
  t.equal(await total(bob), 100_000n + 7_000n)
  await relive()
  await block()
  t.equal(bob.node.channel(id)?.phase, 'closed')
  t.equal(await total(bob), 107_000n)
  t.match(bob.node.payment('to alice'), { status: 'failed', attempts: 1 })
  const all = types(await bob.node.events.page(0, 1_000))
  for (const type of ['channel.exited', 'channel.closed', 'payment.failed', 'invoice.paid']) {
    t.equal(all.filter((each) => each === type).length, 1, `one ${type}`)
  }
})

t.test('alice comes back: she finds it settled', async (t) => {
  const reborn = await village.start('alice', config)
  await until(() => isClosed(reborn, id))
  t.equal(await total(reborn), 200_000n - 7_000n)
  t.match((await about(reborn, id)).at(-1), { type: 'channel.closed', how: 'settle' })
})
