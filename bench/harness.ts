/** Measuring and printing that every benchmark shares. Figures of two runs do not compare: the machine differs (section 10). */
import { readFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { curve } from '../src/base/curve/index.js'
import { modexpBackend } from '../src/privacy/modexp.js'

/** Milliseconds of one row of the table. */
export interface Figure {
  readonly bits: number
  readonly row: string
  readonly iterations: number
  readonly median: number
  readonly minimum: number
  readonly includes: string
}

export interface Row {
  readonly name: string
  /** What `run` does, for the reader of the table. */
  readonly includes: string
  run(): unknown
}

const ITERATIONS_MIN = 3
const ITERATIONS_MAX = 50
/** What a row may take, unless its warm-up and its first iterations take longer. */
const ROW_MS = 1_500

/** One warm-up, which fills the caches that a running node has full, then as many iterations as fit. */
export async function measure(bits: number, { name, includes, run }: Row): Promise<Figure> {
  await run()
  const times: number[] = []
  const until = performance.now() + ROW_MS
  while (times.length < ITERATIONS_MIN || (times.length < ITERATIONS_MAX && performance.now() < until)) {
    const start = performance.now()
    await run()
    times.push(performance.now() - start)
  }
  times.sort((a, b) => a - b)
  const middle = times.length >> 1
  const median = times.length % 2 === 1 ? times[middle]! : (times[middle - 1]! + times[middle]!) / 2
  return { bits, row: name, iterations: times.length, median, minimum: times[0]!, includes }
}

export interface Environment {
  readonly cpu: string
  readonly cores: number
  readonly node: string
  readonly openssl: string
  readonly curve: string
  readonly modexp: string
  readonly loadAverage: readonly number[]
}

export const environment = (): Environment => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  node: process.versions.node,
  openssl: process.versions.openssl,
  curve: curve.name,
  modexp: modexpBackend,
  loadAverage: loadavg(),
})

/** Jiffies of all cores since the machine started; undefined where there is no /proc. */
export interface Jiffies {
  readonly all: number
  readonly stolen: number
}

export function jiffies(): Jiffies | undefined {
  if (process.platform !== 'linux') return undefined
  // cpu user nice system idle iowait irq softirq steal; guest times after them are within user and nice.
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number)
  return { all: fields.reduce((a, b) => a + b, 0), stolen: fields[7] ?? 0 }
}

/** The share of the machine's time that its host gave to others, in percent; null where the system does not say. */
export function stealPercent(before: Jiffies | undefined, after: Jiffies | undefined): number | null {
  if (before === undefined || after === undefined || after.all === before.all) return null
  return (100 * (after.stolen - before.stolen)) / (after.all - before.all)
}

const COLUMNS = { bits: 4, row: 34, iterations: 4, time: 9 } as const

const line = (
  bits: string,
  row: string,
  median: string,
  minimum: string,
  iterations: string,
  includes: string,
): string =>
  [
    bits.padStart(COLUMNS.bits),
    row.padEnd(COLUMNS.row),
    median.padStart(COLUMNS.time),
    minimum.padStart(COLUMNS.time),
    iterations.padStart(COLUMNS.iterations),
    includes,
  ].join('  ')

export const tableHead = (): string => line('bits', 'ms', 'median', 'minimum', 'runs', 'includes')

export const tableLine = ({ bits, row, median, minimum, iterations, includes }: Figure): string =>
  line(String(bits), row, median.toFixed(2), minimum.toFixed(2), String(iterations), includes)
