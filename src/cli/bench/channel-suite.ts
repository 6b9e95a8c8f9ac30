/** Direct pays (C4) over one channel, payer and payee two processes (section 10). */
import { driven } from './crew.js'
import { checkBalances, type Run } from './figures.js'
import { measure, type Plan } from './measure.js'
import { settled, type Town } from './town.js'

/** Minor units; small, so that a deposit below 2^48 lasts for any run. */
const AMOUNT_MAX = 1_000
const DEPOSIT = 1n << 45n

export const CHANNEL_DRIVEN =
  'driven: Node.payDirect in the payer’s process; durable on both sides and irrevocable (C12) when counted'

export async function* channelSuite(town: Town, plan: Plan): AsyncGenerator<Run> {
  const { progress } = plan
  await town.found()
  progress.say('ledger and issuer are up')
  const [payer, payee] = await Promise.all([town.settle('payer', 2n * DEPOSIT), town.settle('payee', 2n * DEPOSIT)])
  const channel = await town.channel(payer, payee, DEPOSIT, 0n)
  progress.say('payer and payee have a channel')
  for (const shape of plan.shapes) {
    const before = await settled([payer, payee], channel)
    const { run, paid } = await measure(plan, shape, {
      parties: [payer.party, payee.party],
      drive: driven(payer.party, (shape, seconds) =>
        payer.party.call('payDirect', { shape, seconds, channel, max: AMOUNT_MAX }),
      ),
    })
    const after = await settled([payer, payee], channel)
    const balance_check = checkBalances([
      { what: "the payer's balance", expected: before[0]!.balance - paid, found: after[0]!.balance },
      { what: "the payee's balance", expected: before[1]!.balance + paid, found: after[1]!.balance },
    ])
    yield { ...run, balance_check }
  }
}
