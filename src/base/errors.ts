/** What the reader of an error is to do about it; PRODUCT.md's API shows the same words. */
export type Action = 'fix_request' | 'retry_same_key' | 'wait' | 'add_capacity' | 'call_operator'

interface ErrorEntry {
  /** Meaning, one sentence. */
  readonly text: string
  readonly action: Action
}

const entry = (action: Action, text: string): ErrorEntry => ({ action, text })

/**
 * The one table of stable error codes. A code never changes its meaning and is never reused.
 * Groups: what reads bytes (codec), the ledger contract (ledger), channels, routing, wire, store, API and command line.
 */
export const ERRORS = {
  // codec: bytes that cannot be read (L10, W2)
  bad_encoding: entry('fix_request', 'The bytes are not canonical CBOR of the expected shape.'),
  bad_amount: entry('fix_request', 'An amount is an integer of minor units, at least 0 and below 2^L.'),
  bad_point: entry('fix_request', 'The bytes are not a canonical, finite curve point.'),
  bad_scalar: entry('fix_request', 'The bytes are not a canonical scalar in [1, q-1].'),
  too_long: entry('fix_request', 'The input is longer than its limit.'),
  // general
  internal: entry('call_operator', 'A defect of this program; the operation was stopped and its journal kept.'),
  unavailable: entry('wait', 'The service is not reachable or not ready at the moment.'),
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof ERRORS

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text)

/** A refusal that has to cross a promise boundary (a rejected submit, an HTTP answer). */
export class MeridianError extends Error {
  readonly code: ErrorCode
  readonly detail: string | undefined

  constructor(code: ErrorCode, detail?: string) {
    super(detail === undefined ? `${code}: ${ERRORS[code].text}` : `${code}: ${ERRORS[code].text} (${detail})`)
    this.name = 'MeridianError'
    this.code = code
    this.detail = detail
  }

  get action(): Action {
    return ERRORS[this.code].action
  }
}

/** A broken invariant: stops what it concerns (a channel, a block) and keeps its journal; never caught to go on. */
export class InvariantError extends Error {
  constructor(
    readonly clause: string,
    message: string,
  ) {
    super(`${clause}: ${message}`)
    this.name = 'InvariantError'
  }
}

/** @throws InvariantError naming the clause of PROTOCOL.md that would not hold. */
export function invariant(condition: boolean, clause: string, message: string): asserts condition {
  if (!condition) throw new InvariantError(clause, message)
}

/** For the default branch of a switch: a new case that nobody handles does not compile. */
export function unreachable(value: never): never {
  throw new InvariantError('exhaustive', `unexpected case ${typeof value}`)
}
