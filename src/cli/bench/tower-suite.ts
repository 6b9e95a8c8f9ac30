/**
 * A watchtower of thousands of channels (T): what a state costs it, what it holds, how soon it watches again after a kill,
 * and how soon a thousand exits with revoked states are punished. Ledger, tower and clients are three processes. The
 * channels are opened by real transactions, on a ledger of short amounts, so that their proofs take minutes.
 */
import { EXIT, VerbExit } from '../exit.js'
import { driven } from './crew.js'
import { checkBalances, type Run } from './figures.js'
import { labelOf, measure, type Plan } from './measure.js'
import { Yard } from './tower-yard.js'
import type { Town } from './town.js'

export interface TowerOptions {
  /** Rising: how many channels are watched when it is measured. */
  readonly channels: readonly number[]
  readonly breaches: number
  readonly clients: number
}

/** Registrations under way. */
const TAKE_WINDOW = 64
/** A breach that is not answered by then counts as failed. */
const BREACH_S = 900

export const TOWER_DRIVEN =
  'driven: TowerClient in the clients’ process; an appointment counts when its receipt, signed after the sync, is checked'

export async function* towerSuite(town: Town, plan: Plan, options: TowerOptions): AsyncGenerator<Run> {
  const { progress } = plan
  const { channels } = options
  const breaches = Math.min(options.breaches, ...channels.slice(-1)) // one of each channel
  await town.found()
  progress.say('ledger and issuer are up')
  const yard = await Yard.build(town, options)
  for (const count of channels) {
    const fresh = await yard.openUntil(count, (done) => progress.bar('channels on the ledger', done / count, done))
    const { run: taken } = await measure(
      { ...plan, warmUp: 0 },
      { window: TAKE_WINDOW },
      {
        parties: yard.parties,
        count: fresh.length,
        drive: driven(yard.clients, () => yard.clients.call('take', { channels: fresh, window: TAKE_WINDOW })),
      },
    )
    yield { ...taken, window: null, label: `tower, taking ${fresh.length}`, ...(await checked(yard)) }
    const runs = []
    for (const shape of plan.shapes) {
      const { run } = await measure(plan, shape, {
        parties: yard.parties,
        drive: driven(yard.clients, (shape, seconds) => yard.clients.call('appoint', { shape, seconds })),
      })
      runs.push({ ...run, label: labelOf(`tower of ${count}`, shape), ...(await checked(yard)) })
    }
    if (count === channels.at(-1)) await yard.clients.stop() // who is watched for may be away
    const facts = await yard.restart()
    for (const [index, run] of runs.entries()) yield index === runs.length - 1 ? { ...run, facts } : run
  }
  yield await breach(yard, plan, breaches)
}

const checked = async (yard: Yard): Promise<Pick<Run, 'balance_check'>> => ({
  balance_check: checkBalances([await yard.balance()]),
})

async function breach(yard: Yard, plan: Plan, count: number): Promise<Run> {
  await yard.holdExits(count)
  let facts: Record<string, number> = {}
  const { run } = await measure(
    { ...plan, warmUp: 0 },
    { window: count },
    {
      parties: [yard.tower, yard.ledger],
      count,
      drive: driven(yard.ledger, async () => {
        const { punished, ...beside } = await yard.ledger.call('breach', { seconds: BREACH_S })
        facts = { ...beside, all_punished_ms: punished.max_ms }
        return { ...punished, paid: 0n, fees: 0n }
      }),
    },
  )
  const { punish } = await yard.tower.call('submitted', null)
  if (run.failed === 0 && punish < count)
    throw new VerbExit(EXIT.checkFailed, `the tower says that it punished ${punish}`)
  yard.punished(run.done)
  return { ...run, window: null, label: `tower, ${count} breaches at once`, facts, ...(await checked(yard)) }
}
