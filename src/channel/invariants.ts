/** What must hold after every step, in production too (C11). A broken one is a defect of ours: the channel stops. */
import { equalBytes } from '../base/bytes.js'
import { invariant } from '../base/errors.js'
import { contentTotal } from './content.js'
import type { Channel, Context, Effect } from './types.js'

/** C10: an end that was signed is terminal. */
const TERMINAL: ReadonlySet<Channel['phase']> = new Set(['closing', 'exiting', 'broken', 'recovery', 'closed'])
const SECRET_OR_STATE: ReadonlySet<string> = new Set(['commit', 'ack', 'revoke'])

export function checkInvariants(
  before: Channel,
  after: Channel,
  effects: readonly Effect[],
  context: Context,
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
  invariant(step === 0 || step === 1, 'C11', 'versions are gap-free')
  if (step === 0) invariant(equalBytes(after.current.digest, before.current.digest), 'C7', 'a version has one content')
  const outstanding = after.outstanding?.content.version
  invariant(outstanding === undefined || outstanding === version + 1, 'C5', 'one commit is outstanding at most')
  invariant(after.revoked <= version, 'C11', 'no secret of a publishable state has left')
  invariant(after.revoked >= before.revoked && after.signed.version >= before.signed.version, 'C11', 'never backwards')
  invariant(after.signed.version === (outstanding ?? version), 'C7', 'what we signed is what we hold')
  if (after.signed.version === before.signed.version) {
    invariant(equalBytes(after.signed.digest, before.signed.digest), 'C7', 'one content is signed per version')
  }
  if (TERMINAL.has(before.phase)) {
    invariant(TERMINAL.has(after.phase), 'C10', 'an ended channel stays ended')
    const leaving = effects.some((effect) => effect.type === 'send' && SECRET_OR_STATE.has(effect.message.name))
    invariant(!leaving, 'C10', 'no commit, ack, revoke or secret leaves an ended channel')
  }
}
