/**
 * The shapes of a channel (section 5): terms, state, what comes in (inputs) and what goes out (effects). Inputs and
 * effects are disjoint families: an effect can never be fed back as an input.
 */
import type { Amount } from '../base/amount.js'
import type { Digest } from '../base/bytes.js'
import type { ChannelState, PublicLock, Side } from '../base/channel-state.js'
import type { Point, Scalar, Signature } from '../base/curve/index.js'
import type { ErrorCode } from '../base/errors.js'
import type { AccountId, ChannelId, LedgerId } from '../base/ids.js'
import type { ChannelMessage, ChannelMessageOf, VersionKeys } from '../base/message/channel.js'
import type { Dispute, LedgerTime } from '../base/ports/chain.js'
import type { Result } from '../base/result.js'
import type { TransactionOf } from '../base/transaction.js'
import type { PublicKey } from '../privacy/paillier.js'
import type { Close, CloseProof, CloseTerms, SettleProof, SettleTerms, SubmitKind, Untold } from './ending-types.js'
import type { RevocationStore } from './revocation.js'

export type * from './ending-types.js'

/** C9: what a side demands of the operations that the other side proposes. */
export interface ChannelLimits {
  readonly reserve: Amount
  readonly locks: number
  readonly amountMin: Amount
  readonly amountMax: Amount
  /** Seconds from the commit's ledger time to a lock's expiry. */
  readonly expiryMin: number
  readonly expiryMax: number
}

/** What never changes in a channel's life, fixed when it is opened. Tuples are [opener, peer]. */
export interface Terms {
  readonly ledger: LedgerId
  readonly channel: ChannelId
  readonly accounts: readonly [AccountId, AccountId]
  readonly channelKeys: readonly [Point, Point]
  /** Paillier moduli, exact length. */
  readonly moduli: readonly [Uint8Array, Uint8Array]
  /** The opener's account nonce that the opening consumes. */
  readonly nonce: number
  readonly window: number
  readonly deposits: readonly [Amount, Amount]
  /** Blindings modulo q of the deposits' commitments; 0 for an absent half. */
  readonly blindings: readonly [bigint, bigint]
  readonly limits: readonly [ChannelLimits, ChannelLimits]
  /** Digest of state 0. */
  readonly state: Digest
}

/** What one side keeps secret; derived from the wallet's channel seed (keys.ts). */
export interface ChannelKeys {
  /** Signs states, exits and closes; its ECDH with the peer's is the channel secret (L5). */
  readonly signing: Scalar
  /** Root of the revocation tree (C3). */
  readonly revocation: Uint8Array
  /** Root of the Paillier randomness s of every version (C2). */
  readonly randomness: Uint8Array
}

/** Terms with everything derived from them once (context.ts). */
export interface Context {
  readonly terms: Terms
  /** Own side: 0 opens and leads (C5). */
  readonly side: Side
  readonly keys: ChannelKeys
  /** PRF root of blindings and of the sealed part: from the ECDH of the channel keys, ledger and channel id (C1, C2). */
  readonly secret: Uint8Array
  readonly paillier: readonly [PublicKey, PublicKey]
  readonly pool: Amount
  readonly policy: ChannelPolicy
}

/** Own choices that the peer need not share. */
export interface ChannelPolicy {
  /** Seconds before a lock's expiry at which an unclaimed scalar goes to the ledger (C10). */
  readonly margin: number
  /** Seconds for which a signed close stays valid (L6), and the longest that is accepted from the peer. */
  readonly closeValid: number
}

/** Everything of the outside that a step may read. */
export interface Env {
  readonly context: Context
  /** Newest final ledger view. */
  readonly view: LedgerTime
  /** Wall clock, seconds: only measures how long a peer stalls. */
  readonly now: number
  /** The registry as of `view` (L8). */
  revealed(point: Point): { readonly scalar: Scalar; readonly time: number } | undefined
}

/** A lock with its amount: what both parties know (C2). */
export interface Lock extends PublicLock {
  readonly amount: Amount
}

/** Names a lock: ids count per proposer. */
export interface LockRef {
  readonly from: Side
  readonly id: number
}

/** C4. */
export type OperationBody =
  | { readonly kind: 'pay'; readonly amount: Amount; readonly reference: Uint8Array }
  | {
      readonly kind: 'lock'
      readonly amount: Amount
      readonly point: Point
      readonly expiry: number
      /** The onion, for the other side only. */
      readonly payload: Uint8Array
    }
  | { readonly kind: 'claim'; readonly lock: LockRef; readonly scalar: Scalar }
  | { readonly kind: 'release'; readonly lock: LockRef; readonly reason: Uint8Array }

export interface Operation {
  readonly id: number
  /** Its proposer. */
  readonly from: Side
  readonly body: OperationBody
}

/** Plain content of a version (C2). */
export interface Content {
  readonly version: number
  readonly balances: readonly [Amount, Amount]
  readonly locks: readonly Lock[]
  /** Ledger time of the commit that made it: never decreases (C5). */
  readonly at: LedgerTime
}

/** A content built into a state: what is signed. */
export interface Built {
  readonly content: Content
  readonly state: ChannelState
  readonly encoded: Uint8Array
  readonly digest: Digest
}

export interface Cosigned extends Built {
  readonly signatures: readonly [Signature, Signature]
}

/** The leader's commit in flight (C5). */
export interface Outstanding extends Built {
  readonly operations: readonly Operation[]
  /** Resent byte-identical (C8). */
  readonly message: ChannelMessageOf<'commit'>
}

/**
 * A round that is co-signed while the peer could still publish the version before it: the follower's until the leader
 * revokes; the leader's where it got the follower's signature without the secret (C12: posted, or shown in recovery).
 */
export interface Unrevoked {
  /** The peer's revocation hash of the version before. */
  readonly hash: Digest
  readonly operations: readonly Operation[]
  /** Locks of the version before that the round took out. */
  readonly removed: readonly Lock[]
}

/** C10: what is known or decided about a live lock, until it is irrevocably out. */
export interface LockNote {
  readonly lock: Lock
  /** Known scalar: claimed as soon as possible, revealed when that comes late. */
  readonly scalar?: Scalar
  /** `reveal` was handed to the outbox. */
  readonly revealing?: true
  /** We (the payee) give it back, with this reason for the payer. */
  readonly release?: Uint8Array
  /** The leader refused the claim or release: it waits for the next ledger view. */
  readonly refused?: true
  /** `lockDead` was told. */
  readonly deadTold?: true
}

/**
 * funding: waits for openChannel to be final. open: rounds. closing, exiting: terminal, a closeChannel or exit was
 * signed (C10). broken: the peer breached a clause; only an exit is left. disputed: an exit stands on the ledger, whoever
 * posted it. recovery: our own data is behind (C8), whether an exit stands or not. closed: the ledger paid out.
 */
export type Phase = 'funding' | 'open' | 'closing' | 'exiting' | 'broken' | 'disputed' | 'recovery' | 'closed'

/** down → reestablishing (on connected) → live; a follower waits in `recommit` for the commit that the leader resends. */
export type Link = 'down' | 'reestablishing' | 'recommit' | 'live'

/** A whole channel, one side's view. Serialised by snapshot.ts; fields marked volatile are not. */
export interface Channel {
  readonly phase: Phase
  /** The clause that the peer broke, where phase is broken. */
  readonly breach: string | null
  /** Newest state that both signed. */
  readonly current: Cosigned
  /** Leader: commit of current + 1, sent and not acknowledged. */
  readonly outstanding: Outstanding | null
  /** The last round, until the peer's secret of the version before it is here (C12). */
  readonly unrevoked: Unrevoked | null
  /** Proposals of both sides that are in no commit, in order of arrival. */
  readonly pending: readonly Operation[]
  /** Per proposer: the next id, and one above the last that was committed. */
  readonly nextId: readonly [number, number]
  readonly committedId: readonly [number, number]
  /** Own secrets that have left: of all versions below. Never above current.version (C11). */
  readonly revoked: number
  /** Highest version that we signed, and its digest (C7). */
  readonly signed: { readonly version: number; readonly digest: Digest }
  /** The peer's secrets (C3). */
  readonly secrets: RevocationStore
  /** The peer's keys of version current + 1; null while its revocation is due. */
  readonly peerKeys: VersionKeys | null
  /** The peer's last R: the next must differ (C2). */
  readonly peerRandomizer: Uint8Array
  /** Own R by version, from current + 1 on. */
  readonly randomizers: ReadonlyMap<number, Uint8Array>
  /** By lockKey. */
  readonly notes: ReadonlyMap<string, LockNote>
  readonly shutdown: { readonly sent: boolean; readonly received: boolean }
  /** C10: the close that we signed or are asked to sign. */
  readonly close: Close | null
  /** Own exit, once decided. */
  readonly exit: TransactionOf<'exit'> | null
  /** L7: what an exit recorded, and what stands now. */
  readonly dispute: Dispute | null
  /** What was handed to the ledger and not refused: for which version. */
  readonly submitted: ReadonlyMap<SubmitKind, number>
  /** C8: the peer said that it lost data: which version it claims to hold. Rounds never run again. */
  readonly peerRecovers: number | null
  /** C8: what is proved of our own lost data: the newest state has this version or a higher one. */
  readonly floor: number
  /** Locks of an ended channel, and locks that lost data had, whose outcome the shell still has to hear. */
  readonly untold: readonly Untold[]
  /** Volatile: the connection. */
  readonly link: Link
  /** Volatile, follower: a commit that waits for our view, our R or the opening to be final. */
  readonly held: ChannelMessageOf<'commit'> | null
  /** Volatile: what we wait for from the peer, and since when (C5: stall_s). */
  readonly waiting: { readonly on: string; readonly since: number } | null
  /** Volatile: channelReady was told on this connection. */
  readonly ready: boolean
  /** Volatile: a peer that repeated on this connection that it lost data was told again that we have (C8). */
  readonly toldAgain: boolean
  /** Volatile: proveClose or verifyClose was asked on this connection. */
  readonly proving: boolean
  /** Volatile: ledger time at which proveSettle was asked. */
  readonly settling: number | null
}

/** Inputs: facts and wishes from the shell. */
export type Input =
  | { readonly type: 'connected' }
  | { readonly type: 'disconnected' }
  | { readonly type: 'received'; readonly message: ChannelMessage }
  /** openChannel is final. */
  | { readonly type: 'funded' }
  /** The view moved or time passed. */
  | { readonly type: 'tick' }
  /** Answers `prepareRandomizer`. */
  | { readonly type: 'randomizerReady'; readonly version: number; readonly randomizer: Uint8Array }
  /** Pays and locks that we want to make. Answered by one `proposed`. */
  | { readonly type: 'offer'; readonly operations: readonly OfferBody[] }
  /** We know the scalar of an incoming lock: durable with this step; claimed, and revealed where late, by itself. */
  | { readonly type: 'fulfill'; readonly lock: LockRef; readonly scalar: Scalar }
  /** No tower will reveal it for us (T3): the scalar that we know goes to the ledger now, whatever the lock's expiry. */
  | { readonly type: 'revealWanted'; readonly lock: LockRef }
  /** We give an incoming lock back. Proposed, again after every reconnect, by itself. */
  | { readonly type: 'giveBack'; readonly lock: LockRef; readonly reason: Uint8Array }
  /** Cooperative close wanted (C10). */
  | { readonly type: 'closeWanted' }
  /** Answers `proveClose`. */
  | { readonly type: 'closeProved'; readonly proof: CloseProof }
  /** Answers `verifyClose` for the offer with this validUntil. */
  | { readonly type: 'closeVerified'; readonly validUntil: number; readonly valid: boolean }
  /** Decided by the shell: sign an exit with the newest state; terminal (C10). */
  | { readonly type: 'exitWanted' }
  /** L7: this exit or supersede is final on the ledger. `recordOnly`: the state that it carries is not taken over. */
  | {
      readonly type: 'posted'
      readonly transaction: TransactionOf<'exit' | 'supersede'>
      readonly at: LedgerTime
      readonly recordOnly?: true
    }
  /** The ledger paid the channel out. */
  | { readonly type: 'paidOut'; readonly by: 'closeChannel' | 'settle' | 'punish'; readonly at: LedgerTime }
  /** Answers `proveSettle` for this standing version. */
  | { readonly type: 'settleProved'; readonly standing: number; readonly proof: SettleProof }
  /** The ledger refused a transaction of `submit`: what is still needed is asked for again with the next tick. */
  | { readonly type: 'submitRefused'; readonly kind: SubmitKind; readonly code: ErrorCode }
  /**
   * The database is behind what it promised, its journal is broken or it was restored (S2): freeze (C8). `revoked`: how
   * many own secrets the high-water file says have left, where it says so.
   */
  | { readonly type: 'recover'; readonly revoked?: number }
  /** A co-signed state from a tower or a backup: as the peer's `newest`. `secrets`: the peer's, unchecked. */
  | {
      readonly type: 'newestShown'
      readonly state: Uint8Array
      readonly signatures: readonly [Signature, Signature]
      readonly secrets?: RevocationStore
    }

export type OfferBody = Extract<OperationBody, { kind: 'pay' | 'lock' }>

/**
 * Effects, in the order in which they take place. All of them run only after the batch of the step is synced (C6), and
 * all but `send` must survive a crash (outbox): a `send` belongs to its connection, reestablish makes up for it.
 */
export type Effect =
  | { readonly type: 'send'; readonly message: ChannelMessage }
  /** Compute R of this own version in a worker (keys.ts, randomnessOf); answered by `randomizerReady`. Not durable. */
  | { readonly type: 'prepareRandomizer'; readonly version: number }
  /** Answers `offer`: aligned with its operations, the id or why not. */
  | { readonly type: 'proposed'; readonly results: readonly Result<number>[] }
  /** An own pay or lock was refused by the leader (its code), or void after a reconnect: nothing of it happened. */
  | { readonly type: 'offerRefused'; readonly operation: Operation; readonly code: ErrorCode | 'unknown' }
  /** Rounds run (again). */
  | { readonly type: 'channelReady' }
  /** C12: irrevocably in; received, or sent by us. */
  | {
      readonly type: 'paid'
      readonly id: number
      readonly from: Side
      readonly amount: Amount
      readonly reference: Uint8Array
    }
  /** C12: irrevocably in. `payload` is the onion. */
  | { readonly type: 'lockIn'; readonly lock: Lock; readonly payload: Uint8Array }
  /**
   * An outgoing lock's scalar is known. Precedes the `send` that acknowledges it in the same list: what follows from
   * it upstream must be durable before that send (C6).
   */
  | { readonly type: 'lockClaimed'; readonly lock: Lock; readonly scalar: Scalar }
  /** C12: irrevocably out; the payee has the amount. */
  | { readonly type: 'lockSettled'; readonly lock: Lock; readonly scalar: Scalar }
  /** C12: irrevocably out; the amount is back with the payer. */
  | { readonly type: 'lockReturned'; readonly lock: Lock; readonly reason: Uint8Array; readonly by: Side }
  /** C12: dead for good: upstream may be released although the peer is away. */
  | { readonly type: 'lockDead'; readonly lock: Lock }
  /** Register this scalar on the ledger before its lock's expiry (C10). */
  | { readonly type: 'reveal'; readonly lock: Lock; readonly scalar: Scalar }
  /** The peer wants to close: no new pays and locks. */
  | { readonly type: 'shuttingDown' }
  /** Leader: build and prove the close; answered by `closeProved`. Lost in a crash: asked again on reconnect. */
  | { readonly type: 'proveClose'; readonly terms: CloseTerms }
  /** Verify the offer's proof against own terms; answered by `closeVerified`. In recovery once every tower was asked. */
  | { readonly type: 'verifyClose'; readonly terms: CloseTerms; readonly proof: CloseProof }
  /** Build and prove the settlement of the standing state (L9); answered by `settleProved`; asked again if it is not. */
  | { readonly type: 'proveSettle'; readonly terms: SettleTerms }
  /** Submit until final or refused; a refusal is told by `submitRefused`. */
  | { readonly type: 'submit'; readonly transaction: TransactionOf<SubmitKind> }
  /** The peer broke this clause: no round ever again; exit with the current state (C5; the reaction is the shell's). */
  | { readonly type: 'breached'; readonly clause: string; readonly detail: string }
  /** The peer proved that we have lost data (C8): frozen; what it showed of the newest state, if it did. */
  | { readonly type: 'dataLost'; readonly newest: ChannelMessageOf<'newest'> | null }

/** What the channel's hash-chained journal records of a step (S2). */
export type JournalEntry =
  | { readonly type: 'proposed'; readonly operations: Uint8Array }
  | { readonly type: 'committed'; readonly version: number; readonly digest: Digest; readonly operations: Uint8Array }
  | { readonly type: 'cosigned'; readonly version: number; readonly digest: Digest; readonly operations: Uint8Array }
  | { readonly type: 'revoked'; readonly version: number }
  | { readonly type: 'phase'; readonly phase: Phase }

export interface Step {
  readonly state: Channel
  readonly effects: readonly Effect[]
  readonly journal: readonly JournalEntry[]
  /**
   * Whether state, journal and outbox rows must be one synced batch before the effects run (C6). False only where
   * nothing is promised and nothing told: such a state may be lost in a crash and is rebuilt after reestablish.
   */
  readonly durable: boolean
}
