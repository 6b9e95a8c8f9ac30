/** A recording for the control to plant on. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MeridianError } from '../../base/errors.js'

/** The first connection of a node with the hub: a WebSocket from its first byte. */
export async function wsRecording(dir: string): Promise<string> {
  const names = (await readdir(dir)).filter((name) => /-to-hub-.*\.up$/.test(name)).sort()
  for (const name of names) {
    const path = join(dir, name)
    if (/^GET .*\r\nupgrade: *websocket/is.test((await readFile(path)).toString('latin1', 0, 2_048))) return path
  }
  throw new MeridianError('not_found', 'no recording of a WebSocket')
}
