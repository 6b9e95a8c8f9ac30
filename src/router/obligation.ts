/**
 * What this node owes on a lock that was offered to it, until that lock is out (R3). One durable record per incoming
 * lock, forwarded or final. Events may come more than once; the shell stores record and effects in one batch (C6).
 */
import type { Amount } from '../base/amount.js'
import type { Scalar } from '../base/curve/index.js'
import { unreachable } from '../base/errors.js'
import type { InvalidArrival } from './arrival.js'
import { encodeFailure, type LocalReason, translate } from './failure.js'
import type {
  Claiming,
  Ended,
  HeldLock,
  LockRef,
  Obligation,
  ObligationPhase,
  Offered,
  Releasing,
} from './obligation-record.js'
import { hopScalar, type SharedSecret } from './onion/crypto.js'
import { createFailure, FAILURE_BYTES, isUnreadable, UNREADABLE, wrapFailure } from './onion/failure.js'
import { scalarUpstream } from './point-lock.js'
import type { Policy } from './policy.js'

export type ObligationEvent =
  /** A claim of the outgoing lock, or its reveal on the ledger, at whatever time: the scalar opens the outgoing point. */
  | { readonly kind: 'downstream_claimed'; readonly scalar: Scalar }
  /** Irrevocably out by a release (C12). */
  | { readonly kind: 'downstream_released'; readonly reason: Uint8Array }
  /** Dead for good (C12). */
  | { readonly kind: 'downstream_dead' }
  /** The proposal was refused or void (C8): it is in no commit and never will be. */
  | { readonly kind: 'downstream_void' }
  /** The incoming lock is irrevocably out: by our claim, by our release, or dead for good. */
  | { readonly kind: 'upstream_claimed' }
  | { readonly kind: 'upstream_released' }
  | { readonly kind: 'upstream_dead' }
  /** After a start, a reconnect, or a void of our claim or release: says again what is owed. */
  | { readonly kind: 'resume' }
  /** Ledger time and the seconds before expiry at which a claim that is not out becomes a reveal (C10). */
  | { readonly kind: 'time'; readonly now: number; readonly margin: number }

export type ObligationEffect =
  | { readonly kind: 'claim'; readonly lock: LockRef; readonly scalar: Scalar }
  | { readonly kind: 'release'; readonly lock: LockRef; readonly reason: Uint8Array }
  /** Submit the ledger's `reveal`; the fact then binds every version of the channel (L8). */
  | { readonly kind: 'reveal'; readonly lock: LockRef; readonly scalar: Scalar }
  | { readonly kind: 'ended'; readonly lock: LockRef; readonly outcome: Ended['outcome']; readonly fee: Amount }

export interface ObligationStep {
  readonly obligation: Obligation
  readonly effects: readonly ObligationEffect[]
}

/** Which events move which phase; any other event is late or a repetition and changes nothing. */
export const ACCEPTS: Readonly<Record<ObligationPhase, readonly ObligationEvent['kind'][]>> = {
  offered: ['downstream_claimed', 'downstream_released', 'downstream_dead', 'downstream_void'],
  claiming: ['upstream_claimed', 'upstream_dead', 'resume', 'time'],
  releasing: ['upstream_released', 'upstream_dead', 'resume'],
  ended: [],
}

const NO_FEE = 0n as Amount

/** After decideForward and once the outgoing channel took the proposal: same batch as that proposal. */
export const offerObligation = (
  incoming: HeldLock,
  outgoing: LockRef,
  secret: SharedSecret,
  fee: Amount,
): ObligationStep => ({
  obligation: {
    version: 1,
    phase: 'offered',
    incoming: held(incoming),
    outgoing: { channel: outgoing.channel, id: outgoing.id },
    secret,
    fee,
  },
  effects: [],
})

/** After decideReceive said `claim`. */
export const claimObligation = (incoming: HeldLock, scalar: Scalar): ObligationStep =>
  owed({ version: 1, phase: 'claiming', incoming: held(incoming), scalar, fee: NO_FEE, revealing: false })

/** Where a decision, or the outgoing channel, said no. */
export const failObligation = (
  arrival: Pick<InvalidArrival, 'incoming' | 'secret'>,
  reason: LocalReason,
  policy: Policy | null = null,
): ObligationStep =>
  owed({
    version: 1,
    phase: 'releasing',
    incoming: held(arrival.incoming),
    reason: ownFailure(arrival.secret, reason, policy),
  })

/** Where the onion did not open: no secret, so the previous hop reports for us. */
export const unreadableObligation = (incoming: HeldLock): ObligationStep =>
  owed({ version: 1, phase: 'releasing', incoming: held(incoming), reason: UNREADABLE })

const held = ({ channel, id, expiry }: HeldLock): HeldLock => ({ channel, id, expiry })

const ownFailure = (secret: SharedSecret, reason: LocalReason, policy: Policy | null = null): Uint8Array =>
  createFailure(secret, encodeFailure(translate(reason, policy)))

/** A downstream failure with our layer; what no payer could read is reported as ours (R2). */
function passOn(secret: SharedSecret, reason: Uint8Array): Uint8Array {
  if (reason.length !== FAILURE_BYTES) return ownFailure(secret, 'downstream_malformed')
  return isUnreadable(reason) ? ownFailure(secret, 'downstream_unreadable') : wrapFailure(secret, reason)
}

/** The state and the effect that it owes. */
function owed(obligation: Claiming | Releasing): ObligationStep {
  const lock = { channel: obligation.incoming.channel, id: obligation.incoming.id }
  const effect: ObligationEffect =
    obligation.phase === 'claiming'
      ? { kind: 'claim', lock, scalar: obligation.scalar }
      : { kind: 'release', lock, reason: obligation.reason }
  return { obligation, effects: [effect] }
}

function ended(incoming: HeldLock, outcome: Ended['outcome'], fee: Amount): ObligationStep {
  const lock = { channel: incoming.channel, id: incoming.id }
  return {
    obligation: { version: 1, phase: 'ended', incoming, outcome, fee },
    effects: [{ kind: 'ended', lock, outcome, fee }],
  }
}

function stepOffered(state: Offered, event: ObligationEvent): ObligationStep {
  const { incoming, secret, fee } = state
  const release = (reason: Uint8Array) => owed({ version: 1, phase: 'releasing', incoming, reason })
  switch (event.kind) {
    case 'downstream_claimed': {
      // R3: adding y is what a downstream claim or reveal obliges to
      const scalar = scalarUpstream(event.scalar, hopScalar(secret))
      return owed({ version: 1, phase: 'claiming', incoming, scalar, fee, revealing: false })
    }
    case 'downstream_released':
      return release(passOn(secret, event.reason))
    case 'downstream_dead':
      return release(ownFailure(secret, 'downstream_expired'))
    case 'downstream_void':
      return release(ownFailure(secret, 'proposal_void'))
    default:
      return { obligation: state, effects: [] }
  }
}

function stepClaiming(state: Claiming, event: ObligationEvent): ObligationStep {
  const { incoming, scalar, fee } = state
  if (event.kind === 'upstream_claimed') return ended(incoming, 'claimed', fee)
  if (event.kind === 'upstream_dead') return ended(incoming, 'lost', NO_FEE)
  if (event.kind === 'resume') return owed(state)
  // C10: a lock never forces an exit; the scalar on the ledger binds every version
  if (event.kind === 'time' && !state.revealing && event.now >= incoming.expiry - event.margin) {
    const lock = { channel: incoming.channel, id: incoming.id }
    return { obligation: { ...state, revealing: true }, effects: [{ kind: 'reveal', lock, scalar }] }
  }
  return { obligation: state, effects: [] }
}

function stepReleasing(state: Releasing, event: ObligationEvent): ObligationStep {
  if (event.kind === 'resume') return owed(state)
  return ended(state.incoming, 'released', NO_FEE)
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
