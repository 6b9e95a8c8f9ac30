import { connect as tcpConnect } from 'node:net'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { equalBytes, utf8 } from '../../src/base/bytes.js'
import type { ErrorCode } from '../../src/base/errors.js'
import { formatPeerAddress, parsePeerAddress } from '../../src/wire/address.js'
import { addressGroup } from '../../src/wire/admission.js'
import { PeerRate } from '../../src/wire/bucket.js'
import { connect } from '../../src/wire/connect.js'
import { type Listener, type ListenOptions, listen } from '../../src/wire/listen.js'
import type { Session } from '../../src/wire/session.js'
import { SessionTable } from '../../src/wire/table.js'
import { closedBy, ManualTimers, messages, must, person } from './people.js'

const alice = person('alice')
const bob = person('bob')
const carol = person('carol')
const mallory = person('mallory')

interface Cleanup {
  teardown(task: () => Promise<void>): void
}

async function hub(t: Cleanup, options: Partial<ListenOptions> = {}) {
  const sessions: Session[] = []
  const waiters: ((session: Session) => void)[] = []
  const listener = must(
    await listen({
      host: '127.0.0.1',
      port: 0,
      key: bob.key,
      onSession(session) {
        const waiter = waiters.shift()
        if (waiter === undefined) sessions.push(session)
        else waiter(session)
      },
      ...options,
    }),
  )
  t.teardown(() => listener.close())
  const next = (): Promise<Session> => {
    const session = sessions.shift()
    return session === undefined ? new Promise((resolve) => waiters.push(resolve)) : Promise.resolve(session)
  }
  return { listener, next }
}

const call = async (listener: Listener, who = alice, options = {}): Promise<Session> =>
  must(await connect({ url: listener.url, key: who.key, remote: bob.account, ...options }))

t.test('both learn who the other is; messages of every size arrive in order, both ways', async (t) => {
  const { listener, next } = await hub(t)
  const outgoing = await call(listener)
  const incoming = await next()
  t.strictSame([outgoing.peer, incoming.peer], [bob.account, alice.account])
  t.strictSame([outgoing.direction, incoming.direction], ['outgoing', 'incoming'])
  const sizes = [0, 1, 125, 126, 1000, 65_535, 3]
  for (const session of [outgoing, incoming]) for (const size of sizes) session.send(new Uint8Array(size).fill(size))
  for (const session of [incoming, outgoing]) {
    const seen = await messages(session, sizes.length)
    t.strictSame(
      seen,
      sizes.map((size) => new Uint8Array(size).fill(size)),
      'also those sent before a handler was set',
    )
  }
  const closed = closedBy(incoming)
  outgoing.close()
  t.equal(await closed, 'connection_closed')
  t.equal(outgoing.send(utf8('late')), false)
  t.equal(await closedBy(outgoing), 'connection_closed', 'onClose after the end still tells')
  t.equal(incoming.send(utf8('late')), false)
})

t.test('who answers with another key is no peer; who calls with a refused key neither', async (t) => {
  const { listener } = await hub(t, { accept: (peer) => !equalBytes(peer, mallory.account) })
  const wrong = await connect({ url: listener.url, key: alice.key, remote: carol.account })
  t.match(wrong, { ok: false, error: { code: 'connection_refused' } }, 'act one is not answered')
  const refused = await call(listener, mallory)
  t.equal(await closedBy(refused), 'connection_closed')
  t.equal(listener.sessions.size, 0)
  for (const url of ['http://127.0.0.1:1', 'ws://', 'ws://h:1#x', 'nonsense']) {
    t.match(await connect({ url, key: alice.key, remote: bob.account }), { error: { code: 'bad_address' } })
  }
  const free = must(await listen({ host: '127.0.0.1', port: 0, key: bob.key, onSession() {} }))
  t.match(await listen({ host: '127.0.0.1', port: free.port, key: bob.key, onSession() {} }), {
    error: { code: 'unavailable' },
  })
  await free.close()
  t.match(await connect({ url: free.url, key: alice.key, remote: bob.account }), {
    error: { code: 'connection_refused' },
  })
})

t.test('a responder that answers nonsense, text or nothing', async (t) => {
  const timers = new ManualTimers()
  const answers: Record<string, string | Buffer | undefined> = { '/nonsense': Buffer.alloc(50), '/text': 'x' }
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => server.close())
  server.on('connection', (ws, request) => {
    ws.on('message', () => {
      const answer = answers[request.url ?? '']
      if (answer === undefined) timers.advance(10_000)
      else ws.send(answer)
    })
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const dial = (path: string) =>
    connect({ url: `ws://127.0.0.1:${port}${path}`, key: alice.key, remote: bob.account, timers })
  t.match(await dial('/nonsense'), { error: { code: 'handshake_failed', detail: 'ACT2_BAD_PUBKEY' } })
  t.match(await dial('/text'), { error: { code: 'bad_frame' } })
  t.match(await dial('/nothing'), { error: { code: 'handshake_timeout' } })
  t.equal(timers.pending, 0, 'no deadline is left behind')
})

t.test('W3: one live connection per identity, the newest wins', async (t) => {
  const { listener, next } = await hub(t)
  const first = await call(listener)
  const firstAtHub = await next()
  const reasons: ErrorCode[] = []
  firstAtHub.onClose((reason) => reasons.push(reason))
  const other = await call(listener, carol)
  await next()
  const second = await call(listener)
  const secondAtHub = await next()
  t.equal(await closedBy(first), 'connection_closed')
  t.strictSame(reasons, ['connection_replaced'])
  t.equal(listener.sessions.get(alice.account), secondAtHub)
  t.equal(listener.sessions.size, 2)
  const echo = messages(secondAtHub, 1)
  second.send(utf8('still here'))
  t.strictSame(await echo, [utf8('still here')])
  t.equal(other.send(utf8('x')), true, "another identity's connection stands")
})

t.test('W3: idle and handshake deadlines', async (t) => {
  const timers = new ManualTimers()
  const { listener, next } = await hub(t, { timers, idle_ms: 1_000, handshake_ms: 5_000 })
  const talker = await call(listener)
  const atHub = await next()
  const reason = closedBy(atHub)
  timers.advance(600)
  const heard = messages(atHub, 1)
  talker.send(utf8('x'))
  await heard
  timers.advance(600)
  t.equal(listener.sessions.size, 1, 'a message moves the deadline')
  atHub.pause()
  timers.advance(3_000)
  t.equal(listener.sessions.size, 1, 'whom we do not read is not idle')
  atHub.resume()
  timers.advance(1_001)
  t.equal(await reason, 'idle_timeout')

  const silentOne = tcpConnect(listener.port, '127.0.0.1')
  await new Promise((resolve) => silentOne.once('connect', resolve))
  while (listener.unauthenticated === 0) await new Promise((resolve) => setImmediate(resolve))
  const gone = new Promise((resolve) => silentOne.once('close', resolve))
  timers.advance(5_000)
  await gone
  t.equal(listener.unauthenticated, 0)
})

t.test('W3: unauthenticated connections are bounded, and an authenticated one is not counted', async (t) => {
  const { listener, next } = await hub(t, { unauthenticated_per_address: 2 })
  const honest = await call(listener)
  const atHub = await next()
  t.equal(listener.unauthenticated, 0)
  const sockets = [0, 1, 2].map(() => tcpConnect(listener.port, '127.0.0.1'))
  sockets[2]!.on('error', () => {}) // a reset is one way of being cut off
  await new Promise((resolve) => sockets[2]!.once('close', resolve))
  t.equal(listener.unauthenticated, 2)
  t.match(await connect({ url: listener.url, key: carol.key, remote: bob.account }), {
    error: { code: 'connection_refused' },
  })
  const heard = messages(atHub, 1)
  honest.send(utf8('x'))
  await heard
  for (const socket of sockets) socket.destroy()
  while (listener.unauthenticated > 0) await new Promise((resolve) => setImmediate(resolve))
  await call(listener, carol)

  const full = new SessionTable({ authenticated_connections: 1 })
  const small = await hub(t, { sessions: full })
  const one = await call(small.listener, alice)
  t.equal(await closedBy(await call(small.listener, carol)), 'connection_closed')
  await call(small.listener, alice)
  t.equal(await closedBy(one), 'connection_closed', 'a known peer may always take its own place')
  t.strictSame(
    ['10.0.0.1', '::ffff:10.0.0.1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::7', '2001:db8::1'].map(addressGroup),
    ['10.0.0.1', '10.0.0.1', '2001:db8:1:2', '2001:db8:1:2', '2001:db8:0:0'],
  )
})

t.test('W3: the send queue is bounded, tells when to pause and when to go on', async (t) => {
  const { listener, next } = await hub(t, { send_queue_bytes: 8_000_000 })
  const reader = await call(listener)
  const atHub = await next()
  let sent = 0
  const block = new Uint8Array(60_000)
  while (atHub.send(block)) sent += 1
  t.ok(atHub.buffered > 0 && sent > 1, 'it says pause')
  const drained = new Promise<void>((resolve) => atHub.onDrain(resolve))
  const all = messages(reader, sent + 1)
  await drained
  t.equal((await all).length, sent + 1, 'nothing was lost')

  reader.pause()
  const reason = closedBy(atHub)
  for (let i = 0; i < 1_000 && listener.sessions.size === 1; i++) {
    for (let j = 0; j < 20; j++) atHub.send(block)
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(await reason, 'slow_peer')
})

t.test('W3: a flood is read at the peer rate, not cut off; reconnecting brings no fresh allowance', async (t) => {
  const timers = new ManualTimers()
  const sessions = new SessionTable({ timers, peer_messages_per_s: 100 })
  const { listener, next } = await hub(t, { timers, sessions })
  const flooder = await call(listener)
  const atHub = await next()
  let seen = 0
  const arrived = new Promise<void>((resolve) =>
    atHub.onMessage(() => {
      seen += 1
      if (seen === 5_000) resolve()
    }),
  )
  for (let i = 0; i < 5_000; i++) flooder.send(new Uint8Array(1_000))
  for (let done = false; !done; ) {
    timers.advance(100)
    done = await Promise.race([arrived.then(() => true), new Promise<false>((r) => setImmediate(() => r(false)))])
  }
  t.ok(timers.now() >= 45_000, `5000 messages at 100 a second took ${timers.now()} ms of the listener's time`)
  flooder.close()
  const rate = sessions.rateOf(alice.account)
  t.ok(rate.take(0, timers.now()) >= 0)
  t.equal(sessions.rateOf(alice.account), rate)
  const strict = new PeerRate(10, 1_000, 0)
  t.equal(strict.take(1_000, 0), 0)
  t.equal(strict.take(500, 0), 500, 'half a second of bytes in debt')
  t.equal(strict.take(0, 500), 0)
})

t.test('an exception in a handler costs that connection, and is told without its words', async (t) => {
  const told: unknown[] = []
  const logger = { debug() {}, info() {}, warn: (event: string, fields?: object) => told.push({ event, ...fields }) }
  const { listener, next } = await hub(t, { logger })
  const caller = await call(listener)
  const atHub = await next()
  atHub.onMessage(() => {
    throw new TypeError('peer bytes 31337')
  })
  const reason = closedBy(atHub)
  caller.send(utf8('x'))
  t.equal(await reason, 'internal')
  t.match(told, [{ event: 'wire.handler_failed', error: 'TypeError', at: /session.test/ }])
  t.notMatch(JSON.stringify(told), /31337/)
})

t.test('addresses', async (t) => {
  const account = Buffer.from(alice.account).toString('hex')
  for (const url of ['ws://127.0.0.1:80', 'wss://hub.example.org:9735', 'ws://[::1]:1']) {
    const parsed = must(parsePeerAddress(`${account}@${url}`))
    t.strictSame(parsed, { account: alice.account, url })
    t.equal(formatPeerAddress(parsed), `${account}@${url}`)
  }
  for (const text of [
    '',
    account,
    `${account}@ws://h`,
    `${account}@ws://h:0`,
    `${account}@ws://h:65536`,
    `${account}@http://h:1`,
    `${account}@ws://h:1/path`,
    `${account}@ws://u:p@h:1`,
    `${account.toUpperCase()}@ws://h:1`,
    `05${account.slice(2)}@ws://h:1`,
    `02${'ff'.repeat(32)}@ws://h:1`,
    `${account}@ws://h:1\n`,
  ]) {
    t.match(parsePeerAddress(text), { ok: false, error: { code: 'bad_address' } }, text.slice(-20))
  }
})
