import type { Counts } from '../../base/counters.js'
import type { Point } from '../../base/curve/index.js'
import type { AccountId, ChannelId } from '../../base/ids.js'
import type { AccountView, ChannelView, LedgerHead, SubmitReceipt, View } from '../../base/ports/chain.js'
import type { Revealed } from '../contract/state.js'
import type { ClockOptions } from './clock.js'
import type { Advance } from './engine.js'

/** What the ledger's thread is started with. */
export interface EngineStart {
  /** Directory of the ledger; undefined keeps it in memory. */
  readonly dir: string | undefined
  /** Create (refused where something is there) or open (refused where nothing is). */
  readonly create: boolean
  readonly genesis: Uint8Array
  readonly headKey: Uint8Array
  readonly clock: ClockOptions
  readonly verifiers: number
}

/** A block as subscribers get it: encoded once, sent to all. */
export interface BlockNotice {
  readonly head: LedgerHead
  /** cbor of zBlockDigest. */
  readonly digest: Uint8Array
}

export interface EngineStats {
  readonly waiting: number
  readonly accepted: number
  readonly refused: number
  /** worker_threads' id of the thread that executes the contract: never the main thread's 0. */
  readonly thread: number
  /** Of this thread and those that check proofs for it. */
  readonly counts: Counts
}

/** The calls that the ledger's thread answers. Bytes of transactions and blocks cross as they are on disk. */
export interface EngineApi {
  /** Resolves once storage is open and checked; with the head. */
  ready(): Promise<LedgerHead>
  submit(bytes: Uint8Array): Promise<SubmitReceipt>
  account(id: AccountId): Promise<View<AccountView | undefined>>
  channel(id: ChannelId): Promise<View<ChannelView | undefined>>
  revealed(point: Point): Promise<View<Revealed | undefined>>
  /** Canonical bytes of final blocks from that height on; bounded in count and bytes, empty above the head. */
  blocks(from: number): Promise<readonly Uint8Array[]>
  /** cbor of zBlockDigest; undefined above the head. */
  blockDigest(height: number): Promise<Uint8Array | undefined>
  heightAfter(cursor: number): Promise<number>
  advance(step: Advance): Promise<LedgerHead>
  hold(held: boolean): Promise<void>
  stats(): Promise<EngineStats>
  close(): Promise<void>
}
