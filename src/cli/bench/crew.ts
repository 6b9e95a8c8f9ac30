/** The processes of a bench: started, asked and ended; none outlives it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { EXIT, VerbExit } from '../exit.js'
import type { InputOf, Loaded, OutputOf, Reply, Request } from './calls.js'
import type { Shape } from './load.js'
import type { Usage } from './usage.js'

/** A process has so long to end by itself. */
const STOP_MS = 10_000

/** What runs in a process: the file of its handlers. */
const FILES = {
  party: './party.js',
  ledger: './ledger-party.js',
  tower: './tower-party.js',
  clients: './clients-party.js',
  peers: './idle-party.js',
} as const
export type Role = keyof typeof FILES

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

/**
 * A leader of its own group, so that a Ctrl-C of the terminal reaches the bench alone; where the bench is gone, the broken
 * channel ends it (child.ts).
 */
export class Party<Table> {
  readonly #process: ChildProcess
  readonly #pending = new Map<number, Pending>()
  #ids = 0
  #stopping = false
  /** How many have succeeded, of the load under way. */
  onDone: (done: number) => void = () => undefined
  /** How many invoices are left. */
  onStock: (left: number) => void = () => undefined

  constructor(
    readonly name: string,
    role: Role,
    /** For instance --cpu-prof. */
    execArgv: readonly string[],
  ) {
    const file = new URL(FILES[role], import.meta.url)
    this.#process = fork(file, [name], { serialization: 'advanced', detached: true, execArgv: [...execArgv] })
    this.#process.on('message', (reply: Reply) => this.#heard(reply))
    this.#process.once('exit', (code, signal) => {
      const ended = new VerbExit(EXIT.checkFailed, `the process ${name} ended with ${signal ?? `code ${code}`}`)
      for (const { reject } of this.#pending.values()) reject(ended)
      this.#pending.clear()
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  call<Name extends keyof Table & string>(name: Name, input: InputOf<Table, Name>): Promise<OutputOf<Table, Name>> {
    return this.#ask(name, input) as Promise<OutputOf<Table, Name>>
  }

  async resetUsage(): Promise<void> {
    await this.#ask('resetUsage', null)
  }

  usage(): Promise<Usage> {
    return this.#ask('usage', null) as Promise<Usage>
  }

  /** As a power cut would end it. */
  async kill(): Promise<void> {
    const gone = once(this.#process, 'exit')
    this.#stopping = true
    this.#process.kill('SIGKILL')
    await gone
  }

  #ask(name: string, input: unknown): Promise<unknown> {
    const id = ++this.#ids
    const request: Request = { id, name, input }
    return new Promise((resolve, reject) => {
      if (this.#stopping || !this.#process.connected) {
        reject(new VerbExit(EXIT.checkFailed, `the process ${this.name} is gone`))
        return
      }
      this.#pending.set(id, { resolve, reject })
      this.#process.send(request)
    })
  }

  /** Resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const gone = once(this.#process, 'exit')
    this.#stopping = true
    if (this.#process.connected) this.#process.disconnect() // it stops by itself
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS)
    await gone
    clearTimeout(timer)
  }

  #heard(reply: Reply): void {
    if ('done' in reply) this.onDone(reply.done)
    else if ('stock' in reply) this.onStock(reply.stock)
    else {
      const pending = this.#pending.get(reply.id)
      this.#pending.delete(reply.id)
      if ('failed' in reply) pending?.reject(new VerbExit(EXIT.checkFailed, `${this.name}: ${reply.failed}`))
      else pending?.resolve(reply.value)
    }
  }
}

/** A load that a process drives and counts. */
export const driven =
  <Table>(party: Party<Table>, ask: (shape: Shape, seconds: number) => Promise<Loaded>) =>
  (shape: Shape, seconds: number, tell: (done: number) => void): Promise<Loaded> => {
    party.onDone = tell
    return ask(shape, seconds)
  }
