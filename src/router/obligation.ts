/**
 * What this node owes on a lock that was offered to it, until that lock is out (R3). One durable record per incoming
 * lock, forwarded or final. Events may come more than once; the shell stores record and effects in one batch (C6).
 */
import type { Amount } from '../base/amount.js'
import type { Scalar } from '../base/curve/index.js'
import { type ErrorCode, unreachable } from '../base/errors.js'
import { encodeFailure, type LocalReason, reasonOfChannel, translate } from './failure.js'
import type { Claiming, Ended, LockRef, Obligation, ObligationPhase, Offered, Releasing } from './obligation-record.js'
import { hopScalar, type SharedSecret } from './onion/crypto.js'
import { createFailure, FAILURE_BYTES, isUnreadable, UNREADABLE, wrapFailure } from './onion/failure.js'
import { scalarUpstream } from './point-lock.js'
import type { Policy } from './policy.js'

export type ObligationEvent =
  /** A claim of the outgoing lock, or its reveal on the ledger: the channel checked that the scalar opens its point. */
  | { readonly kind: 'outgoingClaimed'; readonly scalar: Scalar }
  /** Irrevocably out by the peer's release (C12). */
  | { readonly kind: 'outgoingReturned'; readonly reason: Uint8Array }
  /** Dead for good (C12), or taken back by us because it was dead. */
  | { readonly kind: 'outgoingDead' }
  /** The proposal was refused or void (C8): it is in no commit and never will be. */
  | { readonly kind: 'outgoingVoid'; readonly code: ErrorCode | 'unknown' }
  /** Irrevocably out, the amount ours: by our claim, or because somebody else revealed its scalar on the ledger. */
  | { readonly kind: 'incomingSettled' }
  /** Irrevocably out, the amount back with the peer; or the channel no longer has the lock that an effect names. */
  | { readonly kind: 'incomingReturned' }
  /** After a start: says again what is owed. */
  | { readonly kind: 'resume' }

export type ObligationEffect =
  /** The channel claims, again after reconnects, and reveals where that comes late. */
  | { readonly kind: 'claim'; readonly lock: LockRef; readonly scalar: Scalar }
  | { readonly kind: 'release'; readonly lock: LockRef; readonly reason: Uint8Array }
  | { readonly kind: 'ended'; readonly lock: LockRef; readonly outcome: Ended['outcome']; readonly fee: Amount }

export interface ObligationStep {
  readonly obligation: Obligation
  readonly effects: readonly ObligationEffect[]
}

/** Which events move which phase; any other event is late or a repetition and changes nothing. */
export const ACCEPTS: Readonly<Record<ObligationPhase, readonly ObligationEvent['kind'][]>> = {
  offered: ['outgoingClaimed', 'outgoingReturned', 'outgoingDead', 'outgoingVoid', 'incomingSettled'],
  claiming: ['incomingSettled', 'incomingReturned', 'resume'],
  releasing: ['incomingSettled', 'incomingReturned', 'resume'],
  ended: [],
}

const NO_FEE = 0n as Amount

/** After decideForward and once the outgoing channel took the proposal: same batch as that proposal. */
export const offerObligation = (
  incoming: LockRef,
  outgoing: LockRef,
  secret: SharedSecret,
  fee: Amount,
): ObligationStep => ({
  obligation: {
    version: 1,
    phase: 'offered',
    incoming: ref(incoming),
    outgoing: ref(outgoing),
    secret,
    fee,
  },
  effects: [],
})

/** After decideReceive said `claim`. */
export const claimObligation = (incoming: LockRef, scalar: Scalar): ObligationStep =>
  owed({ version: 1, phase: 'claiming', incoming: ref(incoming), scalar, fee: NO_FEE })

/** Where a decision, or the outgoing channel, said no. */
export const failObligation = (
  arrival: { readonly incoming: LockRef; readonly secret: SharedSecret },
  reason: LocalReason,
  policy: Policy | null = null,
): ObligationStep =>
  owed({
    version: 1,
    phase: 'releasing',
    incoming: ref(arrival.incoming),
    reason: ownFailure(arrival.secret, reason, policy),
  })

/** Where the onion did not open: no secret, so the previous hop reports for us. */
export const unreadableObligation = (incoming: LockRef): ObligationStep =>
  owed({ version: 1, phase: 'releasing', incoming: ref(incoming), reason: UNREADABLE })

const ref = ({ channel, id }: LockRef): LockRef => ({ channel, id })

const ownFailure = (secret: SharedSecret, reason: LocalReason, policy: Policy | null = null): Uint8Array =>
  createFailure(secret, encodeFailure(translate(reason, policy)))

/** A downstream failure with our layer; what no payer could read is reported as ours (R2). */
function passOn(secret: SharedSecret, reason: Uint8Array): Uint8Array {
  if (reason.length !== FAILURE_BYTES) return ownFailure(secret, 'downstream_malformed')
  return isUnreadable(reason) ? ownFailure(secret, 'downstream_unreadable') : wrapFailure(secret, reason)
}

/** The state and the effect that it owes. */
function owed(obligation: Claiming | Releasing): ObligationStep {
  const lock = obligation.incoming
  const effect: ObligationEffect =
    obligation.phase === 'claiming'
      ? { kind: 'claim', lock, scalar: obligation.scalar }
      : { kind: 'release', lock, reason: obligation.reason }
  return { obligation, effects: [effect] }
}

function ended(incoming: LockRef, outcome: Ended['outcome'], fee: Amount): ObligationStep {
  return {
    obligation: { version: 1, phase: 'ended', incoming, outcome, fee },
    effects: [{ kind: 'ended', lock: incoming, outcome, fee }],
  }
}

function stepOffered(state: Offered, event: ObligationEvent): ObligationStep {
  const { incoming, secret, fee } = state
  const release = (reason: Uint8Array) => owed({ version: 1, phase: 'releasing', incoming, reason })
  switch (event.kind) {
    case 'outgoingClaimed': {
      // R3: adding y is what a downstream claim or reveal obliges to
      const scalar = scalarUpstream(event.scalar, hopScalar(secret))
      return owed({ version: 1, phase: 'claiming', incoming, scalar, fee })
    }
    case 'outgoingReturned':
      return release(passOn(secret, event.reason))
    case 'outgoingDead':
      return release(ownFailure(secret, 'downstream_expired'))
    case 'outgoingVoid':
      return release(ownFailure(secret, reasonOfChannel(event.code)))
    case 'incomingSettled':
      return ended(incoming, 'claimed', fee) // paid: how the outgoing lock ends is no longer upstream's business
    default:
      return { obligation: state, effects: [] }
  }
}

function stepClaiming(state: Claiming, event: ObligationEvent): ObligationStep {
  if (event.kind === 'resume') return owed(state)
  return event.kind === 'incomingSettled'
    ? ended(state.incoming, 'claimed', state.fee)
    : ended(state.incoming, 'lost', NO_FEE)
}

function stepReleasing(state: Releasing, event: ObligationEvent): ObligationStep {
  if (event.kind === 'resume') return owed(state)
  return ended(state.incoming, event.kind === 'incomingSettled' ? 'claimed' : 'released', NO_FEE)
}

/** Pure and total: an event that the phase does not accept changes nothing. */
export function stepObligation(state: Obligation, event: ObligationEvent): ObligationStep {
  if (!ACCEPTS[state.phase].includes(event.kind)) return { obligation: state, effects: [] }
  switch (state.phase) {
    case 'offered':
      return stepOffered(state, event)
    case 'claiming':
      return stepClaiming(state, event)
    case 'releasing':
      return stepReleasing(state, event)
    case 'ended':
      return { obligation: state, effects: [] }
    default:
      return unreachable(state)
  }
}
