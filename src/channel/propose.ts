/** Proposals (C4): ours, the peer's, and those that the leader drops. */
import { equalBytes } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { isErrorCode } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { ChannelMessageOf } from '../base/message/channel.js'
import { ok, type Result, refuse } from '../base/result.js'
import { dropNote, learnScalar, noteOf, opensLock, setNote } from './notes.js'
import { inMessages, keyOf, packOperation, packOperations, unpackOperations } from './operation.js'
import { canApply, findLock, isWon, limitsFor } from './predicate.js'
import {
  breach,
  emit,
  headContent,
  headContentHas,
  isLive,
  leads,
  peer,
  send,
  type Turn,
  update,
  withSide,
} from './turn.js'
import type { Channel, Content, Input, Lock, LockNote, OfferBody, Operation, OperationBody } from './types.js'

const isOffer = (operation: Operation): boolean => operation.body.kind === 'pay' || operation.body.kind === 'lock'

/** Bounds of the peer's waiting proposals; those of a commit that we hold back are among them. */
function hasRoom(pending: readonly Operation[], from: Side): boolean {
  const theirs = pending.filter((operation) => operation.from === from)
  if (theirs.length > LIMITS.queued_operations + LIMITS.round_operations) return false
  return theirs.filter((operation) => operation.body.kind === 'lock').length <= LIMITS.queued_locks
}

/** Own operations become pending and leave: durable before that (C4), because the step has effects. */
function proposeAll(turn: Turn, bodies: readonly OperationBody[]): undefined {
  if (bodies.length === 0) return
  const { side, terms } = turn.context
  const first = turn.state.nextId[side]
  const operations = bodies.map((body, index): Operation => ({ id: first + index, from: side, body }))
  update(turn, {
    pending: [...turn.state.pending, ...operations],
    nextId: withSide(turn.state.nextId, side, first + bodies.length),
  })
  turn.journal.push({ type: 'proposed', operations: packOperations(operations) })
  for (const message of inMessages(operations)) {
    send(turn, { name: 'propose', body: { channel: terms.channel, operations: message } })
  }
}

function whyNotNow(state: Channel): Result<undefined> {
  if (state.phase !== 'open' && state.phase !== 'funding') return refuse('channel_not_open')
  if (state.shutdown.sent || state.shutdown.received) return refuse('channel_not_open')
  return isLive(state) ? ok(undefined) : refuse('channel_offline')
}

/**
 * Locks of the newest content without those of this side that the other one claims or releases already: whatever this side
 * proposes from now on is folded after that (C5), so it takes their slots.
 */
export function lasting({ pending, ...state }: Channel, side: Side): readonly Lock[] {
  const leaving = new Set<number>()
  for (const { from, body } of pending) {
    const ends = body.kind === 'claim' || body.kind === 'release'
    if (ends && from !== side && body.lock.from === side) leaving.add(body.lock.id)
  }
  const { locks } = (state.outstanding ?? state.current).content
  return leaving.size === 0 ? locks : locks.filter(({ from, id }) => from !== side || !leaving.has(id))
}

/**
 * The content in which every waiting proposal of ours has taken its amount and nothing that waits has given any: what
 * passes here passes at the leader, unless limits that depend on the peer's proposals are used up meanwhile.
 */
function reserved(turn: Turn): Content {
  const { side } = turn.context
  const { pending } = turn.state
  let content = headContent(turn.state)
  let spent = 0n
  for (const { from, body } of pending) {
    if (from === side && (body.kind === 'pay' || body.kind === 'lock')) spent += body.amount
  }
  const balance = content.balances[side] - spent
  const locks = lasting(turn.state, side)
  content = { ...content, locks, balances: withSide(content.balances, side, balance as Content['balances'][0]) }
  return content
}

/** Shell: pays and locks that we want to make. Each gets its id or the reason against it. */
export function offer(turn: Turn, bodies: readonly OfferBody[]): undefined {
  const now = whyNotNow(turn.state)
  if (!now.ok) return emit(turn, { type: 'proposed', results: bodies.map(() => now) })
  const { side } = turn.context
  const { env } = turn
  const judge = { env, at: env.view, base: turn.state.current.content, notes: turn.state.notes }
  const accepted: OfferBody[] = []
  const own = turn.state.pending.filter((operation) => operation.from === side)
  let room = LIMITS.queued_operations - own.length
  let content = reserved(turn)
  const openLocks = content.locks.filter((lock) => lock.from === side).length
  let lockRoom = limitsFor(turn.context, side).locks - openLocks
  lockRoom -= own.filter((operation) => operation.body.kind === 'lock').length
  const results = bodies.map((body): Result<number> => {
    const id = turn.state.nextId[side] + accepted.length
    const verdict = canApply(content, { id, from: side, body }, judge)
    if (!verdict.ok) return verdict
    if (body.kind === 'lock' && lockRoom <= 0) return refuse('too_many_locks')
    if (room <= 0) return refuse('queue_full')
    room -= 1
    if (body.kind === 'lock') lockRoom -= 1
    const left = content.balances[side] - body.amount
    content = { ...content, balances: withSide(content.balances, side, left as Content['balances'][0]) }
    accepted.push(body)
    return ok(id)
  })
  proposeAll(turn, accepted)
  emit(turn, { type: 'proposed', results })
}

/**
 * Claims and releases that are noted and not under way (C4). An offer makes none of them possible that was not before, and
 * what is decided about one lock none but that lock's: with hundreds of locks a look at all of them costs more than the rest
 * of such a step.
 */
export function proposeNoted(turn: Turn, input: Input): undefined {
  if (input.type === 'offer') return
  const { state } = turn
  if (!isLive(state) || state.notes.size === 0) return
  if (input.type !== 'fulfill' && input.type !== 'giveBack')
    return proposeWanted(turn, state.notes.values(), state.pending)
  const { from, id } = input.lock
  const note = noteOf(turn, input.lock)
  const ofIt = state.pending.filter(({ body }) => 'lock' in body && body.lock.id === id && body.lock.from === from)
  return note && proposeWanted(turn, [note], ofIt)
}

/** @param pending what waits, as far as it can concern these notes. */
function proposeWanted(turn: Turn, notes: Iterable<LockNote>, pending: readonly Operation[]): undefined {
  const { state, context } = turn
  const underWay = new Set<string>()
  /** Locks of ours that the peer claims itself: it is the one that gains. What is won may fill no slot (C4): there we ask too. */
  const claimed = new Set<string>()
  for (const { from, body } of pending) {
    if (body.kind !== 'claim' && body.kind !== 'release') continue
    if (from === context.side) underWay.add(keyOf(body.lock))
    else if (body.kind === 'claim' && body.lock.from === context.side) claimed.add(keyOf(body.lock))
  }
  const bodies: OperationBody[] = []
  for (const note of notes) {
    const key = keyOf(note.lock)
    if (underWay.has(key) || note.refused === true) continue
    const body = wish(turn, note)
    if (body === undefined || (body.kind === 'claim' && claimed.has(key) && !isWon(turn.env, note.lock))) continue
    if (!headContentHas(state, note.lock)) continue
    if (findLock(state.current.content.locks, note.lock) !== undefined) bodies.push(body)
  }
  proposeAll(turn, bodies)
}

function wish(turn: Turn, note: LockNote): OperationBody | undefined {
  const { lock, scalar, release } = note
  const ref = { from: lock.from, id: lock.id }
  // A dead lock goes back to its payer although the scalar is known: nobody will ever claim it.
  if (scalar !== undefined && !tooLate(turn, note)) return { kind: 'claim', lock: ref, scalar }
  return release === undefined ? undefined : { kind: 'release', lock: ref, reason: release }
}

/** C4: an honest payee puts no claim into a commit after expiry minus margin unless the reveal is final. */
export function tooLate(turn: Turn, note: LockNote): boolean {
  const { env, context } = turn
  if (isWon(env, note.lock)) return false
  return env.view.time > note.lock.expiry - context.policy.margin
}

/** The peer's proposals. What is merely invalid now is judged when a round closes; what is malformed is a breach. */
export function receivePropose(turn: Turn, message: ChannelMessageOf<'propose'>): undefined {
  const { state } = turn
  if (state.link === 'down' || state.link === 'reestablishing') return
  const from = peer(turn)
  const operations = unpackOperations(message.operations, from)
  if (!operations.ok) return breach(turn, 'C4', 'operations cannot be read')
  let next = state.nextId[from]
  const fresh: Operation[] = []
  for (const operation of operations.value) {
    if (operation.id < next) {
      if (!isKnown(state, operation)) return breach(turn, 'C4', 'an id was used for two operations')
      continue
    }
    // C10: nothing new after the sender's own shutdown. What the leader repeats for its outstanding commit (C8) is older.
    if (state.shutdown.received && state.link !== 'recommit' && isOffer(operation))
      return breach(turn, 'C10', 'an offer after shutdown')
    next = operation.id + 1
    fresh.push(operation)
  }
  if (!Number.isSafeInteger(next)) return breach(turn, 'C4', 'ids are used up')
  const pending = [...state.pending, ...fresh]
  if (!hasRoom(pending, from)) return breach(turn, 'C4', 'too many proposals')
  update(turn, { pending, nextId: withSide(state.nextId, from, next) })
  for (const operation of fresh) learnFrom(turn, operation)
}

/** A repeated id is harmless while it repeats the same operation, or one that is no longer waiting. */
function isKnown(state: Channel, operation: Operation): boolean {
  const waiting = state.pending.find((other) => keyOf(other) === keyOf(operation))
  return waiting === undefined || equalBytes(packOperation(waiting), packOperation(operation))
}

/** C6: a scalar is learnt from the proposal already: upstream hears of it before the claim is acknowledged. */
function learnFrom(turn: Turn, { body }: Operation): undefined {
  if (body.kind !== 'claim') return
  const lock = findLock(turn.state.current.content.locks, body.lock)
  if (lock === undefined || noteOf(turn, lock)?.scalar !== undefined) return
  if (opensLock(lock, body.scalar)) learnScalar(turn, lock, body.scalar)
}

/** Leader: takes a proposal out before any commit; the peer hears of it whoever proposed it. */
export function dropProposal(turn: Turn, operation: Operation, code: string): undefined {
  const { context } = turn
  send(turn, {
    name: 'drop',
    body: { channel: context.terms.channel, from: operation.from, id: operation.id, code },
  })
  if (operation.from === context.side) refused(turn, operation, code)
}

/** An own proposal will not be: offers are the shell's to make again, noted wishes wait for the next ledger view. */
export function refused(turn: Turn, operation: Operation, code: string): undefined {
  const { body } = operation
  if (body.kind === 'pay' || body.kind === 'lock') {
    dropNote(turn, operation)
    return emit(turn, { type: 'offerRefused', operation, code: isErrorCode(code) ? code : 'unknown' })
  }
  const note = noteOf(turn, body.lock)
  if (note !== undefined) setNote(turn, note.lock, { refused: true })
}

/** Own pays and locks among these will never be (C4): nothing that can be published has them. */
export function voidOffers(turn: Turn, operations: readonly Operation[]): undefined {
  for (const operation of operations) {
    if (operation.from === turn.context.side && isOffer(operation)) refused(turn, operation, 'proposal_void')
  }
}

/** Follower: the leader dropped a proposal. */
export function receiveDrop(turn: Turn, message: ChannelMessageOf<'drop'>): undefined {
  const { state, context } = turn
  if (leads(context)) return breach(turn, 'C5', 'only the leader drops proposals')
  if (state.link !== 'live') return
  const dropped = state.pending.find((operation) => operation.id === message.id && operation.from === message.from)
  if (dropped === undefined) return
  update(turn, { pending: state.pending.filter((operation) => operation !== dropped) })
  if (dropped.from === context.side) refused(turn, dropped, message.code)
}
