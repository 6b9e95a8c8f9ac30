/**
 * When this node ends a channel without its peer (C10): the peer broke a clause, makes no progress for `absent_s`, or
 * owes an answer for `stall_s` on one connection, and S2's licence is there. A lock alone never forces an exit. Everything
 * is counted only while the ledger is heard: where both are silent, it may be us who are cut off.
 */
import { z } from 'zod'
import { utf8 } from '../base/bytes.js'
import { encodeAs, zCount } from '../base/codec.js'
import type { ErrorCode } from '../base/errors.js'
import type { LedgerTime } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { Content } from '../channel/types.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import type { Channels } from './channels.js'
import type { Engine, Tx } from './engine.js'
import type { EventLog } from './event-log.js'
import { EXIT_BARS, type ExitLicence, exitLicence } from './exit-licence.js'
import { serveAll } from './heads.js'
import type { HeardTime } from './heard-time.js'
import type { LiveChannel } from './live-channel.js'

export interface ExitsParts {
  readonly channels: Channels
  readonly engine: Engine
  readonly events: EventLog
  readonly heard: HeardTime
  /** Seconds: NodeConfig's. */
  readonly absent: number
  readonly stall: number
  readonly view: () => LedgerTime
  /** Since this start a tower has answered for the channel and holds nothing newer. */
  readonly towerConfirmed: (channel: LiveChannel) => boolean
  /** A tower names a newer state and has not shown it. */
  readonly towerAhead: (channel: LiveChannel) => boolean
}

export type ExitReason = 'broken' | 'absent' | 'stalled' | 'forced'

/** How far the rounds have come: more of either is progress. */
const zProgress = z.strictObject({ version: zCount, secrets: zCount })
type Progress = z.output<typeof zProgress>

/** Seconds for which the peer made no progress while it was away or owed some; `from`: where the rounds stood. */
const zAbsence = z.strictObject({ seconds: zCount, from: zProgress })

interface Absence extends z.output<typeof zAbsence> {
  /** As its row says; 0 where there is none. */
  readonly stored: number
}

interface Debt {
  /** What `waiting` said: another number is another debt, or another connection. */
  readonly since: number
  readonly seconds: number
}

const AWAY = utf8('away')
const rowKey = (channel: LiveChannel): Uint8Array => tableKey('node', AWAY, channel.id)
/** A row is written so often on the way to `absent_s`: what a crash forgets of it is little. */
const ROWS_PER_ABSENCE = 100

export class Exits {
  /** By channel, null for none; kept over restarts, or a node that restarts often would wait for ever. */
  readonly #absences = new Map<string, Absence | null>()
  /** By channel: of this connection. */
  readonly #debts = new Map<string, Debt>()
  /** By channel: seconds of heads at which its review failed. */
  readonly #missed = new Map<string, number>()

  constructor(private readonly parts: ExitsParts) {}

  /** Rounds run (again): whoever owes nothing then is there, however short. */
  seen(channel: LiveChannel): void {
    this.parts.engine.do((tx) => {
      if (isThere(channel)) this.#present(tx, channel)
    })
  }

  /** With every new head: whoever is away or in debt for too long. */
  review(): void {
    const { channels, engine, heard } = this.parts
    const passed = heard.advance()
    serveAll(channels.all(), (channel) => {
      const { text } = channel
      const [absence, debt, due] = [
        this.#absences.get(text),
        this.#debts.get(text),
        passed + (this.#missed.get(text) ?? 0),
      ]
      try {
        engine.do((tx) => this.#review(tx, channel, due))
        this.#missed.delete(text)
      } catch (error) {
        // Nothing is counted of a review that failed, nor is its time forgotten.
        restore(this.#absences, text, absence)
        restore(this.#debts, text, debt)
        this.#missed.set(text, due)
        throw error
      }
    })
  }

  licence(channel: LiveChannel): ExitLicence {
    return exitLicence({
      stopped: channel.stopped,
      recovery: channel.state.phase === 'recovery',
      highWater: channel.highWater,
      chainUnbroken: channel.fault !== 'journal_broken',
      towerConfirmed: this.parts.towerConfirmed(channel),
      towerAhead: this.parts.towerAhead(channel),
      uptime: this.parts.heard.seconds,
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

  #review(tx: Tx, channel: LiveChannel, passed: number): void {
    if (!MAY_EXIT.has(channel.state.phase)) return
    const away = this.#away(tx, channel, passed)
    const owed = this.#owed(channel, passed)
    const reason = this.#reason(channel, away, owed)
    if (reason !== undefined && this.licence(channel).kind === 'granted') this.#exit(tx, channel, reason)
  }

  #reason(channel: LiveChannel, away: number, owed: number): ExitReason | undefined {
    if (channel.state.phase === 'broken') return 'broken'
    if (!hasStake(channel)) return undefined
    const { absent, stall } = this.parts
    // C8: a peer that lost data signs no close for absent_s while a tower of its own may be away: an exit comes after that.
    const patience = absent + (channel.state.peerRecovers === null ? 0 : stall)
    if (away >= patience) return 'absent'
    return owed >= (channel.state.peerRecovers === null ? stall : patience) ? 'stalled' : undefined
  }

  /** C10: a peer in step that owes nothing is there; one that only connects now and then is not. */
  #away(tx: Tx, channel: LiveChannel, passed: number): number {
    if (isThere(channel)) {
      this.#present(tx, channel)
      return 0
    }
    const from = progressOf(channel)
    const known = this.#known(tx, channel)
    const goesOn = known !== null && !isFurther(from, known.from)
    const seconds = goesOn ? known.seconds + passed : 0 // what was before this head is not known
    const stored = known?.stored ?? 0
    const due = Math.abs(seconds - stored) >= Math.max(1, this.parts.absent / ROWS_PER_ABSENCE)
    if (due) tx.put({ key: rowKey(channel), value: encodeAs(zAbsence, { seconds, from }) })
    this.#absences.set(channel.text, { seconds, from, stored: due ? seconds : stored })
    return seconds
  }

  /** The row is read once in a life. */
  #known(tx: Tx, channel: LiveChannel): Absence | null {
    const known = this.#absences.get(channel.text)
    if (known !== undefined) return known
    const bytes = tx.get(rowKey(channel))
    if (bytes === undefined) return null
    const absence = parseRow(bytes, zAbsence)
    return { ...absence, stored: absence.seconds }
  }

  #present(tx: Tx, channel: LiveChannel): void {
    const known = this.#known(tx, channel)
    this.#absences.set(channel.text, null)
    if (known !== null && known.stored > 0) tx.delete(rowKey(channel))
  }

  /** On one connection: what the peer owed when it came back is owed since then, it could not answer before. */
  #owed(channel: LiveChannel, passed: number): number {
    const { link, waiting } = channel.state
    if (link === 'down' || waiting === null) {
      this.#debts.delete(channel.text)
      return 0
    }
    const { since } = waiting
    const known = this.#debts.get(channel.text)
    const goesOn = known?.since === since
    const counted = goesOn ? passed : Math.min(passed, Math.max(0, this.parts.heard.at - since))
    const seconds = (goesOn ? known.seconds : 0) + counted
    this.#debts.set(channel.text, { since, seconds })
    return seconds
  }

  #exit(tx: Tx, channel: LiveChannel, reason: ExitReason): void {
    this.parts.channels.step(tx, channel, { type: 'exitWanted' })
    if (channel.state.phase !== 'exiting') return
    const { time } = this.parts.view()
    const { version } = channel.state.current.content
    this.parts.events.append(tx, { type: 'channel.exited', time, channel: channel.text, version, reason })
  }
}

function restore<T>(all: Map<string, T>, name: string, value: T | undefined): void {
  if (value === undefined) all.delete(name)
  else all.set(name, value)
}

const MAY_EXIT: ReadonlySet<string> = new Set(['open', 'closing', 'broken'])
const EXITED: ReadonlySet<string> = new Set(['exiting', 'disputed', 'closed'])

export const hasExited = ({ state }: LiveChannel): boolean => EXITED.has(state.phase)

const isThere = ({ state }: LiveChannel): boolean => state.link === 'live' && state.waiting === null

const progressOf = ({ state }: LiveChannel): Progress => ({
  version: state.current.content.version,
  secrets: state.secrets.count,
})

const isFurther = (a: Progress, b: Progress): boolean => a.version > b.version || a.secrets > b.secrets

/** Whether an exit could bring us anything: a balance of ours, or a lock that may become ours again or upstream's. */
function hasStake({ state, context }: LiveChannel): boolean {
  const holds = ({ balances, locks }: Content): boolean => balances[context.side] > 0n || locks.length > 0
  return holds(state.current.content) || (state.outstanding !== null && holds(state.outstanding.content))
}
