/**
 * When this node ends a channel without its peer (C10): the peer broke a clause, stays away past `absent_s`, or owes an
 * answer for `stall_s`, and S2's licence is there. A lock alone never forces an exit. Everything is counted from this
 * start on and only while the ledger is heard: where both are silent, it may be us who are cut off.
 */
import type { ErrorCode } from '../base/errors.js'
import type { LedgerTime } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { Content } from '../channel/types.js'
import type { Timers } from '../wire/environment.js'
import type { Channels } from './channels.js'
import type { Engine, Tx } from './engine.js'
import type { EventLog } from './event-log.js'
import { EXIT_BARS, type ExitLicence, exitLicence } from './exit-licence.js'
import type { LiveChannel } from './live-channel.js'

export interface ExitsParts {
  readonly channels: Channels
  readonly engine: Engine
  readonly events: EventLog
  readonly timers: Timers
  /** Seconds: NodeConfig's. */
  readonly absent: number
  readonly stall: number
  readonly ledgerAgeMax: number
  readonly view: () => LedgerTime
  /** Since this start a tower has answered for the channel and holds nothing newer. */
  readonly towerConfirmed: (channel: LiveChannel) => boolean
}

export type ExitReason = 'broken' | 'absent' | 'stalled' | 'forced'

export class Exits {
  readonly #startedAt: number
  /** By channel, seconds: since when its peer has not been in step, and since when it has been connected. */
  readonly #awaySince = new Map<string, number>()
  readonly #thereSince = new Map<string, number>()
  #reviewedAt: number

  constructor(private readonly parts: ExitsParts) {
    this.#startedAt = this.#now
    this.#reviewedAt = this.#now
  }

  /** Rounds run (again): the peer is there. */
  seen(channel: LiveChannel): void {
    this.#awaySince.delete(channel.text)
  }

  /** With every new head: whoever is away or in debt for too long. */
  review(): void {
    const { channels, engine, ledgerAgeMax } = this.parts
    if (this.#now - this.#reviewedAt > ledgerAgeMax) {
      this.#awaySince.clear()
      this.#thereSince.clear()
    }
    this.#reviewedAt = this.#now
    engine.do((tx) => {
      for (const channel of channels.all()) this.#review(tx, channel)
    })
  }

  licence(channel: LiveChannel): ExitLicence {
    return exitLicence({
      stopped: channel.stopped,
      recovery: channel.state.phase === 'recovery',
      highWater: channel.highWater,
      chainUnbroken: channel.fault !== 'journal_broken',
      towerConfirmed: this.parts.towerConfirmed(channel),
      uptime: this.#now - this.#startedAt,
      absent: this.parts.absent,
    })
  }

  /** The operator's wish. Errors: `channel_not_open`, `exit_not_yet`, `exit_unlicensed` with what is missing. */
  force(tx: Tx, channel: LiveChannel): Result<undefined> {
    if (hasExited(channel)) return ok(undefined)
    const licence = this.licence(channel)
    if (licence.kind === 'never') return refuse('exit_unlicensed', EXIT_BARS[licence.bar])
    if (licence.kind === 'later') return refuse('exit_not_yet', `in ${licence.seconds} s, or when a tower confirms`)
    this.#exit(tx, channel, 'forced')
    return hasExited(channel) ? ok(undefined) : refuse('channel_not_open' satisfies ErrorCode)
  }

  #review(tx: Tx, channel: LiveChannel): void {
    const { text, state } = channel
    if (!MAY_EXIT.has(state.phase)) return
    this.#count(this.#awaySince, text, state.link !== 'live')
    this.#count(this.#thereSince, text, state.link !== 'down')
    const reason = this.#reason(channel)
    if (reason !== undefined && this.licence(channel).kind === 'granted') this.#exit(tx, channel, reason)
  }

  #reason(channel: LiveChannel): ExitReason | undefined {
    const { state, text } = channel
    if (state.phase === 'broken') return 'broken'
    if (!hasStake(channel)) return undefined
    const away = this.#awaySince.get(text)
    if (away !== undefined && this.#now - away >= this.parts.absent) return 'absent'
    const there = this.#thereSince.get(text)
    if (there === undefined || state.waiting === null) return undefined
    // What was owed when the peer came back is owed since then: it could not answer before.
    return this.#now - Math.max(state.waiting.since, there) >= this.parts.stall ? 'stalled' : undefined
  }

  #count(since: Map<string, number>, name: string, holds: boolean): void {
    if (!holds) since.delete(name)
    else if (!since.has(name)) since.set(name, this.#now)
  }

  #exit(tx: Tx, channel: LiveChannel, reason: ExitReason): void {
    this.parts.channels.step(tx, channel, { type: 'exitWanted' })
    if (channel.state.phase !== 'exiting') return
    const { time } = this.parts.view()
    const { version } = channel.state.current.content
    this.parts.events.append(tx, { type: 'channel.exited', time, channel: channel.text, version, reason })
  }

  /** Monotone: a wall clock that jumps moves no deadline. */
  get #now(): number {
    return Math.floor(this.parts.timers.now() / 1_000)
  }
}

const MAY_EXIT: ReadonlySet<string> = new Set(['open', 'closing', 'broken'])
const EXITED: ReadonlySet<string> = new Set(['exiting', 'disputed', 'closed'])

export const hasExited = ({ state }: LiveChannel): boolean => EXITED.has(state.phase)

/** Whether an exit could bring us anything: a balance of ours, or a lock that may become ours again or upstream's. */
function hasStake({ state, context }: LiveChannel): boolean {
  const holds = ({ balances, locks }: Content): boolean => balances[context.side] > 0n || locks.length > 0
  return holds(state.current.content) || (state.outstanding !== null && holds(state.outstanding.content))
}
