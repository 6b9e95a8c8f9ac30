/** Direct pays (C4), payers and payee separate processes (section 10): over one channel, or over many to one payee. */
import { driven } from './crew.js'
import { checkBalances, type Run } from './figures.js'
import { measure, type Plan } from './measure.js'
import { depositsOf, hubOf, ONE_CHANNEL, Spread, type SpreadOptions } from './spread.js'
import { isMember, type Town } from './town.js'

/** Minor units; small, so that a deposit below 2^48 lasts for any run. */
export const AMOUNT_MAX = 1_000
export const CHANNEL_DRIVEN =
  'driven: Node.payDirect in the payers’ process; durable on both sides and irrevocable (C12) when counted'

export async function* channelSuite(
  town: Town,
  plan: Plan,
  { channels, parties }: SpreadOptions = ONE_CHANNEL,
): AsyncGenerator<Run> {
  const { progress } = plan
  await town.found()
  progress.say('ledger and issuer are up')
  const deposits = depositsOf(town)
  const [payers, payee] = await Promise.all([
    town.settleMany('payer', (2n * deposits) / BigInt(parties), parties),
    hubOf(town, () => town.settle('payee', 1_000n), 1_000n),
  ])
  const deposit = deposits / BigInt(channels.at(-1)!)
  const spread = new Spread(town, payers, payee, { deposit, share: 0n })
  const [{ party: payer }] = payers as [(typeof payers)[number]]
  for (const count of channels) {
    await spread.openUntil(count)
    progress.say(`payers and payee have ${count === 1 ? 'a channel' : `${count} channels`}`)
    for (const shape of plan.shapes) {
      const before = await spread.balances()
      const lanes = spread.lanes
      const { run, paid } = await measure({ ...plan, suite: spreadName(plan.suite, count) }, shape, {
        parties: [payer, ...(isMember(payee) ? [payee.party] : [])],
        drive: driven(payer, (shape, seconds) => payer.call('payDirect', { shape, seconds, lanes, max: AMOUNT_MAX })),
      })
      const after = await spread.balances()
      const balance_check = checkBalances([
        { what: "the payers' balances", expected: before[0] - paid, found: after[0] },
        ...(isMember(payee) ? [{ what: "the payee's balances", expected: before[1] + paid, found: after[1] }] : []),
      ])
      yield { ...run, facts: { channels: count, parties }, balance_check }
    }
  }
}

export const spreadName = (suite: string, channels: number): string =>
  channels === 1 ? suite : `${suite}, ${channels} channels`
