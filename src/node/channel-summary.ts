/** A channel as operators see it. */
import { type Amount, ZERO } from '../base/amount.js'
import type { PublicLock } from '../base/channel-state.js'
import type { Point } from '../base/curve/index.js'
import { unreachable } from '../base/errors.js'
import { idText } from '../base/ids.js'
import type { LedgerTime } from '../base/ports/chain.js'
import { lockOutcome } from '../chain-adapter/contract/channel-rules.js'
import { standingLocks } from '../channel/dispute.js'
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
  /** Ledger time at which the registry got this point's scalar (L8). */
  readonly revealedAt: (point: Point) => number | undefined
}

export function summaryOf(channel: LiveChannel, around: Surrounding): ChannelSummary {
  const { state, context, stopped } = channel
  const { ready, closing, canSend, canReceive } = capacityOf(channel)
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
    canSend: closing ? ZERO : canSend,
    canReceive: closing ? ZERO : canReceive,
    locks: locks.length,
    towerLag,
    towerWaiting,
    waiting: waitingFor(channel, around),
    deadline: state.dispute?.deadline ?? null,
    window: context.terms.window,
    backAt: backAt(channel, around),
    exit,
    policy,
  }
}

/** L9: after the deadline, and once every lock is won or dead: at the latest when the last one expires. */
function backAt({ state, context }: LiveChannel, { view, revealedAt }: Surrounding): number | null {
  if (state.phase === 'closed' || state.phase === 'funding') return null
  const deadline = state.dispute?.deadline ?? view.time + context.terms.window
  const undecided = paidLocks(state, view).filter((lock) => isUndecided(lock, view, revealedAt))
  return Math.max(deadline, ...undecided.map(({ expiry }) => expiry)) + 1
}

/** Of the state that will be settled: the one that stands, or ours while it can still supersede that (L7). */
function paidLocks({ dispute, current }: LiveChannel['state'], { time }: LedgerTime): readonly PublicLock[] {
  if (dispute === null) return current.content.locks
  const supersedes = time <= dispute.deadline && current.content.version > dispute.standingVersion
  return supersedes ? current.content.locks : (standingLocks(dispute) ?? [])
}

const isUndecided = (lock: PublicLock, { time }: LedgerTime, revealedAt: Surrounding['revealedAt']): boolean =>
  lockOutcome(lock, revealedAt(lock.point), time) === 'undecided'

function waitingFor({ state }: LiveChannel, around: Surrounding): string | null {
  const { connected, exit } = around
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
      return waitingInDispute(state, around)
    case 'recovery':
      return state.dispute === null ? "the peer's newest state and its close" : waitingInDispute(state, around)
    case 'closed':
      return null
    default:
      return unreachable(state.phase)
  }
}

function waitingInDispute(state: LiveChannel['state'], { view, revealedAt }: Surrounding): string {
  if (state.dispute !== null && view.time <= state.dispute.deadline) return 'the deadline'
  const undecided = paidLocks(state, view).some((lock) => isUndecided(lock, view, revealedAt))
  return undecided ? 'locks to be won or dead' : 'the settlement'
}
