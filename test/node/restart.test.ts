/**
 * What one process of a node began, the next one finishes (C6, R3); what comes twice at once happens once (R1, W3). One
 * hub, a payer, and hospitals that hold what is paid to them.
 */
import t from 'tap'
import { Obligations } from '../../src/node/obligations.js'
import { parseInvoice } from '../../src/router/invoice.js'
import { unreadableObligation } from '../../src/router/obligation.js'
import { encodeObligation } from '../../src/router/obligation-record.js'
import { sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { routeOffer } from '../../src/router/route.js'
import { tableKey } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { about, byHand, cutPower, LeapingTimers, types, unanswered } from './adversary.js'
import { FaultLine } from './fault-line.js'
import { inFlight } from './flight.js'
import { cents, HUB, PATIENT, until, Village, type Villager } from './village.js'

const ABSENT = 1_000
const FLIGHT = { amount: 40_000n, window: 600 }

const village = await Village.build()
t.teardown(() => village.close())
const { ledger } = village
let hub = await village.settle('hub', 2_000_000n, HUB)
const payer = await village.settle('payer', 500_000n)
const payerChannel = await village.channel(payer, hub, 300_000n, 0n)

async function reborn(): Promise<void> {
  hub = await village.start('hub', HUB)
  must(await payer.node.connect({ account: hub.node.account, url: hub.url }))
  await until(() => payer.node.channel(payerChannel)?.ready === true)
}

t.test('C6: a transaction that was decided and not submitted is submitted by the next start', async (t) => {
  const timers = new LeapingTimers()
  const config = { ...PATIENT, absent: ABSENT, window: 600 }
  const silent = unanswered(ledger, 'exit')
  const bob = await village.start('bob', config, { timers, chain: silent.chain })
  await village.fund(bob, 10_000n)
  const id = await village.channel(bob, hub, 5_000n, 0n)
  timers.leap(ABSENT)
  must(await bob.node.forceClose(id))
  await until(() => silent.asked.includes('exit'))
  t.equal(bob.node.channel(id)?.phase, 'exiting')
  await cutPower(village, bob)
  const { chain, asked } = unanswered(ledger) // all of them are answered
  const again = await village.start('bob', config, { chain })
  await again.node.engine.run(() => undefined).durable
  if (!t.ok(asked.includes('exit'), 'at the start itself')) return
  await until(() => again.node.channel(id)?.phase === 'disputed')
  t.equal(types(await about(again, id)).filter((type) => type === 'channel.exited').length, 1)
  await village.stop(again)
})

t.test('R3: what is owed on an incoming lock is said again at a start, whatever its channel still knows', async (t) => {
  const flight = await inFlight(village, { payer, hub }, 'hospital-owed', FLIGHT)
  flight.puppet.stranger.close()
  await village.stop(hub)
  const diary = await village.diary('hub')
  const { records: owed } = await Obligations.all(diary.store)
  t.match(owed, [{ phase: 'offered' }])
  const { incoming } = owed[0]!
  const { obligation } = unreadableObligation(incoming)
  const row = { key: tableKey('obligation', incoming.channel, incoming.id), value: encodeObligation(obligation) }
  await diary.store.write({ puts: [row], deletes: [] })
  await diary.close()
  await reborn()
  t.match(await payer.node.waitPayment(flight.key, 60_000), { status: 'failed' })
})

t.test('R3: upstream is kept as long as the lock downstream lives: its peer gone, the hub restarted', async (t) => {
  const flight = await inFlight(village, { payer, hub }, 'hospital-gone', FLIGHT)
  flight.puppet.stranger.close()
  await until(() => hub.node.channel(flight.id)?.connected === false)
  await village.stop(hub)
  await reborn()
  const advance = async (seconds: number): Promise<void> => {
    await ledger.advance({ seconds })
    await until(() => [hub, payer].every(({ node }) => node.status().time === ledger.head.time))
    await hub.node.engine.run(() => undefined).durable
  }
  await advance(flight.expiry - ledger.head.time) // L8: in this second it can still be won
  t.match(hub.node.channel(payerChannel), { locks: 1, version: payer.node.channel(payerChannel)?.version })
  const { records: owed } = await Obligations.all(hub.directory.store)
  t.same(
    owed.map(({ phase }) => phase),
    ['offered'],
    'nothing is decided',
  )
  t.equal(payer.node.payment(flight.key)?.status, 'pending')
  await advance(1)
  t.match(await payer.node.waitPayment(flight.key, 60_000), { status: 'failed', code: 'lock_expired' })
})

t.test('R1: an invoice that a second payer pays while the first one’s claim is under way is paid once', async (t) => {
  const hospital = await village.settle('hospital', 1_000n, HUB)
  const carol = await village.settle('carol', 50_000n)
  const id = await village.channel(carol, hospital, 40_000n, 0n)
  await village.channel(payer, hospital, 40_000n, 0n)
  const wish = { amount: cents(700n), reference: 'twice', expiresIn: 100_000 }
  const { text } = must(await hospital.node.issueInvoice('twice', wish))
  const invoice = must(parseInvoice(text))
  const puppet = await byHand(village, carol, hospital, id)
  const hop = { account: hospital.node.account, amount: cents(700n), expiry: ledger.head.time + 10_000 }
  const route = { channel: id, fee: cents(0n), hops: [hop] }
  const { amount, point, expiry, onion } = must(
    routeOffer(route, invoice, new Uint8Array(16), sessionKeyFrom(new Uint8Array(32).fill(3))),
  )
  puppet.input({ type: 'offer', operations: [{ kind: 'lock', amount, point, expiry, payload: onion }] })
  const paid = async () => (await hospital.node.invoices(1))[0]?.paid === true
  while (!(await paid())) await puppet.pump()
  const received = async () => types(await hospital.node.events.page(0, 100)).filter((type) => type === 'invoice.paid')
  t.same(await received(), [], 'decided, and not yet irrevocably theirs')
  must(await payer.node.pay('twice', text, cents(100n)))
  t.match(await payer.node.waitPayment('twice', 60_000), { status: 'failed', code: 'payment_details_wrong' })
  while (!puppet.effects.some(({ type }) => type === 'lockSettled')) await puppet.pump()
  await until(async () => (await received()).length === 1)
  t.equal(puppet.state.current.content.balances[0], 40_000n - 700n)
  puppet.stranger.close()
  await village.stop(hospital)
})

t.test('W3: two nodes that dial each other at once end up with one connection, and nothing is lost', async (t) => {
  const line = new FaultLine()
  t.teardown(() => line.close())
  const config = { ...HUB, forwarding: false }
  const [dave, erin] = [await village.settle('dave', 50_000n, config), await village.settle('erin', 50_000n, config)]
  const id = await village.channel(dave, erin, 20_000n, 20_000n)
  const address = ({ node, url }: Villager) => ({ account: node.account, url })
  const ends = [
    [dave, erin],
    [erin, dave],
  ] as const
  const dial = () => ends.map(([from, to]) => from.node.connect(address(to)))
  const ready = () => ends.every(([{ node }]) => node.channel(id)?.ready === true)
  let sent = 0
  for (let round = 0; round < 8; round++) {
    const keys: string[] = []
    for (const [from, to] of ends) {
      const key = `storm-${round}-${from.name}`
      const { text } = must(await to.node.issueInvoice(key, { amount: cents(10n), reference: key, expiresIn: 9_999 }))
      must(await from.node.pay(key, text, cents(1n)))
      keys.push(key)
    }
    line.cut()
    await Promise.all(dial())
    await until(() => {
      if (!ready()) void dial()
      return ready() && ends.every(([from], i) => from.node.payment(keys[i]!)?.status !== 'pending')
    })
    const [there, back] = ends.map(([from], i) => (from.node.payment(keys[i]!)?.status === 'succeeded' ? 10n : 0n))
    sent += Number(there! - back!)
  }
  await until(() => ready() && ends.every(([{ node }]) => node.channel(id)?.locks === 0) && line.connections === 2)
  t.same(
    ends.map(([{ node }]) => node.channel(id)?.balance),
    [20_000n - BigInt(sent), 20_000n + BigInt(sent)],
  )
  for (const [from, to] of ends) {
    t.match(from.node.peers(), [{ connected: true }], `${from.name} has one of ${to.name}`)
    t.equal(from.node.status().stopped, 0)
  }
})
