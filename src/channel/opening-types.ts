/** Shapes of an opening (L5): request, one side's view, inputs and effects. */
import type { Amount } from '../base/amount.js'
import type { Side } from '../base/channel-state.js'
import type { Point, Scalar, Signature } from '../base/curve/index.js'
import type { ErrorCode } from '../base/errors.js'
import type { AccountId, LedgerId } from '../base/ids.js'
import type { VersionKeys } from '../base/message/channel.js'
import type { OpeningMessage, OpenRule } from '../base/message/opening.js'
import type { LedgerTime } from '../base/ports/chain.js'
import type { DepositHalf, TransactionOf, Unsigned } from '../base/transaction.js'
import type { Birth } from './birth.js'
import type { Channel, ChannelLimits, ChannelPolicy, Terms } from './types.js'

export interface Party {
  readonly account: AccountId
  /** Paillier modulus, as the ledger has it. */
  readonly n: Uint8Array
}

export interface OpeningEnv {
  readonly ledger: LedgerId
  /** L of genesis. */
  readonly amountBits: number
  readonly windowMin: number
  readonly windowMax: number
  readonly self: Party
  /** The wallet's channel seed. */
  readonly seed: Uint8Array
  readonly view: LedgerTime
  readonly policy: ChannelPolicy
  /** With the account key. */
  signAccount(digest: Uint8Array): Signature
}

/** What an opener asks for. */
export interface OpenRequest {
  readonly peer: Party
  /** 32 fresh random bytes: the attempt's name and the salt of its blindings. */
  readonly attempt: Uint8Array
  /** The opener's account nonce, reserved until the attempt ends. */
  readonly nonce: number
  readonly window: number
  readonly validUntil: number
  readonly deposit: Amount
  /** R7: what the peer is asked to deposit; 0 for none. */
  readonly share: Amount
  readonly limits: ChannelLimits
}

type Stage = 'asked' | 'requested' | 'preparing' | 'waiting' | 'proving' | 'offered' | 'verifying' | 'done' | 'failed'

/** One attempt, one side's view. Not durable: what is signed becomes a channel at that moment (`opened`). */
export interface Opening {
  readonly stage: Stage
  readonly side: Side
  readonly request: OpenRequest
  readonly own: { readonly blinding: Scalar | null; readonly limits: ChannelLimits }
  /** From the peer's first message. */
  readonly peer: { readonly channelKey: Point; readonly blinding: Scalar | null; readonly limits: ChannelLimits } | null
  /** Own R of versions 0 and 1. */
  readonly randomizers: readonly [Uint8Array | null, Uint8Array | null]
  readonly peerKeys: readonly [VersionKeys, VersionKeys] | null
  readonly birth: Birth | null
  readonly halves: readonly [DepositHalf | null, DepositHalf | null]
  readonly peerHalfValid: boolean
  /** Peer's signatures of state 0 and, for the opener, of the transaction. */
  readonly stateSignature: Signature | null
  readonly accountSignature: Signature | null
}

/** R7: the rule of a policy that a request breaks, and the amount that it would allow. */
export type OpenLimit = readonly [OpenRule, Amount]

export type OpeningInput =
  | { readonly type: 'openingReceived'; readonly message: OpeningMessage }
  /** The peer's operator agrees, with its own limits; `salt` is fresh. The deposit is the share that was asked for. */
  | { readonly type: 'openAllowed'; readonly limits: ChannelLimits; readonly salt: Uint8Array }
  | { readonly type: 'openDenied'; readonly code: ErrorCode; readonly limit?: OpenLimit }
  | { readonly type: 'openRandomizer'; readonly version: 0 | 1; readonly randomizer: Uint8Array }
  /** Answers `proveDeposit`. */
  | { readonly type: 'depositProved'; readonly half: DepositHalf }
  /** Answers `verifyDeposit`. */
  | { readonly type: 'depositVerified'; readonly valid: boolean }
  | { readonly type: 'openTick' }
  | { readonly type: 'peerLost' }

export type OpenTransaction = TransactionOf<'openChannel'>
/** What both halves' statements bind. */
export type OpenTerms = Omit<Unsigned<OpenTransaction>, 'halves'>

export type OpeningEffect =
  | { readonly type: 'sendOpening'; readonly message: OpeningMessage }
  /** For the operator's open_policy (R7). */
  | { readonly type: 'openRequested'; readonly request: OpenRequest }
  /** Compute own R of version 0 and 1; keys are channelKeys(seed, terms). */
  | {
      readonly type: 'prepareFirst'
      readonly version: 0 | 1
      readonly terms: Pick<Terms, 'ledger' | 'channel' | 'accounts' | 'nonce'>
    }
  /** The wallet's half: a withdrawal of `amount` from `available` with this blinding, proven for these terms. */
  | {
      readonly type: 'proveDeposit'
      readonly side: Side
      readonly terms: OpenTerms
      readonly amount: Amount
      readonly blinding: Scalar
    }
  /** The peer's half, against its account as the ledger has it. */
  | { readonly type: 'verifyDeposit'; readonly side: Side; readonly terms: OpenTerms; readonly half: DepositHalf }
  /** Store terms and channel, before anything after it in the list; the channel waits for `funded`. */
  | {
      readonly type: 'opened'
      readonly terms: Terms
      readonly side: Side
      readonly channel: Channel
      readonly validUntil: number
    }
  | { readonly type: 'submitOpening'; readonly transaction: OpenTransaction }
  | {
      readonly type: 'openFailed'
      readonly attempt: Uint8Array
      readonly code: ErrorCode
      /** As the peer told it. */
      readonly limit: OpenLimit | null
    }

export interface OpeningStep {
  readonly opening: Opening
  readonly effects: readonly OpeningEffect[]
}
