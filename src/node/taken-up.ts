/**
 * Payments that were open when this process began (R5): their channels come back one after the other, so that a way that
 * is missing now may only be late. They wait for it, for a while, before they give up.
 */
import { LIMITS } from '../base/limits.js'
import type { Timers } from '../wire/environment.js'
import type { Channels } from './channels.js'
import type { LiveChannel } from './live-channel.js'

export class TakenUp {
  /** Empty once the while is over. */
  #keys: ReadonlySet<string> = new Set()
  readonly #waiting = new Set<string>()
  #callOff = (): void => undefined

  constructor(
    private readonly channels: Pick<Channels, 'all'>,
    private readonly timers: Timers,
    /** Tries these again. */
    private readonly again: (keys: readonly string[]) => void,
  ) {}

  begin(keys: readonly string[]): void {
    this.#keys = new Set(keys)
    if (keys.length === 0) return
    this.#callOff = this.timers.after(LIMITS.payment_channels_ms, () => {
      this.#keys = new Set()
      this.ready()
    })
  }

  /** Whether a payment that has no way now waits for more channels: it is tried again when one is ready, and at the end. */
  waits(key: string): boolean {
    const waits = this.#keys.has(key) && this.channels.all().some(isAway)
    if (waits) this.#waiting.add(key)
    return waits
  }

  /** A channel runs rounds again. */
  ready(): void {
    const keys = [...this.#waiting]
    this.#waiting.clear()
    if (keys.length > 0) this.again(keys)
  }

  close(): void {
    this.#callOff()
  }
}

const isAway = ({ state: { phase, link, shutdown }, stopped }: LiveChannel): boolean =>
  stopped === undefined && phase === 'open' && link !== 'live' && !shutdown.sent && !shutdown.received
