import type { Digest } from '../bytes.js'
import type { Side } from '../channel-state.js'
import type { Point, Signature } from '../curve/index.js'
import type { Genesis } from '../genesis.js'
import type { AccountId, ChannelId, LedgerId } from '../ids.js'
import type { Transaction } from '../transaction.js'

/** Ledger time in seconds, monotone, and the block it belongs to. */
export interface LedgerTime {
  readonly height: number
  readonly time: number
}

/** A value and how old it is: A1, staleness is the reader's decision. */
export interface View<T> extends LedgerTime {
  readonly value: T
}

/** L2. Ciphertexts are big-endian, 2 * bytes(n) long. */
export interface AccountView {
  readonly account: AccountId
  readonly n: Uint8Array
  readonly nonce: number
  readonly available: Uint8Array
  readonly pendingOpen: Uint8Array
  readonly pendingFrozen: Uint8Array
}

/** L7: what an exit recorded, and what stands now. */
export interface Dispute {
  readonly poster: Side
  /** Version and the poster's revocation hash of the first posted state: what `punish` needs, whatever stands. */
  readonly version: number
  readonly revocation: Digest
  readonly deadline: number
  /** encodeChannelState's bytes of the highest version posted. */
  readonly standing: Uint8Array
  readonly standingVersion: number
}

export interface ChannelView {
  readonly channel: ChannelId
  readonly accounts: readonly [AccountId, AccountId]
  readonly channelKeys: readonly [Point, Point]
  readonly window: number
  /** Digest of state 0. */
  readonly state: Digest
  /** C_pool, and the pool under each side's Paillier key. */
  readonly pool: Point
  readonly poolCiphertexts: readonly [Uint8Array, Uint8Array]
  readonly phase: 'open' | 'disputed' | 'closed'
  readonly dispute: Dispute | null
}

/** One accepted transaction, in ledger order. `cursor` counts from 1 without gaps and is the event's idempotent id. */
export interface LedgerEvent extends LedgerTime {
  readonly cursor: number
  readonly id: Digest
  readonly transaction: Transaction
}

/** A block head of the embedded ledger, signed with genesis's head key. */
export interface LedgerHead extends LedgerTime {
  /** Hash chain over header, transactions, refusals and write set (section 3). */
  readonly stateHash: Digest
  readonly previous: Digest
  /** Cursor of the last event up to this block. */
  readonly cursor: number
  readonly signature: Signature
}

export interface SubmitReceipt extends LedgerTime {
  readonly id: Digest
  readonly cursor: number
}

/**
 * Any ledger (A1). Owned by its consumers: wallet, channels, towers.
 * Answers are only as fresh as the time they carry. After `close` every pending call rejects with `unavailable`.
 */
export interface ChainAdapter {
  readonly genesis: Genesis
  readonly ledger: LedgerId
  /**
   * Resolves when final. Submitting the same bytes again resolves with the first receipt.
   * @throws MeridianError with the contract's code where refused, `unavailable` where the outcome is unknown.
   */
  submit(tx: Transaction): Promise<SubmitReceipt>
  account(id: AccountId): Promise<View<AccountView | undefined>>
  channel(id: ChannelId): Promise<View<ChannelView | undefined>>
  /** First ledger time at which the point's scalar was revealed, and the scalar (L8). */
  revealed(point: Point): Promise<View<{ readonly scalar: Uint8Array; readonly time: number } | undefined>>
  now(): Promise<LedgerTime>
  /** Every event after `cursor`, then live ones; at least once, in order. Ends when `close` is called or the signal aborts. */
  events(cursor: number, signal?: AbortSignal): AsyncIterable<LedgerEvent>
  /**
   * New heads as they come, with the cursor of the last event up to them: a consumer's ledger time advances to a head's
   * once it has seen every event up to that cursor.
   */
  heads(signal?: AbortSignal): AsyncIterable<LedgerTime & { readonly cursor: number }>
  close(): Promise<void>
}
