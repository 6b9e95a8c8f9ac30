/** The end of a channel: the own exit, and what is told once the ledger has paid out (C10, C12). Nothing here is told twice. */
import { curve, type Signature } from '../base/curve/index.js'
import { transactionDigest } from '../base/transaction.js'
import { submitFor } from './dispute.js'
import { dropNote, learnScalar } from './notes.js'
import { keyOf } from './operation.js'
import { tellOutcomes } from './outcome.js'
import { findLock, outcomeOf } from './predicate.js'
import { voidOffers } from './propose.js'
import { loseTrack } from './recovery.js'
import { emit, enter, type Turn, update } from './turn.js'
import type { Channel, Input, Untold } from './types.js'

/** C10: highest version held with both signatures; durable before the transaction leaves, terminal. */
export function wantExit(turn: Turn): undefined {
  const { state, context } = turn
  if (state.exit !== null) return
  const { encoded, signatures, content } = state.current
  const unsigned = {
    kind: 'exit' as const,
    ledger: context.terms.ledger,
    channel: context.terms.channel,
    poster: context.side,
    state: encoded,
    stateSignatures: [signatures[0], signatures[1]] as [Signature, Signature],
  }
  const exit = { ...unsigned, signature: curve.sign(transactionDigest(unsigned), context.keys.signing) }
  enter(turn, 'exiting')
  update(turn, { exit })
  submitFor(turn, content.version, exit)
}

/** After a refusal: only while nothing stands on the ledger. */
export function repeatExit(turn: Turn): undefined {
  const { exit, phase, current } = turn.state
  if (phase === 'exiting' && exit !== null) submitFor(turn, current.content.version, exit)
}

type PaidBy = Extract<Input, { type: 'paidOut' }>['by']

/** The version that was paid out; undefined where it was none, or one that we have lost (C8). */
const paidVersion = ({ close, dispute }: Channel, by: PaidBy): number | undefined =>
  by === 'punish' ? undefined : by === 'settle' ? dispute?.standingVersion : close?.version

/** C8: our own signature paid out what we know nothing of, or data was lost and nothing shows how much. */
const isLost = (state: Channel, by: PaidBy, paid: number | undefined): boolean =>
  by === 'punish' ? state.phase === 'recovery' : paid === undefined || paid > state.current.content.version

/**
 * C12: what the paid version carries is irrevocable now; what no paid version carries will never be. Locks are told as
 * the registry decides them, after a punishment too: a payment has failed only when its lock is dead for good.
 */
export function paidOut(turn: Turn, by: PaidBy): undefined {
  const { current, unrevoked, outstanding, pending } = turn.state
  const paid = paidVersion(turn.state, by)
  const lost = isLost(turn.state, by, paid)
  if (lost) loseTrack(turn, [])
  enter(turn, 'closed')
  update(turn, { outstanding: null, unrevoked: null, pending: [] })
  if (lost) return tellUntold(turn)
  let locks = current.content.locks
  if (unrevoked !== null && paid !== undefined && paid >= current.content.version) {
    tellOutcomes(turn, unrevoked.operations, unrevoked.removed)
  } else if (unrevoked !== null) {
    const made = new Set(unrevoked.operations.filter(({ body }) => body.kind === 'lock').map(keyOf))
    locks = [...locks.filter((lock) => !made.has(keyOf(lock))), ...unrevoked.removed]
    voidOffers(turn, unrevoked.operations)
  }
  if (outstanding !== null) voidOffers(turn, outstanding.operations)
  voidOffers(turn, pending)
  const open = locks.map((lock): Untold => ({ lock, lost: false }))
  update(turn, { untold: [...turn.state.untold.filter(({ lock }) => findLock(locks, lock) === undefined), ...open] })
  tellUntold(turn)
}

/** L8: won or dead in our view. */
export function tellUntold(turn: Turn): undefined {
  const undecided = turn.state.untold.filter((untold) => !told(turn, untold))
  if (undecided.length === turn.state.untold.length) return
  update(turn, { untold: undecided })
  turn.durable = true
}

function told(turn: Turn, { lock, lost }: Untold): boolean {
  const seen = turn.env.revealed(lock.point)
  const outcome = outcomeOf(turn.env, lock)
  if (outcome === 'undecided') return false
  if (seen !== undefined && outcome === 'won') {
    learnScalar(turn, lock, seen.scalar)
    emit(turn, { type: 'lockSettled', lock, scalar: seen.scalar })
  } else if (!lost) {
    // C12: a lock that lost data had may have been claimed in a commit that we acked: that it is dead says nothing.
    emit(turn, { type: 'lockReturned', lock, reason: new Uint8Array(), by: lock.from })
  }
  dropNote(turn, lock)
  return true
}
