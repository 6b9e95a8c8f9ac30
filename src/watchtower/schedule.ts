/** Names by time: a binary heap, the earliest at its top. */
export class Schedule {
  readonly #heap: { readonly at: number; readonly name: string }[] = []

  add(at: number, name: string): void {
    const heap = this.#heap
    let place = heap.push({ at, name }) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (heap[parent]!.at <= heap[place]!.at) return
      this.#swap(parent, place)
      place = parent
    }
  }

  /** Takes out what is due at `now`. */
  *until(now: number): Iterable<string> {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= now) yield this.#takeFirst()
  }

  #takeFirst(): string {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) heap[0] = last
    for (let place = 0; ; ) {
      const [left, right] = [2 * place + 1, 2 * place + 2]
      let least = place
      if (left < heap.length && heap[left]!.at < heap[least]!.at) least = left
      if (right < heap.length && heap[right]!.at < heap[least]!.at) least = right
      if (least === place) return first.name
      this.#swap(place, least)
      place = least
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap
    const kept = heap[a]!
    heap[a] = heap[b]!
    heap[b] = kept
  }
}
