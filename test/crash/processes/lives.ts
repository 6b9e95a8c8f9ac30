/** Lives of the nodes: each is started, meets its end, and is started again, as long as the loop goes on. */
import type { Disk } from '../shim/build.js'
import { Broken, Dead, type End, type Life, type Network, PARTIES, type PartyName } from './network.js'
import { type Traffic, Violation } from './traffic.js'

export interface Counts {
  /** Ends that the loop is about. */
  ends: number
  restarts: number
  /** Milliseconds from the word to begin until the API answers, over all restarts. */
  restartMs: number
}

export interface LivesOptions {
  readonly network: Network
  readonly traffic: Traffic
  /** The disk of the next life; undefined: the machine's own. */
  readonly disk: () => Disk | undefined
  /** @returns whether this end counts. @throws Violation where it is not as it must be */
  readonly judge: (end: End) => boolean
}

export class Lives {
  readonly counts: Counts = { ends: 0, restarts: 0, restartMs: 0 }
  readonly #running = new Map<PartyName, Life>()
  #over = false
  #loops: Promise<void>[] = []
  #fail: (error: unknown) => void = () => undefined
  /** Rejects with the first Violation or Broken; never resolves. */
  readonly failed: Promise<never> = new Promise((_resolve, reject) => {
    this.#fail = reject
  })

  constructor(private readonly options: LivesOptions) {
    this.failed.catch(() => undefined) // told by whoever races against it
  }

  get answering(): readonly PartyName[] {
    return [...this.#running.keys()]
  }

  begin(): void {
    this.#loops = PARTIES.map((name) => this.#live(name).catch((error) => this.#fail(error)))
  }

  /** Ends every life now: those that follow have disks of their own. */
  next(): void {
    for (const life of this.#running.values()) life.kill()
  }

  /** Ends everything. */
  async end(): Promise<void> {
    this.#over = true
    this.next()
    await Promise.all(this.#loops)
  }

  async #live(name: PartyName): Promise<void> {
    const { network, disk } = this.options
    for (let now = disk(); !this.#over; ) {
      const next = disk()
      try {
        await this.#one(name, now, next)
      } catch (error) {
        if (!(error instanceof Dead)) throw error
        this.#judged(error.end)
      }
      now = next
    }
    network.signal(name, 'SIGKILL')
  }

  /** One life, from the word to begin to its end. */
  async #one(name: PartyName, disk: Disk | undefined, next: Disk | undefined): Promise<void> {
    const { network, traffic } = this.options
    const began = performance.now()
    const life = await network.start(name, disk)
    this.counts.restarts += 1
    this.counts.restartMs += performance.now() - began
    this.#running.set(name, life)
    traffic.reach(name, life.api)
    network.warm(name, next)
    if (this.#over) life.kill()
    void this.#meet(life).catch((error) => this.#fail(error))
    const end = await life.ended
    traffic.reach(name, undefined)
    this.#running.delete(name)
    this.#judged(end)
  }

  #judged(end: End): void {
    if (!this.#over && this.options.judge(end)) this.counts.ends += 1
  }

  /** The members dial the hub now instead of after their backoff; nobody may find a channel behind. */
  async #meet({ name }: Life): Promise<void> {
    const { network, traffic } = this.options
    const address = await network.hubAddress()
    for (const member of name === 'hub' ? (['payer', 'hospital'] as const) : [name as 'payer' | 'hospital']) {
      traffic.poke(member, (api) => api.connect(`meet-${performance.now()}-${process.pid}`, address))
    }
    await traffic.healthy(name as PartyName)
  }
}

/** What a loop ends with where a promise was broken. */
export const clauseOf = (error: unknown): string | undefined =>
  error instanceof Violation || error instanceof Broken ? error.message : undefined
