/** R1, R6: a payment in parts over two hubs, retries over other paths, holds that end, refunds; real disks and WebSockets. */
import t from 'tap'
import { hexToBytes as bytesOfHex, type Digest } from '../../src/base/bytes.js'
import { verifyReceipt } from '../../src/router/receipt.js'
import { must } from '../chain-adapter/fixtures.js'
import { cents, until, Village, type Villager } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())

const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const far = { ledgerAgeMax: 10_000_000 }
const hub = (name: string) => village.start(name, { forwarding: true, open, ...far })
const [alice, carol] = [await village.start('alice', far), await village.start('carol', { open, ...far })]
const [left, right] = [await hub('left'), await hub('right')]
for (const [person, money] of [
  [alice, 500_000n],
  [carol, 100_000n],
  [left, 500_000n],
  [right, 500_000n],
] as const)
  await village.fund(person, money)

/** Alice can send 100,000 through each hub; left can pass on 70,000 of it, right 90,000. */
const aliceLeft = await village.channel(alice, left, 100_000n, 50_000n)
const aliceRight = await village.channel(alice, right, 100_000n, 50_000n)
const carolLeft = await village.channel(carol, left, 20_000n, 70_000n)
const carolRight = await village.channel(carol, right, 20_000n, 90_000n)
const channels = [
  [alice, aliceLeft],
  [alice, aliceRight],
  [carol, carolLeft],
  [carol, carolRight],
] as const

const quiet = () =>
  until(() => channels.every(([{ node }, id]) => node.channel(id)?.locks === 0 && node.channel(id)?.ready === true))
const balances = () => channels.map(([{ node }, id]) => node.channel(id)?.balance)
const eventsOf = async ({ node }: Villager, type: string) =>
  (await node.events.page(0, 1_000)).filter((event) => event.type === type)
const invoiceFor = async (payee: Villager, reference: string, amount: bigint) =>
  must(await payee.node.issueInvoice(reference, { amount: cents(amount), reference, expiresIn: 100_000 }))
async function paid(payer: Villager, key: string, text: string, feeMax = 1_000n) {
  must(await payer.node.pay(key, text, cents(feeMax)))
  const end = await payer.node.waitPayment(key, 60_000)
  if (end === undefined) throw new Error('no such payment')
  return end
}

t.test('what neither hub can carry goes over both, after a hub has said what it lacks', async (t) => {
  const { text, invoice } = await invoiceFor(carol, 'claim-1', 120_000n)
  t.match(must(alice.node.quote(text, cents(1_000n))), { amount: 120_000n, hops: 2, parts: 2 })
  t.same(alice.node.capacities, { canSend: 200_000n, canSendAtOnce: 100_000n, canReceive: 100_000n })
  const end = await paid(alice, 'key-1', text)
  t.match(end, { status: 'succeeded', hops: 2, sent: 120_000n, amount: 120_000n })
  const { parts, fee, attempts, receipt } = end
  t.ok(parts >= 2 && attempts > parts, `${parts} parts, ${attempts} attempts`)
  await quiet()
  const [a, b, c, d] = balances()
  t.equal((a ?? 0n) + (b ?? 0n), 200_000n - 120_000n - (fee ?? 0n), 'to the unit')
  t.equal((c ?? 0n) + (d ?? 0n), 160_000n)
  t.ok((c ?? 0n) > 20_000n && (d ?? 0n) > 20_000n, 'both hubs carried some of it')
  t.match(must(verifyReceipt(receipt ?? '', { payee: carol.node.account })), { amount: 120_000n, reference: 'claim-1' })
  await until(async () => (await eventsOf(carol, 'invoice.paid')).length > 0) // the log is behind what a node knows
  const events = await eventsOf(carol, 'invoice.paid')
  t.match(events, [{ reference: 'claim-1', amount: 120_000n, parts }], 'told once, when all of it is in')
  t.match(await eventsOf(alice, 'payment.succeeded'), [{ amount: 120_000n, fee, parts }])
  t.match(await alice.node.pay('key-1b', text, cents(1_000n)), { ok: false, error: { code: 'invoice_paid' } })
  t.equal(invoice.amount, 120_000n)
})

t.test('R6: what was paid is given back by reference, never more of it, and both books say so', async (t) => {
  const [paid1] = await alice.node.payments(1)
  const of = bytesOfHex(paid1?.invoice ?? '') as Digest
  const wish = (amount: bigint, change: object = {}) => ({
    amount: cents(amount),
    expiresIn: 100_000,
    refundOf: of,
    ...change,
  })
  const refused = async (key: string, amount: bigint, change: object = {}) => {
    const made = await alice.node.issueInvoice(key, wish(amount, change))
    return made.ok ? 'issued' : made.error.code
  }
  t.equal(await refused('a', 120_001n), 'refund_above_original')
  t.equal(await refused('b', 1n, { reference: 'another' }), 'refund_unknown')
  t.equal(await refused('c', 1n, { refundOf: new Uint8Array(32) }), 'refund_unknown')
  const { invoice, text } = must(await alice.node.issueInvoice('refund', wish(10_000n)))
  t.match(invoice, { reference: 'claim-1', refundOf: of })
  t.equal(await refused('d', 110_001n), 'refund_above_original', 'in sum')
  t.match(await paid(carol, 'refund-1', text), { status: 'succeeded', refundOf: paid1?.invoice })
  await quiet()
  t.match(await eventsOf(carol, 'invoice.refunded'), [
    { invoice: paid1?.invoice, reference: 'claim-1', amount: 10_000n },
  ])
  const told = [{ key: 'key-1', invoice: paid1?.invoice, reference: 'claim-1', amount: 10_000n }]
  t.match(await eventsOf(alice, 'payment.refunded'), told)
})
