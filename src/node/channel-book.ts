/** Channels on disk: births, what a start finds, what is forgotten. */
import { z } from 'zod'
import { type Amount, plus } from '../base/amount.js'
import { equalBytes, utf8 } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { encodeAs, zCount, zDigest, zText } from '../base/codec.js'
import { ERRORS, type ErrorCode, InvariantError } from '../base/errors.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import { ok, type Result } from '../base/result.js'
import { brokenAt } from '../channel/invariants.js'
import { channelKeys, createContext } from '../channel/keys.js'
import { type Remains, recoverChannel } from '../channel/recovery.js'
import { encodeTerms } from '../channel/terms.js'
import type { Channel, ChannelPolicy, Context, Terms } from '../channel/types.js'
import type { HighWater, HighWaterCheck } from '../store/high-water.js'
import { emptyJournal } from '../store/journal.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Channels } from './channels.js'
import type { Tx } from './engine.js'
import { type LiveChannel, liveChannel, markOf } from './live-channel.js'
import { stoppedKey } from './stopped.js'
import { type Disk, storedChannels, unknownToDatabase } from './stored-channel.js'

/** Until when the ledger may take the opening, and the operator's key where this side asked. */
const zFunding = z.strictObject({ validUntil: zCount, key: zText(256).nullable() })
const fundingKey = (channel: ChannelId): Uint8Array => tableKey('funding', channel)

/** S2: a process that died between its two syncs had sent nothing: the mark is brought up to what the database holds. */
async function caughtUp(
  highWater: Pick<HighWater, 'raise' | 'damaged'>,
  { id, state }: LiveChannel,
  check: HighWaterCheck,
): Promise<HighWaterCheck> {
  const unmarked = check === 'unknown' && highWater.damaged === 0
  if (state.phase === 'closed' || !(unmarked || check === 'database_ahead')) return check
  await highWater.raise(id, markOf(state))
  return 'equal'
}

/** Idempotency: the operator's key → the channel that it opened, or why the ledger refused it. */
const zOpened = z.union([zDigest, zText(64)])
const openedKey = (key: string): Uint8Array => tableKey('node', utf8('opened'), utf8(key))

export interface Loaded {
  /** Known, and not to be believed. */
  readonly frozen: readonly { readonly channel: LiveChannel; readonly revoked: number }[]
  /** Only the ledger, the peer and the towers know them. */
  readonly lost: readonly ChannelId[]
}

const putOpened = (tx: Tx, key: string, what: ChannelId | ErrorCode): void =>
  tx.put({ key: openedKey(key), value: encodeAs(zOpened, what) })

export class ChannelBook {
  constructor(
    private readonly channels: Channels,
    /** Secrets.channelSeed. */
    private readonly seed: Uint8Array,
    private readonly policy: ChannelPolicy,
  ) {}

  /** A channel that both have signed: durable before its opening can be final (L5). */
  open(tx: Tx, terms: Terms, side: Side, state: Channel, validUntil: number, key?: string): void {
    this.#add(tx, terms, side, state)
    tx.put({ key: fundingKey(terms.channel), value: encodeAs(zFunding, { validUntil, key: key ?? null }) })
    if (key !== undefined) putOpened(tx, key, terms.channel)
  }

  #add(tx: Tx, terms: Terms, side: Side, state: Channel): LiveChannel {
    const channel = liveChannel(this.#context(terms, side), state, emptyJournal(terms.channel))
    this.channels.add(channel)
    tx.undo(() => this.channels.remove(terms.channel))
    tx.put({ key: tableKey('terms', terms.channel), value: encodeTerms(terms) })
    tx.touch(channel, [])
    return channel
  }

  /** Every channel of the database. What cannot be believed signs nothing: RECOVERY (S2, C8). */
  async load(
    disk: Disk & { readonly highWater: Pick<HighWater, 'forget' | 'raise' | 'damaged'> },
    account: Uint8Array,
  ): Promise<Loaded> {
    const frozen: Loaded['frozen'][number][] = []
    const marks = new Map([...disk.highWater.channels()].map(([id, mark]) => [idText(id), mark]))
    const lost = unknownToDatabase(disk)
    for await (const { terms, row, fault, check, stopped } of storedChannels(disk)) {
      if (row === undefined) {
        lost.push(terms.channel)
        continue
      }
      const channel = liveChannel(
        this.#context(terms, equalBytes(terms.accounts[0], account) ? 0 : 1),
        row.state,
        row.journal,
      )
      channel.fault = fault
      channel.stopped = stopped ?? brokenAt(row.state, channel.context)
      channel.highWater = fault === null ? await caughtUp(disk.highWater, channel, check) : check
      if (fault !== null) frozen.push({ channel, revoked: marks.get(channel.text)?.revoked ?? 0 })
      if (row.state.phase === 'closed') await disk.highWater.forget(terms.channel) // a crash came before it was
      this.channels.add(channel)
    }
    return { frozen, lost }
  }

  /** A channel that the database had lost (C8). Errors: as of recoverChannel. */
  revive(tx: Tx, remains: Omit<Remains, 'seed' | 'policy'>): Result<LiveChannel> {
    const restored = recoverChannel({ ...remains, seed: this.seed, policy: this.policy })
    if (!restored.ok) return restored
    const { terms, side, channel: state } = restored.value
    const channel = this.#add(tx, terms, side, state)
    tx.delete(stoppedKey(terms.channel)) // of the state that is lost; in RECOVERY no round is run
    channel.fault = 'row_lost'
    channel.highWater = 'unknown'
    return ok(channel)
  }

  /** R7: what this node has deposited where peers opened, in channels that are not paid out. */
  granted(): Amount {
    const granted = this.channels.all().filter(({ context, state }) => context.side === 1 && state.phase !== 'closed')
    return plus(...granted.map(({ context }) => context.terms.deposits[1]))
  }

  /** The channel that an opening with this key has made; or the code with which the ledger refused it. */
  opened(tx: Pick<Tx, 'get'>, key: string): ChannelId | ErrorCode | undefined {
    const row = tx.get(openedKey(key))
    return row === undefined ? undefined : (parseRow(row, zOpened) as ChannelId | ErrorCode)
  }

  /** The ledger's word is final: nothing was locked. The key says so from now on, or is free where trying again helps. */
  refused(tx: Tx, channel: ChannelId, code: ErrorCode): void {
    const row = tx.get(fundingKey(channel))
    if (row === undefined) return
    const { key } = parseRow(row, zFunding)
    this.forget(tx, channel)
    if (key === null) return
    if (ERRORS[code].action === 'retry_same_key') tx.delete(openedKey(key))
    else putOpened(tx, key, code)
  }

  /** Ledger time after which an unfunded channel never comes onto the ledger. */
  validUntil(tx: Pick<Tx, 'get'>, channel: ChannelId): number {
    const row = tx.get(fundingKey(channel))
    return row === undefined ? 0 : parseRow(row, zFunding).validUntil
  }

  /** It is on the ledger. */
  funded(tx: Tx, channel: ChannelId): void {
    tx.delete(fundingKey(channel))
  }

  /** Channels that were signed with this peer and that the ledger does not have yet. */
  unfunded(peer: AccountId): number {
    return this.channels.with(peer).filter(({ state }) => state.phase === 'funding').length
  }

  /** An opening that can no longer be accepted: nothing was locked, nothing is owed. */
  forget(tx: Tx, channel: ChannelId): void {
    this.channels.remove(channel)
    tx.delete(tableKey('terms', channel))
    tx.delete(tableKey('channel', channel))
    tx.delete(stoppedKey(channel))
    tx.delete(fundingKey(channel))
  }

  #context(terms: Terms, side: Side): Context {
    const context = createContext(terms, side, channelKeys(this.seed, terms), this.policy)
    if (!context.ok) throw new InvariantError('L5', 'a channel with a modulus that is none')
    return context.value
  }
}
