import type { Timers } from '../wire/environment.js'

/** Callers that wait for something by name, at most so long. */
export class Waiters {
  readonly #waiting = new Map<string, Set<() => void>>()
  #closed = false

  constructor(private readonly timers: Timers) {}

  /** Whoever waits for this name goes on. */
  wake(name: string): void {
    for (const done of [...(this.#waiting.get(name) ?? [])]) done()
  }

  /** Everybody goes on, now and from now on: no timer outlives the node. */
  close(): void {
    this.#closed = true
    for (const name of [...this.#waiting.keys()]) this.wake(name)
  }

  /** Resolves at `wake`, or after `ms`: the caller looks again which it was. */
  wait(name: string, ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(name) ?? new Set()
      const done = (): void => {
        callOff()
        waiting.delete(done)
        if (waiting.size === 0) this.#waiting.delete(name)
        resolve()
      }
      const callOff = this.timers.after(ms, done)
      waiting.add(done)
      this.#waiting.set(name, waiting)
    })
  }
}
