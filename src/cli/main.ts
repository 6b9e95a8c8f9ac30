import { CommanderError } from 'commander'
import { ERRORS, InvariantError, MeridianError } from '../base/errors.js'
import { EXIT, errorWord, exitCodeOf, isSystemError, UsageError, VerbExit } from './exit.js'
import { toJson } from './output.js'
import { group } from './verb.js'
import { loadVerbs } from './verbs/index.js'

/** Runs one command line. @returns the process's exit code; never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  const about = 'Confidential payment channels: amounts stay encrypted toward ledger, wire and disk.'
  const program = group('meridian', about, await loadVerbs(argv[0]))
  try {
    await program.parseAsync(argv, { from: 'user' })
    return EXIT.done
  } catch (error) {
    if (error instanceof CommanderError) return usage(error, argv)
    if (!(error instanceof VerbExit) || error.message !== '') report(error, argv)
    return exitCodeOf(error)
  }
}

/** --help and --version come as errors of exit code 0; a verb left out has had its help printed. */
function usage(error: CommanderError, argv: readonly string[]): number {
  if (error.exitCode === 0) return EXIT.done
  if (error.code === 'commander.help') report(new UsageError('a verb is missing'), argv)
  else report(new UsageError(`${error.message.replace(/^error: /, '')} (--help shows the options)`), argv)
  return EXIT.usage
}

function report(error: unknown, argv: readonly string[]): void {
  const message = error instanceof Error ? error.message : 'unknown error'
  const action = error instanceof MeridianError ? ERRORS[error.code].action : undefined
  process.stderr.write(
    argv.includes('--json')
      ? `${toJson({ error: errorWord(error), message, action })}\n`
      : `meridian: ${message}${action === undefined ? '' : ` [${action.replaceAll('_', ' ')}]`}\n`,
  )
  if (exitCodeOf(error) === EXIT.bug && error instanceof Error && !isSystemError(error)) {
    const clause = error instanceof InvariantError ? `invariant ${error.clause}\n` : ''
    process.stderr.write(`${clause}${error.stack}\n`)
  }
}
