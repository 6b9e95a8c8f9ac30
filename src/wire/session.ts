/** An authenticated, encrypted connection with one account (W1, W3), once Noise is through. It knows no message. */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { count } from '../base/counters.js'
import type { ErrorCode } from '../base/errors.js'
import type { AccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { PeerRate } from './bucket.js'
import { type Logger, silent, systemTimers, type Timers } from './environment.js'
import { FrameLink } from './frame.js'
import type { Transport } from './noise.js'

/** Bounds of one connection; those of LIMITS where absent. */
export interface SessionOptions {
  readonly timers?: Timers
  readonly logger?: Logger
  readonly idle_ms?: number
  readonly send_queue_bytes?: number
}

/**
 * Messages arrive in order, each once, until `onClose`. Nothing tells whether the last ones sent have arrived: who needs
 * to know asks after reconnecting (C8).
 */
export interface Session {
  readonly peer: AccountId
  /** Who called whom. */
  readonly direction: 'outgoing' | 'incoming'
  /** Bytes sent and not yet taken by the kernel. */
  readonly buffered: number
  /**
   * @returns true: go on; false: queued, wait for `onDrain` (or the session has ended). A queue above its bound ends the
   *   session with `slow_peer`.
   * @throws RangeError above 65,535 bytes.
   */
  send(message: Uint8Array): boolean
  /** One handler; what arrived before it was set is kept and given to it. An exception in it ends the session. */
  onMessage(handler: (message: Uint8Array) => void): void
  onDrain(handler: () => void): void
  /** Called once, also where the session ended before. */
  onClose(handler: (reason: ErrorCode) => void): void
  /** Stops reading: the peer is held back by TCP, and its close is not seen either. */
  pause(): void
  resume(): void
  /** Ends after what was sent has left. */
  close(reason?: ErrorCode): void
  /** Ends at once: for a peer that breaks the protocol. */
  destroy(reason: ErrorCode): void
}

interface Opened {
  readonly ws: WebSocket
  readonly socket: Socket
  readonly peer: AccountId
  readonly direction: Session['direction']
  readonly transport: Transport
  readonly rate: PeerRate
}

export class NoiseSession implements Session {
  readonly peer: AccountId
  readonly direction: Session['direction']
  readonly #transport: Transport
  readonly #rate: PeerRate
  readonly #timers: Timers
  readonly #logger: Logger
  readonly #idleMs: number
  readonly #link: FrameLink
  #message: ((message: Uint8Array) => void) | undefined
  #drain: (() => void) | undefined
  #close: ((reason: ErrorCode) => void)[] = []
  /** Arrived before `onMessage`: at most one socket read, since the first one pauses reading until then. */
  #early: Uint8Array[] = []
  #endReason: ErrorCode | undefined
  #heardAt: number
  #pausedByOwner = false
  #throttled = false
  #cancelIdle: () => void

  constructor(opened: Opened, options: SessionOptions) {
    this.peer = opened.peer
    this.direction = opened.direction
    this.#transport = opened.transport
    this.#rate = opened.rate
    this.#timers = options.timers ?? systemTimers
    this.#logger = options.logger ?? silent
    this.#idleMs = options.idle_ms ?? LIMITS.idle_ms
    this.#heardAt = this.#timers.now()
    this.#link = new FrameLink(
      opened.ws,
      opened.socket,
      {
        frame: (bytes) => this.#frame(bytes),
        control: () => this.#charge(0),
        drain: () => this.#drain?.(),
        closed: (reason) => this.#ended(reason),
      },
      { timers: this.#timers, queueBytes: options.send_queue_bytes ?? LIMITS.send_queue_bytes },
    )
    this.#cancelIdle = this.#timers.after(this.#idleMs, () => this.#checkIdle())
  }

  get buffered(): number {
    return this.#link.buffered
  }

  send(message: Uint8Array): boolean {
    if (this.#endReason !== undefined) return false
    const frame = this.#transport.sender.encrypt(message)
    count('messages')
    count('wireBytes', frame.length)
    return this.#link.send(frame)
  }

  onMessage(handler: (message: Uint8Array) => void): void {
    this.#message = handler
    const early = this.#early
    this.#early = []
    for (const message of early) this.#deliver(message)
    this.#readOn()
  }

  onDrain(handler: () => void): void {
    this.#drain = handler
  }

  onClose(handler: (reason: ErrorCode) => void): void {
    const reason = this.#endReason
    if (reason === undefined) this.#close.push(handler)
    else queueMicrotask(() => handler(reason))
  }

  pause(): void {
    this.#pausedByOwner = true
    this.#link.pause()
  }

  resume(): void {
    this.#pausedByOwner = false
    this.#readOn()
  }

  close(reason: ErrorCode = 'connection_closed'): void {
    this.#link.close(reason)
  }

  destroy(reason: ErrorCode): void {
    this.#link.destroy(reason)
  }

  #frame(frame: Uint8Array): void {
    this.#charge(frame.length)
    const message = this.#transport.receiver.decrypt(frame)
    if (!message.ok) {
      this.destroy('bad_frame') // BOLT 8: a failed tag ends the connection without a word
      return
    }
    this.#heardAt = this.#timers.now()
    this.#deliver(message.value)
  }

  #deliver(message: Uint8Array): void {
    if (this.#endReason !== undefined) return
    if (this.#message === undefined) {
      this.#early.push(message)
      this.#link.pause()
      return
    }
    try {
      this.#message(message)
    } catch (error) {
      // A defect that one peer's message reached costs that peer's connection (W3). Where, but not what: no peer bytes.
      this.#logger.warn('wire.handler_failed', describe(error))
      this.destroy('internal')
    }
  }

  #charge(bytes: number): void {
    const wait = this.#rate.take(bytes, this.#timers.now())
    if (wait === 0 || this.#throttled) return
    this.#throttled = true
    this.#link.pause()
    this.#timers.after(wait, () => {
      this.#throttled = false
      this.#readOn()
    })
  }

  #readOn(): void {
    if (this.#early.length === 0 && !this.#pausedByOwner && !this.#throttled) this.#link.resume()
  }

  #checkIdle(): void {
    const now = this.#timers.now()
    // Whom we do not read cannot be heard.
    if (this.#pausedByOwner || this.#throttled) this.#heardAt = now
    const left = this.#heardAt + this.#idleMs - now
    if (left <= 0) this.destroy('idle_timeout')
    else this.#cancelIdle = this.#timers.after(left, () => this.#checkIdle())
  }

  #ended(reason: ErrorCode): void {
    this.#endReason = reason
    this.#cancelIdle()
    this.#early = []
    const handlers = this.#close
    this.#close = []
    for (const handler of handlers) handler(reason)
  }
}

/** The kind of an exception and the place in our code where it arose. */
function describe(error: unknown): { readonly error: string; readonly at: string } {
  if (!(error instanceof Error)) return { error: typeof error, at: '' }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return { error: error.name, at: frames.slice(0, 3).join(' ').trim() }
}
