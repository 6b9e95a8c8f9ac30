import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { Scalar } from '../base/curve/index.js'
import { type AccountId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { Admission } from './admission.js'
import { type Entropy, ephemeralKey, type Logger, silent, systemEntropy, systemTimers } from './environment.js'
import { FRAME_OPTIONS, SUBPROTOCOL } from './frame.js'
import { type Responder, startResponder, type Transport } from './noise.js'
import { NoiseSession, type Session, type SessionOptions } from './session.js'
import { SessionTable } from './table.js'

export interface ListenOptions extends SessionOptions {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** The own account's key. */
  readonly key: Scalar
  /** Called in the same turn in which the peer proved its key; messages wait until `onMessage` is set. */
  readonly onSession: (session: Session) => void
  /** Whether to talk to this account at all; everyone where absent. */
  readonly accept?: (peer: AccountId) => boolean
  readonly sessions?: SessionTable
  readonly entropy?: Entropy
  readonly handshake_ms?: number
  readonly unauthenticated_connections?: number
  readonly unauthenticated_per_address?: number
  /** PEM. TLS is additional to Noise. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer }
}

export interface Listener {
  /** `ws://host:port`, or `wss://…` under TLS. */
  readonly url: string
  readonly port: number
  /** TCP connections that have not finished Noise. */
  readonly unauthenticated: number
  readonly sessions: SessionTable
  /** Takes no new connection, ends its incoming sessions, resolves when all are gone. */
  close(): Promise<void>
}

/** Waits for peers (W1, W3). Refuses with `unavailable` where the port cannot be had. */
export function listen(options: ListenOptions): Promise<Result<Listener>> {
  const host = new Host(options)
  return host.start()
}

class Host implements Listener {
  readonly sessions: SessionTable
  readonly #options: ListenOptions
  readonly #logger: Logger
  readonly #admission: Admission
  readonly #server: Server
  readonly #upgrader = new WebSocketServer({
    ...FRAME_OPTIONS,
    noServer: true,
    clientTracking: false,
    handleProtocols: () => SUBPROTOCOL,
  })
  /** What this listener took in; the table may hold the node's outgoing sessions as well. */
  readonly #incoming = new Set<Session>()
  #port = 0

  constructor(options: ListenOptions) {
    this.#options = options
    this.#logger = options.logger ?? silent
    const timers = options.timers ?? systemTimers
    this.sessions = options.sessions ?? new SessionTable({ timers })
    this.#admission = new Admission({ ...options, timers })
    const bounds = { maxHeaderSize: LIMITS.upgrade_header_bytes }
    this.#server =
      options.tls === undefined ? createServer(bounds) : (createTlsServer({ ...bounds, ...options.tls }) as Server)
    this.#server.on('connection', (socket: Socket) => this.#admission.enter(socket))
    this.#server.on('request', (_request, response) => {
      response.writeHead(426, { connection: 'close', upgrade: 'websocket' }).end()
    })
    this.#server.on('clientError', (_error, socket: Duplex) => socket.destroy())
    this.#server.on('tlsClientError', (_error, socket: Duplex) => socket.destroy())
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#upgrade(request, socket as Socket, head)
    })
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    const { host, tls } = this.#options
    return `${tls === undefined ? 'ws' : 'wss'}://${host.includes(':') ? `[${host}]` : host}:${this.#port}`
  }

  get unauthenticated(): number {
    return this.#admission.size
  }

  start(): Promise<Result<Listener>> {
    return new Promise((resolve) => {
      this.#server.once('error', () => resolve(refuse('unavailable', 'the port cannot be listened on')))
      this.#server.listen(this.#options.port, this.#options.host, () => {
        this.#port = (this.#server.address() as AddressInfo).port
        resolve(ok(this))
      })
    })
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#admission.clear()
    for (const session of this.#incoming) session.close('connection_closed')
    await closed
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim())
    if (!offered.includes(SUBPROTOCOL)) {
      socket.on('error', () => socket.destroy())
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    this.#upgrader.handleUpgrade(request, socket, head, (ws) => this.#handshake(ws, socket))
  }

  /** BOLT 8 as its responder. Whatever is wrong, the caller is told nothing. */
  #handshake(ws: WebSocket, socket: Socket): void {
    let responder: Responder | undefined
    const fail = (reason: string): void => {
      this.#logger.debug('wire.handshake_failed', { reason })
      ws.terminate()
    }
    ws.on('error', () => fail('websocket'))
    ws.on('message', (data: RawData, isBinary: boolean) => {
      if (!isBinary || !(data instanceof Uint8Array) || ws.readyState !== ws.OPEN) return fail('frame')
      if (responder === undefined) {
        const ephemeral = ephemeralKey(this.#options.entropy ?? systemEntropy)
        const started = startResponder(this.#options.key, ephemeral, data)
        if (!started.ok) return fail(started.error.detail ?? '')
        responder = started.value
        ws.send(responder.actTwo)
        return
      }
      const finished = responder.finish(data)
      if (!finished.ok) return fail(finished.error.detail ?? '')
      this.#authenticated(ws, socket, finished.value.remote, finished.value.transport)
    })
  }

  #authenticated(ws: WebSocket, socket: Socket, peer: AccountId, transport: Transport): void {
    const { accept, onSession } = this.#options
    if (accept?.(peer) === false || !this.sessions.hasRoomFor(peer)) {
      this.#logger.info('wire.peer_refused', { peer: idText(peer) })
      ws.terminate()
      return
    }
    this.#admission.authenticated(socket)
    ws.removeAllListeners('error').removeAllListeners('message')
    const rate = this.sessions.rateOf(peer)
    const session = new NoiseSession({ ws, socket, peer, direction: 'incoming', transport, rate }, this.#options)
    this.#incoming.add(session)
    session.onClose((reason) => {
      this.#incoming.delete(session)
      this.#logger.info('wire.session_closed', { peer: idText(peer), reason })
    })
    this.sessions.add(session)
    this.#logger.info('wire.session_opened', { peer: idText(peer) })
    onSession(session)
  }
}
