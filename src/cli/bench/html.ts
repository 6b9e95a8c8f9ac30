/** One self-contained page: environment, figures, and plots as inline SVG. */
import type { EChartsOption } from 'echarts'
import { plain, type Run } from './figures.js'

const SIZE = { width: 860, height: 320 } as const

export async function htmlReport(header: string, runs: readonly Run[]): Promise<string> {
  const { init } = await import('echarts') // a second's loading: only where a report is asked for
  const plot = (option: EChartsOption): string => {
    const chart = init(null, null, { renderer: 'svg', ssr: true, ...SIZE })
    chart.setOption({ animation: false, ...option })
    const svg = chart.renderToSVGString()
    chart.dispose()
    return svg
  }
  const plots = [plot(rates(runs)), plot(latencies(runs))]
  if (runs.filter(({ window }) => window !== null).length > 1) plots.push(plot(throughput(runs)))
  const spread = runs.filter(({ facts }) => facts?.['channels'] !== undefined && facts['parties'] !== undefined)
  if (new Set(spread.map(({ facts }) => facts!['channels'])).size > 1) plots.push(plot(againstChannels(spread)))
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>meridian bench</title>',
    '<style>body{font:14px system-ui,sans-serif;margin:2rem;max-width:900px}',
    'td,th{padding:2px 10px;text-align:right}td:first-child,th:first-child{text-align:left}</style>',
    `<h1>meridian bench</h1><pre>${escaped(header)}</pre>`,
    table(runs),
    facts(runs),
    ...plots,
    '</html>\n',
  ].join('\n')
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

function table(runs: readonly Run[]): string {
  const head = [
    '',
    'per s',
    'p50 ms',
    'p90',
    'p95',
    'p99',
    'p99.9',
    'max',
    'failed',
    'steal %',
    'wire B',
    'disk B',
    'CPU ms',
  ]
  const body = runs.map((run) => [
    run.label,
    run.rate.toFixed(1),
    ...[run.p50_ms, run.p90_ms, run.p95_ms, run.p99_ms, run.p999_ms, run.max_ms].map((ms) => ms.toFixed(2)),
    String(run.failed),
    run.steal_pct?.toFixed(1) ?? '?',
    run.wire_bytes_per_payment.toFixed(0),
    run.disk_bytes_per_payment.toFixed(0),
    run.processes.map(({ name, cpu_ms_per_payment }) => `${name} ${cpu_ms_per_payment.toFixed(3)}`).join(', '),
  ])
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`
  return `<table>${row(head, 'th')}${body.map((cells) => row(cells, 'td')).join('')}</table>`
}

/** What a suite measured beside its rates. */
const facts = (runs: readonly Run[]): string =>
  runs
    .flatMap(({ label, facts = {} }) => {
      const rows = Object.entries(facts).map(
        ([name, value]) => `<tr><td>${escaped(name)}</td><td>${plain(value)}</td></tr>`,
      )
      return rows.length === 0 ? [] : [`<h2>${escaped(label)}</h2><table>${rows.join('')}</table>`]
    })
    .join('\n')

const rates = (runs: readonly Run[]): EChartsOption => ({
  title: { text: 'Rate over time' },
  legend: { bottom: 0 },
  xAxis: { type: 'value', name: 's' },
  yAxis: { type: 'value', name: 'per s' },
  series: runs.map(({ label, per_second }) => ({
    type: 'line',
    name: label,
    showSymbol: false,
    data: per_second.map((rate, second) => [second + 1, rate]),
  })),
})

/** The percentile axis as HDR plots have it: each nine of the same width. */
const nines = (percentile: number): number => -Math.log10(Math.max(1 - percentile / 100, 1e-5))

const latencies = (runs: readonly Run[]): EChartsOption => ({
  title: { text: 'Latency by percentile' },
  legend: { bottom: 0 },
  xAxis: { type: 'value', name: 'nines', min: 0, max: 5 },
  yAxis: { type: 'log', name: 'ms' },
  series: runs.map(({ label, percentiles }) => ({
    type: 'line',
    name: label,
    showSymbol: false,
    data: percentiles.map(([percentile, ms]) => [nines(percentile), Math.max(ms, 0.001)]),
  })),
})

const throughput = (runs: readonly Run[]): EChartsOption => ({
  title: { text: 'Throughput against window' },
  xAxis: { type: 'log', name: 'outstanding' },
  yAxis: { type: 'value', name: 'per s' },
  series: [{ type: 'line', data: runs.flatMap(({ window, rate }) => (window === null ? [] : [[window, rate]])) }],
})

/** A line for each window. */
const againstChannels = (runs: readonly Run[]): EChartsOption => ({
  title: { text: 'Rate against channels' },
  legend: { bottom: 0 },
  xAxis: { type: 'log', name: 'channels' },
  yAxis: { type: 'value', name: 'per s' },
  series: [...new Set(runs.map(({ window }) => window))].map((window) => ({
    type: 'line',
    name: window === null ? 'open loop' : `${window} outstanding`,
    data: runs.filter((run) => run.window === window).map(({ facts, rate }) => [facts!['channels']!, rate]),
  })),
})
