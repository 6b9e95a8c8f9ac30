/** The long runs of `npm run crash` over real processes: resumable, judged at every restart and every so often in full. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FATAL_EXIT_CODE } from '../../../src/store/fatal.js'
import { type Rng, rngOf } from '../../wire/mutate.js'
import type { Disk } from '../shim/build.js'
import { clauseOf, Lives } from './lives.js'
import { type End, Network, PARTIES } from './network.js'
import { Traffic, Violation } from './traffic.js'

export type LoopName = 'kill' | 'power' | 'no-sync' | 'io-error' | 'disk-full'

export interface LoopOptions {
  readonly name: LoopName
  /** Ends to reach, those of earlier runs in this directory included. */
  readonly target: number
  readonly seed: number
  readonly dir: string
  /** Where the counts are kept; undefined: in `dir`. */
  readonly state: string | undefined
  readonly tell: (line: string) => void
}

interface Loop {
  /** What the nodes' disks are to do; undefined: nothing. */
  readonly disk: (rng: Rng) => Disk | undefined
  /** How a life is ended from outside. */
  readonly strike: 'SIGKILL' | 'SIGUSR2' | undefined
  /** @returns whether the end is one of those that are counted. @throws Violation */
  readonly judge: (end: End) => boolean
  /** One strike of so many meets the ledger. */
  readonly ledger?: number
}

export interface State {
  ends: number
  ledgerKills: number
  runs: number
  restarts: number
  restartMs: number
  /** Of all runs. */
  ms: number
}

export interface LoopResult extends State {
  readonly payments: number
  readonly succeeded: number
  /** The clause that was broken, with what was seen. */
  readonly broken: string | undefined
}

const STREAMS = 4
const RECONCILE_EVERY = 25
/** Payments that arrive between most strikes, at most, and how long they are waited for. */
const BETWEEN = 3
const BETWEEN_MS = 60_000
/** A strike on the ledger, or on a node that is just starting, may not be counted. */
const COUNTED_MS = 3_000
const POLL_MS = 10
/** Nothing at all happened for so long: something is stuck. */
const STUCK_MS = 300_000

/** Calls that an armed disk still takes; what a start makes; syncs and bytes of a short life. */
const ARMED_CALLS = 60
const START_CALLS = 80
const SYNCS = 250
const FULL_BYTES = 800_000
const FULL_REFUSALS = 4

/**
 * Killed by us or by the cut, never ended by a defect of its own. A life whose runtime had not given the signal back to
 * the shim when it came ended before anything of it counts.
 */
function signalled({ signal, code, errors }: End): boolean {
  if (signal === 'SIGUSR2') return false
  if (signal !== 'SIGKILL') throw new Violation(`S2 a node ended by itself with ${signal ?? code}: ${errors}`)
  return true
}

/** S2: a disk that failed ends the process at once, with this code; a life that we ended before counts for nothing. */
function failed({ signal, code, errors }: End): boolean {
  if (signal === 'SIGKILL') return false
  if (code !== FATAL_EXIT_CODE) throw new Violation(`S2 ended with ${signal ?? code}: ${errors}`)
  return true
}

const wasCut = (end: End): boolean => signalled(end) && end.errors.includes('shim: power cut')

export const LOOPS: Readonly<Record<LoopName, Loop>> = {
  kill: { disk: () => undefined, strike: 'SIGKILL', judge: signalled, ledger: 20 },
  power: {
    disk: (rng) => ({
      armed: 1 + rng.below(ARMED_CALLS),
      ...(rng.below(6) === 0 ? { cut: 1 + rng.below(START_CALLS) } : {}),
      ...(rng.below(2) === 0 ? {} : { torn: 1 + rng.below(1 << 30) }),
    }),
    strike: 'SIGUSR2',
    judge: wasCut,
  },
  'no-sync': {
    disk: (rng) => ({ armed: 1 + rng.below(ARMED_CALLS), noSync: true }),
    strike: 'SIGUSR2',
    judge: wasCut,
  },
  'io-error': { disk: (rng) => ({ failSync: 1 + rng.below(SYNCS) }), strike: undefined, judge: failed },
  'disk-full': {
    disk: (rng) => ({ full: { after: rng.below(FULL_BYTES), refusals: rng.below(FULL_REFUSALS) } }),
    strike: undefined,
    judge: failed,
  },
}

/** Runs until the target is reached or something is broken. The directory stays for the next run, or to be looked at. */
export async function runLoop(options: LoopOptions): Promise<LoopResult> {
  mkdirSync(options.dir, { recursive: true })
  const network = await Network.open(join(options.dir, 'network'))
  const run = new Run(options, network)
  try {
    return { ...(await run.toTarget()), broken: undefined }
  } catch (error) {
    const broken = clauseOf(error)
    if (broken === undefined) throw error
    return { ...run.result, broken }
  } finally {
    await run.end()
  }
}

class Run {
  readonly #loop: Loop
  readonly #rng: Rng
  readonly #before: State
  readonly #traffic: Traffic
  readonly #lives: Lives
  readonly #began = performance.now()
  #ledgerKills = 0
  #calm = false
  #over = false

  constructor(
    private readonly options: LoopOptions,
    private readonly network: Network,
  ) {
    this.#loop = LOOPS[options.name]
    this.#before = existsSync(this.#stateFile)
      ? (JSON.parse(readFileSync(this.#stateFile, 'utf8')) as State)
      : { ends: 0, ledgerKills: 0, runs: 0, restarts: 0, restartMs: 0, ms: 0 }
    this.#rng = rngOf(options.seed + 7_919 * this.#before.runs)
    this.#traffic = new Traffic(join(options.dir, 'network', 'payments.jsonl'), this.#rng)
    this.#lives = new Lives({
      network,
      traffic: this.#traffic,
      disk: () => (this.#calm ? undefined : this.#loop.disk(this.#rng)),
      judge: this.#loop.judge,
    })
  }

  get #stateFile(): string {
    return this.options.state ?? join(this.options.dir, `${this.options.name}.json`)
  }

  get result(): Omit<LoopResult, 'broken'> {
    const { counts } = this.#lives
    const { ends, ledgerKills, runs, restarts, restartMs, ms } = this.#before
    return {
      ends: ends + counts.ends,
      ledgerKills: ledgerKills + this.#ledgerKills,
      runs: runs + 1,
      restarts: restarts + counts.restarts,
      restartMs: Math.round(restartMs + counts.restartMs),
      ms: Math.round(ms + performance.now() - this.#began),
      payments: this.#traffic.payments.size,
      succeeded: this.#traffic.succeeded,
    }
  }

  async toTarget(): Promise<Omit<LoopResult, 'broken'>> {
    const { target, tell } = this.options
    this.#lives.begin()
    while (this.result.ends < target) {
      this.#calm = false
      this.#traffic.flow(STREAMS)
      const goal = Math.min(target, this.result.ends + RECONCILE_EVERY)
      await Promise.race([this.#round(goal), this.#lives.failed])
      this.#save()
      const { ends, payments, succeeded } = this.result
      tell(`${this.options.name}: ${ends} of ${target}, ${payments} payments, ${succeeded} succeeded, books agree`)
    }
    return this.result
  }

  /** Strikes until the goal, then quiet: everything ends, and the books are compared. */
  async #round(goal: number): Promise<void> {
    while (this.result.ends < goal && !this.#over) {
      const { arrived } = this.#traffic
      const enough = arrived + (this.#rng.below(6) === 0 ? 0 : 1 + this.#rng.below(BETWEEN))
      await this.#until(() => this.#traffic.arrived >= enough, BETWEEN_MS)
      const had = this.result.ends
      await this.#strike()
      await this.#until(() => this.result.ends > had, COUNTED_MS)
    }
    this.#calm = true
    await this.#intime(this.#traffic.pause())
    await this.#intime(this.#traffic.reconcile(goal === this.options.target))
    // The lives of the calm have disks that do nothing.
    if (goal < this.options.target && this.#loop.disk(this.#rng) !== undefined) this.#lives.next()
  }

  async #strike(): Promise<void> {
    const { strike, ledger } = this.#loop
    if (ledger !== undefined && this.#rng.below(ledger) === 0) {
      await this.network.killLedger()
      this.#ledgerKills += 1
    } else if (strike === 'SIGKILL') this.network.signal(this.#rng.pick(PARTIES), strike)
    else if (strike !== undefined && this.#lives.answering.length > 0) {
      this.network.signal(this.#rng.pick(this.#lives.answering), strike) // before that its shim may not hear it
    }
  }

  async #until(holds: () => boolean, ms: number): Promise<void> {
    for (const end = performance.now() + ms; !holds() && performance.now() < end; ) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  /** R5: everything pending ends. */
  async #intime(work: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const stuck = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Violation('R5 payments or locks do not end')), STUCK_MS)
    })
    await Promise.race([work, stuck]).finally(() => clearTimeout(timer))
  }

  #save(): void {
    const { payments: _payments, succeeded: _succeeded, ...state } = this.result
    writeFileSync(this.#stateFile, JSON.stringify(state satisfies State))
  }

  async end(): Promise<void> {
    this.#over = true
    this.#traffic.stop()
    this.#save()
    await this.#lives.end()
    await this.network.end()
  }
}
