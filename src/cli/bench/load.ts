/**
 * Drives an operation for a while: a closed loop keeps a number of them outstanding; an open one starts them at their
 * intended times whatever became of those before, and measures from the intended time (no coordinated omission).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Latency, type LatencyFigures } from './latency.js'

/** One of them: null, or why it failed. */
export type Act = () => Promise<string | null>

/** So many outstanding, or so many started per second. */
export type Shape = { readonly window: number } | { readonly rate: number }

export interface LoadPlan {
  readonly shape: Shape
  readonly seconds: number
  /** No more are started than these, whatever time is left. */
  readonly count?: number
  readonly act: Act
  /** Once a second: how many have succeeded. */
  readonly tell?: (done: number) => void
}

export interface LoadFigures extends LatencyFigures {
  /** Succeeded, those that were still under way when the time was over included. */
  readonly done: number
  /** Succeeded within the time, per second of it. */
  readonly rate: number
  /** The time: what was asked for, or until the last of a given number was done. */
  readonly seconds: number
  readonly failed: number
  readonly failures: Readonly<Record<string, number>>
  /** Succeeded in each second. */
  readonly per_second: readonly number[]
}

/** What became of those that were started so far. */
export class Tally {
  readonly #latency = new Latency()
  readonly #failures = new Map<string, number>()
  readonly #perSecond: number[] = []
  readonly #start = performance.now()
  #done = 0
  #started = 0

  constructor(private readonly plan: LoadPlan) {}

  get elapsed(): number {
    return performance.now() - this.#start
  }

  /** As many were started as ever will be. */
  get full(): boolean {
    return this.#started >= (this.plan.count ?? Number.POSITIVE_INFINITY)
  }

  get over(): boolean {
    return this.full || this.elapsed >= this.plan.seconds * 1_000
  }

  get done(): number {
    return this.#done
  }

  /** @param intended in milliseconds since the start */
  async run(intended: number): Promise<void> {
    this.#started += 1
    const failure = await this.plan.act()
    if (failure === null) this.succeeded(intended)
    else this.failed(failure)
  }

  failed(why: string): void {
    this.#failures.set(why, (this.#failures.get(why) ?? 0) + 1)
  }

  /** Now. @param intended in milliseconds since the start */
  succeeded(intended: number): void {
    const now = this.elapsed
    this.#done += 1
    this.#latency.record(now - intended)
    const second = Math.floor(now / 1_000)
    if (second < this.plan.seconds) this.#perSecond[second] = (this.#perSecond[second] ?? 0) + 1
  }

  get figures(): LoadFigures {
    const seconds =
      this.plan.count === undefined ? this.plan.seconds : Math.min(this.plan.seconds, this.elapsed / 1_000)
    const per_second = Array.from({ length: Math.ceil(seconds) }, (_, second) => this.#perSecond[second] ?? 0)
    const failures = Object.fromEntries(this.#failures)
    return {
      ...this.#latency.figures,
      done: this.#done,
      rate: per_second.reduce((a, b) => a + b, 0) / seconds,
      failed: [...this.#failures.values()].reduce((a, b) => a + b, 0),
      failures,
      seconds,
      per_second,
    }
  }
}

export async function load(plan: LoadPlan): Promise<LoadFigures> {
  const tally = new Tally(plan)
  const telling = setInterval(() => plan.tell?.(tally.done), 1_000)
  try {
    await ('window' in plan.shape ? closed(tally, plan.shape.window) : open(tally, plan.shape.rate))
  } finally {
    clearInterval(telling)
  }
  return tally.figures
}

async function closed(tally: Tally, window: number): Promise<void> {
  const lane = async (): Promise<void> => {
    while (!tally.over) await tally.run(tally.elapsed)
  }
  await Promise.all(Array.from({ length: window }, lane))
}

async function open(tally: Tally, rate: number): Promise<void> {
  const running: Promise<void>[] = []
  for (let next = 0; !tally.over; ) {
    const due = Math.floor((tally.elapsed * rate) / 1_000)
    for (; next <= due && !tally.full; next++) running.push(tally.run((next * 1_000) / rate))
    await sleep(Math.max(1, (next * 1_000) / rate - tally.elapsed))
  }
  await Promise.all(running)
}
