/** One step of a channel: an input, the outside as env shows it, the state after it and what is to be done. */
import { equalBytes } from '../base/bytes.js'
import { unreachable } from '../base/errors.js'
import type { ChannelMessage } from '../base/message/channel.js'
import { refuse } from '../base/result.js'
import * as close from './close.js'
import { validRandomizer } from './content.js'
import { driveDispute, posted, settleProved, submitRefused } from './dispute.js'
import { paidOut, repeatExit, tellUntold, wantExit } from './ending.js'
import { checkInvariants } from './invariants.js'
import { fulfill, giveBack, readLedger, revealAtOnce, revealNow } from './notes.js'
import { offer, proposeNoted, receiveDrop, receivePropose, voidOffers } from './propose.js'
import { newestShown, receiveNewest, receiveRecovering, recover, roundsRun } from './recovery.js'
import { connected, disconnected, receiveReestablish, recommitted } from './reestablish.js'
import { acknowledge, closeRound, receiveAck, receiveCommit, receiveRevoke } from './round.js'
import { emit, enter, isLive, leads, newTurn, type Turn, update } from './turn.js'
import type { Channel, Effect, Env, Input, Phase, Step } from './types.js'

const UNPAID: readonly Phase[] = ['funding', 'open', 'closing', 'exiting', 'broken', 'disputed', 'recovery']
const EVERY: readonly Phase[] = [...UNPAID, 'closed']
const UNENDED: readonly Phase[] = ['funding', 'open']
const CLOSABLE: readonly Phase[] = ['open', 'closing', 'recovery']

/** In which phases an input does anything. Elsewhere it changes nothing (an offer is refused). */
const ALLOWED: Readonly<Record<Input['type'], readonly Phase[]>> = {
  connected: EVERY,
  disconnected: EVERY,
  received: UNPAID,
  funded: ['funding'],
  tick: EVERY,
  randomizerReady: UNENDED,
  offer: UNENDED,
  fulfill: ['open', 'closing', 'exiting', 'broken', 'disputed', 'recovery'],
  revealWanted: ['open', 'closing', 'exiting', 'broken', 'disputed', 'recovery'],
  giveBack: ['open'],
  closeWanted: UNENDED,
  closeProved: CLOSABLE,
  closeVerified: CLOSABLE,
  exitWanted: ['open', 'broken', 'closing'],
  posted: UNPAID,
  paidOut: UNPAID,
  settleProved: ['disputed', 'recovery'],
  submitRefused: UNPAID,
  recover: ['funding', 'open', 'broken'],
  newestShown: UNPAID,
}

/** The same for messages of the peer: an ended channel hears only of its end (C10), a frozen one only of the newest state. */
const HEARD: Readonly<Record<ChannelMessage['name'], readonly Phase[]>> = {
  propose: UNENDED,
  commit: UNENDED,
  ack: UNENDED,
  revoke: UNENDED,
  drop: UNENDED,
  reestablish: UNPAID,
  newest: UNPAID,
  recovering: UNPAID,
  shutdown: UNENDED,
  closeOffer: CLOSABLE,
  closeAccept: CLOSABLE,
}

/** Own R kept ready beyond the one already named to the peer (C2). */
const RANDOMIZERS_AHEAD = 2

/**
 * Pure and synchronous. A peer's wrong message makes the channel `broken` with the clause; it never throws.
 * @throws InvariantError for a defect of this program (C11): the caller keeps the state before the step.
 */
export function step(state: Channel, input: Input, env: Env): Step {
  const turn = newTurn(state, env)
  if (ALLOWED[input.type].includes(state.phase)) {
    handle(turn, input)
    drive(turn, input)
  } else if (input.type === 'offer') {
    const refusal = refuse('channel_not_open')
    emit(turn, { type: 'proposed', results: input.operations.map(() => refusal) })
  }
  checkInvariants(state, turn.state, turn.effects, env.context)
  const durable = turn.durable || turn.effects.some(promises)
  return { state: turn.state, effects: turn.effects, journal: turn.journal, durable }
}

const SAID_AGAIN: ReadonlySet<ChannelMessage['name']> = new Set(['reestablish', 'newest', 'recovering'])

/** C6: effects that promise or tell something; the others can be asked for or said again after a crash. */
function promises(effect: Effect): boolean {
  switch (effect.type) {
    case 'prepareRandomizer':
    case 'proveClose':
    case 'verifyClose':
    case 'proveSettle':
    case 'channelReady':
      return false
    case 'send':
      return !SAID_AGAIN.has(effect.message.name)
    default:
      return true
  }
}

function handle(turn: Turn, input: Input): undefined {
  switch (input.type) {
    case 'connected':
      connected(turn)
      return close.repeatClose(turn)
    case 'disconnected':
      return disconnected(turn)
    case 'received':
      return receive(turn, input.message)
    case 'funded':
      return enter(turn, 'open')
    case 'tick':
      return undefined
    case 'randomizerReady':
      return keepRandomizer(turn, input.version, input.randomizer)
    case 'offer':
      return offer(turn, input.operations)
    case 'fulfill':
      return fulfill(turn, input.lock, input.scalar)
    case 'revealWanted':
      return revealNow(turn, input.lock)
    case 'giveBack':
      return giveBack(turn, input.lock, input.reason)
    case 'closeWanted':
      return close.wantClose(turn)
    case 'closeProved':
      return close.closeProved(turn, input.proof)
    case 'closeVerified':
      return close.closeVerified(turn, input.validUntil, input.valid)
    case 'exitWanted':
      return wantExit(turn)
    case 'posted':
      return posted(turn, input.transaction, input.at, input.recordOnly)
    case 'paidOut':
      return paidOut(turn, input.by)
    case 'settleProved':
      return settleProved(turn, input.standing, input.proof)
    case 'submitRefused':
      return submitRefused(turn, input.kind)
    case 'recover':
      return recover(turn, input.revoked ?? 0)
    case 'newestShown':
      return newestShown(turn, input.state, input.signatures, input.secrets)
    default:
      return unreachable(input)
  }
}

function receive(turn: Turn, message: ChannelMessage): undefined {
  if (!HEARD[message.name].includes(turn.state.phase) || turn.state.link === 'down') return
  if (!equalBytes(message.body.channel, turn.context.terms.channel)) return
  switch (message.name) {
    case 'propose':
      return receivePropose(turn, message.body)
    case 'commit':
      return receiveCommit(turn, message.body)
    case 'ack':
      return receiveAck(turn, message.body)
    case 'revoke':
      return receiveRevoke(turn, message.body)
    case 'drop':
      return receiveDrop(turn, message.body)
    case 'reestablish':
      return receiveReestablish(turn, message.body)
    case 'newest':
      return receiveNewest(turn, message.body)
    case 'recovering':
      return receiveRecovering(turn, message.body.version)
    case 'shutdown':
      return close.receiveShutdown(turn)
    case 'closeOffer':
      return close.receiveCloseOffer(turn, message.body)
    case 'closeAccept':
      return close.receiveCloseAccept(turn, message.body)
    default:
      return unreachable(message)
  }
}

/** What follows by itself from where the channel stands, after every input. */
function drive(turn: Turn, input: Input): undefined {
  if (turn.state.phase === 'closed') return input.type === 'tick' ? tellUntold(turn) : undefined
  if (input.type === 'tick' || input.type === 'connected') readLedger(turn)
  driveEnd(turn, input)
  if (turn.state.held !== null) {
    const { version } = turn.state.current.content
    acknowledge(turn)
    if (turn.state.current.content.version > version) recommitted(turn)
  }
  proposeNoted(turn, input)
  closeRound(turn)
  close.driveClose(turn)
  prepareAhead(turn, input)
  tellReady(turn)
  voidPending(turn)
  noteWaiting(turn)
}

/** What an ended channel owes itself; nothing of it waits for the peer. */
function driveEnd(turn: Turn, input: Input): undefined {
  revealAtOnce(turn)
  if (input.type === 'submitRefused') return // the next tick asks again
  driveDispute(turn)
  if (input.type !== 'tick') return
  repeatExit(turn)
  close.repeatEnd(turn)
}

/** C4: what is in no commit never will be. Where we have lost data we do not know that of anything (C8). */
function voidPending(turn: Turn): undefined {
  const { state } = turn
  if (roundsRun(state) || state.phase === 'recovery' || state.pending.length === 0) return
  voidOffers(turn, state.pending)
  update(turn, { pending: [] })
}

function keepRandomizer(turn: Turn, version: number, randomizer: Uint8Array): undefined {
  const { state, context } = turn
  const wanted = version > state.current.content.version && version <= lastPrepared(state)
  if (!wanted || state.randomizers.has(version) || !validRandomizer(context, context.side, randomizer)) return
  update(turn, { randomizers: new Map(state.randomizers).set(version, randomizer) })
}

const lastPrepared = (state: Channel): number => state.current.content.version + 1 + RANDOMIZERS_AHEAD

/** Asks for what is new since the version moved, and for everything missing on a new connection. */
function prepareAhead(turn: Turn, input: Input): undefined {
  const { state } = turn
  if (!UNENDED.includes(state.phase)) return
  const { version } = state.current.content
  const oldest = hasOld(state.randomizers, version)
  if (oldest) update(turn, { randomizers: new Map([...state.randomizers].filter(([kept]) => kept > version)) })
  const moved = oldest || input.type === 'connected'
  if (!moved) return
  for (let wanted = version + 1; wanted <= lastPrepared(state); wanted++) {
    if (!state.randomizers.has(wanted)) emit(turn, { type: 'prepareRandomizer', version: wanted })
  }
}

function hasOld(randomizers: Channel['randomizers'], version: number): boolean {
  for (const kept of randomizers.keys()) if (kept <= version) return true
  return false
}

function tellReady(turn: Turn): undefined {
  if (turn.state.ready || !isLive(turn.state)) return
  update(turn, { ready: true })
  emit(turn, { type: 'channelReady' })
}

/** C5, C10: what the peer owes us, and since when; the reaction to stall_s is the shell's. */
function noteWaiting(turn: Turn): undefined {
  const on = waitingOn(turn)
  if (on === (turn.state.waiting?.on ?? null)) return
  update(turn, { waiting: on === null ? null : { on, since: turn.env.now } })
}

function waitingOn(turn: Turn): string | null {
  const { state, context, env } = turn
  const offered = state.close !== null && state.close.by === context.side && state.close.accepted === null
  if (offered && state.phase === 'closing' && state.link !== 'down') return 'acceptance of the close'
  const claimed = close.claimedCommit(state)
  if (claimed !== undefined && state.phase === 'open' && state.link !== 'down') return `state ${claimed}`
  if (!roundsRun(state)) return null
  // C10: first, and so owed since it was said, whatever rounds the peer still makes: nothing else stands between.
  const { sent, received } = state.shutdown
  if (sent && !received && state.link === 'live' && state.phase === 'open') return 'shutdown'
  if (state.outstanding !== null) return `ack of ${state.outstanding.content.version}`
  if (leads(context)) return null
  if (state.held !== null && env.view.height < state.held.at.height) return `height of ${state.held.version}`
  if (state.unrevoked !== null) return `secret of ${state.current.content.version - 1}`
  const oldest = state.pending.find((operation) => operation.from === context.side)
  if (oldest !== undefined) return `commit of ${oldest.id}`
  return state.link === 'live' && close.isDrained(state, context) ? 'offer of the close' : null
}
