/** One at a time, in the order of asking: a ledger account has one next nonce. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.then(
      () => undefined,
      () => undefined, // the caller of `run` has the rejection; the next in line only waits
    )
    return result
  }
}
