/** L9: after the deadline, whoever proves the balances of the standing state settles: one proof, however many locks. */
import type { Point } from '../../base/curve/index.js'
import { ok, refuse } from '../../base/result.js'
import { balancesHaveLength, payOut } from './channel-close.js'
import { settledCommitments } from './channel-rules.js'
import { liveChannel, partiesOf, type Rule } from './rule.js'
import { readRevealed } from './state.js'
import { settleStatement } from './statements.js'

export const settle: Rule<'settle'> = (env, tx) => {
  const found = liveChannel(env, tx.channel)
  if (!found.ok) return found
  const channel = found.value
  const { dispute } = channel
  if (dispute === null) return refuse('no_dispute')
  if (env.now <= dispute.deadline) return refuse('dispute_running')
  if (!balancesHaveLength(env, tx)) return refuse('bad_ciphertext', 'length')
  const parties = partiesOf(env, channel)
  if (!parties.ok) return parties
  return ok({
    signed: [],
    effect: (draft) => {
      const revealedAt = (point: Point) => readRevealed(draft, point)?.time
      const commitments = settledCommitments(channel.pool, dispute.standing, revealedAt, env.now)
      if (!commitments.ok) return commitments
      const paid = payOut(env, draft, channel, parties.value, tx)
      if (!paid.ok) return paid
      const statement = settleStatement(env.genesis, channel, parties.value, commitments.value, tx)
      return ok([{ type: 'statement', statement, proof: tx.proof }])
    },
  })
}
