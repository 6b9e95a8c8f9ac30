/** One load between two looks at every process and at the machine. */
import type { Loaded } from './calls.js'
import { jiffies, stealPercent } from './environment.js'
import { processFigures, type Run, runText, totalPerPayment } from './figures.js'
import type { Shape } from './load.js'
import type { Progress } from './progress.js'
import type { Usage } from './usage.js'

export interface Plan {
  readonly suite: string
  readonly shapes: readonly Shape[]
  readonly seconds: number
  readonly warmUp: number
  readonly progress: Progress
}

/** Everything of a run but that its balances are right. */
export type Unchecked = Omit<Run, 'balance_check'>

/** Whose usage is told. */
export interface Metered {
  readonly name: string
  resetUsage(): Promise<void>
  usage(): Promise<Usage>
}

export interface Loading {
  readonly parties: readonly Metered[]
  /** Where the load ends with so many and not with its time. */
  readonly count?: number
  /** Drives; `tell` hears how many have succeeded. */
  readonly drive: (shape: Shape, seconds: number, tell: (done: number) => void) => Promise<Loaded>
}

export const labelOf = (suite: string, shape: Shape): string =>
  'window' in shape ? `${suite}, ${shape.window} outstanding` : `${suite}, ${shape.rate}/s asked`

/** @returns the figures, and what was paid: in the warm-up too. */
export async function measure(
  { suite, seconds, warmUp, progress }: Plan,
  shape: Shape,
  { parties, drive, count }: Loading,
): Promise<{ readonly run: Unchecked; readonly paid: bigint; readonly fees: bigint }> {
  const label = labelOf(suite, shape)
  const timed = async (what: string, time: number): Promise<Loaded> => {
    const start = performance.now()
    const part = (done: number): number =>
      count === undefined ? (performance.now() - start) / (1_000 * time) : done / count
    return drive(shape, time, (done) => progress.bar(what, part(done), done))
  }
  const warm = warmUp > 0 ? await timed(`${label}, warm-up`, warmUp) : undefined
  await Promise.all(parties.map((party) => party.resetUsage()))
  const before = jiffies()
  const { paid, fees, ...figures } = await timed(label, seconds)
  const steal_pct = stealPercent(before, jiffies())
  const processes = await Promise.all(
    parties.map(async (party) => processFigures(party.name, await party.usage(), figures.done)),
  )
  const run: Unchecked = {
    ...figures,
    suite,
    label,
    window: 'window' in shape ? shape.window : null,
    target_rate: 'rate' in shape ? shape.rate : null,
    processes,
    disk_bytes_per_payment: totalPerPayment(processes, 'diskBytes'),
    wire_bytes_per_payment: totalPerPayment(processes, 'wireBytes'),
    steal_pct,
  }
  return { run, paid: paid + (warm?.paid ?? 0n), fees: fees + (warm?.fees ?? 0n) }
}

/** Every run, said as it ends. */
export async function told(runs: AsyncIterable<Run>, progress: Progress): Promise<Run[]> {
  const ended: Run[] = []
  for await (const run of runs) {
    progress.say(runText(run))
    ended.push(run)
  }
  return ended
}
