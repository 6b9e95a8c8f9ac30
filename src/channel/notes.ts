/**
 * What is known and decided about live locks (C4, C10): claims and releases are wishes that last until the lock is out,
 * so a lost connection, a refusal or a restart cannot forget them. A lock never forces an exit: what cannot be claimed
 * in time is revealed.
 */
import { equalBytes } from '../base/bytes.js'
import { curve, type Scalar } from '../base/curve/index.js'
import { keyOf } from './operation.js'
import { findLock, isDead, isWon, lockFrom } from './predicate.js'
import { emit, headContentHas, type Turn, update } from './turn.js'
import type { Lock, LockNote, LockRef } from './types.js'

export const noteOf = (turn: Turn, lock: LockRef): LockNote | undefined => turn.state.notes.get(keyOf(lock))

export function setNote(turn: Turn, lock: Lock, patch: Omit<Partial<LockNote>, 'lock'>): undefined {
  const notes = new Map(turn.state.notes)
  notes.set(keyOf(lock), { ...notes.get(keyOf(lock)), ...patch, lock })
  update(turn, { notes })
}

/** A lock that never came in has nothing noted. */
export function dropNote(turn: Turn, lock: LockRef): undefined {
  const notes = new Map(turn.state.notes)
  if (notes.delete(keyOf(lock))) update(turn, { notes })
}

/** A checked scalar of a lock of ours or the peer's; told once when it is an outgoing one's. */
export function learnScalar(turn: Turn, lock: Lock, scalar: Scalar): undefined {
  if (noteOf(turn, lock)?.scalar !== undefined) return
  setNote(turn, lock, { scalar })
  turn.durable = true
  if (lock.from === turn.context.side) emit(turn, { type: 'lockClaimed', lock, scalar })
}

export const opensLock = (lock: Lock, scalar: Scalar): boolean => equalBytes(curve.multiplyBase(scalar), lock.point)

/** Shell: we know the scalar of an incoming lock. Unknown locks are out already. */
export function fulfill(turn: Turn, ref: LockRef, scalar: Scalar): undefined {
  const lock = findLock(turn.state.current.content.locks, ref)
  if (lock === undefined || lock.from === turn.context.side || !opensLock(lock, scalar)) return
  learnScalar(turn, lock, scalar)
  const note = noteOf(turn, lock)
  if (note !== undefined) revealLate(turn, note)
}

/** Shell: an incoming lock goes back. Not after we know its scalar: then it is ours. */
export function giveBack(turn: Turn, ref: LockRef, reason: Uint8Array): undefined {
  const lock = findLock(turn.state.current.content.locks, ref)
  if (lock === undefined || lock.from === turn.context.side) return
  const note = noteOf(turn, lock)
  if (note?.scalar !== undefined || note?.release !== undefined) return
  setNote(turn, lock, { release: reason })
  turn.durable = true
}

/** L8 as our view shows it: won locks become claims, dead ones of ours releases, late scalars reveals. */
export function readLedger(turn: Turn): undefined {
  for (const lock of turn.state.current.content.locks) readLock(turn, lock)
  readUnderWay(turn)
  for (const note of turn.state.notes.values()) revealLate(turn, note)
  for (const { lock } of turn.state.untold) {
    const seen = turn.env.revealed(lock.point)
    if (seen !== undefined && isWon(turn.env, lock)) learnScalar(turn, lock, seen.scalar)
  }
  forgetRefusals(turn)
}

function forgetRefusals(turn: Turn): undefined {
  for (const [key, note] of turn.state.notes) {
    if (note.refused !== true) continue
    const { refused: _was, ...rest } = note
    update(turn, { notes: new Map(turn.state.notes).set(key, rest) })
  }
}

function readLock(turn: Turn, lock: Lock): undefined {
  const { env, context } = turn
  const seen = env.revealed(lock.point)
  if (seen !== undefined && isWon(env, lock)) learnScalar(turn, lock, seen.scalar)
  // C12, C8: who has lost data does not know what it acked.
  if (lock.from !== context.side || !isDead(env, lock) || turn.state.phase === 'recovery') return
  const note = noteOf(turn, lock)
  // C12: dead for good only if no commit that we sent or acked claims it: then it is still in the head content.
  if (note?.deadTold === true || !headContentHas(turn.state, lock)) return
  setNote(turn, lock, { release: new Uint8Array(), deadTold: true })
  emit(turn, { type: 'lockDead', lock })
}

/**
 * C12: a lock of ours in a proposal or commit that has left is live against us. The peer may reveal its scalar, stay
 * away until upstream is dead, and take the lock in then: so its reveal counts at once (R3).
 */
function readUnderWay(turn: Turn): undefined {
  const { state, context, env } = turn
  for (const { body, from, id } of [...(state.outstanding?.operations ?? []), ...state.pending]) {
    const seen = body.kind === 'lock' && from === context.side ? env.revealed(body.point) : undefined
    if (seen === undefined || body.kind !== 'lock') continue
    const lock = lockFrom(context, from, id, body)
    if (isWon(env, lock)) learnScalar(turn, lock, seen.scalar)
  }
}

/** C10: no round will ever take a claim in: what we know is revealed at once, what expires first before the rest. */
export function revealAtOnce(turn: Turn): undefined {
  const { phase, peerRecovers } = turn.state
  const ended = phase === 'exiting' || phase === 'disputed' || phase === 'recovery' || peerRecovers !== null
  if (!ended || phase === 'closed') return
  const notes = [...turn.state.notes.values()].filter((note) => note.scalar !== undefined && note.revealing !== true)
  for (const note of notes.sort((a, b) => a.lock.expiry - b.lock.expiry)) reveal(turn, note)
}

/** C10: not irrevocably claimed by expiry minus margin: the scalar goes to the ledger and binds every version. */
function revealLate(turn: Turn, note: LockNote): undefined {
  if (turn.env.view.time >= note.lock.expiry - turn.context.policy.margin) reveal(turn, note)
}

export function revealNow(turn: Turn, ref: LockRef): undefined {
  const note = noteOf(turn, ref)
  if (note !== undefined) reveal(turn, note)
}

function reveal(turn: Turn, note: LockNote): undefined {
  const { lock, scalar } = note
  const { env, context } = turn
  if (scalar === undefined || note.revealing === true) return
  // C8: the payee of a lock of ours that lost its data does not know any more what it is paid for.
  if (lock.from === context.side && turn.state.peerRecovers === null) return
  if (env.revealed(lock.point) !== undefined || isDead(env, lock)) return
  setNote(turn, lock, { revealing: true })
  emit(turn, { type: 'reveal', lock, scalar })
}
