/** What one process has used: CPU, memory, operations, syncs, how late its event loop was. */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { type Count, type Counts, counts, countsBetween } from '../../base/counters.js'

export interface Usage {
  readonly pid: number
  /** User and system time of all threads. */
  readonly cpu_ms: number
  readonly rss_bytes: number
  readonly heap_bytes: number
  readonly external_bytes: number
  readonly loop_p50_ms: number
  readonly loop_p99_ms: number
  readonly loop_max_ms: number
  readonly counts: Counts
}

/** How late a timer of this period comes; the period itself is taken away. */
const RESOLUTION_MS = 10

export class UsageMeter {
  readonly #loop: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #cpu = process.cpuUsage()
  #counts = counts()

  constructor() {
    this.#loop.enable()
  }

  /** From now on. @param beside counts of threads that this one knows nothing of */
  reset(beside?: Counts): void {
    this.#cpu = process.cpuUsage()
    this.#counts = sum(counts(), beside)
    this.#loop.reset()
  }

  /** Since the last reset. */
  read(beside?: Counts): Usage {
    globalThis.gc?.() // only where a suite that measures memory asked for --expose-gc
    const { user, system } = process.cpuUsage(this.#cpu)
    const { rss, heapUsed, external } = process.memoryUsage()
    const late = (ns: number): number => (Number.isFinite(ns) ? Math.max(0, ns / 1e6 - RESOLUTION_MS) : 0)
    const quiet = this.#loop.count === 0
    return {
      pid: process.pid,
      cpu_ms: (user + system) / 1_000,
      rss_bytes: rss,
      heap_bytes: heapUsed,
      external_bytes: external,
      loop_p50_ms: quiet ? 0 : late(this.#loop.percentile(50)),
      loop_p99_ms: quiet ? 0 : late(this.#loop.percentile(99)),
      loop_max_ms: quiet ? 0 : late(this.#loop.max),
      counts: countsBetween(this.#counts, sum(counts(), beside)),
    }
  }
}

const sum = (own: Counts, beside: Counts | undefined): Counts =>
  beside === undefined
    ? own
    : (Object.fromEntries(Object.entries(own).map(([name, value]) => [name, value + beside[name as Count]])) as Counts)
