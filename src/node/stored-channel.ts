/** What the database says of a channel, and whether it can be believed (S2). A start and `doctor` judge alike. */
import { InvariantError, MeridianError } from '../base/errors.js'
import type { ChannelId } from '../base/ids.js'
import type { Store } from '../base/ports/store.js'
import { decodeTerms } from '../channel/terms.js'
import type { Channel, Terms } from '../channel/types.js'
import type { HighWater, HighWaterCheck } from '../store/high-water.js'
import { type JournalHead, verifyJournal } from '../store/journal.js'
import { tableKey, tableRange } from '../store/tables.js'
import { markOf, readChannelRow } from './live-channel.js'
import { stoppedAt } from './stopped.js'

/**
 * row_lost: terms without a readable state. journal_broken: its chain has a gap. database_behind: the high-water file
 * promises more. mark_lost: the high-water file says nothing of a channel that the ledger had taken.
 */
export type Fault = 'row_lost' | 'journal_broken' | 'database_behind' | 'mark_lost'

export interface StoredChannel {
  readonly terms: Terms
  /** Undefined where the row is lost. */
  readonly row: { readonly state: Channel; readonly journal: JournalHead } | undefined
  readonly fault: Fault | null
  readonly check: HighWaterCheck
  /** The clause at which an own defect stopped it (C11): a start does not take it up again. */
  readonly stopped: string | undefined
}

export interface Disk {
  readonly store: Pick<Store, 'get' | 'range'>
  readonly highWater: Pick<HighWater, 'check' | 'channels'>
}

/** @throws MeridianError `store_tampered`, `store_corrupt` where the terms themselves cannot be read */
export async function* storedChannels(disk: Disk): AsyncGenerator<StoredChannel> {
  const all: Terms[] = []
  for await (const { value } of disk.store.range(tableRange('terms'))) {
    const terms = decodeTerms(value)
    if (!terms.ok) throw new InvariantError('S1', 'stored terms cannot be read')
    all.push(terms.value)
  }
  for (const terms of all) {
    const row = readRow(disk.store, terms.channel)
    const check = row === undefined ? 'unknown' : disk.highWater.check(terms.channel, markOf(row.state))
    const stopped = row?.state.phase === 'closed' ? undefined : stoppedAt(disk.store, terms.channel)
    yield { terms, row, check, stopped, fault: await faultOf(disk, terms.channel, row, check) }
  }
}

/** Channels that the high-water file promises something about and the database has never heard of. */
export function unknownToDatabase({ store, highWater }: Disk): ChannelId[] {
  return [...highWater.channels()]
    .map(([channel]) => channel)
    .filter((id) => store.get(tableKey('terms', id)) === undefined)
}

const UNREADABLE: ReadonlySet<string> = new Set(['store_tampered', 'store_corrupt'])

function readRow(store: Disk['store'], channel: ChannelId): StoredChannel['row'] {
  try {
    const bytes = store.get(tableKey('channel', channel))
    return bytes === undefined ? undefined : readChannelRow(bytes)
  } catch (error) {
    if (error instanceof InvariantError) return undefined
    if (error instanceof MeridianError && UNREADABLE.has(error.code)) return undefined
    throw error
  }
}

async function faultOf(
  { store }: Disk,
  channel: ChannelId,
  row: StoredChannel['row'],
  check: HighWaterCheck,
): Promise<Fault | null> {
  if (row === undefined) return 'row_lost'
  const { state, journal } = row
  if (state.phase === 'closed') return null // the ledger has it: nothing is promised any more
  if (!(await verifyJournal(store, channel, journal)).ok) return 'journal_broken'
  if (check === 'database_behind') return 'database_behind'
  // A crash between the two syncs of its birth leaves it without a mark: nothing had left. Later batches come after both.
  const newborn = state.phase === 'funding' && state.signed.version === 0
  return check === 'unknown' && !newborn && state.phase !== 'recovery' ? 'mark_lost' : null
}
