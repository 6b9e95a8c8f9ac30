/** The demo's child processes: started, ready, stopped; none outlives it. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { finished } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../../base/root.js'
import { EXIT, VerbExit } from '../exit.js'

const PROGRAM = fileURLToPath(new URL('bin/meridian.js', ROOT))
const READY_MS = 120_000
/** A graceful drain; after it the kernel ends the process. */
const STOP_MS = 20_000

export interface ProcessesOptions {
  /** Standard output and error of every process: `<name>.log`. */
  readonly logs: string
  readonly env: Readonly<Record<string, string>>
}

interface Child {
  readonly name: string
  readonly process: ChildProcess
  readonly log: WriteStream
  /** Resolves when it is gone and its log complete. */
  readonly gone: Promise<void>
  stopping: boolean
}

export interface Finished {
  readonly code: number | null
  /** In memory only: it may hold amounts. */
  readonly lines: readonly string[]
}

/**
 * Each child is the leader of its own group, so that a Ctrl-C of the terminal reaches the demo alone, which stops the
 * others in order; and each has a channel to the demo, whose breaking tells it that the demo is gone (signals.ts).
 */
export class Processes {
  readonly #children = new Set<Child>()
  #ended = false
  readonly #crashed: Promise<never>
  #crash: (error: Error) => void = () => undefined

  constructor(private readonly options: ProcessesOptions) {
    this.#crashed = new Promise((_resolve, reject) => {
      this.#crash = reject
    })
    this.#crashed.catch(() => undefined) // told to whoever waits for it; nobody waits while all is stopped
  }

  /** Rejects when a process ends that nobody stopped. */
  get crashed(): Promise<never> {
    return this.#crashed
  }

  /** This one included. */
  get running(): number {
    return this.#children.size + 1
  }

  /** Starts a serving verb with `--json`. @returns the fields of its line with `ready`, once it has printed it. */
  async serve(
    name: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<Record<string, unknown>> {
    const { child, lines } = await this.#spawn(name, args, env)
    let tell: (value: Record<string, unknown>) => void = () => undefined
    const ready = new Promise<Record<string, unknown>>((resolve) => {
      tell = resolve
    })
    lines.on('line', (line) => {
      child.log.write(`${line}\n`)
      const value = objectIn(line)
      if (value?.['ready'] !== undefined) tell(value)
    })
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), READY_MS)
    const ended = child.gone.then(() => {
      const error = this.#failure(child)
      if (!child.stopping) this.#crash(error)
      throw error
    })
    ended.catch(() => undefined) // told by `crashed`, and by the race below while somebody waits for READY
    const tooLate = new Promise<never>((_resolve, reject) => {
      late.signal.addEventListener('abort', () => reject(this.#failure(child, 'was not ready in time')))
    })
    try {
      return await Promise.race([ready, ended, tooLate])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Runs a verb to its end. */
  async run(name: string, args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
    const { child, lines } = await this.#spawn(name, args, env)
    const out: string[] = []
    lines.on('line', (line) => out.push(line))
    await child.gone
    return { code: child.process.exitCode, lines: out }
  }

  async stop(name: string): Promise<void> {
    await Promise.all([...this.#children].filter((child) => child.name === name).map((child) => this.#stop(child)))
  }

  /** As a power cut ends it: nothing of it runs any more, nothing is put in order. @returns how many that ended */
  async kill(name: string): Promise<number> {
    const killed = [...this.#children].filter((child) => child.name === name)
    for (const child of killed) {
      child.stopping = true
      child.process.kill('SIGKILL')
    }
    await Promise.all(killed.map(({ gone }) => gone))
    return killed.filter(({ process }) => process.signalCode === 'SIGKILL').length
  }

  /** Resolves when no process is left; none is started any more. */
  async stopAll(): Promise<void> {
    this.#ended = true
    await Promise.all([...this.#children].map((child) => this.#stop(child)))
  }

  async #spawn(name: string, args: readonly string[], env: Record<string, string>) {
    await mkdir(this.options.logs, { recursive: true })
    if (this.#ended) throw new VerbExit(EXIT.checkFailed, 'the demo has ended')
    const process = spawn(globalThis.process.execPath, [PROGRAM, ...args, '--json'], {
      env: { ...inherited(), ...this.options.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    })
    const log = createWriteStream(join(this.options.logs, `${name}.log`), { flags: 'a' })
    process.stderr!.pipe(log, { end: false })
    const lines = createInterface({ input: process.stdout! })
    const closed = new Promise<void>((resolve) => {
      process.once('close', () => resolve())
      process.once('error', () => resolve()) // it could not be started at all: no `close` follows
    })
    const gone = closed.then(async () => {
      this.#children.delete(child)
      log.end()
      await finished(log)
    })
    const child: Child = { name, process, log, gone, stopping: false }
    this.#children.add(child)
    return { child, lines }
  }

  async #stop(child: Child): Promise<void> {
    child.stopping = true
    child.process.kill('SIGTERM')
    const timer = setTimeout(() => child.process.kill('SIGKILL'), STOP_MS)
    await child.gone
    clearTimeout(timer)
  }

  #failure(
    { name, process }: Child,
    what = `ended with ${process.signalCode ?? `code ${process.exitCode}`}`,
  ): VerbExit {
    return new VerbExit(EXIT.checkFailed, `the process ${name} ${what}: ${join(this.options.logs, `${name}.log`)}`)
  }
}

/** Without settings that somebody made for a node of their own, or for this process alone (a test runner's loaders). */
function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('MERIDIAN_') && name !== 'NODE_OPTIONS'),
  )
}

/** A line of `--json`. */
export function objectIn(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined // a line of another make, such as the runtime's own warnings
  }
}
