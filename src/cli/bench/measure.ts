/** One load between two looks at every process and at the machine. */
import type { Loaded } from './calls.js'
import type { Party } from './crew.js'
import { jiffies, stealPercent } from './environment.js'
import { processFigures, type Run, totalPerPayment } from './figures.js'
import type { Shape } from './load.js'
import type { Progress } from './progress.js'

export interface Plan {
  readonly suite: string
  readonly shapes: readonly Shape[]
  readonly seconds: number
  readonly warmUp: number
  readonly progress: Progress
}

/** Everything of a run but that its balances are right. */
export type Unchecked = Omit<Run, 'balance_check'>

export interface Loading {
  /** Whose usage is told. */
  readonly parties: readonly Party[]
  /** Who drives, and tells how many have succeeded. */
  readonly driver: Party
  readonly drive: (shape: Shape, seconds: number) => Promise<Loaded>
}

export const labelOf = (suite: string, shape: Shape): string =>
  'window' in shape ? `${suite}, ${shape.window} outstanding` : `${suite}, ${shape.rate}/s asked`

/** @returns the figures, and what was paid: in the warm-up too. */
export async function measure(
  { suite, seconds, warmUp, progress }: Plan,
  shape: Shape,
  { parties, driver, drive }: Loading,
): Promise<{ readonly run: Unchecked; readonly paid: bigint; readonly fees: bigint }> {
  const label = labelOf(suite, shape)
  const timed = async (what: string, time: number): Promise<Loaded> => {
    const start = performance.now()
    driver.onDone = (done) => progress.bar(what, (performance.now() - start) / (1_000 * time), done)
    return drive(shape, time)
  }
  const warm = warmUp > 0 ? await timed(`${label}, warm-up`, warmUp) : undefined
  await Promise.all(parties.map((party) => party.call('resetUsage', null)))
  const before = jiffies()
  const { paid, fees, ...figures } = await timed(label, seconds)
  const steal_pct = stealPercent(before, jiffies())
  const processes = await Promise.all(
    parties.map(async (party) => processFigures(party.name, await party.call('usage', null), figures.done)),
  )
  const run: Unchecked = {
    ...figures,
    suite,
    label,
    window: 'window' in shape ? shape.window : null,
    target_rate: 'rate' in shape ? shape.rate : null,
    seconds,
    processes,
    disk_bytes_per_payment: totalPerPayment(processes, 'diskBytes'),
    wire_bytes_per_payment: totalPerPayment(processes, 'wireBytes'),
    steal_pct,
  }
  return { run, paid: paid + (warm?.paid ?? 0n), fees: fees + (warm?.fees ?? 0n) }
}
