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

/** Ledger time: seconds, never back (L1), whatever the machine's clock does. */
export class LedgerClock {
  constructor(private readonly options: ClockOptions) {}

  /** Time of a block that begins now after one of time `previous`: by a manual clock, `seconds` later. */
  next(previous: number, seconds: number): number {
    if (this.options.kind === 'manual') return previous + seconds
    return Math.max(previous, Math.floor(Date.now() / 1000))
  }
}
