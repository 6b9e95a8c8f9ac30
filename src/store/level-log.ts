import { createReadStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const SUSPICIOUS = /dropping|corruption|ignoring error|missing files/i
const SUSPICIONS_MAX = 20
const SUSPICION_CHARACTERS_MAX = 400

/**
 * S2: LevelDB drops damaged records and opens without a word, except in its own LOG. `LOG.old` is read too: it is this
 * file's of a process that died before it could look. Never opens LOCK: closing it would free the process's lock.
 */
export async function logSuspicions(dir: string): Promise<string[]> {
  const found: string[] = []
  for (const name of ['LOG.old', 'LOG']) {
    const path = join(dir, name)
    if (!existsSync(path)) continue
    for await (const line of createInterface({ input: createReadStream(path) })) {
      if (found.length === SUSPICIONS_MAX || !SUSPICIOUS.test(line)) continue
      found.push(`${name}: ${line.replaceAll(`${dir}/`, '').slice(0, SUSPICION_CHARACTERS_MAX)}`)
    }
  }
  return found
}
