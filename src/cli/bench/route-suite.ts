/** Payments of invoices through one hub: point locks, onions; payer, hub and payee three processes (section 10). */
import { driven } from './crew.js'
import { checkBalances, type Run } from './figures.js'
import { measure, type Plan } from './measure.js'
import { type Member, settled, type Town, until } from './town.js'

const AMOUNT_MAX = 100_000
const DEPOSIT = 1n << 45n
/** Invoices that the payer has in stock; more are issued, within the measured time, when half of them are paid. */
const STOCK = 400

export const ROUTE_DRIVEN =
  'driven: Node.pay and Node.waitPayment in the payer’s process; the payee issues the invoices (Node.issueInvoice) meanwhile'

export async function* routeSuite(town: Town, plan: Plan): AsyncGenerator<Run> {
  const { progress } = plan
  await town.found()
  progress.say('ledger and issuer are up')
  const [payer, hub, payee] = await Promise.all([
    town.settle('payer', 2n * DEPOSIT),
    town.settle('hub', 2n * DEPOSIT, { forwarding: true }),
    town.settle('payee', 1_000n),
  ])
  const incoming = await town.channel(payer, hub, DEPOSIT, 0n)
  const outgoing = await town.channel(payee, hub, 1n, DEPOSIT)
  progress.say('payer and payee have channels with the hub')
  const facts = async () => [
    ...(await settled([payer, hub], incoming)),
    ...(await settled([payee, hub], outgoing)),
    { balance: await hub.party.call('feesEarned', null) },
  ]
  await supply(payer, payee)
  for (const shape of plan.shapes) {
    const before = await facts()
    const { run, paid, fees } = await measure(plan, shape, {
      parties: [payer.party, hub.party, payee.party],
      drive: driven(payer.party, (shape, seconds) => payer.party.call('payInvoices', { shape, seconds })),
    })
    await until(async () => (await hub.party.call('feesEarned', null)) - before[4]!.balance === fees, "the hub's fees")
    const after = await facts()
    const moved = after.map(({ balance }, index) => balance - before[index]!.balance)
    const balance_check = checkBalances([
      { what: "what the payer's balance lost", expected: paid, found: -moved[0]! },
      { what: "what the hub's incoming balance won", expected: paid, found: moved[1]! },
      { what: "what the payee's balance won", expected: paid - fees, found: moved[2]! },
      { what: "what the hub's outgoing balance lost", expected: paid - fees, found: -moved[3]! },
    ])
    yield { ...run, balance_check }
  }
}

/** The payee's invoices go to the payer by way of the bench. */
async function supply(payer: Member, payee: Member): Promise<void> {
  let issuing = false
  const more = async (): Promise<void> => {
    const texts = await payee.party.call('issue', { count: STOCK, max: AMOUNT_MAX })
    await payer.party.call('invoices', texts)
  }
  payer.party.onStock = (left) => {
    if (issuing || left > STOCK) return
    issuing = true
    more().then(
      () => {
        issuing = false
      },
      () => undefined, // a process is gone: whoever drives the load hears it
    )
  }
  await more()
  await more()
}
