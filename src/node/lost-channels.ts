/**
 * Channels of our account that the ledger has and the database does not (C8): after a restore, or where LevelDB lost
 * them (S2). The ledger tells parties and keys, the seed gives ours back; the newest state comes from the peer, from a
 * tower, or from an exit. With the first one that is shown the channel lives again, in RECOVERY for ever.
 */
import { z } from 'zod'
import { equalBytes, utf8 } from '../base/bytes.js'
import { cbor, zBytesUpTo, zCount } from '../base/codec.js'
import { MeridianError } from '../base/errors.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { ChannelMessage, ChannelMessageOf } from '../base/message/channel.js'
import type { ChainAdapter, LedgerEvent, LedgerTime } from '../base/ports/chain.js'
import type { Store } from '../base/ports/store.js'
import { decodeTransaction, encodeTransaction, type Transaction, type TransactionOf } from '../base/transaction.js'
import type { ExitTerms } from '../chain-adapter/contract/channel-rules.js'
import type { Remains } from '../channel/recovery.js'
import type { RevocationStore } from '../channel/revocation.js'
import type { HighWater } from '../store/high-water.js'
import { parseRow } from '../store/rows.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { ChannelBook } from './channel-book.js'
import type { Channels } from './channels.js'
import type { Engine, Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'

const NAME = utf8('lost')
const lostKey = (channel: ChannelId): Uint8Array => tableKey('node', NAME, channel)

/** What the ledger's events said of it and its view no longer shows. */
const zRow = z.strictObject({
  /** The opener's, of the opening. */
  nonce: zCount,
  /** An exit, and the last supersede after it. */
  posted: z
    .array(z.strictObject({ transaction: zBytesUpTo(LIMITS.transaction_bytes), height: zCount, time: zCount }))
    .max(2),
})
type Row = z.output<typeof zRow>

/** As the ledger shows it. */
type Lost = Omit<Remains, 'seed' | 'policy' | keyof Shown> & { readonly peer: AccountId }

/** A state and who is said to have signed it. */
type Shown = Pick<Remains, 'state' | 'signatures'> & { readonly secrets?: RevocationStore | undefined }

export interface LostParts {
  readonly engine: Engine
  readonly channels: Channels
  readonly book: ChannelBook
  readonly chain: ChainAdapter
  readonly account: AccountId
  readonly highWater: Pick<HighWater, 'forget'>
  readonly logger: Logger
  readonly timers: Timers
  readonly isConnected: (peer: AccountId) => boolean
  readonly send: (peer: AccountId, message: ChannelMessage) => void
  /** Every tower, until it answers: `shown` hears of it. */
  readonly ask: (terms: ExitTerms) => void
  /** The channel lives again. */
  readonly found: (tx: Tx, channel: LiveChannel) => void
}

const RETRY_MS = 1_000
/** Silence of a ledger while its events are read again, however many there are: the next start begins anew. */
const SCAN_MS = 30_000

export class LostChannels {
  readonly #rows = new Map<string, Row>()
  /** Those that were looked up, and may be spoken of to their peers. */
  readonly #lost = new Map<string, Lost>()
  #closed = false

  constructor(private readonly parts: LostParts) {}

  /** How many wait for somebody to show their newest state. */
  get count(): number {
    return this.#rows.size
  }

  /** After the channels were loaded. @param unknown to the database: their events are read again, up to the cursor */
  async start(store: Pick<Store, 'range'>, unknown: readonly ChannelId[], cursor: number): Promise<void> {
    for await (const { key, value } of store.range(tableRange('node', NAME))) {
      const channel = key.slice(-32) as ChannelId
      this.#rows.set(idText(channel), parseRow(value, zRow))
      void this.#lookUp(channel)
    }
    const wanted = unknown.filter((channel) => !this.#rows.has(idText(channel)))
    if (wanted.length === 0 || cursor === 0) return
    for (const channel of wanted) await this.#clear(store, channel)
    if (!(await this.#readAgain(new Set(wanted.map(idText)), cursor))) return
    // Closed meanwhile, or an opening that never came onto the ledger: nothing is promised any more.
    for (const channel of wanted) if (!this.#rows.has(idText(channel))) await this.parts.highWater.forget(channel)
  }

  /** @returns whether every event up to the cursor was read */
  async #readAgain(wanted: ReadonlySet<string>, cursor: number): Promise<boolean> {
    const stop = new AbortController()
    const patience = () => this.parts.timers.after(SCAN_MS, () => stop.abort())
    let callOff = patience()
    for await (const event of this.parts.chain.events(0, stop.signal)) {
      callOff()
      const { transaction } = event
      if ('channel' in transaction && wanted.has(idText(transaction.channel))) {
        this.parts.engine.do((tx) => this.event(tx, event))
      }
      if (event.cursor >= cursor) return true
      callOff = patience()
    }
    return false
  }

  close(): void {
    this.#closed = true
  }

  /** A journal whose head is lost: the next one begins anew. */
  async #clear(store: Pick<Store, 'range'>, channel: ChannelId): Promise<void> {
    const keys: Uint8Array[] = []
    for await (const { key } of store.range(tableRange('journal', channel))) keys.push(key)
    this.parts.engine.do((tx) => {
      for (const key of keys) tx.delete(key)
    })
  }

  /** Within the batch of the ledger's event, where no live channel has this id. */
  event(tx: Tx, { transaction, height, time }: LedgerEvent): void {
    switch (transaction.kind) {
      case 'openChannel':
        if (transaction.accounts.some((account) => equalBytes(account, this.parts.account))) {
          this.#keep(tx, transaction.channel as ChannelId, { nonce: transaction.nonce, posted: [] })
        }
        return
      case 'exit':
      case 'supersede':
        this.#posted(tx, transaction, { height, time })
        return
      case 'closeChannel':
      case 'settle':
      case 'punish':
        this.#drop(tx, transaction.channel as ChannelId)
        return
      default:
    }
  }

  connected(peer: AccountId): void {
    for (const lost of this.#lost.values()) if (equalBytes(lost.peer, peer)) this.#speak(lost)
  }

  /** A peer's word about a channel that does not live here. */
  heard(tx: Tx, peer: AccountId, shown: ChannelMessageOf<'newest'>): void {
    const lost = this.#lost.get(idText(shown.channel))
    if (lost !== undefined && equalBytes(lost.peer, peer)) this.#show(tx, lost, [shown])
  }

  #keep(tx: Tx, channel: ChannelId, row: Row): void {
    this.#rows.set(idText(channel), row)
    tx.put({ key: lostKey(channel), value: cbor(row) })
    tx.after(() => void this.#lookUp(channel))
  }

  #drop(tx: Tx, channel: ChannelId): void {
    if (!this.#rows.delete(idText(channel))) return
    this.#lost.delete(idText(channel))
    tx.delete(lostKey(channel))
  }

  /** The first is the exit; of what superseded it the last one stands. */
  #posted(tx: Tx, transaction: TransactionOf<'exit' | 'supersede'>, { height, time }: LedgerTime): void {
    const row = this.#rows.get(idText(transaction.channel))
    if (row === undefined) return
    const posted = [...row.posted.slice(0, 1), { transaction: encodeTransaction(transaction), height, time }]
    this.#keep(tx, transaction.channel as ChannelId, { ...row, posted })
  }

  /** Parties, keys and moduli from the ledger; then whoever may hold a state is asked for it. */
  async #lookUp(channel: ChannelId): Promise<void> {
    const lost = await this.#described(channel)
    if (this.#closed) return
    const spoken = this.#lost.has(idText(channel))
    if (lost === undefined) return this.parts.engine.do((tx) => this.#drop(tx, channel))
    this.#lost.set(idText(channel), lost)
    this.parts.ask({ ...lost.view, keyBits: this.parts.chain.genesis.keyBits })
    this.parts.engine.do((tx) => {
      const posted = this.#posts(channel).map(({ transaction }) => ({
        state: transaction.state,
        signatures: transaction.stateSignatures,
      }))
      this.#show(tx, lost, posted)
    })
    if (!spoken && this.#lost.has(idText(channel))) this.#speak(lost) // once on a connection
  }

  /** By a tower. */
  shown(channel: ChannelId, state: Shown): void {
    const lost = this.#lost.get(idText(channel))
    if (lost !== undefined) this.parts.engine.do((tx) => this.#show(tx, lost, [state]))
  }

  /** The first that opens brings the channel back; its machine judges the others. */
  #show(tx: Tx, lost: Lost, all: readonly Shown[]): void {
    let channel: LiveChannel | undefined
    for (const { state, signatures, secrets } of all) {
      const revived = channel === undefined
      channel ??= this.#revive(tx, lost, { state, signatures })
      if (channel === undefined || (revived && secrets === undefined)) continue
      this.parts.channels.step(tx, channel, { type: 'newestShown', state, signatures, ...(secrets && { secrets }) })
    }
  }

  #posts(channel: ChannelId) {
    return (this.#rows.get(idText(channel))?.posted ?? []).map(({ transaction, height, time }) => {
      const decoded = decodeTransaction(transaction)
      if (!decoded.ok || !isPost(decoded.value)) throw new MeridianError('internal', 'a kept exit cannot be read')
      return { transaction: decoded.value, at: { height, time } }
    })
  }

  /** Undefined where it is no longer lost. Asked until the ledger answers. */
  async #described(channel: ChannelId): Promise<Lost | undefined> {
    const { chain, account, timers } = this.parts
    while (!this.#closed) {
      const row = this.#rows.get(idText(channel))
      if (row === undefined) return undefined
      try {
        const { value: view } = await chain.channel(channel)
        if (view === undefined || view.phase === 'closed') return undefined
        const parties = await Promise.all(view.accounts.map((id) => chain.account(id)))
        const [opener, second] = parties.map(({ value }) => value?.n)
        if (opener === undefined || second === undefined) return undefined
        const peer = equalBytes(view.accounts[0], account) ? view.accounts[1] : view.accounts[0]
        return { ledger: chain.ledger, account, view, nonce: row.nonce, moduli: [opener, second], peer }
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error
        this.parts.logger.info('recovery.ledger_away', { channel: idText(channel), code: error.code })
      }
      await new Promise<void>((resolve) => timers.after(RETRY_MS, resolve))
    }
    return undefined
  }

  #speak({ view, peer }: Lost): void {
    if (!this.parts.isConnected(peer)) return
    this.parts.send(peer, { name: 'recovering', body: { channel: view.channel, version: 0 } })
  }

  /** Nothing of a state that does not open with our own seed, or that one of the two has not signed, is believed. */
  #revive(tx: Tx, lost: Lost, shown: Shown): LiveChannel | undefined {
    const { book, channels, logger, found } = this.parts
    const { channel: id } = lost.view
    const channel = book.revive(tx, { ...lost, ...shown })
    if (!channel.ok) {
      logger.warn('recovery.refused_state', { channel: idText(id), code: channel.error.code })
      return undefined
    }
    const posts = this.#posts(id)
    this.#drop(tx, id)
    for (const { transaction, at } of posts) channels.step(tx, channel.value, { type: 'posted', transaction, at })
    found(tx, channel.value)
    return channel.value
  }
}

const isPost = (transaction: Transaction): transaction is TransactionOf<'exit' | 'supersede'> =>
  transaction.kind === 'exit' || transaction.kind === 'supersede'
