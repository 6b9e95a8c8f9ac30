/** The client's side of `GET /v1/events`: reads the stream, reconnects after the last cursor it has seen. */
import type { z } from 'zod'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { zEventJson } from './answers.js'
import type { ApiAddress } from './client.js'

export type ApiEvent = z.output<typeof zEventJson>

export const SILENCE_MS = LIMITS.api_heartbeat_ms * 4
const RETRY_MS = [100, 500, 1_000, 2_000, 5_000] as const

/**
 * @throws MeridianError as `lost` makes it, where the node does not come back within the retries or refuses the token:
 * a node that was started anew has another one.
 */
export async function* followEvents(
  { url, token }: ApiAddress,
  after: number,
  signal: AbortSignal,
  lost: (error: unknown) => MeridianError,
): AsyncIterable<ApiEvent> {
  let cursor = after
  for (let failures = 0; !signal.aborted; ) {
    try {
      const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` }
      const response = await fetch(`${url}/v1/events?after=${cursor}`, { headers, signal, redirect: 'error' })
      if (response.status === 401) throw new MeridianError('unauthorized')
      if (response.status !== 200 || response.body === null) throw new MeridianError('unavailable')
      failures = 0
      for await (const event of framesOf(response.body, SILENCE_MS)) {
        if (event.cursor <= cursor) continue // at least once
        yield event
        cursor = event.cursor
        if (signal.aborted) return
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof MeridianError && error.code !== 'unavailable') throw error
      if (failures >= RETRY_MS.length) throw lost(error)
    }
    await pause(RETRY_MS[failures++] ?? 0, signal) // a node that stops ends its streams: the next try tells
  }
}

/** @param silence_ms without a byte, heartbeats included: the connection is dead, whatever TCP says */
export async function* framesOf(body: ReadableStream<Uint8Array>, silence_ms: number): AsyncIterable<ApiEvent> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of withinSilence(body, silence_ms)) {
    text += decoder.decode(chunk, { stream: true })
    const frames = text.split('\n\n')
    text = frames.pop() ?? ''
    if (text.length > LIMITS.api_body_bytes) throw new MeridianError('too_long', 'event')
    for (const frame of frames) {
      const data = frame.split('\n').find((line) => line.startsWith('data: '))
      if (data !== undefined) yield zEventJson.parse(JSON.parse(data.slice('data: '.length)))
    }
  }
}

async function* withinSilence(body: ReadableStream<Uint8Array>, ms: number): AsyncIterable<Uint8Array> {
  const reader = body.getReader()
  try {
    for (;;) {
      const timer = setTimeout(() => void reader.cancel().catch(() => {}), ms) // the read then ends the stream
      const { done, value } = await reader.read().finally(() => clearTimeout(timer))
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => {}) // it broke already
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
