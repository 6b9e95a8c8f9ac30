/** The built command line as child processes: `npm run build` comes first. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../../src/base/root.js'

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

/** Runs a verb to its end. */
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
