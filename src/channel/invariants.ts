/** What must hold after every step, in production too (C11). A broken one is a defect of ours: the channel stops. */
import { equalBytes } from '../base/bytes.js'
import { InvariantError, invariant } from '../base/errors.js'
import { contentTotal } from './content.js'
import type { Channel, Context, Effect, Phase } from './types.js'

/** C10: an end is terminal: where each phase may lead. */
const LEADS_TO: Readonly<Record<Phase, readonly Phase[]>> = {
  funding: ['open', 'broken', 'disputed', 'recovery', 'closed'],
  open: ['closing', 'exiting', 'broken', 'disputed', 'recovery', 'closed'],
  closing: ['exiting', 'broken', 'disputed', 'recovery', 'closed'],
  broken: ['exiting', 'disputed', 'recovery', 'closed'],
  exiting: ['disputed', 'recovery', 'closed'],
  disputed: ['recovery', 'closed'],
  recovery: ['closed'],
  closed: [],
}
const SECRET_OR_STATE: ReadonlySet<string> = new Set(['commit', 'ack', 'revoke'])

export function checkInvariants(
  before: Channel,
  after: Channel,
  effects: readonly Effect[],
  context: Pick<Context, 'pool'>,
): undefined {
  const { version } = after.current.content
  for (const built of [after.current, after.outstanding]) {
    if (built === null || built === before.current || built === before.outstanding) continue
    invariant(contentTotal(built.content) === context.pool, 'C11', 'balances and locks are the pool')
    invariant(
      built.content.balances.every((balance) => balance >= 0n),
      'C11',
      'no balance is negative',
    )
  }
  const step = version - before.current.content.version
  // C8: only lost data is made up for by a leap.
  invariant(step === 0 || step === 1 || (step > 0 && after.phase === 'recovery'), 'C11', 'versions are gap-free')
  if (step === 0) invariant(equalBytes(after.current.digest, before.current.digest), 'C7', 'a version has one content')
  const outstanding = after.outstanding?.content.version
  invariant(outstanding === undefined || outstanding === version + 1, 'C5', 'one commit is outstanding at most')
  invariant(after.revoked <= version, 'C11', 'no secret of a publishable state has left')
  invariant(after.revoked >= before.revoked && after.signed.version >= before.signed.version, 'C11', 'never backwards')
  const holds = after.phase === 'closed' || after.signed.version === (outstanding ?? version)
  invariant(holds, 'C7', 'what we signed is what we hold')
  if (after.signed.version === before.signed.version) {
    invariant(equalBytes(after.signed.digest, before.signed.digest), 'C7', 'one content is signed per version')
  }
  checkEnd(before, after, effects)
}

/** C11: the clause that a stored state breaks by itself: no round may go on from it. A closed one is history. */
export function brokenAt(state: Channel, context: Pick<Context, 'pool'>): string | undefined {
  if (state.phase === 'closed') return undefined
  try {
    checkInvariants({ ...state, current: { ...state.current }, outstanding: null }, state, [], context)
    return undefined
  } catch (error) {
    if (error instanceof InvariantError) return error.clause
    throw error
  }
}

function checkEnd(before: Channel, after: Channel, effects: readonly Effect[]): undefined {
  const { phase, current, dispute } = after
  invariant(phase === before.phase || LEADS_TO[before.phase].includes(phase), 'C10', 'an ended channel stays ended')
  const ended = before.phase !== 'funding' && before.phase !== 'open'
  const quiet = ended || before.peerRecovers !== null
  for (const effect of effects) {
    if (effect.type === 'send') {
      const leaving = quiet && SECRET_OR_STATE.has(effect.message.name)
      invariant(!leaving, 'C10', 'no commit, ack, revoke or secret leaves an ended channel')
    }
    if (effect.type !== 'submit') continue
    const { transaction } = effect
    invariant(phase !== 'closed', 'L7', 'nothing is asked of a ledger that has paid out')
    if (transaction.kind === 'exit') {
      invariant(phase === 'exiting' && dispute === null, 'C8', 'no exit in recovery, nor a second one')
      invariant(equalBytes(transaction.state, current.encoded), 'C10', 'an exit carries the newest co-signed state')
    }
    if (transaction.kind === 'supersede') {
      const higher = dispute !== null && current.content.version > dispute.standingVersion
      invariant(higher && equalBytes(transaction.state, current.encoded), 'L7', 'only the newest state supersedes')
    }
  }
  if (before.dispute !== null && dispute !== null) {
    invariant(dispute.standingVersion >= before.dispute.standingVersion, 'L7', 'the standing state only rises')
    invariant(dispute.deadline === before.dispute.deadline, 'L7', 'deadline and record stay')
  }
  invariant(before.peerRecovers === null || after.peerRecovers !== null, 'C8', 'recovery is final')
}
