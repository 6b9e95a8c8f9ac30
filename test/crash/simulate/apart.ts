/** C10: for how long the program has kept two nodes from each other, without a break. */

interface Stretch {
  readonly from: number
  to: number
  /** Connected, but nothing arrived. */
  readonly held: boolean
}

/** How apart two nodes are now. */
export type Distance = 'near' | 'held' | 'far'

export class Apart {
  /** By pair, the newest last. */
  readonly #stretches = new Map<string, Stretch[]>()

  /** @param distances of every pair, asked before time moves: what lasts no time takes nobody apart */
  constructor(
    private readonly now: () => number,
    private readonly distances: () => Iterable<readonly [string, Distance]>,
  ) {}

  /** Time has moved by so much since the distances were last other than these. */
  moved(ms: number, before: ReadonlyMap<string, Distance>): void {
    const now = this.now()
    for (const [pair, distance] of before) {
      if (distance === 'near') continue
      const held = distance === 'held'
      const stretches = this.#stretches.get(pair) ?? []
      this.#stretches.set(pair, stretches)
      const last = stretches[stretches.length - 1]
      if (last !== undefined && last.to === now - ms && last.held === held) last.to = now
      else stretches.push({ from: now - ms, to: now, held })
    }
  }

  seen(): ReadonlyMap<string, Distance> {
    return new Map(this.distances())
  }

  /** Whether the two were apart for so long without a break, up to `lately` seconds ago. */
  were(pair: string, far_s: number, held_s: number, lately: number): boolean {
    const since = this.now() - lately * 1_000
    return (this.#stretches.get(pair) ?? []).some(
      ({ from, to, held }) => to >= since && to - from >= 1_000 * (held ? held_s : far_s),
    )
  }
}
