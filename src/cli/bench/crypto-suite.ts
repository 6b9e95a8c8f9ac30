/** The privacy layer's rows: each operation by itself, one after the other, in this process and its pool of threads. */
import { setImmediate as turn } from 'node:timers/promises'
import { createPool } from '../../privacy/pool.js'
import { actorsOf, type Bits, feeRows, type Row, recordRows, transferRows } from './crypto-rows.js'
import type { Run } from './figures.js'
import { load } from './load.js'
import { type Loading, type Metered, measure, type Plan } from './measure.js'
import { referenceRows } from './reference-rows.js'
import { UsageMeter } from './usage.js'

export interface CryptoOptions {
  readonly bits: readonly Bits[]
  /** Of a row's name: `fee` and `transfer` take only theirs. */
  readonly rows: string
}

export const CRYPTO_DRIVEN =
  'one operation after the other; fees and transfers with a pool of two threads, the rest in this thread alone'

/** Section 10 counts on two cores. */
const THREADS = 2

/** A run for each row and size; those that follow a stop are left out. */
export async function* cryptoSuite(
  { bits, rows }: CryptoOptions,
  plan: Omit<Plan, 'suite' | 'shapes'>,
  stopped: () => boolean,
): AsyncGenerator<Run> {
  const meter = new UsageMeter()
  const party: Metered = {
    name: 'bench',
    resetUsage: async () => meter.reset(),
    usage: async () => meter.read(),
  }
  const pool = createPool({ threads: THREADS })
  try {
    for (const size of bits) {
      const actors = actorsOf(size)
      const table = [...(await feeRows(actors, pool)), ...recordRows(actors), ...(await transferRows(actors, pool))]
      for (const row of [...table, ...(await referenceRows(actors))]) {
        if (stopped() || !row.name.includes(rows)) continue
        const label = `${size} ${row.name}`
        plan.progress.say(`${label}: ${row.includes}`)
        const { run } = await measure({ ...plan, suite: label, shapes: [] }, { window: 1 }, loadingOf(row, party))
        const minimum_ms = run.percentiles[0]?.[1] ?? 0
        yield { ...run, suite: 'crypto', label, window: null, balance_check: null, facts: { minimum_ms } }
      }
    }
  } finally {
    await pool.close()
  }
}

/** No money moves. What blocks this thread lets the event loop turn after each, for the progress and a stop. */
const loadingOf = (row: Row, party: Metered): Loading => ({
  parties: [party],
  drive: async (shape, seconds, tell) => {
    const act = async (): Promise<null> => {
      const made = row.run()
      await (made instanceof Promise ? made : turn())
      return null
    }
    return { ...(await load({ shape, seconds, act, tell })), paid: 0n, fees: 0n }
  },
})
