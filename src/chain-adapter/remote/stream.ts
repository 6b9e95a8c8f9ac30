import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { isErrorCode, MeridianError } from '../../base/errors.js'
import { LIMITS } from '../../base/limits.js'
import { CLOSED_WITH_CODE } from '../protocol.js'
import { backoff } from './http.js'

/**
 * Messages of one WebSocket feed for ever: reconnects with backoff whenever the connection ends, at the address that
 * `target` then names. Ends when the signal aborts. @throws MeridianError with the code the ledger closed with.
 */
export async function* feed(target: () => string, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  let waits = backoff()
  while (!signal.aborted) {
    for await (const message of connection(target(), signal)) {
      waits = backoff()
      yield message
    }
    if (!signal.aborted) await sleep(waits.next().value, undefined, { signal }).catch(() => undefined)
  }
}

/** One connection: until it ends, whoever ends it. Reading stops while the consumer is `stream_queue` messages behind. */
async function* connection(url: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  const ws = new WebSocket(url, { perMessageDeflate: false, maxPayload: LIMITS.block_page_bytes })
  const queue: Uint8Array[] = []
  let wake = () => {}
  let ended: MeridianError | 'closed' | undefined
  const silence = setTimeout(() => ws.terminate(), LIMITS.subscriber_idle_ms)
  const abort = () => ws.terminate()
  signal.addEventListener('abort', abort)
  ws.on('ping', () => silence.refresh())
  ws.on('message', (data: Buffer) => {
    silence.refresh()
    queue.push(new Uint8Array(data))
    if (queue.length >= LIMITS.stream_queue) ws.pause()
    wake()
  })
  ws.on('error', () => ws.terminate()) // a close follows
  ws.on('close', (code, reason) => {
    const text = reason.toString()
    ended = code === CLOSED_WITH_CODE && isErrorCode(text) ? new MeridianError(text) : 'closed'
    wake()
  })
  try {
    while (!signal.aborted) {
      const message = queue.shift()
      if (message !== undefined) {
        yield message
        if (ws.isPaused && queue.length === 0) ws.resume()
      } else if (ended !== undefined) {
        if (ended !== 'closed') throw ended
        return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    clearTimeout(silence)
    signal.removeEventListener('abort', abort)
    ws.terminate()
  }
}
