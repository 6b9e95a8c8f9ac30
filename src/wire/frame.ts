/**
 * One WebSocket as a stream of bounded binary frames (W3): no compression, few fragments, sends of one turn in one
 * write, a bounded send queue. What the peer does wrong ends the connection and nothing else.
 */
import type { Socket } from 'node:net'
import type { ClientOptions, RawData, ServerOptions, WebSocket } from 'ws'
import type { ErrorCode } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { Timers } from './environment.js'

export const SUBPROTOCOL = 'meridian.1'

const NORMAL_CLOSURE = 1000
/** For the peer to take the last frames and answer the close. */
const CLOSE_MS = 2_000

export const FRAME_OPTIONS = {
  perMessageDeflate: false,
  maxPayload: LIMITS.frame_bytes,
  maxFragments: LIMITS.frame_fragments,
  maxBufferedChunks: LIMITS.frame_chunks,
  skipUTF8Validation: true, // a text frame ends the connection unread
} as const satisfies ServerOptions & ClientOptions

export interface LinkHandlers {
  frame(bytes: Uint8Array): void
  /** A WebSocket ping or pong: no message, but not free either. */
  control(): void
  drain(): void
  /** Once; nothing is called after it. */
  closed(reason: ErrorCode): void
}

/** Bytes from the peer come through the handlers until `closed`. */
export class FrameLink {
  readonly #socket: Socket
  readonly #ws: WebSocket
  readonly #timers: Timers
  readonly #queueBytes: number
  #handlers: LinkHandlers | undefined
  #corked = false
  #waitsForDrain = false
  #closing = false

  constructor(ws: WebSocket, socket: Socket, handlers: LinkHandlers, options: { timers: Timers; queueBytes: number }) {
    this.#ws = ws
    this.#socket = socket
    this.#handlers = handlers
    this.#timers = options.timers
    this.#queueBytes = options.queueBytes
    ws.on('message', (data, isBinary) => this.#message(data, isBinary))
    ws.on('ping', () => this.#handlers?.control())
    ws.on('pong', () => this.#handlers?.control())
    // Malformed WebSocket bytes and broken TCP alike; ws says which only in words that may quote the peer.
    ws.on('error', () => this.destroy('bad_frame'))
    ws.on('close', () => this.#ended('connection_closed'))
    socket.on('drain', () => {
      if (!this.#waitsForDrain) return
      this.#waitsForDrain = false
      this.#handlers?.drain()
    })
  }

  /** Bytes accepted and not yet taken by the kernel. */
  get buffered(): number {
    return this.#ws.bufferedAmount
  }

  /** @returns false when the caller is to wait for `drain` (or the link has ended); the frame is queued all the same. */
  send(frame: Uint8Array): boolean {
    if (this.#closing) return false
    this.#cork()
    this.#ws.send(frame)
    const buffered = this.buffered
    if (buffered > this.#queueBytes) {
      this.destroy('slow_peer')
      return false
    }
    if (buffered > LIMITS.send_pause_bytes) this.#waitsForDrain = true
    return !this.#waitsForDrain
  }

  /** All frames of one turn of the event loop leave in one write. */
  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#corked = false
      this.#socket.uncork()
    })
  }

  pause(): void {
    this.#ws.pause()
  }

  resume(): void {
    this.#ws.resume()
  }

  /** Ends after what was sent has left; a peer that does not take it is cut off. */
  close(reason: ErrorCode): void {
    if (this.#closing) return
    this.#closing = true
    this.#ws.resume() // a paused socket would not see the peer's close
    this.#ws.close(NORMAL_CLOSURE)
    const cancel = this.#timers.after(CLOSE_MS, () => this.#ws.terminate())
    this.#ws.once('close', cancel)
    this.#ended(reason)
  }

  /** Ends at once. */
  destroy(reason: ErrorCode): void {
    this.#closing = true
    this.#ws.terminate()
    this.#ended(reason)
  }

  #message(data: RawData, isBinary: boolean): void {
    if (!isBinary || !(data instanceof Uint8Array)) {
      if (this.#handlers !== undefined) this.destroy('bad_frame')
      return
    }
    this.#handlers?.frame(data)
  }

  #ended(reason: ErrorCode): void {
    const handlers = this.#handlers
    this.#handlers = undefined
    this.#closing = true
    handlers?.closed(reason)
  }
}
