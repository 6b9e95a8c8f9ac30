/**
 * A channel that stopped at a broken invariant of ours (C11) stays stopped over restarts: the defect is still there, and
 * another try could sign on what it broke. Only its owner takes it up again, with a program that mends it
 * (`meridian channel resume`).
 */
import { utf8 } from '../base/bytes.js'
import { encodeAs, zText } from '../base/codec.js'
import { InvariantError, MeridianError } from '../base/errors.js'
import type { ChannelId } from '../base/ids.js'
import type { Row, Store } from '../base/ports/store.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'

const zClause = zText(64)
const STOPPED = utf8('stopped')
export const stoppedKey = (channel: ChannelId): Uint8Array => tableKey('node', STOPPED, channel)

export const stoppedRow = (channel: ChannelId, clause: string): Row => ({
  key: stoppedKey(channel),
  value: encodeAs(zClause, clause),
})

/** The clause; undefined where it runs. What cannot be read says that something was there. */
export function stoppedAt(store: Pick<Store, 'get'>, channel: ChannelId): string | undefined {
  try {
    const bytes = store.get(stoppedKey(channel))
    return bytes === undefined ? undefined : parseRow(bytes, zClause)
  } catch (error) {
    if (error instanceof InvariantError || error instanceof MeridianError) return 'S1'
    throw error
  }
}

/** Work that failed as a whole has taken the row back with it: it is written again. What the ledger has paid out is over. */
export function keepStopped(tx: Tx, { id, stopped, state }: LiveChannel): void {
  const known = tx.get(stoppedKey(id)) !== undefined
  if (state.phase === 'closed') {
    if (known) tx.delete(stoppedKey(id))
  } else if (stopped !== undefined && !known) tx.put(stoppedRow(id, stopped))
}
