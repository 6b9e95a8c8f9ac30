/** The node's events as an endless iterator: reconnects after the last event that its consumer took. */
import { setTimeout as pause } from 'node:timers/promises'
import { MeridianError } from '../../base/errors.js'
import { framesOf, SILENCE_MS } from '../event-stream.js'
import { EVENT_SCHEMAS, isEventType, type KnownEvent } from '../event-types.js'
import { readProblem } from '../problem.js'
import { type Sdk, toSdk } from './shape.js'
import type { Transport } from './transport.js'

/** Told apart by `type`; `cursor` is what `after` takes. */
export type MeridianEvent = KnownEvent extends infer E ? (E extends KnownEvent ? Sdk<E> : never) : never

export interface EventOptions {
  /** Cursor of the last event that was dealt with; 0, the default: from the beginning. */
  readonly after?: number
  /** Ends the iteration. */
  readonly signal?: AbortSignal
}

const RETRY_MS_MAX = 5_000

/**
 * Every event after a cursor, then live ones, at least once and in order, over restarts of the node. Types that this
 * version does not know are left out. @throws MeridianError where the token does not open events
 */
export async function* eventsOf(transport: Transport, options: EventOptions): AsyncGenerator<MeridianEvent> {
  const { after = 0, signal = new AbortController().signal } = options
  let cursor = after
  for (let wait = 100; !signal.aborted; wait = Math.min(wait * 2, RETRY_MS_MAX)) {
    const connection = new AbortController()
    const end = () => connection.abort()
    signal.addEventListener('abort', end)
    try {
      for await (const event of framesOf(await connect(transport, cursor, connection), SILENCE_MS)) {
        if (event.cursor <= cursor) continue // at least once
        wait = 100
        const known = isEventType(event.type) ? EVENT_SCHEMAS[event.type].safeParse(event) : undefined
        if (known?.success) yield toSdk(known.data as KnownEvent) as MeridianEvent
        cursor = event.cursor
        if (signal.aborted) return
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof MeridianError && error.action === 'fix_request' && !(await transport.reread())) throw error
    } finally {
      signal.removeEventListener('abort', end)
      connection.abort()
    }
    await pause(wait, undefined, { signal }).catch(() => {}) // an abort ends the pause, and the loop
  }
}

async function connect(transport: Transport, cursor: number, { signal }: AbortController) {
  const headers = { accept: 'text/event-stream', authorization: transport.authorization }
  const response = await fetch(`${transport.url}/v1/events?after=${cursor}`, { headers, signal, redirect: 'error' })
  if (response.status === 200 && response.body !== null) return response.body
  const problem = readProblem(await response.json().catch(() => undefined))
  throw problem ?? new MeridianError('unavailable')
}
