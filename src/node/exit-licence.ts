/**
 * S2: what an exit takes, beside a reason. A state that we have revoked without knowing it any more costs the whole pool
 * (L7), so a store must be shown to be the newest before it may speak. Pure: the same evidence, the same answer.
 */
import type { HighWaterCheck } from '../store/high-water.js'

export interface ExitEvidence {
  /** Why the channel takes no round any more: an own invariant that broke (C11). It defends, it never exits. */
  readonly stopped: string | undefined
  /** The channel is in RECOVERY: restored, shown to be behind, or its journal is broken (C8). */
  readonly recovery: boolean
  /** The database against the high-water file, when this process loaded the channel. */
  readonly highWater: HighWaterCheck
  /** The journal was one unbroken hash chain then. */
  readonly chainUnbroken: boolean
  /** Since this start a tower has answered for the channel and holds nothing newer (T2). */
  readonly towerConfirmed: boolean
  /** A tower names a newer state and has not shown it. */
  readonly towerAhead: boolean
  /** Seconds since this start in which the ledger was heard. */
  readonly uptime: number
  /** Seconds for which a node without a tower's word waits, in which the peer may show that we are behind (C8). */
  readonly absent: number
}

/** What stands against an exit: no waiting mends it. */
export type ExitBar = 'stopped' | 'recovery' | 'high_water' | 'journal' | 'tower'

export type ExitLicence =
  | { readonly kind: 'granted' }
  /** Granted after so many seconds, or as soon as a tower confirms. */
  | { readonly kind: 'later'; readonly seconds: number }
  | { readonly kind: 'never'; readonly bar: ExitBar }

/** The peer's word is no input: it can veto an exit (by RECOVERY), never license one. Nor is any lock's deadline. */
export function exitLicence(evidence: ExitEvidence): ExitLicence {
  const bar = barOf(evidence)
  if (bar !== undefined) return { kind: 'never', bar }
  const seconds = evidence.absent - evidence.uptime
  return evidence.towerConfirmed || seconds <= 0 ? { kind: 'granted' } : { kind: 'later', seconds }
}

function barOf({ stopped, recovery, highWater, chainUnbroken, towerAhead }: ExitEvidence): ExitBar | undefined {
  if (recovery) return 'recovery'
  if (highWater !== 'equal') return 'high_water'
  if (!chainUnbroken) return 'journal'
  if (towerAhead) return 'tower'
  return stopped === undefined ? undefined : 'stopped'
}

/** For operators: what is missing, in words. */
export const EXIT_BARS: Readonly<Record<ExitBar, string>> = {
  stopped:
    'the channel stopped at a defect of this program: it defends itself on the ledger, and neither closes nor exits; with a version that mends it: meridian channel resume',
  recovery: 'the channel is in recovery: this database may be behind, and an old state costs the whole channel',
  high_water: 'the database does not equal the high-water file',
  journal: "the channel's journal is not one unbroken chain",
  tower: 'a tower names a newer state and has not shown it: wait for it, or take it out of "towers" in config.json',
}
