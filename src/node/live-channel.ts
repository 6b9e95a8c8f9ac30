/** A channel in memory: its context, its newest state, its journal's head; and the row that they rest in. */
import { z } from 'zod'
import { cbor, zBytesUpTo } from '../base/codec.js'
import { InvariantError } from '../base/errors.js'
import type { AccountId, ChannelId } from '../base/ids.js'
import { idText } from '../base/ids.js'
import type { Row } from '../base/ports/store.js'
import { decodeChannel, encodeChannel } from '../channel/snapshot.js'
import type { Channel, Context } from '../channel/types.js'
import type { HighWaterCheck, Mark } from '../store/high-water.js'
import { type JournalHead, zJournalHead } from '../store/journal.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Fault } from './stored-channel.js'

const zRow = z.strictObject({ journal: zJournalHead, snapshot: zBytesUpTo(16_777_216) })

export interface LiveChannel {
  readonly id: ChannelId
  readonly text: string
  readonly context: Context
  readonly peer: AccountId
  state: Channel
  journal: JournalHead
  /** A broken invariant of ours (C11): no word to the peer any more and no exit, but what the ledger decides is heard. */
  stopped: string | undefined
  /** What made the start distrust the database (S2): nothing more is promised, so its mark stays where it is. */
  fault: Fault | null
  /** The database against the high-water file when this process began; equal for a channel born in it. */
  highWater: HighWaterCheck
}

export function liveChannel(context: Context, state: Channel, journal: JournalHead): LiveChannel {
  const { channel, accounts } = context.terms
  return {
    id: channel,
    text: idText(channel),
    context,
    peer: accounts[context.side === 0 ? 1 : 0],
    state,
    journal,
    stopped: undefined,
    fault: null,
    highWater: 'equal',
  }
}

/** What the high-water file promises of a channel in this state (S2). */
export const markOf = ({ signed, revoked, phase }: Channel): Mark => ({
  version: signed.version,
  revoked,
  // C10: what may sign an end never runs rounds again; a database that says otherwise has forgotten it.
  ended: phase !== 'funding' && phase !== 'open',
})

export const channelRow = ({ id, state, journal }: LiveChannel): Row => ({
  key: tableKey('channel', id),
  // Without the schema's check, which a look at every field of every batch would be: it checks what is read.
  value: cbor({ journal, snapshot: encodeChannel(state) } satisfies z.output<typeof zRow>),
})

/** @throws InvariantError where the row cannot be read: the channel stays untouched on disk. */
export function readChannelRow(bytes: Uint8Array): { readonly state: Channel; readonly journal: JournalHead } {
  const { journal, snapshot } = parseRow(bytes, zRow)
  const state = decodeChannel(snapshot)
  if (!state.ok) throw new InvariantError('S1', state.error.detail ?? 'a stored channel cannot be read')
  return { state: state.value, journal }
}
