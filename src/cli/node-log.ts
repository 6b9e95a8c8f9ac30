/** The log of a node: events and their plain fields; no amount, no peer bytes, no secret (SECURITY.md). */
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

export function openNodeLog(dir: string, config: Pick<Config, 'log_level' | 'log_file'>): NodeLog {
  const { log_level: level, log_file } = config
  const dest = log_file === '-' ? STANDARD_ERROR : (log_file ?? join(dir, 'node.log'))
  const file = destination({ dest, append: true, mode: 0o600, sync: false })
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
        file.end()
      }),
  }
}
