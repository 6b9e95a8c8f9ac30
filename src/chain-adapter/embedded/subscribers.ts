import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { cbor } from '../../base/codec.js'
import { MeridianError } from '../../base/errors.js'
import { LIMITS } from '../../base/limits.js'
import { CLOSED_SLOW, CLOSED_WITH_CODE } from '../protocol.js'
import type { FollowFrom, Ledger } from './ledger.js'

/** What a subscriber asks for: `undefined` where the address means nothing. */
type Feed = { readonly kind: 'heads' } | { readonly kind: 'blocks'; readonly from: FollowFrom } | undefined

function feedOf(target: string): Feed {
  if (target === '/v1/heads') return { kind: 'heads' }
  const match = /^\/v1\/events\?(cursor|height)=(\d{1,15})$/.exec(target)
  if (match === null) return undefined
  const at = Number(match[2])
  return { kind: 'blocks', from: match[1] === 'cursor' ? { cursor: at } : { height: at } }
}

/**
 * The WebSocket face. Every subscriber has a loop of its own that reads the next block when the last one has left, so
 * a slow one holds one block in memory, is cut off after `subscriber_stall_ms`, and resumes by cursor.
 */
export class Subscribers {
  readonly #wss = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    perMessageDeflate: false,
    maxPayload: 16,
  })
  readonly #heard = new WeakMap<WebSocket, number>()
  readonly #pulse: NodeJS.Timeout

  constructor(
    private readonly ledger: Pick<Ledger, 'follow' | 'heads'>,
    private readonly stallMs: number = LIMITS.subscriber_stall_ms,
  ) {
    this.#pulse = setInterval(() => this.#ping(), LIMITS.subscriber_idle_ms / 3)
    this.#pulse.unref()
  }

  get size(): number {
    return this.#wss.clients.size
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const feed = feedOf(request.url ?? '')
    const refusal = feed === undefined ? '404 Not Found' : '503 Service Unavailable'
    if (feed === undefined || this.size >= LIMITS.ledger_subscribers) {
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    this.#wss.handleUpgrade(request, socket, head, (ws) => void this.#pump(ws, feed))
  }

  close(): void {
    clearInterval(this.#pulse)
    for (const ws of this.#wss.clients) ws.terminate()
    this.#wss.close()
  }

  async #pump(ws: WebSocket, feed: NonNullable<Feed>): Promise<void> {
    const gone = new AbortController()
    ws.on('close', () => gone.abort())
    ws.on('error', () => ws.terminate())
    ws.on('message', () => ws.close(1008)) // a subscriber has nothing to say
    this.#heard.set(ws, Date.now())
    ws.on('pong', () => this.#heard.set(ws, Date.now()))
    try {
      for await (const message of this.#messages(feed, gone.signal)) {
        if (ws.readyState !== ws.OPEN) return
        await this.#send(ws, message)
      }
      ws.close(1001)
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error
      ws.close(CLOSED_WITH_CODE, error.code)
    }
  }

  async *#messages(feed: NonNullable<Feed>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (feed.kind === 'blocks') yield* this.ledger.follow(feed.from, signal)
    else for await (const head of this.ledger.heads(signal)) yield cbor(head)
  }

  /** Resolves when the kernel has taken it, or the subscriber is gone. */
  #send(ws: WebSocket, message: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const stalled = setTimeout(() => {
        ws.close(CLOSED_SLOW)
        ws.terminate()
      }, this.stallMs)
      ws.send(message, () => {
        clearTimeout(stalled)
        resolve()
      })
    })
  }

  #ping(): void {
    const silentSince = Date.now() - LIMITS.subscriber_idle_ms
    for (const ws of this.#wss.clients) {
      if ((this.#heard.get(ws) ?? 0) < silentSince) ws.terminate()
      else ws.ping()
    }
  }
}
