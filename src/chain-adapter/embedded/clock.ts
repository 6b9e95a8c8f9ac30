/** How blocks come. */
export type ClockOptions =
  | {
      readonly kind: 'system'
      /** A block is sealed this long after its first transaction. */
      readonly interval_ms: number
      /** An empty block carries time on where nothing else did for this long. */
      readonly idle_ms: number
    }
  /** Only where genesis is flagged `test`. Time moves by call; blocks come as transactions do, or only by call where `held`. */
  | { readonly kind: 'manual'; readonly held: boolean }

export const SYSTEM_CLOCK: ClockOptions = { kind: 'system', interval_ms: 200, idle_ms: 1_000 }

/** A gap is caught up with this many seconds a second, in steps of at most a minute. */
const CATCH_UP = 16
const STEP_MAX_S = 60

/** Seconds since 1970, which may jump, and milliseconds that only go on. */
export interface MachineClock {
  readonly wall_s: () => number
  readonly monotone_ms: () => number
}

const MACHINE: MachineClock = {
  wall_s: () => Math.floor(Date.now() / 1_000),
  monotone_ms: () => performance.now(),
}

/**
 * Ledger time: seconds, never back (L1), whatever the machine's clock does; where that jumps ahead, or the ledger was
 * down, not at once: what was revoked and posted before must not be past its deadline, and no lock dead, in the
 * first block (L7, L8; A3 has it for its ledgers).
 */
export class LedgerClock {
  #sealedAt: number

  constructor(
    private readonly options: ClockOptions,
    private readonly machine = MACHINE,
  ) {
    this.#sealedAt = machine.monotone_ms()
  }

  /** Time of a block that begins now after `previous`: by a manual clock, `seconds` later. */
  next(previous: { readonly height: number; readonly time: number }, seconds: number): number {
    if (this.options.kind === 'manual') return previous.time + seconds
    const { wall_s, monotone_ms } = this.machine
    const passed_s = (monotone_ms() - this.#sealedAt) / 1_000
    // Before the first block after genesis there is nobody whom a jump could harm.
    const step = Math.min(STEP_MAX_S, 1 + Math.floor(CATCH_UP * passed_s))
    const latest = previous.height === 0 ? Number.POSITIVE_INFINITY : previous.time + step
    return Math.max(previous.time, Math.min(wall_s(), latest))
  }

  /** A block is on its way to the disk: the next one's step is counted from here. */
  sealed(): void {
    this.#sealedAt = this.machine.monotone_ms()
  }
}
