/** Payments of invoices through one hub: point locks, onions; payers, hub and payees three processes (section 10). */
import { spreadName } from './channel-suite.js'
import { driven } from './crew.js'
import { type Balance, checkBalances, type Run } from './figures.js'
import { measure, type Plan } from './measure.js'
import { depositsOf, hubOf, ONE_CHANNEL, Spread, type SpreadOptions } from './spread.js'
import { isMember, type Member, type Town, until } from './town.js'

const AMOUNT_MAX = 100_000
/** Invoices that the payer has in stock; more are issued, within the measured time, when half of them are paid. */
const STOCK = 400
/**
 * R3: a hub keeps half of a channel's places for peers whose payments went well: each payer makes so many before it is
 * measured, a few at a time, as one that has used the hub before.
 */
const RECORD = 20
const RECORD_WINDOW = 4
const RECORD_S = 600

export const ROUTE_DRIVEN =
  'driven: Node.pay and Node.waitPayment in the payers’ process; the payees issue the invoices (Node.issueInvoice) meanwhile'

export async function* routeSuite(
  town: Town,
  plan: Plan,
  { channels, parties }: SpreadOptions = ONE_CHANNEL,
): AsyncGenerator<Run> {
  const { progress } = plan
  await town.found()
  progress.say('ledger and issuer are up')
  const deposits = depositsOf(town)
  const [payers, hub, payees] = await Promise.all([
    town.settleMany('payer', (2n * deposits) / BigInt(parties), parties),
    hubOf(town, () => town.settle('hub', 2n * deposits, { forwarding: true }), 2n * deposits),
    town.settleMany('payee', 1_000n, parties),
  ])
  const deposit = deposits / BigInt(channels.at(-1)!)
  const incoming = new Spread(town, payers, hub, { deposit, share: 0n })
  const outgoing = new Spread(town, payees, hub, { deposit: 1n, share: deposit })
  const here = isMember(hub) ? hub : undefined
  const feesEarned = async () => (here === undefined ? 0n : here.party.call('feesEarned', here.member))
  const facts = async () => [...(await incoming.balances()), ...(await outgoing.balances())]
  const payer = payers[0]!.party
  await incoming.openUntil(channels[0]!)
  await outgoing.openUntil(channels[0]!)
  await supply(payer, payees[0]!.party)
  const count = RECORD * parties
  const warm = await payer.call('payInvoices', { shape: { window: RECORD_WINDOW }, seconds: RECORD_S, count })
  let earned = warm.fees // the hub's books follow the payers' by a round
  for (const count of channels) {
    await incoming.openUntil(count)
    await outgoing.openUntil(count)
    progress.say(`payers and payees have ${count === 1 ? 'a channel' : `${count} channels`} with the hub`)
    for (const shape of plan.shapes) {
      const before = await facts()
      const { run, paid, fees } = await measure({ ...plan, suite: spreadName(plan.suite, count) }, shape, {
        parties: [payer, ...(here === undefined ? [] : [here.party]), payees[0]!.party],
        drive: driven(payer, (shape, seconds) => payer.call('payInvoices', { shape, seconds })),
      })
      earned += fees
      if (here !== undefined) await until(async () => (await feesEarned()) === earned, "the hub's fees")
      const moved = (await facts()).map((balance, index) => balance - before[index]!)
      const balance_check = checkBalances([
        { what: "what the payers' balances lost", expected: paid, found: -moved[0]! },
        { what: "what the payees' balances won", expected: paid - fees, found: moved[2]! },
        ...(here === undefined ? [] : ofHub(paid, fees, moved)),
      ])
      yield { ...run, facts: { channels: count, parties }, balance_check }
    }
  }
}

const ofHub = (paid: bigint, fees: bigint, moved: readonly bigint[]): readonly Balance[] => [
  { what: "what the hub's incoming balances won", expected: paid, found: moved[1]! },
  { what: "what the hub's outgoing balances lost", expected: paid - fees, found: -moved[3]! },
]

/** The payees' invoices go to the payers by way of the bench. */
async function supply(payer: Member['party'], payee: Member['party']): Promise<void> {
  let issuing = false
  const more = async (): Promise<void> => {
    const texts = await payee.call('issue', { count: STOCK, max: AMOUNT_MAX })
    await payer.call('invoices', texts)
  }
  payer.onStock = (left) => {
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
