/**
 * One life of a node's process. Everything that it does to the outside passes `acts`: from the moment of its death on it
 * does nothing more, whatever its promises still run, and nothing that it waits for ever comes.
 */
export class Life {
  #alive = true
  /** Acts left until it dies; undefined: nothing is lit. */
  #fuse: number | undefined
  /** Things that it did to the outside so far. */
  done = 0

  constructor(
    readonly name: string,
    /** Told once, at the end of the event in which it died. */
    private readonly died: (life: Life) => void,
  ) {}

  get alive(): boolean {
    return this.#alive
  }

  /** A crash between any two acts: of a batch's messages some have left and some have not. */
  light(acts: number): void {
    if (this.#alive) this.#fuse = acts
  }

  /** Whether it is still there to do the next thing to the outside. */
  acts(): boolean {
    if (this.#alive && this.#fuse !== undefined && this.#fuse-- <= 0) this.end()
    if (this.#alive) this.done += 1
    return this.#alive
  }

  end(): void {
    if (!this.#alive) return
    this.#alive = false
    this.died(this)
  }
}
