/** Latencies in an HDR histogram: three significant digits from a microsecond to ten minutes. */
import hdr from 'hdr-histogram-js'

const US_MAX = 600_000_000
/** Points of the percentile plot, denser toward the tail. */
const PLOTTED = [0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99, 100]

/** Milliseconds. */
export interface LatencyFigures {
  readonly p50_ms: number
  readonly p90_ms: number
  readonly p95_ms: number
  readonly p99_ms: number
  readonly p999_ms: number
  readonly max_ms: number
  /** Percentile and milliseconds. */
  readonly percentiles: readonly (readonly [number, number])[]
}

export class Latency {
  readonly #histogram = hdr.build({ highestTrackableValue: US_MAX, numberOfSignificantValueDigits: 3 })

  record(ms: number): void {
    this.#histogram.recordValue(Math.min(US_MAX, Math.max(1, Math.round(ms * 1_000))))
  }

  get figures(): LatencyFigures {
    const at = (percentile: number): number =>
      this.#histogram.totalCount === 0 ? 0 : this.#histogram.getValueAtPercentile(percentile) / 1_000
    return {
      p50_ms: at(50),
      p90_ms: at(90),
      p95_ms: at(95),
      p99_ms: at(99),
      p999_ms: at(99.9),
      max_ms: this.#histogram.totalCount === 0 ? 0 : this.#histogram.maxValue / 1_000,
      percentiles: PLOTTED.map((percentile) => [percentile, at(percentile)] as const),
    }
  }
}
