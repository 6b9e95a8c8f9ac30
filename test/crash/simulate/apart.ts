/** C10: for how long the program has kept two nodes from each other, without a break. */

interface Stretch {
  readonly from: number
  to: number
  /** Since when they are connected and nothing arrives; undefined while they are not connected. */
  heldFrom: number | undefined
  /** The longest time for which nothing arrived on a connection, milliseconds. */
  held: number
}

/** Connected for less than this, without both having heard where the other stands: they were not together (C8). */
const REUNION_MS = 60_000

/** How apart two nodes are now. */
export type Distance = 'near' | 'held' | 'far'

export class Apart {
  /** By pair, the newest last. */
  readonly #stretches = new Map<string, Stretch[]>()
  /** By pair and listener: when it last heard the other's `reestablish`. */
  readonly #heard = new Map<string, Map<string, number>>()

  /** @param distances of every pair, asked before time moves: what lasts no time takes nobody apart */
  constructor(
    private readonly now: () => number,
    private readonly distances: () => Iterable<readonly [string, Distance]>,
  ) {}

  heard(pair: string, listener: string): void {
    const times = this.#heard.get(pair) ?? new Map<string, number>()
    this.#heard.set(pair, times.set(listener, this.now()))
  }

  #haveMet(pair: string, since: number): boolean {
    const times = [...(this.#heard.get(pair)?.values() ?? [])]
    return times.length === 2 && times.every((time) => time >= since)
  }

  /** Time has moved by so much since the distances were last other than these. */
  moved(ms: number, before: ReadonlyMap<string, Distance>): void {
    const now = this.now()
    const from = now - ms
    for (const [pair, distance] of before) {
      if (distance === 'near') continue
      const stretches = this.#stretches.get(pair) ?? []
      this.#stretches.set(pair, stretches)
      const last = stretches[stretches.length - 1]
      const goesOn = last !== undefined && from - last.to < REUNION_MS && !this.#haveMet(pair, last.to)
      const stretch = goesOn ? last : { from, to: from, heldFrom: undefined, held: 0 }
      if (!goesOn) stretches.push(stretch)
      if (stretch.to !== from) stretch.heldFrom = undefined
      stretch.to = now
      stretch.heldFrom = distance === 'held' ? (stretch.heldFrom ?? from) : undefined
      if (stretch.heldFrom !== undefined) stretch.held = Math.max(stretch.held, now - stretch.heldFrom)
    }
  }

  seen(): ReadonlyMap<string, Distance> {
    return new Map(this.distances())
  }

  /**
   * Whether the two were apart without a break, up to `lately` seconds ago: for so long at all, now disconnected and now
   * unheard, or for so long unheard on one connection.
   */
  were(pair: string, far_s: number, held_s: number, lately: number): boolean {
    const since = this.now() - lately * 1_000
    return (this.#stretches.get(pair) ?? []).some(
      ({ from, to, held }) => to >= since && (to - from >= 1_000 * far_s || held >= 1_000 * held_s),
    )
  }
}
