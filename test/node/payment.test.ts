/** Payer → hub → hospital over real WebSockets, disks and a real ledger: open, pay, refuse, restart, close. */
import t from 'tap'
import { ZERO } from '../../src/base/amount.js'
import { formatInvoice } from '../../src/router/invoice.js'
import { verifyReceipt } from '../../src/router/receipt.js'
import { must } from '../chain-adapter/fixtures.js'
import { cents, HUB, total, until, Village } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())

const hub = await village.settle('hub', 1_000_000n, HUB)
let payer = await village.settle('payer', 500_000n)
let hospital = await village.settle('hospital', 100n)

const payerChannel = await village.channel(payer, hub, 300_000n, 0n)
const hospitalChannel = await village.channel(hospital, hub, 1n, 400_000n)

const invoiceFor = async (reference: string, amount: bigint) => {
  await until(() => hospital.node.channel(hospitalChannel)?.ready === true)
  return must(await hospital.node.issueInvoice(reference, { amount: cents(amount), reference, expiresIn: 3_600 }))
}

t.test('channels stand as deposited', async (t) => {
  t.match(payer.node.channel(payerChannel), { canSend: 300_000n, canReceive: 0n, side: 'opener' })
  t.match(hospital.node.channel(hospitalChannel), { canSend: 1n, canReceive: 400_000n })
  t.equal(await total(payer), 200_000n)
  t.equal(await total(hub), 600_000n)
})

t.test('an invoice is paid through the hub, once, with a receipt', async (t) => {
  const { text, invoice } = await invoiceFor('claim-1', 124_122n)
  t.match(invoice.hints, [{ policy: { ppm: 100 } }], 'the hub told its policy')
  t.match(must(payer.node.quote(text, cents(100n))), { fee: 13n, hops: 2 })
  must(await payer.node.pay('key-1', text, cents(100n)))
  const paid = await payer.node.waitPayment('key-1', 60_000)
  t.match(paid, { status: 'succeeded', fee: 13n, hops: 2, reference: 'claim-1', amount: 124_122n })
  const receipt = must(verifyReceipt(paid?.receipt ?? '', { payee: hospital.node.account }))
  t.equal(receipt.amount, 124_122n)
  await until(() => hospital.node.channel(hospitalChannel)?.balance === 124_123n)
  await until(() => hub.node.status().feesEarned === 13n)
  const again = must(await payer.node.pay('key-1', text, cents(100n)))
  t.equal(again.status, 'succeeded', 'the same key is the same payment')
  const other = await payer.node.pay('key-2', text, cents(100n))
  t.match(other, { ok: false, error: { code: 'invoice_paid' } })
  const [event] = (await hospital.node.events.page(0, 10)).filter(({ type }) => type === 'invoice.paid')
  t.match(event, { reference: 'claim-1', amount: 124_122n })
})

t.test('refusals are read by the payer, money comes back', async (t) => {
  const tooMuch = await invoiceFor('claim-2', 290_000n)
  must(await payer.node.pay('key-3', tooMuch.text, cents(1_000n)))
  t.match(await payer.node.waitPayment('key-3', 60_000), { status: 'failed', code: 'no_capacity' })
  const low = await invoiceFor('claim-3', 100_000n)
  must(await payer.node.pay('key-4', low.text, ZERO))
  t.match(await payer.node.waitPayment('key-4', 60_000), { status: 'failed', code: 'fee_above_limit' })
  t.equal(payer.node.channel(payerChannel)?.canSend, 300_000n - 124_135n)
})

t.test('many payments at once, from both sides of the hub', async (t) => {
  const invoices = await Promise.all(Array.from({ length: 20 }, (_, i) => invoiceFor(`many-${i}`, BigInt(100 + i))))
  await Promise.all(invoices.map(({ text }, i) => payer.node.pay(`many-${i}`, text, cents(10n))))
  const ends = await Promise.all(invoices.map((_, i) => payer.node.waitPayment(`many-${i}`, 60_000)))
  t.same(
    ends.map((end) => end?.status),
    invoices.map(() => 'succeeded'),
  )
})

t.test('a restart of payer and hospital resumes where they were', async (t) => {
  await village.stop(payer)
  await village.stop(hospital)
  payer = await village.start('payer')
  hospital = await village.start('hospital')
  await until(() => payer.node.channel(payerChannel)?.ready === true)
  const { text } = await invoiceFor('claim-4', 500n)
  must(await payer.node.pay('key-5', text, cents(10n)))
  t.match(await payer.node.waitPayment('key-5', 60_000), { status: 'succeeded' })
})

t.test('closed together, everybody has what is theirs', async (t) => {
  must(await payer.node.closeChannel(payerChannel))
  must(await hub.node.closeChannel(hospitalChannel))
  const small = Array.from({ length: 20 }, (_, i) => BigInt(100 + i)).reduce((sum, value) => sum + value, 0n)
  const received = 124_122n + small + 500n
  const fees = 13n + 21n
  t.equal(await total(hospital), 100n + received)
  t.equal(await total(hub), 1_000_000n + fees)
  t.equal(await total(payer), 500_000n - received - fees)
  t.equal(formatInvoice((await hospital.node.invoices(1))[0]!.invoice).slice(0, 4), 'mrd1')
})
