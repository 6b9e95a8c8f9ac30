/** Rows of a table of times: what runs, how often, how long. */

/** Milliseconds of one row of the table. */
export interface Figure {
  readonly bits: number
  readonly row: string
  readonly iterations: number
  readonly median: number
  readonly minimum: number
  readonly p99: number
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

/**
 * Half of `ms` of warm-up, once at least: it fills the caches that a running node has full, a modulus' own (P8) among them. Then as
 * many iterations as fit into `ms`, three at least.
 */
export async function timeRow(bits: number, { name, includes, run }: Row, ms: number): Promise<Figure> {
  const warm = performance.now() + ms / 2
  do await run()
  while (performance.now() < warm)
  const times: number[] = []
  const until = performance.now() + ms
  while (times.length < ITERATIONS_MIN || (times.length < ITERATIONS_MAX && performance.now() < until)) {
    const start = performance.now()
    await run()
    times.push(performance.now() - start)
  }
  times.sort((a, b) => a - b)
  const middle = times.length >> 1
  const median = times.length % 2 === 1 ? times[middle]! : (times[middle - 1]! + times[middle]!) / 2
  return {
    bits,
    row: name,
    iterations: times.length,
    median,
    minimum: times[0]!,
    p99: times[Math.ceil(times.length * 0.99) - 1]!,
    includes,
  }
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
