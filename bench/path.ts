/**
 * `npm run bench:path [-- --json] [-- --channels 10000]`: how long a search takes in a public graph (R4; goal: 20 ms among
 * 10,000 channels). The graph, the questions and what earlier payments taught follow from fixed seeds: hubs of very
 * different sizes, two policies per channel. One search is all of `findRoutes`: hints, search, terms of every hop.
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import type { Amount } from '../src/base/amount.js'
import { compareBytes, utf8 } from '../src/base/bytes.js'
import { curve, type Signature } from '../src/base/curve/index.js'
import { prf, prfScalar } from '../src/base/digest.js'
import { invariant } from '../src/base/errors.js'
import { type AccountId, type ChannelId, idText } from '../src/base/ids.js'
import { jiffies, stealPercent } from '../src/cli/bench/environment.js'
import { channelTermsOf } from '../src/router/announcement.js'
import { Graph } from '../src/router/graph.js'
import { createInvoice, type Invoice } from '../src/router/invoice.js'
import type { Policy } from '../src/router/policy.js'
import { findRoutes, type OwnChannel } from '../src/router/route.js'
import { Success } from '../src/router/success.js'

const NOW = 1_800_000_000
const SEARCHES = 400
const WARM_UP = 20
const UNSIGNED = new Uint8Array(64) as Signature

const seed = (label: string, n = 0): Uint8Array => prf(new Uint8Array(32), `bench/path/${label}`, utf8(String(n)))
const keyOf = (label: string, n: number) => prfScalar(seed(label, n), 'account')
const ledger = seed('ledger') as ChannelId

/** Numbers that follow from the seed alone. */
function draws(label: string): (below: number) => number {
  let state = new DataView(seed(label).buffer).getUint32(0)
  return (below) => {
    // Mulberry32
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

function policyOf(draw: (below: number) => number): Policy {
  return {
    base: BigInt(draw(20)) as Amount,
    ppm: draw(2_000),
    expiryDelta: 600 + draw(20) * 600,
    minAmount: 1n as Amount,
    maxAmount: (10n ** BigInt(5 + draw(7))) as Amount,
    enabled: draw(50) > 0,
  }
}

/** What is stored is believed, so nothing here is signed. */
function graphOf(accounts: readonly AccountId[], channels: number): Graph {
  const draw = draws('graph')
  const graph = new Graph()
  // Squared, a few hubs have most channels.
  const pick = (): AccountId => accounts[Math.floor((draw(1_000) * draw(1_000) * accounts.length) / 1_000_000)]!
  while (graph.size < channels) {
    const [a, b] = [pick(), pick()]
    if (compareBytes(a, b) === 0) continue
    const terms = channelTermsOf(ledger, seed('channel', graph.size) as ChannelId, [a, b])
    const bytes = new Uint8Array(1)
    graph.restore({ announcement: { ...terms, signatures: [UNSIGNED, UNSIGNED] }, bytes }, NOW)
    for (const from of terms.accounts) {
      const said = { kind: 'policy', ledger, channel: terms.channel, from, at: NOW, policy: policyOf(draw) } as const
      graph.restore({ announcement: { ...said, signature: UNSIGNED }, bytes }, NOW)
    }
  }
  return graph
}

function experienceOf(accounts: readonly AccountId[]): Success {
  const draw = draws('experience')
  const success = new Success()
  for (let i = 0; i < 2_000; i++) {
    const [from, to] = [accounts[draw(accounts.length)]!, accounts[draw(accounts.length)]!]
    success.learn({ from, to, amount: BigInt(draw(1_000_000)) as Amount, worked: draw(3) > 0 }, NOW - draw(100_000))
  }
  return success
}

interface Question {
  readonly invoice: Invoice
  readonly channels: readonly OwnChannel[]
}

/** A payer with channels to two hubs, an invoice that names two others. */
function questionOf(n: number, accounts: readonly AccountId[], draw: (below: number) => number): Question {
  const pick = (): AccountId => accounts[draw(accounts.length)]!
  const amount = BigInt(1 + draw(10 ** (2 + draw(6)))) as Amount
  const invoice = createInvoice(
    {
      ledger,
      amount,
      secret: seed('secret', n),
      reference: `claim ${n}`,
      created: NOW,
      expires: NOW + 3_600,
      finalDelta: 7_200,
      hints: [0, 1].map((i) => ({
        hub: pick(),
        url: null,
        channel: seed('hint', 2 * n + i) as ChannelId,
        policy: { ...policyOf(() => 3), expiryDelta: 1_200 },
      })),
    },
    seed('payee', n),
    keyOf('payee', n),
  )
  invariant(invoice.ok, 'R6', 'an invoice cannot be made')
  const channels = [0, 1].map((i) => ({
    channel: seed('own', 2 * n + i) as ChannelId,
    peer: pick(),
    ready: true,
    canSend: (10n ** 12n) as Amount,
    slotsFree: 10,
  }))
  return { invoice: invoice.value, channels }
}

interface Found {
  /** Of this thread, milliseconds a search: what a loaded machine's clock does not tell. */
  readonly cpu: number
  readonly times: readonly number[]
  readonly routes: number
  readonly hopsMax: number
}

function searchAll(graph: Graph, success: Success, accounts: readonly AccountId[]): Found {
  const self = curve.multiplyBase(keyOf('payer', 0))
  const draw = draws('questions')
  const times: number[] = []
  let routes = 0
  let hopsMax = 0
  let cpu = 0
  for (let n = 0; n < WARM_UP + SEARCHES; n++) {
    const { invoice, channels } = questionOf(n, accounts, draw)
    const spent = process.cpuUsage()
    const started = performance.now()
    const found = findRoutes(
      { invoice, amount: invoice.amount, feeMax: (invoice.amount / 50n + 200n) as Amount },
      { self, now: NOW, amountBits: 48, channels, graph, success, expirySlack: 60, expiryFar: 7 * 86_400 },
    )
    if (n < WARM_UP) continue
    const { user, system } = process.cpuUsage(spent)
    cpu += (user + system) / 1_000
    times.push(performance.now() - started)
    if (!found.ok) continue
    routes += 1
    hopsMax = Math.max(hopsMax, ...found.value.map(({ hops }) => hops.length))
  }
  return { times: times.sort((a, b) => a - b), routes, hopsMax, cpu: cpu / times.length }
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

function bench(channels: number, json: boolean): void {
  const before = jiffies()
  const [cpu, cores, loadAverage] = [cpus()[0]?.model ?? 'unknown', cpus().length, loadavg()]
  const { node } = process.versions
  const accounts = Array.from({ length: Math.max(2, channels / 10) }, (_, n) => curve.multiplyBase(keyOf('hub', n)))
  const graph = graphOf(accounts, channels)
  const degrees = accounts.map((account) => graph.into(idText(account)).length).sort((a, b) => b - a)
  console.log(
    `${cpu}, ${cores} cores; Node ${node}; load average before: ${loadAverage.map((l) => l.toFixed(2)).join(' ')}`,
  )
  console.log(
    `${accounts.length} hubs, ${graph.size} channels, ${2 * graph.size} policies; largest hub: ${degrees[0]} edges`,
  )
  const { times, routes, hopsMax, cpu: cpuMs } = searchAll(graph, experienceOf(accounts), accounts)
  const [p50, p99, max] = [at(times, 0.5), at(times, 0.99), at(times, 1)]
  console.log(`${times.length} searches, ${routes} with a route, at most ${hopsMax} hops`)
  console.log(`a search: p50 ${p50.toFixed(2)} ms  p99 ${p99.toFixed(2)} ms  max ${max.toFixed(2)} ms  (goal 20 ms)`)
  console.log(`of the processor: ${cpuMs.toFixed(2)} ms a search`)
  const stolen = stealPercent(before, jiffies())
  const after = loadavg()
  console.log(
    `steal over the run: ${stolen?.toFixed(1) ?? 'unknown'} %; load average after: ${after.map((l) => l.toFixed(2)).join(' ')}`,
  )
  if (json)
    console.log(
      JSON.stringify({ cpu, cores, node, loadAverage, stolen, channels, routes, hopsMax, p50, p99, max, cpuMs }),
    )
}

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, channels: { type: 'string', default: '10000' } },
})
bench(Number.parseInt(values.channels, 10), values.json)
