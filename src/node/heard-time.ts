/**
 * Time in which the ledger was heard: what absence, debts and licences are counted in (C10, S2). Where the ledger is
 * silent too it may be us who are cut off, so the count stands still; nothing that was counted is forgotten.
 */
export class HeardTime {
  #heard = 0
  #at: number

  constructor(
    /** Monotone seconds: a wall clock that jumps moves no deadline. */
    private readonly now: () => number,
    /** Seconds of silence that still count. */
    private readonly silence: number,
  ) {
    this.#at = now()
  }

  /** With every new head. @returns how many seconds were counted. */
  advance(): number {
    const counted = this.#since
    this.#at = this.now()
    this.#heard += counted
    return counted
  }

  /** Of the last head: monotone seconds. */
  get at(): number {
    return this.#at
  }

  /** Since this start. */
  get seconds(): number {
    return this.#heard + this.#since
  }

  get #since(): number {
    return Math.max(0, Math.min(this.now() - this.#at, this.silence))
  }
}
