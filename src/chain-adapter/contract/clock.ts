/** Ledger time (L1, A3): seconds and monotone; moved by `tick` where the ledger has none of its own. */
import { equalBytes } from '../../base/bytes.js'
import { invariant } from '../../base/errors.js'
import type { Genesis } from '../../base/genesis.js'
import type { LedgerTime } from '../../base/ports/chain.js'
import { ok, refuse } from '../../base/result.js'
import { actingAccount, byAccount, consumeNonce, type Rule } from './rule.js'
import { type Clock, readClock, type StateView, writeClock } from './state.js'

/** The time that rules go by: the ledger's own, or the key that ticks advance; never a client's. */
export function ledgerTime(view: StateView, genesis: Genesis, at: LedgerTime): number {
  return genesis.clock === null ? at.time : clockOf(view).time
}

function clockOf(view: StateView): Clock {
  const clock = readClock(view)
  invariant(clock !== undefined, 'A3', 'the ledger was started without its clock')
  return clock
}

/** Each named account proposes a time; the latest one that a quorum has reached becomes ledger time. */
export const tick: Rule<'tick'> = (env, tx) => {
  const rules = env.genesis.clock
  const voter = rules?.accounts.findIndex((account) => equalBytes(account, tx.account)) ?? -1
  if (rules === null || voter < 0) return refuse('not_allowed')
  const account = actingAccount(env, tx)
  if (!account.ok) return account
  const clock = clockOf(env.view)
  if (tx.time <= clock.time || tx.time > clock.time + rules.stepMax) return refuse('bad_tick', 'step')
  if (env.height < clock.height + rules.blocksMin) return refuse('bad_tick', 'blocks')
  return ok({
    signed: [byAccount(tx)],
    effect: (draft) => {
      const votes = clock.votes.with(voter, tx.time)
      const latestFirst = votes.filter((vote) => vote !== null).sort((a, b) => b - a)
      const agreed = latestFirst[rules.quorum - 1]
      consumeNonce(draft, tx.account)
      writeClock(
        draft,
        agreed === undefined
          ? { ...clock, votes }
          : { time: agreed, height: env.height, votes: clock.votes.map(() => null) },
      )
      return ok([])
    },
  })
}
