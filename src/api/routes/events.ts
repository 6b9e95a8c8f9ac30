/**
 * The node's event log over HTTP: pages of JSON, or a stream (SSE) that begins after any cursor. The stream reads the
 * durable log in pages and waits for the reader after each: nothing is queued for a slow one, and a gone one costs
 * nothing.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { MeridianError } from '../../base/errors.js'
import { LIMITS } from '../../base/limits.js'
import { need } from '../../chain-adapter/need.js'
import { zPageQuery } from '../bodies.js'
import { parseAs } from '../parse.js'
import type { Routes } from '../routes.js'
import { eventView } from '../views.js'

const STREAM_PAGE = 256

export function addEventRoutes(routes: Routes): void {
  const { api, metrics, node, stopping, tokens } = routes
  const mayListen = ({ headers, socket }: FastifyRequest): boolean =>
    tokens.callerOf(headers.authorization, socket.remoteAddress) !== undefined
  routes.read(api.events, async ({ query: { after, limit = LIMITS.api_page }, request, reply }) => {
    // An EventSource comes back with the address it began with and the last id it has.
    const cursor = lastEventId(request) ?? after ?? 0
    // Silence until the log has grown so far would lose whatever comes before.
    if (cursor > node.events.last) throw new MeridianError('cursor_ahead')
    if (wantsPage(request)) {
      const events = await node.events.page(cursor, limit)
      return { events: events.map((event) => eventView(node, event)), cursor: events.at(-1)?.cursor ?? cursor }
    }
    if (stopping.aborted) throw new MeridianError('unavailable', 'the node is stopping')
    node.events.needAfter(cursor)
    if (metrics.streams >= LIMITS.api_streams) throw new MeridianError('busy', 'event streams')
    metrics.streams += 1
    reply.hijack()
    try {
      await stream(routes, reply.raw, cursor, () => mayListen(request))
    } finally {
      metrics.streams -= 1
      reply.raw.destroy()
    }
    return reply
  })
  const archiveView = () => {
    const { archived, carried, last } = node.events
    return {
      archived,
      last,
      pruned: { cursor: carried.cursor, time: carried.time, channels_minor: carried.channels.toString() },
    }
  }
  routes.read(api.eventArchive, archiveView)
  routes.write(api.archiveEvents, async ({ cursor }) => {
    const { value, durable } = node.engine.run((tx) => node.events.archive(tx, cursor))
    need(value)
    await durable
    return { status: 200, value: archiveView() }
  })
}

const wantsPage = ({ headers }: FastifyRequest): boolean =>
  /application\/json/.test(headers.accept ?? '') && !/text\/event-stream/.test(headers.accept ?? '')

function lastEventId({ headers }: FastifyRequest): number | undefined {
  const id = headers['last-event-id']
  return id === undefined ? undefined : parseAs(zPageQuery, { after: id }).after
}

/** @param mayListen asked before anything is told: a token that was revoked opens nothing more. */
async function stream(
  { node, stopping, heartbeat_ms, stall_ms }: Routes,
  out: ServerResponse,
  from: number,
  mayListen: () => boolean,
) {
  const news = new News()
  const stopListening = node.events.listen(() => news.tell())
  const end = () => news.end()
  stopping.addEventListener('abort', end)
  out.on('close', end)
  out.on('error', end)
  try {
    out.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    out.flushHeaders()
    let cursor = from
    while (!news.ended) {
      const events = await node.events.page(cursor, STREAM_PAGE).catch(gone)
      if (events === undefined) break
      const text = events.map((event) => frame(event.cursor, eventView(node, event))).join('')
      cursor = events.at(-1)?.cursor ?? cursor
      if (!mayListen()) break
      if (text !== '' && !(await written(out, text, stall_ms))) return
      if (events.length > 0) continue
      if (!(await news.within(heartbeat_ms)) && !(await written(out, ':\n\n', stall_ms))) return
    }
    out.end()
  } finally {
    stopListening()
    stopping.removeEventListener('abort', end)
  }
}

/** What a slow reader still had to hear has left the log: its stream ends, and the next one is refused in words. */
function gone(error: unknown): undefined {
  if (error instanceof MeridianError && error.code === 'cursor_pruned') return
  throw error
}

const frame = (id: number, value: unknown): string => `id: ${id}\ndata: ${JSON.stringify(value)}\n\n`

/** False where the reader is gone or has not read for too long. */
function written(out: ServerResponse, text: string, stall_ms: number): Promise<boolean> {
  if (out.destroyed) return Promise.resolve(false)
  if (out.write(text)) return Promise.resolve(true)
  return new Promise((resolve) => {
    const settle = (read: boolean) => () => {
      clearTimeout(deadline)
      out.off('drain', drained)
      out.off('close', gone)
      resolve(read)
    }
    const [drained, gone] = [settle(true), settle(false)]
    const deadline = setTimeout(gone, stall_ms)
    out.on('drain', drained)
    out.on('close', gone)
  })
}

/** Something may be new: told before or while one waits. */
class News {
  #fresh = false
  #ended = false
  #wake: (() => void) | undefined

  get ended(): boolean {
    return this.#ended
  }

  tell(): void {
    this.#fresh = true
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  /** False where nothing came. */
  async within(ms: number): Promise<boolean> {
    if (!this.#fresh && !this.#ended) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = undefined
    }
    const told = this.#fresh || this.#ended
    this.#fresh = false
    return told
  }
}
