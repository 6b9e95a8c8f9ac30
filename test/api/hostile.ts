/** What a hostile or careless client sends: broken bodies, and streams that nobody reads. */
import { connect as connectSocket } from 'node:net'
import type { Amount } from '../../src/base/amount.js'
import type { Hosted } from './nodes.js'

/** Every byte-level cut, every field gone, of another type, added; prototypes, depth, size. */
export function* brokenBodies(body: Record<string, unknown>): Generator<string | Uint8Array> {
  const text = JSON.stringify(body)
  for (let cut = 1; cut < text.length; cut += Math.ceil(text.length / 20)) yield text.slice(0, cut)
  const amounts = Object.keys(body).filter((name) => name.endsWith('_minor'))
  for (const name of Object.keys(body)) {
    for (const value of [null, [], {}, -1, 0.5, ['3'], { a: 1 }, 'x\u0000', '\ud800', 'y'.repeat(5_000)]) {
      if (name === 'reference' && typeof value === 'string' && value.length < 100) continue // refused deeper, or fine
      if (name === 'invoice' && typeof value === 'string' && value.length < 100) continue
      yield JSON.stringify({ ...body, [name]: value })
    }
    const { [name]: _gone, ...rest } = body
    if (name !== 'expires_in_s' && name !== 'inbound_minor') yield JSON.stringify(rest)
  }
  for (const name of amounts) yield JSON.stringify({ ...body, [name]: 3 })
  yield `${text.slice(0, -1)},"__proto__":{"polluted":1}}`
  yield `${text.slice(0, -1)},"constructor":{"prototype":{"polluted":1}}}`
  yield `${text.slice(0, -1)},"unknown":1}`
  yield `${text.slice(0, -1)},"${amounts[0]}":"3"}` // the same twice: two readers could take either
  yield `${text.slice(0, -1)},"n":${'9'.repeat(60_000)}}`
  yield `${text.slice(0, -1)},"n":-1e${'9'.repeat(60_000)}}`
  yield `${text.slice(0, -1)},"n":01}`
  yield `${text}x`
  yield text.replace('{', '{"a\nb":1,')
  yield '['.repeat(30_000) + ']'.repeat(30_000)
  yield `{"a":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_001)}`
  yield JSON.stringify({ ...body, padding: 'x'.repeat(70_000) })
  yield new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])
  yield 'null'
  yield '"text"'
  yield '{}'
  yield `\ufeff${text}`
}

/** The frames of a stream: at least `count` events and one heartbeat. */
export async function framesOf(response: Response, count: number) {
  const events: unknown[] = []
  let heartbeats = 0
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    const frames = text.split('\n\n')
    text = frames.pop()!
    for (const frame of frames) {
      if (frame === ':') heartbeats += 1
      else {
        const [id, data] = frame.split('\n')
        const event = JSON.parse(data!.slice('data: '.length)) as { readonly cursor: number }
        if (id !== `id: ${event.cursor}`) throw new Error('id is the cursor')
        events.push(event)
      }
    }
    if (events.length >= count && heartbeats > 0) break
  }
  return { events, heartbeats }
}

/** Asks for far more than sockets hold, reads nothing: the server ends it and goes on. */
export async function slowReader({ node, api, token }: Hosted): Promise<void> {
  const reference = 'x'.repeat(256)
  const { durable } = node.engine.run((tx) => {
    for (let i = 0; i < 40_000; i++) {
      node.events.append(tx, {
        type: 'invoice.paid',
        time: 1,
        invoice: 'aa',
        reference,
        amount: 1n as Amount,
        channel: 'bb',
        parts: 1,
      })
    }
  })
  await durable
  const { events } = node
  const listen = events.listen.bind(events)
  const given = new Promise<void>((resolve) => {
    events.listen = (listener) => {
      const stop = listen(listener)
      return () => {
        stop()
        resolve()
      }
    }
  })
  const socket = connectSocket(Number(new URL(api.url).port), '127.0.0.1')
  socket.on('error', () => {}) // a reset is one way of being ended
  socket.pause()
  socket.write(`GET /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`)
  await given
  socket.destroy()
}

/** Bytes as they are, and the status and problem that come back; of half a body the sender goes without waiting. */
export async function rawAnswer({ api }: Hosted, request: string) {
  const cut = request.includes('Length: 500')
  const socket = connectSocket(Number(new URL(api.url).port), '127.0.0.1')
  socket.on('error', () => {}) // a refusal may come while more is sent
  let answer = ''
  socket.on('data', (data) => {
    answer += data.toString()
    if (/"code"/.test(answer)) socket.end()
  })
  socket.write(request, () => cut && socket.end())
  await new Promise((resolve) => socket.on('close', resolve))
  const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]
  const body = /\{.*\}/s.exec(answer)?.[0]
  return {
    first: status === undefined ? undefined : Number(status),
    problem: body === undefined ? undefined : (JSON.parse(body) as { readonly status: number }),
  }
}

/** What is no request, and what it is answered with. */
export function brokenRequests(token: string): readonly (readonly [string, number])[] {
  const head = `Host: x\r\nAuthorization: Bearer ${token}\r\n`
  const invoiced = '{"amount_minor":"3","reference":"raw"}'
  const typedHead = `POST /v1/invoices HTTP/1.1\r\n${head}Content-Type: application/json\r\nIdempotency-Key: raw\r\n`
  return [
    [`GET /v1/node HTTP/1.1\r\n${head}X: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
    ['\u0000\u0001\r\n\r\n', 400],
    [`${typedHead}Content-Length: 5\r\nContent-Length: 6\r\n\r\n${invoiced}`, 400],
    [`${typedHead}Content-Length: ${invoiced.length}\r\nTransfer-Encoding: chunked\r\n\r\n${invoiced}`, 400],
    [`${typedHead}Idempotency-Key: other\r\nContent-Length: ${invoiced.length}\r\n\r\n${invoiced}`, 400],
    [`${typedHead}Content-Length: 500\r\n\r\n${invoiced}`, 400],
    [`${typedHead}Expect: something\r\nContent-Length: ${invoiced.length}\r\n\r\n${invoiced}`, 417],
    // Both without an end: refused at their bound, not at the end that never comes.
    [`${typedHead}Transfer-Encoding: chunked\r\n\r\n${`1000\r\n${' '.repeat(4_096)}\r\n`.repeat(17)}`, 413],
    [`${typedHead}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}`, 400],
  ]
}
