/** L8: the global registry of revealed scalars. */
import { curve } from '../../base/curve/index.js'
import { LIMITS } from '../../base/limits.js'
import { ok, refuse } from '../../base/result.js'
import { delegationDigest, transactionDigest } from '../../base/transaction.js'
import { knownAccount, type Rule, type Signed } from './rule.js'
import { readQuota, readRevealed, writeQuota, writeRevealed } from './state.js'

export const reveal: Rule<'reveal'> = (env, tx) => {
  const account = knownAccount(env, tx.account)
  if (!account.ok) return account
  const { delegate } = tx
  const delegated: Signed[] =
    delegate === null
      ? []
      : [
          {
            key: tx.account,
            digest: delegationDigest(env.ledger, tx.account, delegate.account),
            signature: delegate.delegation,
          },
        ]
  return ok({
    signed: [
      { key: delegate?.account ?? tx.account, digest: transactionDigest(tx), signature: tx.signature },
      ...delegated,
    ],
    effect: (draft) => {
      // Known points are passed over: were the whole batch refused for one of them, whoever knows a single scalar of it
      // could hold it up past a deadline by revealing that one first.
      let fresh = 0
      for (const scalar of tx.scalars) {
        const point = curve.multiplyBase(scalar)
        if (readRevealed(draft, point) !== undefined) continue
        writeRevealed(draft, point, { scalar, time: env.now })
        fresh += 1
      }
      if (fresh === 0) return refuse('known_point')
      // L8: the client's quota counts, not the tower's.
      const count = readQuota(draft, tx.account, env.height) + fresh
      if (count > LIMITS.reveal_quota_per_block) return refuse('quota_exceeded')
      writeQuota(draft, tx.account, env.height, count)
      return ok([])
    },
  })
}
