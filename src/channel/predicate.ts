/**
 * The one pure predicate that judges an operation on both sides (C5), and the fold that applies it. A refusal is a
 * value; nothing here knows whether we lead or follow.
 */
import type { Amount } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import { otherSide, type Side } from '../base/channel-state.js'
import { curve } from '../base/curve/index.js'
import { unreachable } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { LedgerTime } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { type LockOutcome, lockOutcome } from '../chain-adapter/contract/channel-rules.js'
import { lockCommitment } from './content.js'
import { keyOf } from './operation.js'
import type {
  ChannelLimits,
  Content,
  Context,
  Env,
  Lock,
  LockNote,
  LockRef,
  Operation,
  OperationBody,
} from './types.js'

/** What a judgement may depend on (C5): state k, limits, the commit's ledger time, and the registry for dead locks. */
export interface Judge {
  readonly env: Env
  /** Ledger time of the commit: for expiry limits. */
  readonly at: LedgerTime
  /** State k: only its locks can be claimed or released in the round. */
  readonly base: Content
  /** Scalars that were checked already. */
  readonly notes: ReadonlyMap<string, LockNote>
}

const ALLOWED = ok(undefined)
type Verdict = Result<undefined>

export const findLock = (locks: readonly Lock[], ref: LockRef): Lock | undefined =>
  locks.find((lock) => lock.id === ref.id && lock.from === ref.from)

/** L8, in our newest final view: `won` where the registry holds the scalar, seen in time. */
export const outcomeOf = (env: Env, lock: Pick<Lock, 'point' | 'expiry'>): LockOutcome =>
  lockOutcome(lock, env.revealed(lock.point)?.time, env.view.time)

/** Dead stays dead: later views agree. */
export const isDead = (env: Env, lock: Lock): boolean => outcomeOf(env, lock) === 'dead'

export const isWon = (env: Env, lock: Lock): boolean => outcomeOf(env, lock) === 'won'

/** C9: what the other side demands of operations that `from` proposes. */
export const limitsFor = (context: Context, from: Side): ChannelLimits => context.terms.limits[otherSide(from)]

function canSpend(context: Context, content: Content, from: Side, amount: Amount): Verdict {
  const limits = limitsFor(context, from)
  if (amount < 1n || amount < limits.amountMin || amount > limits.amountMax) return refuse('amount_out_of_bounds')
  // C9: the reserve, once reached, stays: who never had it cannot spend at all.
  return content.balances[from] - amount >= limits.reserve ? ALLOWED : refuse('balance_too_low')
}

function canLock(content: Content, operation: Operation, body: Body<'lock'>, judge: Judge): Verdict {
  const { from } = operation
  const limits = limitsFor(judge.env.context, from)
  if (body.payload.length > LIMITS.lock_payload_bytes) return refuse('operation_too_long')
  if (content.locks.filter((lock) => lock.from === from).length >= limits.locks) return refuse('too_many_locks')
  if (content.locks.some((lock) => equalBytes(lock.point, body.point))) return refuse('point_in_use')
  const seconds = body.expiry - judge.at.time
  if (seconds < limits.expiryMin || seconds > limits.expiryMax) return refuse('expiry_out_of_bounds')
  return canSpend(judge.env.context, content, from, body.amount)
}

type Body<K extends OperationBody['kind']> = Extract<OperationBody, { kind: K }>

function canClaim(content: Content, body: Body<'claim'>, judge: Judge): Verdict {
  const lock = findLock(judge.base.locks, body.lock)
  if (lock === undefined || findLock(content.locks, body.lock) === undefined) return refuse('lock_unknown')
  const known = judge.notes.get(keyOf(body.lock))?.scalar
  const opens =
    known !== undefined ? equalBytes(known, body.scalar) : equalBytes(curve.multiplyBase(body.scalar), lock.point)
  if (!opens) return refuse('scalar_wrong')
  // C4: a dead lock's claim takes from its payer, so the payer refuses it; to the payee it can only give.
  if (lock.from === judge.env.context.side && isDead(judge.env, lock)) return refuse('lock_is_dead')
  return ALLOWED
}

function canRelease(content: Content, operation: Operation, body: Body<'release'>, judge: Judge): Verdict {
  const lock = findLock(judge.base.locks, body.lock)
  if (lock === undefined || findLock(content.locks, body.lock) === undefined) return refuse('lock_unknown')
  if (body.reason.length > LIMITS.release_reason_bytes) return refuse('operation_too_long')
  // C4: by the payee at any time, by the payer only when the lock is dead.
  return operation.from !== lock.from || isDead(judge.env, lock) ? ALLOWED : refuse('lock_not_dead')
}

/** Whether the operation may follow upon `content`. */
export function canApply(content: Content, operation: Operation, judge: Judge): Verdict {
  const { body } = operation
  switch (body.kind) {
    case 'pay':
      if (body.reference.length > LIMITS.pay_reference_bytes) return refuse('operation_too_long')
      return canSpend(judge.env.context, content, operation.from, body.amount)
    case 'lock':
      return canLock(content, operation, body, judge)
    case 'claim':
      return canClaim(content, body, judge)
    case 'release':
      return canRelease(content, operation, body, judge)
    default:
      return unreachable(body)
  }
}

function moved(content: Content, side: Side, by: bigint): readonly [Amount, Amount] {
  const [opener, peer] = content.balances
  return side === 0 ? [(opener + by) as Amount, peer] : [opener, (peer + by) as Amount]
}

function withoutLock(content: Content, ref: LockRef, to: (lock: Lock) => Side): Content {
  const lock = findLock(content.locks, ref)
  if (lock === undefined) return content
  const locks = content.locks.filter((other) => other !== lock)
  return { ...content, balances: moved(content, to(lock), lock.amount), locks }
}

/** The lock that a `lock` operation makes. */
export function lockFrom(context: Context, from: Side, id: number, body: Body<'lock'>): Lock {
  const fields = { id, from, amount: body.amount, point: body.point, expiry: body.expiry }
  return { ...fields, commitment: lockCommitment(context, fields) }
}

/** The content after an operation that `canApply` allowed. */
export function apply(context: Context, content: Content, operation: Operation): Content {
  const { body, from, id } = operation
  switch (body.kind) {
    case 'pay': {
      const paid = { ...content, balances: moved(content, from, -body.amount) }
      return { ...paid, balances: moved(paid, otherSide(from), body.amount) }
    }
    case 'lock': {
      const locks = [...content.locks, lockFrom(context, from, id, body)]
      return { ...content, balances: moved(content, from, -body.amount), locks }
    }
    case 'claim':
      return withoutLock(content, body.lock, (lock) => otherSide(lock.from))
    case 'release':
      return withoutLock(content, body.lock, (lock) => lock.from)
    default:
      return unreachable(body)
  }
}
