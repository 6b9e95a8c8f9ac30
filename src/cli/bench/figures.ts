/** What a run came to: one shape for the screen, for --json and for the report. */
import { EXIT, VerbExit } from '../exit.js'
import type { LoadFigures } from './load.js'
import type { Usage } from './usage.js'

export interface ProcessFigures {
  readonly name: string
  readonly pid: number
  readonly cpu_ms: number
  readonly cpu_ms_per_payment: number
  readonly fsyncs: number
  readonly rss_mib: number
  readonly heap_mib: number
  readonly loop_p50_ms: number
  readonly loop_p99_ms: number
  readonly loop_max_ms: number
  /** Per payment: exponentiations, multiplications, …, bytes. */
  readonly per_payment: Readonly<Record<string, number>>
}

/** One measured load: a window or a rate. */
export interface Run extends LoadFigures {
  readonly suite: string
  readonly label: string
  readonly window: number | null
  readonly target_rate: number | null
  readonly seconds: number
  readonly processes: readonly ProcessFigures[]
  readonly disk_bytes_per_payment: number
  readonly wire_bytes_per_payment: number
  readonly steal_pct: number | null
  /** Null where no money is in it. */
  readonly balance_check: 'ok' | null
  /** What the suite measured beside it, units in the names. */
  readonly facts?: Readonly<Record<string, number>>
}

const MIB = 1_048_576

export function processFigures(name: string, usage: Usage, done: number): ProcessFigures {
  const per = (value: number): number => (done === 0 ? 0 : value / done)
  return {
    name,
    pid: usage.pid,
    cpu_ms: usage.cpu_ms,
    cpu_ms_per_payment: per(usage.cpu_ms),
    fsyncs: usage.counts.fsyncs + usage.counts.nameSyncs,
    rss_mib: usage.rss_bytes / MIB,
    heap_mib: usage.heap_bytes / MIB,
    loop_p50_ms: usage.loop_p50_ms,
    loop_p99_ms: usage.loop_p99_ms,
    loop_max_ms: usage.loop_max_ms,
    per_payment: Object.fromEntries(Object.entries(usage.counts).map(([count, value]) => [count, per(value)])),
  }
}

export const totalPerPayment = (processes: readonly ProcessFigures[], count: string): number =>
  processes.reduce((sum, { per_payment }) => sum + (per_payment[count] ?? 0), 0)

export interface Balance {
  readonly what: string
  readonly expected: bigint
  readonly found: bigint
}

/** Section 10: no rate is told where money is not where it was paid to. @throws VerbExit */
export function checkBalances(balances: readonly Balance[]): 'ok' {
  for (const { what, expected, found } of balances) {
    if (expected === found) continue
    throw new VerbExit(EXIT.checkFailed, `${what} is ${found} where the payments make ${expected}: no rate is told`)
  }
  return 'ok'
}

export function runText(run: Run): string {
  const { label, rate, done, failed, failures, p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms, steal_pct } = run
  const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
  const why = Object.entries(failures).map(([code, count]) => `${count} ${code}`)
  return [
    `${label.padEnd(24)} ${rate.toFixed(rate < 100 ? 1 : 0).padStart(7)}/s   p50 ${ms(p50_ms)}  p90 ${ms(p90_ms)}  ` +
      `p95 ${ms(p95_ms)}  p99 ${ms(p99_ms)}  p99.9 ${ms(p999_ms)}  max ${ms(max_ms)} ms   done ${done}  failed ${failed}` +
      `${why.length === 0 ? '' : ` (${why.join(', ')})`}  steal ${steal_pct?.toFixed(1) ?? '?'} %` +
      `${run.balance_check === null ? '' : '  balances ok'}`,
    ...run.processes.map(processText),
    ...Object.entries(run.facts ?? {}).map(([name, value]) => `  ${name.padEnd(40)} ${plain(value)}`),
  ].join('\n')
}

export const plain = (value: number): string => (Number.isInteger(value) ? String(value) : value.toPrecision(4))

function processText(each: ProcessFigures): string {
  const counts = Object.entries(each.per_payment).filter(([, value]) => value >= 0.0005)
  return (
    `  ${each.name} (${each.pid}): CPU ${each.cpu_ms_per_payment.toFixed(3)} ms each, ${each.fsyncs} fsyncs, ` +
    `RSS ${each.rss_mib.toFixed(0)} MiB, loop late p50 ${each.loop_p50_ms.toFixed(1)} p99 ${each.loop_p99_ms.toFixed(1)} ` +
    `max ${each.loop_max_ms.toFixed(0)} ms\n    each: ` +
    counts.map(([count, value]) => `${count} ${value.toPrecision(3)}`).join('  ')
  )
}

/** The one object of --json: the last run's figures, what was measured beside any of them, all runs within. */
export function summaryOf(runs: readonly Run[]): Record<string, unknown> {
  const { percentiles: _, per_second: __, ...last } = runs.at(-1)!
  const facts = Object.assign({}, ...runs.map((run) => run.facts ?? {}))
  return { ...last, facts, runs: runs.map(({ percentiles, per_second, ...run }) => run) }
}
