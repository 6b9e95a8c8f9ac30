/** Channels on disk: births, what a start finds, what is forgotten. */
import { equalBytes, readU64, u64, utf8 } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { InvariantError } from '../base/errors.js'
import type { AccountId, ChannelId } from '../base/ids.js'
import { channelKeys, createContext } from '../channel/keys.js'
import { decodeTerms, encodeTerms } from '../channel/terms.js'
import type { Channel, ChannelPolicy, Context, Terms } from '../channel/types.js'
import type { DataDirectory } from '../store/directory.js'
import { emptyJournal, verifyJournal } from '../store/journal.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Channels } from './channels.js'
import type { Tx } from './engine.js'
import { liveChannel, readChannelRow } from './live-channel.js'

const fundingKey = (channel: ChannelId): Uint8Array => tableKey('funding', channel)

/** Idempotency: the operator's key → the channel that it opened. */
const openedKey = (key: string): Uint8Array => tableKey('node', utf8('opened'), utf8(key))

export class ChannelBook {
  constructor(
    private readonly channels: Channels,
    /** Secrets.channelSeed. */
    private readonly seed: Uint8Array,
    private readonly policy: ChannelPolicy,
  ) {}

  /** A channel that both have signed: durable before its opening can be final (L5). */
  open(tx: Tx, terms: Terms, side: Side, state: Channel, validUntil: number, key?: string): void {
    const channel = liveChannel(this.#context(terms, side), state, emptyJournal(terms.channel))
    this.channels.add(channel)
    tx.put({ key: tableKey('terms', terms.channel), value: encodeTerms(terms) })
    tx.put({ key: fundingKey(terms.channel), value: u64(validUntil) })
    if (key !== undefined) tx.put({ key: openedKey(key), value: terms.channel })
    tx.touch(channel, [])
  }

  /** Every channel of the database. Journals are verified; a broken one stops its channel (S2). */
  async load({ store, highWater }: Pick<DataDirectory, 'store' | 'highWater'>, account: Uint8Array): Promise<void> {
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
      // S2: a database behind what was promised must sign nothing; RECOVERY (C8) begins here.
      const mark = { version: state.signed.version, revoked: state.revoked }
      if (highWater.check(id, mark) === 'database_behind') channel.stopped = 'database_behind'
      this.channels.add(channel)
    }
  }

  /** The channel that an opening with this key has made. */
  opened(tx: Pick<Tx, 'get'>, key: string): ChannelId | undefined {
    return tx.get(openedKey(key)) as ChannelId | undefined
  }

  /** Ledger time after which an unfunded channel never comes onto the ledger. */
  validUntil(tx: Pick<Tx, 'get'>, channel: ChannelId): number {
    const row = tx.get(fundingKey(channel))
    return row === undefined ? 0 : (readU64(row) ?? 0)
  }

  /** Channels that were signed with this peer and that the ledger does not have yet. */
  unfunded(peer: AccountId): number {
    return this.channels.all().filter((channel) => channel.state.phase === 'funding' && equalBytes(channel.peer, peer))
      .length
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
