/**
 * What a user could pick instead, beside us in the same run: each peer is installed from the registry into a directory of
 * its own, outside of this project, and driven by a script of `bench/peers` in processes of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { ROOT } from '../../base/root.js'
import type { Progress } from './progress.js'

export interface Peer {
  readonly name: string
  /** Pinned: what was measured once can be measured again. */
  readonly packages: readonly string[]
  /** In bench/peers. */
  readonly script: string
  readonly windows: readonly number[]
  /** Our suite that does the same. */
  readonly suite: 'channel' | 'route'
  /** Of what ours does in a payment; in the table beside its figure. */
  readonly lacks: string
}

export const PEERS: readonly Peer[] = [
  {
    name: '@statechannels/server-wallet',
    packages: ['@statechannels/server-wallet@1.13.1'],
    script: 'server-wallet.mjs',
    windows: [1, 100],
    suite: 'channel',
    lacks:
      'no encryption, no network between the parties; 100 outstanding are 100 channels. Needs PostgreSQL on this machine',
  },
  {
    name: 'Interledger connector',
    packages: ['ilp-connector@23.0.2', 'ilp-plugin-btp@1.5.0', 'ilp-packet@3.1.3'],
    script: 'ilp.mjs',
    windows: [1, 200],
    suite: 'route',
    lacks: 'no signatures, no encryption, no onion, nothing on disk: what is not settled is trusted',
  },
  {
    name: 'Lightning Development Kit (WASM)',
    packages: ['lightningdevkit@0.1.0'],
    script: 'ldk.mjs',
    windows: [1, 32, 200],
    suite: 'route',
    lacks: 'amounts are in clear for the hub and at the close; only monitors are synced, not the channel manager',
  },
]

const zFigure = z.strictObject({
  what: z.string(),
  window: z.number(),
  rate: z.number(),
  p50_ms: z.number().nullable(),
  p99_ms: z.number().nullable(),
  done: z.number(),
})

/** Payments a second of a peer with so many outstanding. */
export type PeerFigure = z.output<typeof zFigure>

export interface PeerRun {
  readonly peer: Peer
  readonly figures: readonly PeerFigure[]
  /** Why there are no figures, or not all. */
  readonly failure: string | null
}

const INSTALL_S = 300
/** Beyond the measured time: to start, to open channels, to let what is under way end. */
const GRACE_S = 90

export interface PeersPlan {
  /** Where the packages are installed, and stay for the next run. */
  readonly home: string
  readonly seconds: number
  readonly progress: Progress
  /** Ends the processes of whatever runs. */
  readonly signal: AbortSignal
}

export async function runPeer(peer: Peer, { home, seconds, progress, signal }: PeersPlan): Promise<PeerRun> {
  const directory = join(home, peer.script.replace('.mjs', ''))
  const figures: PeerFigure[] = []
  try {
    await install(peer, directory, progress, signal)
    progress.say(`${peer.name}: ${peer.windows.join(', ')} outstanding, ${seconds} s each`)
    const script = fileURLToPath(new URL(`bench/peers/${peer.script}`, ROOT))
    const args = [script, directory, peer.windows.join(','), String(seconds)]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], signal })
    const ended = endOf(child, peer.windows.length * (seconds + GRACE_S))
    for await (const line of createInterface({ input: child.stdout })) {
      const figure = figureIn(line)
      if (figure !== undefined) figures.push(figure)
    }
    await ended
    return { peer, figures, failure: null }
  } catch (error) {
    return { peer, figures, failure: error instanceof Error ? error.message : 'unknown' }
  }
}

/** A peer's own chatter is no figure. */
function figureIn(line: string): PeerFigure | undefined {
  if (!line.startsWith('{')) return undefined
  const parsed = zFigure.safeParse(JSON.parse(line))
  return parsed.success ? parsed.data : undefined
}

async function install(
  { name, packages }: Peer,
  directory: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const stamp = join(directory, 'installed')
  if (existsSync(stamp)) return
  progress.say(`${name}: npm install ${packages.join(' ')} in ${directory}`)
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'package.json'), '{"private":true}\n')
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--save-exact']
  const npm = spawn('npm', ['install', ...flags, ...packages], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: directory,
    signal,
  })
  npm.stdout.resume()
  await endOf(npm, INSTALL_S)
  await writeFile(stamp, '')
}

/** @throws Error with the last line that the process said, when it fails or takes too long. */
function endOf(child: ChildProcess, seconds: number): Promise<void> {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_096)
  })
  const late = setTimeout(() => child.kill(), seconds * 1_000)
  return new Promise((resolve, reject) => {
    const ended = (why: string | null): void => {
      clearTimeout(late)
      const complaint =
        said.split('\n').find((line) => /^(npm )?\w*error\b/i.test(line)) ?? said.trim().split('\n').at(-1)
      if (why === null) resolve()
      else reject(new Error(`${why}${complaint ? `: ${complaint.trim()}` : ''}`))
    }
    child.once('error', (error) => ended(error.message))
    child.once('close', (code, signal) => {
      if (signal !== null) ended('stopped')
      else ended(code === 0 ? null : `ended with ${code}`)
    })
  })
}
