/** A channel as operators see it. */
import type { Amount } from '../base/amount.js'
import { unreachable } from '../base/errors.js'
import { idText } from '../base/ids.js'
import type { LedgerTime } from '../base/ports/chain.js'
import type { Policy } from '../router/policy.js'
import { capacityOf } from './capacity.js'
import type { ExitLicence } from './exit-licence.js'
import type { LiveChannel } from './live-channel.js'

export interface ChannelSummary {
  readonly channel: string
  readonly peer: string
  readonly side: 'opener' | 'peer'
  readonly phase: string
  readonly ready: boolean
  readonly connected: boolean
  /** Why the channel only defends itself, where a defect of ours stopped it. */
  readonly stopped: string | null
  readonly version: number
  readonly balance: Amount
  readonly canSend: Amount
  readonly canReceive: Amount
  readonly locks: number
  /** Versions by which the towers' receipts lag behind; null without towers. */
  readonly towerLag: number | null
  /** Messages that wait for towers. */
  readonly towerWaiting: number
  /** What is waited for, in words. */
  readonly waiting: string | null
  /** Ledger time until which a dispute can be answered (L7). */
  readonly deadline: number | null
  /** Seconds (L7). */
  readonly window: number
  /** Ledger time at which an exit pays out at the latest: the one that stands, or one posted now. */
  readonly backAt: number | null
  /** S2: whether an exit would be let through now. */
  readonly exit: ExitLicence
  readonly policy: Policy
}

export interface Surrounding {
  readonly connected: boolean
  readonly exit: ExitLicence
  readonly policy: Policy
  readonly towerLag: number | null
  readonly towerWaiting: number
  readonly view: LedgerTime
}

export function summaryOf(channel: LiveChannel, around: Surrounding): ChannelSummary {
  const { state, context, stopped } = channel
  const { ready, canSend, canReceive } = capacityOf(channel)
  const { balances, locks, version } = state.current.content
  const { connected, exit, policy, towerLag, towerWaiting } = around
  return {
    channel: channel.text,
    peer: idText(channel.peer),
    side: context.side === 0 ? 'opener' : 'peer',
    phase: state.phase,
    ready,
    connected,
    stopped: stopped ?? null,
    version,
    balance: balances[context.side],
    canSend,
    canReceive,
    locks: locks.length,
    towerLag,
    towerWaiting,
    waiting: waitingFor(channel, around),
    deadline: state.dispute?.deadline ?? null,
    window: context.terms.window,
    backAt: backAt(channel, around.view),
    exit,
    policy,
  }
}

/** L9: after the deadline, and once every lock is won or dead: at the latest when the last one expires. */
function backAt({ state, context }: LiveChannel, view: LedgerTime): number | null {
  if (state.phase === 'closed' || state.phase === 'funding') return null
  const deadline = state.dispute?.deadline ?? view.time + context.terms.window
  return Math.max(deadline, ...state.current.content.locks.map(({ expiry }) => expiry)) + 1
}

function waitingFor({ state }: LiveChannel, { connected, exit, view }: Surrounding): string | null {
  switch (state.phase) {
    case 'funding':
      return 'the opening on the ledger'
    case 'open':
      return connected ? (state.waiting?.on ?? null) : 'the peer'
    case 'closing':
      return connected ? 'the close on the ledger' : 'the peer'
    case 'broken':
      return exit.kind === 'granted' ? 'the exit' : 'a licence to exit'
    case 'exiting':
      return 'the exit on the ledger'
    case 'disputed':
      return waitingInDispute(state, view)
    case 'recovery':
      return state.dispute === null ? "the peer's newest state and its close" : waitingInDispute(state, view)
    case 'closed':
      return null
    default:
      return unreachable(state.phase)
  }
}

function waitingInDispute({ dispute, current }: LiveChannel['state'], view: LedgerTime): string {
  if (dispute !== null && view.time <= dispute.deadline) return 'the deadline'
  return current.content.locks.some(({ expiry }) => view.time <= expiry) ? 'locks to be won or dead' : 'the settlement'
}
