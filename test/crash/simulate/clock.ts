/** Time, and everything that is about to happen: one event at a time, chosen by the seed. */
import type { Timers } from '../../../src/wire/environment.js'
import type { Life } from './life.js'
import type { Random, Trace } from './random.js'

/** An answer of the outside that is ready: a sync, a job, a call to the ledger, a turn of an event loop. */
export interface Pending {
  readonly kind: 'turn' | 'sync' | 'job' | 'chain' | 'block' | 'link' | 'tower'
  /** Whose it is: it dies with that life. */
  readonly life: Life | undefined
  run(): void
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly life: Life | undefined
  readonly task: () => void
  off: boolean
}

export class Schedule {
  /** Milliseconds since the world began. */
  now = 0
  /** Events that were run. */
  events = 0
  #ready: Pending[] = []
  #timers: Timer[] = []
  #order = 0

  constructor(readonly trace: Trace) {}

  add(pending: Pending): void {
    this.#ready.push(pending)
  }

  get ready(): number {
    return this.#ready.length
  }

  /** Runs one of the events that are ready. @returns false where none is. */
  async runOne(random: Random): Promise<boolean> {
    const at = this.#ready.length === 1 ? 0 : random.below(Math.max(this.#ready.length, 1))
    const chosen = this.#ready[at]
    if (chosen === undefined) return false
    this.#ready[at] = this.#ready[this.#ready.length - 1]!
    this.#ready.pop()
    await this.#run(chosen)
    return true
  }

  async runAll(random: Random): Promise<void> {
    while (await this.runOne(random));
  }

  after(life: Life | undefined, ms: number, task: () => void): () => void {
    const timer: Timer = { at: this.now + Math.max(0, ms), order: this.#order++, life, task, off: false }
    this.#timers.push(timer)
    return () => {
      timer.off = true
    }
  }

  /** When the next timer is due, if any. */
  get nextTimer(): number | undefined {
    let least: number | undefined
    for (const { at, off, life } of this.#timers) {
      if (!off && life?.alive !== false && (least === undefined || at < least)) least = at
    }
    return least
  }

  /** Moves time on, timer by timer; what they set off is ready, not run. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms
    for (;;) {
      this.#timers = this.#timers.filter(({ off, life }) => !off && life?.alive !== false)
      let due: Timer | undefined
      for (const timer of this.#timers) {
        if (
          timer.at <= end &&
          (due === undefined || timer.at < due.at || (timer.at === due.at && timer.order < due.order))
        )
          due = timer
      }
      if (due === undefined) break
      this.now = Math.max(this.now, due.at)
      due.off = true
      const { task, life } = due
      await this.#run({ kind: 'turn', life, run: task })
    }
    this.now = end
  }

  /** Everything that a life was waiting for: it hears no more. */
  forget(life: Life): void {
    this.#ready = this.#ready.filter((pending) => pending.life !== life)
    this.#timers = this.#timers.filter((timer) => timer.life !== life)
  }

  async #run({ kind, life, run }: Pending): Promise<void> {
    if (life?.alive === false) return
    this.events += 1
    this.trace.note(`${kind} ${life?.name ?? 'world'}`)
    run()
    await drained()
  }
}

/** Whatever the last event set off in this process has run to its next wait: a macrotask comes after every microtask. */
export const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A process's view of it. `skew_s`: how far off its wall clock is. */
export const timersOf = (schedule: Schedule, life: Life, skew_s: number, start_s: number): Timers => ({
  now: () => schedule.now,
  after: (ms, task) => (life.acts() ? schedule.after(life, ms, task) : () => undefined),
  soon(task) {
    if (life.acts()) schedule.add({ kind: 'turn', life, run: task })
  },
  seconds: () => start_s + skew_s + Math.floor(schedule.now / 1_000),
})
