/** The shapes of a channel's end: closing (L6), disputes (L7) and settling (L9). */
import type { Amount } from '../base/amount.js'
import type { Side } from '../base/channel-state.js'
import type { Point, Signature } from '../base/curve/index.js'
import type { ChannelMessageOf } from '../base/message/channel.js'
import type { TransactionOf } from '../base/transaction.js'
import type { Lock } from './types.js'

/** L6 in progress. */
export interface Close {
  /** Who offers: the leader, or whoever has lost no data (C8). */
  readonly by: Side
  /** The version that it pays out. */
  readonly version: number
  readonly offer: ChannelMessageOf<'closeOffer'>
  /** The other side's, once made or received. */
  readonly accepted: Signature | null
}

export type SubmitKind = 'exit' | 'supersede' | 'punish' | 'settle' | 'closeChannel'

export interface Untold {
  readonly lock: Lock
  /** C8: it was live when data was lost; what became of it only the registry may show. */
  readonly lost: boolean
}

/** closeChannel's fields as proved for CloseTerms, the same validUntil included: the proof binds it. */
export type CloseProof = Omit<ChannelMessageOf<'closeOffer'>, 'channel' | 'signature'>

/** What a channel pays out once each lock is won or dead (L9), and its opening. */
export interface Settlement {
  readonly version: number
  /** C_A, locks counted. */
  readonly commitment: Point
  readonly balances: readonly [Amount, Amount]
  /** Blindings modulo q of C_A and of C_B = C_pool - C_A. */
  readonly blindings: readonly [bigint, bigint]
}

/** What a closing statement is built from and proven with (L6). */
export interface CloseTerms extends Settlement {
  readonly validUntil: number
}

/** L9: `version` is the standing one. */
export type SettleTerms = Settlement

/** settle's fields as proved for SettleTerms. */
export type SettleProof = Pick<TransactionOf<'settle'>, 'ciphertexts' | 'ciphertextsRegulator' | 'proof'>
