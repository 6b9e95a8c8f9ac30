/** What a channel can carry right now, from our side (C9). */
import { type Amount, plus, ZERO } from '../base/amount.js'
import { otherSide } from '../base/channel-state.js'
import { lasting } from '../channel/propose.js'
import type { Load } from '../router/jamming/reputation.js'
import type { LiveChannel } from './live-channel.js'

export interface Capacity {
  /** Rounds run: connected, in step, open, nobody closing. */
  readonly ready: boolean
  readonly closing: boolean
  /** Ours to lock, above the reserve and after everything under way. */
  readonly canSend: Amount
  readonly canReceive: Amount
  /** Locks that we may still offer. */
  readonly slotsFree: number
  /** Our locks under way. */
  readonly offered: Load
}

const ENDING: ReadonlySet<string> = new Set(['closing', 'exiting', 'broken', 'disputed', 'recovery', 'closed'])

const atLeastZero = (value: bigint): Amount => (value > 0n ? value : 0n) as Amount

export function capacityOf({ state, context, stopped }: LiveChannel): Capacity {
  const { side, terms } = context
  const other = otherSide(side)
  const { balances } = (state.outstanding ?? state.current).content
  let spent = 0n
  const offered = lasting(state, side)
    .filter((lock) => lock.from === side)
    .map(({ amount }) => amount)
  for (const { from, body } of state.pending) {
    if (from !== side || (body.kind !== 'pay' && body.kind !== 'lock')) continue
    spent += body.amount
    if (body.kind === 'lock') offered.push(body.amount)
  }
  const closing = ENDING.has(state.phase) || state.shutdown.sent || state.shutdown.received
  return {
    ready: stopped === undefined && state.phase === 'open' && state.link === 'live' && !closing,
    closing,
    canSend: atLeastZero(balances[side] - spent - terms.limits[other].reserve),
    canReceive: atLeastZero(balances[other] - terms.limits[side].reserve),
    slotsFree: Math.max(0, terms.limits[other].locks - offered.length),
    offered: { slots: offered.length, value: plus(...offered) },
  }
}

/** What all open channels can carry together, in parts: each of their sums is an upper bound for one payment. */
export interface Capacities {
  readonly canSend: Amount
  /** Of the channel that can send most: what goes without parts. */
  readonly canSendAtOnce: Amount
  readonly canReceive: Amount
}

/** Sending asks for rounds that run now; an invoice is paid later, when a peer that is away may be back. */
export function capacitiesOf(channels: readonly LiveChannel[]): Capacities {
  const open = channels.filter(({ state, stopped }) => state.phase === 'open' && stopped === undefined).map(capacityOf)
  const sends = open.flatMap(({ ready, canSend }) => (ready ? [canSend] : []))
  return {
    canSend: plus(...sends),
    canSendAtOnce: sends.reduce((most, canSend) => (canSend > most ? canSend : most), ZERO),
    canReceive: plus(...open.filter(({ closing }) => !closing).map(({ canReceive }) => canReceive)),
  }
}
