/**
 * Prometheus text (0.0.4). Counts, ages and delays of the node itself: no amount, no id, no byte of a peer. Plain text: the
 * format is smaller than a library for it. docs/reference/metrics.md is made of the table.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { LIMITS } from '../base/limits.js'
import type { NumberedEvent } from '../node/event-log.js'
import type { Node } from '../node/node.js'

type Kind = 'gauge' | 'counter' | 'histogram'
interface Metric {
  readonly kind: Kind
  /** Meaning, unit. */
  readonly help: string
  readonly labels: readonly string[]
}
const metric = (kind: Kind, help: string, ...labels: string[]): Metric => ({ kind, help, labels })

export const METRICS = {
  meridian_ready: metric('gauge', '1 while the node takes payments, as /readyz says; else 0.'),
  meridian_ledger_height: metric('gauge', 'Height of the newest ledger block that the node has followed.'),
  meridian_ledger_age_seconds: metric(
    'gauge',
    'Seconds since the ledger was last heard; above ledger_age_max_s nothing is forwarded or opened (A1).',
  ),
  meridian_channels: metric('gauge', 'Channels by phase: open is healthy, recovery and broken want a look.', 'phase'),
  meridian_channels_ready: metric('gauge', 'Channels in which rounds run: peer connected, in step, nobody closing.'),
  meridian_channels_stopped: metric('gauge', 'Channels that a defect of this program stopped: call an operator.'),
  meridian_locks: metric(
    'gauge',
    'Locks in channels whose rounds run: payments under way through this node; a stop waits for them.',
  ),
  meridian_peers_connected: metric('gauge', 'Peers connected at the moment.'),
  meridian_ledger_effects_waiting: metric('gauge', 'Transactions to which the ledger has not said yes or no (outbox).'),
  meridian_proof_jobs_waiting: metric('gauge', `Proof jobs that no worker has begun; ${LIMITS.pool_jobs} at most.`),
  meridian_towers_connected: metric('gauge', 'Watchtowers connected at the moment.'),
  meridian_tower_lag_versions: metric('gauge', 'Most versions by which the towers lag behind one channel (T2).'),
  meridian_tower_messages_waiting: metric('gauge', 'Messages to peers that wait for receipts of towers (T2).'),
  meridian_events_total: metric('counter', 'Events of the log since the start, by type.', 'type'),
  meridian_payment_seconds: metric(
    'histogram',
    'Payments begun through the API since the start, from the request to their end.',
    'outcome',
  ),
  meridian_http_request_seconds: metric('histogram', 'Requests of the API by route and status.', 'route', 'status'),
  meridian_event_streams: metric('gauge', `Event streams (SSE) that are open; ${LIMITS.api_streams} at most.`),
  meridian_event_loop_delay_seconds: metric(
    'gauge',
    'How late the main thread ran since the last reading: above 0.1 s it is overloaded.',
    'quantile',
  ),
  meridian_memory_bytes: metric('gauge', 'Resident memory of the process.'),
  meridian_cpu_seconds_total: metric('counter', 'Processor time of the process, all threads.'),
  meridian_uptime_seconds: metric('gauge', 'Seconds since the process began.'),
} as const satisfies Record<string, Metric>
export type MetricName = keyof typeof METRICS

/** Upper bounds of histograms, seconds. */
const BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const
const NANOSECONDS = 1e9

class Histogram {
  readonly counts: number[] = BUCKETS.map(() => 0)
  total = 0
  sum = 0

  observe(seconds: number): void {
    this.total += 1
    this.sum += seconds
    const bucket = BUCKETS.findIndex((bound) => seconds <= bound)
    if (bucket >= 0) this.counts[bucket]! += 1
  }
}

type Labels = Readonly<Record<string, string>>
const labelled = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, '_')}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

export class Metrics {
  /** Open event streams. */
  streams = 0
  readonly #events = new Map<string, number>()
  readonly #requests = new Map<string, { readonly labels: Labels; readonly seconds: Histogram }>()
  readonly #payments = { succeeded: new Histogram(), failed: new Histogram() }
  /** Key of a payment under way → when it began, ms. */
  readonly #begun = new Map<string, number>()
  readonly #delay = monitorEventLoopDelay({ resolution: 10 })
  readonly #stop: () => void

  constructor(private readonly node: Node) {
    this.#delay.enable()
    this.#stop = node.events.listen((event) => this.#event(event))
  }

  close(): void {
    this.#stop()
    this.#delay.disable()
  }

  /** @param route as it was registered: a bounded set of names */
  request(route: string, status: number, seconds: number): void {
    const name = `${status} ${route}`
    const known = this.#requests.get(name) ?? { labels: { route, status: `${status}` }, seconds: new Histogram() }
    this.#requests.set(name, known)
    known.seconds.observe(seconds)
  }

  paymentBegins(key: string): void {
    if (this.#begun.size < LIMITS.api_payments_timed && !this.#begun.has(key)) this.#begun.set(key, performance.now())
  }

  text(): string {
    const lines: string[] = []
    const samples = this.#samples()
    for (const [name, { kind, help }] of Object.entries(METRICS)) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...samples[name as MetricName](name))
    }
    return `${lines.join('\n')}\n`
  }

  #event(event: NumberedEvent): void {
    this.#events.set(event.type, (this.#events.get(event.type) ?? 0) + 1)
    if (event.type !== 'payment.succeeded' && event.type !== 'payment.failed') return
    const begun = this.#begun.get(event.key)
    this.#begun.delete(event.key)
    if (begun === undefined) return
    const outcome = event.type === 'payment.succeeded' ? 'succeeded' : 'failed'
    this.#payments[outcome].observe((performance.now() - begun) / 1_000)
  }

  #samples(): Readonly<Record<MetricName, (name: string) => string[]>> {
    const status = this.node.status()
    const load = this.node.load()
    const one = (value: number) => (name: string) => [`${name} ${value}`]
    const each = (label: string, values: ReadonlyMap<string, number>) => (name: string) =>
      [...values].sort().map(([key, value]) => `${name}${labelled({ [label]: key })} ${value}`)
    return {
      meridian_ready: one(status.ready ? 1 : 0),
      meridian_ledger_height: one(status.height),
      meridian_ledger_age_seconds: one(Math.max(0, status.ledgerAge)),
      meridian_channels: each('phase', counted(load.phases)),
      meridian_channels_ready: one(status.channelsReady),
      meridian_channels_stopped: one(status.stopped),
      meridian_locks: one(load.locks),
      meridian_peers_connected: one(load.peersConnected),
      meridian_ledger_effects_waiting: one(load.ledgerWaiting),
      meridian_proof_jobs_waiting: one(load.proofsWaiting),
      meridian_towers_connected: one(status.towers.filter(({ connected }) => connected).length),
      meridian_tower_lag_versions: one(load.towerLag),
      meridian_tower_messages_waiting: one(load.towerWaiting),
      meridian_events_total: each('type', this.#events),
      meridian_payment_seconds: (name) =>
        Object.entries(this.#payments).flatMap(([outcome, seconds]) => histogram(name, { outcome }, seconds)),
      meridian_http_request_seconds: (name) =>
        [...this.#requests.values()].flatMap(({ labels, seconds }) => histogram(name, labels, seconds)),
      meridian_event_streams: one(this.streams),
      meridian_event_loop_delay_seconds: each('quantile', this.#delays()),
      meridian_memory_bytes: one(process.memoryUsage.rss()),
      meridian_cpu_seconds_total: one(cpuSeconds()),
      meridian_uptime_seconds: one(process.uptime()),
    }
  }

  #delays(): Map<string, number> {
    const at = (percentile: number) => this.#delay.percentile(percentile) / NANOSECONDS
    const delays = new Map([
      ['0.5', at(50)],
      ['0.99', at(99)],
      ['1', this.#delay.max / NANOSECONDS],
    ])
    this.#delay.reset()
    return delays
  }
}

function histogram(name: string, labels: Labels, { counts, total, sum }: Histogram): string[] {
  let below = 0
  const buckets = BUCKETS.map((bound, i) => {
    below += counts[i]!
    return `${name}_bucket${labelled({ ...labels, le: `${bound}` })} ${below}`
  })
  return [
    ...buckets,
    `${name}_bucket${labelled({ ...labels, le: '+Inf' })} ${total}`,
    `${name}_sum${labelled(labels)} ${sum}`,
    `${name}_count${labelled(labels)} ${total}`,
  ]
}

function counted(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
