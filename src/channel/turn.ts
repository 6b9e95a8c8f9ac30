/** One step in the making: pure code outside, a local accumulator inside. */
import type { Side } from '../base/channel-state.js'
import type { ChannelMessage, VersionKeys } from '../base/message/channel.js'
import { peerOf } from './content.js'
import { findLock } from './predicate.js'
import { revocationHash, revocationSecret } from './revocation.js'
import type { Channel, Content, Context, Effect, Env, JournalEntry, LockRef, Phase } from './types.js'

export interface Turn {
  readonly env: Env
  readonly context: Context
  state: Channel
  readonly effects: Effect[]
  readonly journal: JournalEntry[]
  /** State that must not be lost although no effect says so. */
  durable: boolean
}

export const newTurn = (state: Channel, env: Env): Turn => ({
  env,
  context: env.context,
  state,
  effects: [],
  journal: [],
  durable: false,
})

export function update(turn: Turn, patch: Partial<Channel>): undefined {
  turn.state = { ...turn.state, ...patch }
}

export const emit = (turn: Turn, effect: Effect): undefined => void turn.effects.push(effect)

export const send = (turn: Turn, message: ChannelMessage): undefined => emit(turn, { type: 'send', message })

export function enter(turn: Turn, phase: Phase): undefined {
  update(turn, { phase })
  turn.journal.push({ type: 'phase', phase })
  turn.durable = true
}

/** C5: an invalid message is a breach: no round and no signature ever again; what was learnt stays. */
export function breach(turn: Turn, clause: string, detail: string): undefined {
  enter(turn, 'broken')
  update(turn, { breach: clause, held: null })
  emit(turn, { type: 'breached', clause, detail })
}

/** C5: the opener leads. */
export const leads = (context: Context): boolean => context.side === 0

/** The content that the next operation would follow upon. */
export const headContent = (state: Channel): Content => (state.outstanding ?? state.current).content

export const headContentHas = (state: Channel, lock: LockRef): boolean =>
  findLock(headContent(state).locks, lock) !== undefined

/** Rounds run: connected, in step, opened and not ended. */
export const isLive = (state: Channel): boolean =>
  state.link === 'live' && state.phase === 'open' && state.peerRecovers === null

export const ownSecret = (context: Context, version: number): Uint8Array =>
  revocationSecret(context.keys.revocation, version)

/** Own keys of a version, if its R is here. */
export function ownKeys(turn: Turn, version: number): VersionKeys | undefined {
  const randomizer = turn.state.randomizers.get(version)
  return randomizer === undefined ? undefined : { hash: revocationHash(ownSecret(turn.context, version)), randomizer }
}

/** A pair [opener, peer] of something own and something of the peer's. */
export const paired = <T>(context: Context, own: T, peers: T): readonly [T, T] =>
  context.side === 0 ? [own, peers] : [peers, own]

export const withSide = <T>(pair: readonly [T, T], side: Side, value: T): readonly [T, T] =>
  side === 0 ? [value, pair[1]] : [pair[0], value]

export const peer = (turn: Turn): Side => peerOf(turn.context)
