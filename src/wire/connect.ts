import type { Socket } from 'node:net'
import { type RawData, WebSocket } from 'ws'
import type { Scalar } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Refusal, type Result, refuse } from '../base/result.js'
import { type Entropy, ephemeralKey, systemEntropy, systemTimers } from './environment.js'
import { FRAME_OPTIONS, SUBPROTOCOL } from './frame.js'
import { startInitiator, type Transport } from './noise.js'
import { NoiseSession, type Session, type SessionOptions } from './session.js'
import { SessionTable } from './table.js'

export interface ConnectOptions extends SessionOptions {
  /** `ws://host:port` or `wss://host:port`. */
  readonly url: string
  /** The own account's key. */
  readonly key: Scalar
  /** Who must answer. */
  readonly remote: AccountId
  readonly sessions?: SessionTable
  readonly entropy?: Entropy
  readonly handshake_ms?: number
  /** TLS is additional: Noise alone authenticates, so a private CA may be named or checking be turned off. */
  readonly tls?: { readonly ca?: string | Buffer; readonly rejectUnauthorized?: boolean }
}

/**
 * Calls a peer: WebSocket, then BOLT 8 as its initiator (W1).
 * @returns the session, already in `sessions`; refuses with bad_address, connection_refused, handshake_failed,
 *   handshake_timeout or too_many_connections.
 */
export function connect(options: ConnectOptions): Promise<Result<Session>> {
  if (!/^wss?:\/\/[^#]+$/.test(options.url) || !URL.canParse(options.url)) {
    return Promise.resolve(refuse('bad_address'))
  }
  const sessions = options.sessions ?? new SessionTable(options.timers === undefined ? {} : { timers: options.timers })
  if (!sessions.hasRoomFor(options.remote)) return Promise.resolve(refuse('too_many_connections'))
  const ws = new WebSocket(options.url, SUBPROTOCOL, { ...FRAME_OPTIONS, ...options.tls, generateMask: noMask })
  return new Promise((resolve) => {
    new Attempt(ws, options, sessions, resolve)
  })
}

/**
 * RFC 6455's mask keeps a web page from choosing the bytes on the wire. All our payload is Noise ciphertext, which nobody
 * chooses, so the mask is zero: ws then neither copies nor masks, and the listener does not unmask.
 */
function noMask(mask: Buffer): void {
  mask.fill(0)
}

/** One call, from `new WebSocket` to the end of act three. */
class Attempt {
  #settled: ((result: Result<Session>) => void) | undefined
  readonly #ws: WebSocket
  readonly #options: ConnectOptions
  readonly #sessions: SessionTable
  readonly #cancelDeadline: () => void
  #socket: Socket | undefined

  constructor(
    ws: WebSocket,
    options: ConnectOptions,
    sessions: SessionTable,
    settled: (result: Result<Session>) => void,
  ) {
    this.#settled = settled
    this.#ws = ws
    this.#options = options
    this.#sessions = sessions
    const timers = options.timers ?? systemTimers
    this.#cancelDeadline = timers.after(options.handshake_ms ?? LIMITS.handshake_ms, () =>
      this.#fail(refuse('handshake_timeout')),
    )
    ws.once('upgrade', (response) => {
      this.#socket = response.socket
    })
    ws.on('error', () => this.#fail(refuse('connection_refused')))
    ws.on('close', () => this.#fail(refuse('connection_refused')))
    ws.once('open', () => this.#handshake())
  }

  #handshake(): void {
    const { key, remote, entropy } = this.#options
    const initiator = startInitiator(key, remote, ephemeralKey(entropy ?? systemEntropy))
    this.#ws.once('message', (data: RawData, isBinary: boolean) => {
      if (!isBinary || !(data instanceof Uint8Array)) return this.#fail(refuse('bad_frame'))
      const finished = initiator.finish(data)
      if (!finished.ok) return this.#fail(finished)
      const { actThree, transport } = finished.value
      this.#ws.send(actThree)
      this.#finish(transport)
    })
    this.#ws.send(initiator.actOne)
  }

  #finish(transport: Transport): void {
    const settled = this.#settled
    if (settled === undefined || this.#socket === undefined) return
    this.#settled = undefined
    this.#cancelDeadline()
    this.#ws.removeAllListeners()
    const { remote } = this.#options
    const rate = this.#sessions.rateOf(remote)
    const opened = { ws: this.#ws, socket: this.#socket, peer: remote, direction: 'outgoing', transport, rate } as const
    const session = new NoiseSession(opened, this.#options)
    this.#sessions.add(session)
    settled(ok(session))
  }

  #fail(refusal: { readonly ok: false; readonly error: Refusal }): void {
    const settled = this.#settled
    if (settled === undefined) return
    this.#settled = undefined
    this.#cancelDeadline()
    this.#ws.terminate()
    settled(refusal)
  }
}
