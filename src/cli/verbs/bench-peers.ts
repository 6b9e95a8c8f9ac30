/** `bench peers`: our own figures and those of what a user could pick instead, in one run, and their ratios. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { channelSuite } from '../bench/channel-suite.js'
import { environmentOf, environmentText } from '../bench/environment.js'
import { type Run, summaryOf } from '../bench/figures.js'
import { told } from '../bench/measure.js'
import { PEERS, type PeerRun, type PeersPlan, runPeer } from '../bench/peers.js'
import { Progress } from '../bench/progress.js'
import { routeSuite } from '../bench/route-suite.js'
import { Town } from '../bench/town.js'
import { EXIT, VerbExit } from '../exit.js'
import { untilStopped } from '../signals.js'
import { type CommonOptions, integer, outputOf, verb } from '../verb.js'

export interface PeersOptions extends CommonOptions {
  readonly seconds: number
  readonly peersDir: string
}

const SECONDS = 10
const WARM_UP_S = 3
const KEY_BITS = 2048
const HOME = join(homedir(), '.cache', 'meridian-peers')
const SUITES = { channel: channelSuite, route: routeSuite }

export const DEFAULTS: PeersOptions = { seconds: SECONDS, peersDir: HOME }

export const peersVerb = (): Command =>
  verb('peers', 'what a user could pick instead, measured beside us in one run; installs it from the registry')
    .option('--seconds <seconds>', 'of each load', integer(1, 3_600), SECONDS)
    .option('--peers-dir <directory>', 'where the peers are installed, kept for the next run', HOME)
    .action(benchPeers)

export async function benchPeers(options: PeersOptions): Promise<void> {
  const out = outputOf(options)
  const progress = new Progress(out.json ? process.stderr : process.stdout)
  const stop = new AbortController()
  const interrupted = untilStopped().then(() => 'interrupted' as const)
  const plan = { home: options.peersDir, seconds: options.seconds, progress, signal: stop.signal }
  const measured = measureAll(plan)
  measured.catch(() => undefined) // where the interrupt wins, what it broke is no news
  const table = await Promise.race([measured, interrupted])
  stop.abort()
  if (table === 'interrupted') throw new VerbExit(EXIT.checkFailed, 'interrupted: nothing is told')
  progress.say(tableText(table))
  if (out.json) out.print('', { ...summaryOf(table.runs), ...jsonOf(table), key_bits: KEY_BITS })
}

interface Table {
  readonly runs: readonly Run[]
  readonly peers: readonly PeerRun[]
}

async function measureAll(plan: PeersPlan): Promise<Table> {
  const runs: Run[] = []
  for (const suite of ['channel', 'route'] as const) runs.push(...(await own(suite, plan)))
  const peers: PeerRun[] = []
  for (const peer of PEERS) if (!plan.signal.aborted) peers.push(await runPeer(peer, plan))
  return { runs, peers }
}

/** The same numbers outstanding as the peers that are compared with it. */
async function own(suite: keyof typeof SUITES, { seconds, progress, signal }: PeersPlan): Promise<Run[]> {
  const windows = new Set(PEERS.filter((peer) => peer.suite === suite).flatMap((peer) => peer.windows))
  const town = await Town.create({ dir: undefined, keyBits: KEY_BITS, execArgv: [] })
  signal.addEventListener('abort', () => void town.raze())
  try {
    progress.say(environmentText(environmentOf(town.dir), KEY_BITS))
    const shapes = [...windows].sort((a, b) => a - b).map((window) => ({ window }))
    return await told(SUITES[suite](town, { suite, shapes, seconds, warmUp: WARM_UP_S, progress }), progress)
  } finally {
    await town.raze()
  }
}

const oursFor = (runs: readonly Run[], suite: string, window: number): Run | undefined =>
  runs.find((run) => run.suite === suite && run.window === window)

/** One row for each figure of a peer, and one for each peer that gave none. */
function jsonOf({ runs, peers }: Table) {
  const rows = peers.flatMap(({ peer, figures }) =>
    figures.map((figure) => {
      const ours = oursFor(runs, peer.suite, figure.window)?.rate ?? null
      return {
        peer: peer.name,
        ...figure,
        ours,
        ratio: ours === null || figure.rate === 0 ? null : ours / figure.rate,
        lacks: peer.lacks,
      }
    }),
  )
  const failures = peers.flatMap(({ peer, failure }) => (failure === null ? [] : [{ peer: peer.name, failure }]))
  return { peers: rows, peers_failed: failures }
}

function tableText(table: Table): string {
  const { peers, peers_failed } = jsonOf(table)
  const rate = (value: number | null): string =>
    (value === null ? '?' : value >= 100 ? value.toFixed(0) : value.toPrecision(3)).padStart(8)
  const ms = (value: number | null): string => (value === null ? '?' : value.toFixed(1)).padStart(9)
  return [
    `${'peer'.padEnd(34)} outstanding    its/s   ours/s    ratio  its p50  its p99 ms`,
    ...peers.map(
      ({ peer, window, ours, ratio, p50_ms, p99_ms, rate: its }) =>
        `${peer.padEnd(34)} ${String(window).padStart(11)} ${rate(its)} ${rate(ours)} ${rate(ratio)}${ms(p50_ms)}${ms(p99_ms)}`,
    ),
    ...peers_failed.map(({ peer, failure }) => `${peer.padEnd(34)} not measured: ${failure}`),
    'What each does not do:',
    ...PEERS.map(({ name, lacks }) => `  ${name}: ${lacks}`),
  ].join('\n')
}
