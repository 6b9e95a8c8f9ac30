/** Takes turns: each `take` gives those that waited longest. */
export class Rota<T> {
  readonly #items = new Map<string, T>()

  get size(): number {
    return this.#items.size
  }

  add(name: string, item: T): void {
    if (!this.#items.has(name)) this.#items.set(name, item)
  }

  delete(name: string): void {
    this.#items.delete(name)
  }

  all(): readonly T[] {
    return [...this.#items.values()]
  }

  take(count: number): readonly T[] {
    const taken: [string, T][] = []
    for (const entry of this.#items) {
      if (taken.length === count) break
      taken.push(entry)
    }
    for (const [name, item] of taken) {
      this.#items.delete(name)
      this.#items.set(name, item)
    }
    return taken.map(([, item]) => item)
  }
}
