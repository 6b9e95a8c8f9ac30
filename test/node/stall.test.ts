/** Peers that stall, vanish and return, at every moment: everything resumes where it was, no payment lost or doubled. */
import t, { type Test } from 'tap'
import type { ChannelId } from '../../src/base/ids.js'
import { must } from '../chain-adapter/fixtures.js'
import { rngOf } from '../wire/mutate.js'
import { cents, HUB, total, until, Village, type Villager } from './village.js'
import { WireCutter } from './wire-cutter.js'

const CUTS = 40
const SEED = 41

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

const village = await Village.build()
t.teardown(() => village.close())
let hub = await village.settle('hub', 3_000_000n, HUB)
const payer = await village.settle('payer', 1_500_000n)
const hospital = await village.settle('hospital', 200_000n)
const lines = { payer: await WireCutter.before(hub.url), hospital: await WireCutter.before(hub.url) }
t.teardown(() => Promise.all([lines.payer.close(), lines.hospital.close()]))

const address = (line: WireCutter) => ({ account: hub.node.account, url: line.url })
const payerChannel = await village.channel(payer, { ...hub, url: lines.payer.url }, 1_000_000n, 200_000n)
const hospitalChannel = await village.channel(hospital, { ...hub, url: lines.hospital.url }, 100_000n, 900_000n)
/** channel → the end that dials. */
const ends: readonly (readonly [Villager, ChannelId, WireCutter])[] = [
  [payer, payerChannel, lines.payer],
  [hospital, hospitalChannel, lines.hospital],
]

/** Both ends live on both channels, dialing now instead of after the backoff. */
async function healed(): Promise<void> {
  for (const [end, id, line] of ends) {
    while (end.node.channel(id)?.ready !== true || hub.node.channel(id)?.ready !== true) {
      void end.node.connect(address(line)) // wakes the dialer; whether it is enough is seen above
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
  }
}

interface Books {
  /** By key: payer's payments to the hospital, and the hospital's refunds. */
  readonly claims: Map<string, bigint>
  readonly refunds: Map<string, bigint>
}
const books: Books = { claims: new Map(), refunds: new Map() }
let made = 0

async function start(from: Villager, to: Villager, kept: Map<string, bigint>): Promise<string> {
  const key = `payment-${made++}`
  const amount = BigInt(100 + (made % 53))
  const wish = { amount: cents(amount), reference: key, expiresIn: 1_000_000 }
  const { text } = must(await to.node.issueInvoice(key, wish))
  kept.set(key, amount)
  must(await from.node.pay(key, text, cents(100n)))
  return key
}

/** Told by the event logs: reading every payment at every poll costs more than the payments. */
const finished = new Map<string, string>()
for (const { node } of [payer, hospital]) {
  node.events.listen((event) => {
    if (event.type === 'payment.succeeded' || event.type === 'payment.failed') finished.set(event.key, event.type)
  })
}
const ended = (keys: Iterable<string>): boolean => [...keys].every((key) => finished.has(key))
const arrived = (): number => [...finished.values()].filter((type) => type === 'payment.succeeded').length

/** What arrived, what it cost; every payment has exactly one end. */
function sums(from: Villager, kept: Map<string, bigint>): { amount: bigint; fees: bigint; failed: string[] } {
  let amount = 0n
  let fees = 0n
  const failed: string[] = []
  for (const [key, value] of kept) {
    const view = from.node.payment(key)
    if (view?.status === 'succeeded') {
      amount += value
      fees += view.fee ?? 0n
    } else failed.push(`${key} ${view?.status} ${view?.code}`)
  }
  return { amount, fees, failed }
}

async function settled(): Promise<void> {
  await healed()
  await until(() => ended(books.claims.keys()) && ended(books.refunds.keys()))
  await until(() => ends.every(([end, id]) => end.node.channel(id)?.locks === 0 && hub.node.channel(id)?.locks === 0))
}

async function balanced(t: Test): Promise<void> {
  await settled()
  const claims = sums(payer, books.claims)
  const refunds = sums(hospital, books.refunds)
  const paidNet = claims.amount - refunds.amount
  t.equal(payer.node.channel(payerChannel)?.balance, 1_000_000n - paidNet - claims.fees)
  t.equal(hospital.node.channel(hospitalChannel)?.balance, 100_000n + paidNet - refunds.fees)
  await until(() => hub.node.status().feesEarned === claims.fees + refunds.fees)
  const invoices = [...(await hospital.node.invoices(10_000)), ...(await payer.node.invoices(10_000))]
  const got = invoices.filter(({ paid }) => paid).reduce((sum, { invoice }) => sum + invoice.amount, 0n)
  t.equal(got, claims.amount + refunds.amount, 'paid for whom it was paid, and for nobody else')
  const events = (await payer.node.events.page(0, 10_000)).filter(({ type }) => type.startsWith('payment.'))
  t.equal(events.length, books.claims.size, 'one end for each')
  for (const villager of [payer, hospital, hub]) t.equal(villager.node.status().stopped, 0)
}

t.test(`${CUTS} cuts at random moments of a stream of payments both ways, seed ${SEED}`, async (t) => {
  const rng = rngOf(SEED)
  let cuts = 0
  let done = false
  const stream = async (from: Villager, to: Villager, kept: Map<string, bigint>) => {
    while (!done) {
      const key = await start(from, to, kept)
      await from.node.waitPayment(key, 50 + rng.below(100))
    }
  }
  const streams = [stream(payer, hospital, books.claims), stream(payer, hospital, books.claims)]
  streams.push(stream(hospital, payer, books.refunds))
  for (; cuts < CUTS; cuts++) {
    const line = rng.pick([lines.payer, lines.hospital])
    line.cutAfter(rng.below(30))
    await new Promise((resolve) => setTimeout(resolve, rng.below(80)))
    line.cut()
    line.cutAfter(Number.POSITIVE_INFINITY)
    // A cut is noticed a little later than made: healed until something arrives again.
    for (const before = arrived(); arrived() === before; await new Promise((resolve) => setTimeout(resolve, 20))) {
      await healed()
    }
  }
  done = true
  await Promise.all(streams)
  await balanced(t)
  const { failed } = sums(payer, books.claims)
  t.comment(`${failed.length} of ${books.claims.size} failed: the peer was away`)
  t.ok(
    failed.every((text) => / failed (next_hop_unavailable|no_route|no_capacity_to_payee)$/.test(text)),
    failed.join(),
  )
})

t.test('the hub restarts in the middle of payments', async (t) => {
  for (let round = 0; round < 3; round++) {
    const starts = Array.from({ length: 12 }, (_, i) =>
      i % 3 === 0 ? start(hospital, payer, books.refunds) : start(payer, hospital, books.claims),
    )
    await Promise.all(starts)
    await village.stop(hub)
    hub = await village.start('hub', HUB)
    for (const line of [lines.payer, lines.hospital]) line.lead(hub.url)
    await healed()
  }
  await balanced(t)
})

t.test('256 locks wait for a hospital that stalls; the next is refused; all arrive when it reads again', async (t) => {
  const keys: string[] = []
  const invoices = []
  for (let i = 0; i < 256; i++) {
    const key = `stalled-${i}`
    const wish = { amount: cents(7n), reference: key, expiresIn: 1_000_000 }
    invoices.push({ key, text: must(await hospital.node.issueInvoice(key, wish)).text })
  }
  const more = must(
    await hospital.node.issueInvoice('one more', { amount: cents(7n), reference: 'x', expiresIn: 9_999 }),
  )
  lines.hospital.stall(true)
  for (const { key, text } of invoices) {
    books.claims.set(key, 7n)
    keys.push(key)
    must(await payer.node.pay(key, text, cents(100n)))
  }
  await until(() => hub.node.channel(payerChannel)?.locks === 256)
  t.ok(
    keys.every((key) => payer.node.payment(key)?.status === 'pending'),
    'a timeout is pending, never failed',
  )
  books.claims.set('one more', 7n)
  must(await payer.node.pay('one more', more.text, cents(100n)))
  t.match(payer.node.payment('one more'), { status: 'failed', code: 'no_capacity' })
  lines.hospital.stall(false)
  await balanced(t)
  t.ok(keys.every((key) => payer.node.payment(key)?.status === 'succeeded'))
})

t.test('cut while closing: closed once, to the unit', async (t) => {
  const rng = rngOf(SEED + 1)
  for (const [end, id, line] of ends) {
    const closing = end.node.closeChannel(id)
    for (let i = 0; i < 4; i++) {
      line.cutAfter(1 + rng.below(4))
      await new Promise((resolve) => setTimeout(resolve, rng.below(60)))
      line.cut()
      line.cutAfter(Number.POSITIVE_INFINITY)
      void end.node.connect(address(line))
    }
    must(await closing)
  }
  const claims = sums(payer, books.claims)
  const refunds = sums(hospital, books.refunds)
  await until(() => hub.node.status().channels === 0)
  t.equal(await total(payer), 1_500_000n - claims.amount - claims.fees + refunds.amount)
  t.equal(await total(hospital), 200_000n + claims.amount - refunds.amount - refunds.fees)
  t.equal(await total(hub), 3_000_000n + claims.fees + refunds.fees)
  t.same(unhandled, [])
})
