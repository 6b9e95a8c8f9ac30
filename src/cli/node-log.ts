/** The log of a node: events and their plain fields; no amount, no peer bytes, no secret (SECURITY.md). */
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { destination, pino } from 'pino'
import type { LogFields, Logger } from '../wire/environment.js'
import type { Config } from './config-table.js'
import type { LogLevel } from './log-levels.js'

/** Names that no event of ours has; whoever adds one by mistake finds this in the log. */
const SECRET_NAMES = ['authorization', 'passphrase', 'privateKey', 'scalar', 'secret', 'seed', 'token']

export interface NodeLog extends Logger {
  /** Writes what is buffered. */
  close(): Promise<void>
}

const STANDARD_ERROR = 2
/** Lines that wait for a log that does not take them; what comes above it is lost. */
const WAITING_CHARACTERS = 1_048_576

/**
 * A log that cannot be opened is said before anything runs; one that fails later (its disk is full) ends no payment: it is
 * said once, and what it does not take is lost. @throws the system's error
 */
export function openNodeLog(dir: string, config: Pick<Config, 'log_level' | 'log_file'>): NodeLog {
  const { log_level: level, log_file } = config
  const path = log_file ?? join(dir, 'node.log')
  const dest = path === '-' ? STANDARD_ERROR : openSync(path, 'a', 0o600)
  const file = destination({ dest, sync: false, maxLength: WAITING_CHARACTERS })
  file.once('error', (error: NodeJS.ErrnoException) => {
    file.on('error', () => {}) // said already
    process.stderr.write(`meridian: the log ${path} takes no line: ${error.code ?? error.name}; the node goes on\n`)
  })
  const redact = { paths: SECRET_NAMES, censor: '[redacted]' }
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact }, file)
  const write = (at: LogLevel) => (event: string, fields?: LogFields) => log[at](fields ?? {}, event)
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    close: () =>
      new Promise((resolve) => {
        file.once('close', resolve)
        file.once('error', () => {
          file.destroy() // it would try for ever
          resolve()
        })
        file.end()
      }),
  }
}
