/** What was seen to be broken, and what was excused: an excuse that is used too often excuses everything. */

/** The first clause that was broken, and what was seen. */
export class Violation extends Error {
  constructor(
    readonly clause: string,
    readonly what: string,
  ) {
    super(`${clause}: ${what}`)
  }
}

export class Verdicts {
  first: Violation | undefined

  constructor(private readonly count: (name: string) => void) {}

  break(clause: string, what: string): undefined {
    this.first ??= new Violation(clause, what)
  }

  /** Counted with the actions. @returns whether it is excused */
  excused(holds: boolean, name: string): boolean {
    if (holds) this.count(`excused.${name}`)
    return holds
  }
}
