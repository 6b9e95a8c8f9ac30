/** The table of the privacy layer: times of single operations, no load and no processes. */
import { createPool } from '../../privacy/pool.js'
import { actorsOf, type Bits, feeRows, recordRows, timesHeld, transferRows } from './crypto-rows.js'
import { jiffies, stealPercent } from './environment.js'
import { processFigures } from './figures.js'
import type { Progress } from './progress.js'
import { referenceRows } from './reference-rows.js'
import { type Figure, tableHead, tableLine, timeRow } from './rows.js'
import { UsageMeter } from './usage.js'

/** Of a row's name: `fee` and `transfer` take only theirs. */
export interface CryptoOptions {
  readonly bits: readonly Bits[]
  readonly rows: string
  /** Seconds for a row. */
  readonly seconds: number
}

/** Section 10 counts on two cores. */
const THREADS = 2

export async function cryptoSuite({ bits, rows, seconds }: CryptoOptions, progress: Progress, stopped: () => boolean) {
  const meter = new UsageMeter()
  const before = jiffies()
  const checked = timesHeld()
  const figures: Figure[] = []
  const pool = createPool({ threads: THREADS })
  progress.say(tableHead())
  try {
    for (const size of bits) {
      const actors = actorsOf(size)
      const table = [...(await feeRows(actors, pool)), ...recordRows(actors), ...(await transferRows(actors, pool))]
      for (const row of [...table, ...(await referenceRows(actors))]) {
        if (stopped() || !row.name.includes(rows)) continue
        const figure = await timeRow(size, row, seconds * 1_000)
        figures.push(figure)
        progress.say(tableLine(figure))
      }
    }
  } finally {
    await pool.close()
  }
  const operations = figures.reduce((sum, { iterations }) => sum + iterations, 0)
  const last = figures.at(-1)
  return {
    rate: last === undefined ? 0 : 1_000 / last.median,
    p50_ms: last?.median ?? 0,
    p99_ms: last?.p99 ?? 0,
    failed: 0,
    steal_pct: stealPercent(before, jiffies()),
    /** No money moves: there is no balance. What was checked instead: proofs verified, ciphertexts decrypted to their amount. */
    balance_check: null,
    checked: timesHeld() - checked,
    processes: [processFigures('bench', meter.read(), operations)],
    rows: figures,
  }
}
