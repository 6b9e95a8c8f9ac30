import { type ErrorCode, InvariantError, MeridianError } from '../base/errors.js'

/** Exit codes of the command line (PRODUCT.md): scripts branch on them, so they never change. */
export const EXIT = {
  done: 0,
  checkFailed: 1,
  usage: 2,
  /** Refused and nothing happened. */
  refused: 3,
  /** Pending or unknown: repeat with the same key. */
  pending: 4,
  recovery: 5,
  /** Done, but some input rows were refused. */
  rowsRefused: 6,
  bug: 70,
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Wrong arguments: the message says what to write instead. */
export class UsageError extends Error {}

/** A verb's answer that is neither a success nor a refusal (a failed audit, a pending payment); no message: all is said. */
export class VerbExit extends Error {
  constructor(
    readonly exit: ExitCode,
    message: string,
  ) {
    super(message)
  }
}

/** Codes after which the outcome is unknown or comes with time: the caller repeats with the same key. */
const PENDING: ReadonlySet<ErrorCode> = new Set(['exit_not_yet', 'payment_pending', 'request_running', 'unavailable'])

/** The operating system's own no: a port in use, a file that is there, a directory without rights. */
export const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error && 'code' in error

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof VerbExit) return error.exit
  if (error instanceof UsageError) return EXIT.usage
  if (error instanceof InvariantError) return EXIT.bug
  if (error instanceof MeridianError) {
    if (error.code === 'internal') return EXIT.bug
    if (error.code === 'channel_recovering') return EXIT.recovery
    return PENDING.has(error.code) ? EXIT.pending : EXIT.refused
  }
  return isSystemError(error) ? EXIT.refused : EXIT.bug
}

/** The word that `--json` gives for an error: a code of the one table where there is one. */
export function errorWord(error: unknown): string {
  if (error instanceof MeridianError) return error.code
  if (error instanceof UsageError) return 'usage'
  if (error instanceof VerbExit) return error.exit === EXIT.checkFailed ? 'check_failed' : 'unfinished'
  return isSystemError(error) ? 'system' : 'internal'
}
