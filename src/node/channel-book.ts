/** Channels on disk: births, what a start finds, what is forgotten. */
import { equalBytes, readU64, u64 } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { InvariantError } from '../base/errors.js'
import type { ChannelId } from '../base/ids.js'
import type { Store } from '../base/ports/store.js'
import { channelKeys, createContext } from '../channel/keys.js'
import { decodeTerms, encodeTerms } from '../channel/terms.js'
import type { Channel, ChannelPolicy, Context, Terms } from '../channel/types.js'
import { emptyJournal, verifyJournal } from '../store/journal.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Channels } from './channels.js'
import type { Tx } from './engine.js'
import { liveChannel, readChannelRow } from './live-channel.js'

const fundingKey = (channel: ChannelId): Uint8Array => tableKey('funding', channel)

export class ChannelBook {
  constructor(
    private readonly channels: Channels,
    /** Secrets.channelSeed. */
    private readonly seed: Uint8Array,
    private readonly policy: ChannelPolicy,
  ) {}

  /** A channel that both have signed: durable before its opening can be final (L5). */
  open(tx: Tx, terms: Terms, side: Side, state: Channel, validUntil: number): void {
    const channel = liveChannel(this.#context(terms, side), state, emptyJournal(terms.channel))
    this.channels.add(channel)
    tx.put({ key: tableKey('terms', terms.channel), value: encodeTerms(terms) })
    tx.put({ key: fundingKey(terms.channel), value: u64(validUntil) })
    tx.touch(channel, [])
  }

  /** Every channel of the database. Journals are verified; a broken one stops its channel (S2). */
  async load(store: Store, account: Uint8Array): Promise<void> {
    const rows: { readonly id: ChannelId; readonly terms: Terms }[] = []
    for await (const { value } of store.range(tableRange('terms'))) {
      const terms = decodeTerms(value)
      if (!terms.ok) throw new InvariantError('S1', 'stored terms cannot be read')
      rows.push({ id: terms.value.channel, terms: terms.value })
    }
    for (const { id, terms } of rows) {
      const row = store.get(tableKey('channel', id))
      if (row === undefined) throw new InvariantError('S1', 'terms without a channel')
      const { state, journal } = readChannelRow(row)
      const side = equalBytes(terms.accounts[0], account) ? 0 : 1
      const channel = liveChannel(this.#context(terms, side), state, journal)
      const entries = await verifyJournal(store, id, journal)
      if (!entries.ok) channel.stopped = entries.error.code
      this.channels.add(channel)
    }
  }

  /** Ledger time after which an unfunded channel never comes onto the ledger. */
  validUntil(tx: Pick<Tx, 'get'>, channel: ChannelId): number {
    const row = tx.get(fundingKey(channel))
    return row === undefined ? 0 : (readU64(row) ?? 0)
  }

  /** An opening that can no longer be accepted: nothing was locked, nothing is owed. */
  forget(tx: Tx, channel: ChannelId): void {
    this.channels.remove(channel)
    tx.delete(tableKey('terms', channel))
    tx.delete(tableKey('channel', channel))
    tx.delete(fundingKey(channel))
  }

  #context(terms: Terms, side: Side): Context {
    const context = createContext(terms, side, channelKeys(this.seed, terms), this.policy)
    if (!context.ok) throw new InvariantError('L5', 'a channel with a modulus that is none')
    return context.value
  }
}
