/** `<dir>/node.log`: events and their plain fields; no amount, no peer bytes, no secret (SECURITY.md). */
import { join } from 'node:path'
import { destination, pino } from 'pino'
import type { LogFields, Logger } from '../wire/environment.js'

export const LOG_LEVELS = ['debug', 'info', 'warn'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Names that no event of ours has; whoever adds one by mistake finds this in the log. */
const SECRET_NAMES = ['authorization', 'passphrase', 'privateKey', 'scalar', 'secret', 'seed', 'token']

export interface NodeLog extends Logger {
  /** Writes what is buffered. */
  close(): Promise<void>
}

export function openNodeLog(dir: string, level: LogLevel): NodeLog {
  const file = destination({ dest: join(dir, 'node.log'), append: true, mode: 0o600, sync: false })
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
