/** The parties of a bench: each a process of its own, started, asked and ended; none outlives it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { EXIT, VerbExit } from '../exit.js'
import type { CallName, Calls, Reply, Request } from './calls.js'

/** A party has so long to end by itself. */
const STOP_MS = 10_000
const PARTY = new URL('./party.js', import.meta.url)

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

/**
 * A leader of its own group, so that a Ctrl-C of the terminal reaches the bench alone; where the bench is gone, the broken
 * channel ends it (party.ts).
 */
export class Party {
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
    /** For instance --cpu-prof. */
    execArgv: readonly string[],
  ) {
    this.#process = fork(PARTY, [name], { serialization: 'advanced', detached: true, execArgv: [...execArgv] })
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

  call<Name extends CallName>(name: Name, input: Calls[Name]['input']): Promise<Calls[Name]['output']> {
    const id = ++this.#ids
    const request: Request = { id, name, input }
    return new Promise<Calls[Name]['output']>((resolve, reject) => {
      if (this.#stopping || !this.#process.connected) {
        reject(new VerbExit(EXIT.checkFailed, `the process ${this.name} is gone`))
        return
      }
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject })
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
