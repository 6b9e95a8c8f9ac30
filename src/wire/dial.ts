/** Keeps one persistent peer connected: dials, waits with jittered backoff, dials again. */
import type { ErrorCode } from '../base/errors.js'
import { type AccountId, idText } from '../base/ids.js'
import { type ConnectOptions, connect } from './connect.js'
import { silent, systemTimers } from './environment.js'
import type { Session } from './session.js'
import type { SessionTable } from './table.js'

const BACKOFF_MIN_MS = 250
const BACKOFF_MAX_MS = 30_000
/** A session that stood this long clears the backoff: one that is cut at once every time does not. */
const STABLE_MS = 10_000

export interface DialOptions extends Omit<ConnectOptions, 'sessions'> {
  readonly sessions: SessionTable
  /** Called for each new outgoing session, in the turn in which it stands. */
  readonly onSession: (session: Session) => void
  /** Called for each attempt that failed. */
  readonly onRefused?: (code: ErrorCode) => void
  /** In [0, 1): how the waits of many dialers are kept apart. */
  readonly random?: () => number
}

export interface Dialer {
  readonly peer: AccountId
  /** Dials now instead of after the wait: its address or the network has changed. */
  wake(): void
  /** Stops dialing; a standing session stays. */
  close(): void
}

export function dial(options: DialOptions): Dialer {
  const dialer = new PersistentDialer(options)
  dialer.wake()
  return dialer
}

/** Doubled per failure in a row, up to a bound, then scaled by [0.5, 1). */
export const backoffMs = (failures: number, random: number): number =>
  Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 16)) * (0.5 + random / 2)

class PersistentDialer implements Dialer {
  readonly #options: DialOptions
  #failures = 0
  #dialing = false
  #closed = false
  /** The session that is watched: ours, or one that the peer opened to us. */
  #standing: Session | undefined
  #cancelWait: () => void = () => {}

  constructor(options: DialOptions) {
    this.#options = options
  }

  get peer(): AccountId {
    return this.#options.remote
  }

  wake(): void {
    this.#cancelWait()
    if (this.#closed || this.#dialing || this.#standing !== undefined) return
    // W3, one connection per identity: where the peer has called us, there is nothing to dial until that ends.
    const incoming = this.#options.sessions.get(this.peer)
    if (incoming === undefined) void this.#attempt()
    else this.#watch(incoming)
  }

  close(): void {
    this.#closed = true
    this.#cancelWait()
  }

  async #attempt(): Promise<void> {
    this.#dialing = true
    const result = await connect(this.#options)
    this.#dialing = false
    const logger = this.#options.logger ?? silent
    if (!result.ok) {
      logger.debug('wire.dial_failed', { peer: idText(this.peer), code: result.error.code })
      this.#options.onRefused?.(result.error.code)
      this.#failures += 1
      this.#wait()
      return
    }
    if (this.#closed) {
      result.value.close()
      return
    }
    logger.info('wire.dialed', { peer: idText(this.peer) })
    this.#options.onSession(result.value)
    this.#watch(result.value)
  }

  #watch(session: Session): void {
    const timers = this.#options.timers ?? systemTimers
    const since = timers.now()
    this.#standing = session
    session.onClose(() => {
      this.#standing = undefined
      this.#failures = timers.now() - since >= STABLE_MS ? 0 : this.#failures + 1
      this.#wait()
    })
  }

  #wait(): void {
    if (this.#closed) return
    const { timers = systemTimers, random = Math.random } = this.#options
    this.#cancelWait = timers.after(backoffMs(this.#failures, random()), () => this.wake())
  }
}
