/** What a test or the simulation says when it notices something, read line by line as it says it. */

/** tap says so of an assertion that failed; of the innermost first. */
const FAILED = /^\s*not ok \d+(?: - (.*?))?(?: # time=.*| \{)?$/
/** The simulation's last line, a clause and what broke it: the oracle's word, or an invariant of the program itself. */
const VIOLATED = /^(?:code: InvariantError: )?([PLACWRTSK]\d+\b.*: .*)$/
/** R5's promise is an end: but a test that only ran out of time was perhaps on a slow machine. */
export const OUT_OF_TIME = 'timeout!'

/** @returns what is wrong, or undefined where the line says nothing of the kind. */
export function noticed(line: string): string | undefined {
  if (/ # (TODO|SKIP)\b/i.test(line)) return undefined
  const failed = FAILED.exec(line)
  if (failed !== null) return failed[1] ?? 'an assertion without a name'
  return VIOLATED.exec(line)?.[1]
}
