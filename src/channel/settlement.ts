/** What a signed state hides, opened with the channel secret alone (C1), and what it pays out once its locks are decided (L9). */
import type { Amount } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import { channelStateDigest, decodeChannelState, decodeLocks, otherSide } from '../base/channel-state.js'
import { modQ, type Point, sumElements } from '../base/curve/index.js'
import { ok, type Result, refuse } from '../base/result.js'
import { commit } from '../privacy/commitment.js'
import { contentTotal, lockOpening, openSealed } from './content.js'
import { poolBlinding } from './keys.js'
import { outcomeOf } from './predicate.js'
import type { Built, Content, Context, Env, Lock, Settlement } from './types.js'

export interface OpenedState {
  readonly built: Built
  /** Of C_A, modulo q. */
  readonly blinding: bigint
  readonly pool: bigint
  /** Of C_pool, modulo q. */
  readonly poolBlinding: bigint
}

const opens = (value: bigint, blinding: bigint, commitment: Point): boolean => {
  const point = commit(value, blinding)
  return point !== null && equalBytes(point, commitment)
}

/**
 * Any state of the channel from its encoding. Errors: `bad_encoding` where it is none of this channel secret's,
 * `wrong_state` where what is sealed is not what is committed to: a lie of whoever showed it.
 */
export function openState(secret: Uint8Array, encoded: Uint8Array): Result<OpenedState> {
  const state = decodeChannelState(encoded)
  if (!state.ok) return state
  const sealed = openSealed(secret, state.value)
  if (!sealed.ok) return sealed
  const publicLocks = decodeLocks(state.value.locks)
  if (!publicLocks.ok) return publicLocks
  const { balances, pool, balanceBlinding: blinding } = sealed.value
  const locks = publicLocks.value.map((lock, index): Lock => ({ ...lock, amount: sealed.value.locks[index]! }))
  const content: Content = { version: state.value.version, balances, locks, at: { height: 0, time: 0 } }
  const honest =
    contentTotal(content) === pool &&
    opens(balances[0], blinding, state.value.commitment) &&
    locks.every((lock) => opens(lock.amount, lockOpening(secret, lock), lock.commitment))
  if (!honest) return refuse('wrong_state', 'sealed')
  const built = { content, state: state.value, encoded, digest: channelStateDigest(encoded) }
  return ok({ built, blinding: modQ(blinding), pool, poolBlinding: modQ(sealed.value.poolBlinding) })
}

/** The same for a state of this very channel: its pool is the one of the terms. */
export function openOwn(context: Context, encoded: Uint8Array): Result<OpenedState> {
  const opened = openState(context.secret, encoded)
  if (!opened.ok) return opened
  const { pool, poolBlinding: blinding, built } = opened.value
  const ours =
    equalBytes(built.state.channel, context.terms.channel) &&
    pool === context.pool &&
    blinding === modQ(poolBlinding(context.terms))
  return ours ? opened : refuse('wrong_state', 'pool')
}

/**
 * L9 as our view shows it: C_A with the locks that were won by or return to the opener. Undefined while a lock is
 * neither won nor dead.
 * @param blinding of the state's own C_A.
 */
export function settlementOf(env: Env, { content, state }: Built, blinding: bigint): Settlement | undefined {
  const balances: [bigint, bigint] = [content.balances[0], content.balances[1]]
  let openerBlinding = blinding
  const commitments: Point[] = [state.commitment]
  for (const lock of content.locks) {
    const outcome = outcomeOf(env, lock)
    if (outcome === 'undecided') return undefined
    const to = outcome === 'dead' ? lock.from : otherSide(lock.from)
    balances[to] += lock.amount
    if (to === 0) {
      openerBlinding += lockOpening(env.context.secret, lock)
      commitments.push(lock.commitment)
    }
  }
  const commitment = sumElements(commitments)
  if (commitment === null) return undefined // nobody can make this happen: it needs a logarithm of H
  const own = modQ(openerBlinding)
  return {
    version: content.version,
    commitment,
    balances: balances as [Amount, Amount],
    blindings: [own, modQ(poolBlinding(env.context.terms) - own)],
  }
}
