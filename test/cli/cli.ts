/** The built command line: what serves in processes of its own, what ends in the test's own where that asks nothing less. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../../src/base/root.js'
import { runHere } from './here.js'

export const BIN = fileURLToPath(new URL('bin/meridian.js', ROOT))

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Nothing of this process's own environment but its PATH: a passphrase file is named by the test. */
const environment = (more: Record<string, string>): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], ...more })

const start = (args: readonly string[], env: Record<string, string>): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, [BIN, ...args], { env: environment(env), stdio: 'pipe' })

/** What starts processes itself, or serves until a signal. */
const APART = new Set(['bench', 'demo', 'hub', 'ledger', 'start', 'tower'])

/** Runs a verb to its end, without a process of its own where it needs none. */
export const outcome = (args: readonly string[], env: Record<string, string> = {}): Promise<Ran> =>
  APART.has(args[0] ?? '') ? run(args, env) : runHere(args, environment(env))

/** Runs a verb to its end, as a process. */
export async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const child = start(args, env)
  child.stdin.end()
  let [out, err] = ['', '']
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString()
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  /** The next line of standard output; undefined at its end. */
  next(): Promise<string | undefined>
  /** Sends the signal; resolves with the exit code when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts a verb that serves until it is stopped. */
export function serve(args: readonly string[], env: Record<string, string> = {}): Running {
  const child = start(args, env)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const gone = once(child, 'close') as Promise<[number | null]>
  child.stderr.resume()
  return {
    child,
    next: async () => {
      const line = await lines.next()
      return line.done === true ? undefined : line.value
    },
    async stop(signal = 'SIGINT') {
      child.kill(signal)
      return (await gone)[0]
    },
  }
}

export interface Served {
  readonly process: Running
  /** What it said until it was ready, that line included. */
  readonly lines: Record<string, unknown>[]
}

export interface Founded {
  readonly url: string
  readonly id: string
  /** What `init` of everybody else is given. */
  readonly genesis: readonly string[]
}

/** `account show`, `pay`: what a verb is called, without its arguments. */
const kindOf = (args: readonly string[]): string =>
  args
    .slice(0, 2)
    .filter((word) => /^[a-z-]{3,12}$/.test(word))
    .join(' ')

/** Verbs over the directories of one test, all under one passphrase. */
export class Shell {
  readonly #running: Running[] = []
  readonly #seen = new Set<string>()
  readonly env: Record<string, string>

  /** @param apart the first of each kind of verb is a process: it ends, and with its exit code */
  constructor(
    private readonly root: string,
    private readonly apart = false,
  ) {
    const passphrase = this.at('passphrase')
    writeFileSync(passphrase, 'correct horse\n', { mode: 0o600 })
    this.env = { MERIDIAN_PASSPHRASE_FILE: passphrase }
  }

  at = (...parts: string[]): string => join(this.root, ...parts)
  dir = (name: string): readonly [string, string] => ['--dir', this.at(name)]

  tried = (...args: string[]): Promise<Ran> => {
    const kind = kindOf(args)
    const first = this.apart && !this.#seen.has(kind)
    this.#seen.add(kind)
    return first ? run(args, this.env) : outcome(args, this.env)
  }

  /** A verb that must succeed; its last line of JSON. */
  did = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { code, out, err } = await this.tried(...args, '--json')
    if (code !== 0) throw new Error(`${args.join(' ')}: exit ${code}\n${out}${err}`)
    return JSON.parse(out.trim().split('\n').at(-1)!) as Record<string, unknown>
  }

  /** Starts a server and waits until it says that it is ready. */
  started = async (...args: string[]): Promise<Served> => {
    const process = serve([...args, '--json'], this.env)
    this.#running.push(process)
    const lines: Record<string, unknown>[] = []
    for (;;) {
      const line = await process.next()
      if (line === undefined) throw new Error(`${args.join(' ')} ended before it was ready`)
      lines.push(JSON.parse(line) as Record<string, unknown>)
      if (lines.at(-1)!['ready'] !== undefined) return { process, lines }
    }
  }

  /** Issuer and regulator, a test ledger in `ledger`, served. */
  found = async (...more: string[]): Promise<Founded> => {
    const founder = (role: string) =>
      this.did('init', ...this.dir(role), '--role', role, '--key-bits', '1024', '--test')
    await Promise.all(['issuer', 'regulator'].map(founder))
    const keys = ['issuer', 'regulator'].flatMap((role) => [`--${role}`, this.at(role, 'public.json')])
    const made = await this.did('genesis', ...this.dir('ledger'), ...keys, '--test', '--window-min', '10', ...more)
    const { lines } = await this.started('ledger', ...this.dir('ledger'), '--port', '0', '--block-ms', '20')
    const url = lines[0]!['ready'] as string
    const genesis = ['--genesis', this.at('ledger', 'genesis.cbor'), '--ledger', url]
    return { url, id: made['ledger'] as string, genesis }
  }

  /** Whatever still runs. */
  end = async (): Promise<void> => {
    await Promise.all(this.#running.map((process) => process.stop('SIGKILL')))
  }
}
