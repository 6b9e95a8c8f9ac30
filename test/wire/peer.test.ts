import t from 'tap'
import { z } from 'zod'
import { concatBytes, utf8 } from '../../src/base/bytes.js'
import { cbor, zCount } from '../../src/base/codec.js'
import { sha256 } from '../../src/base/digest.js'
import type { ErrorCode } from '../../src/base/errors.js'
import type { ChannelId, LedgerId } from '../../src/base/ids.js'
import { define, type MessageOf, messageCodec } from '../../src/base/message/codec.js'
import { hello, ping } from '../../src/base/message/session.js'
import { connect } from '../../src/wire/connect.js'
import { backoffMs, dial } from '../../src/wire/dial.js'
import { type ListenOptions, listen } from '../../src/wire/listen.js'
import { decodeFeatures, encodeFeatures, negotiate, type Peer } from '../../src/wire/peer.js'
import type { Session } from '../../src/wire/session.js'
import { SessionTable } from '../../src/wire/table.js'
import { closedBy, ManualTimers, must, person } from './people.js'
import { TLS } from './tls.js'

const alice = person('alice')
const bob = person('bob')
const ledger = sha256(utf8('ledger')) as unknown as LedgerId
const channel = sha256(utf8('channel')) as unknown as ChannelId

const count = define(32, 'count', z.strictObject({ n: zCount }))
const codec = messageCodec([count])
type Message = MessageOf<typeof count>
const wire = messageCodec([hello, ping])
const helloBytes = wire.encode({ name: 'hello', body: { version: 1, features: new Uint8Array(0), ledger } })

interface Cleanup {
  teardown(task: () => Promise<void>): void
}

/** Two sessions, one at each end. */
async function pair(t: Cleanup, options: Partial<ListenOptions> = {}): Promise<[Session, Session]> {
  let arrived: (session: Session) => void
  const incoming = new Promise<Session>((resolve) => {
    arrived = resolve
  })
  const listener = must(
    await listen({ host: '127.0.0.1', port: 0, key: bob.key, onSession: (session) => arrived(session), ...options }),
  )
  t.teardown(() => listener.close())
  const tls = options.tls === undefined ? {} : { tls: { ca: TLS.cert } }
  const outgoing = must(await connect({ url: listener.url, key: alice.key, remote: bob.account, ...tls }))
  return [outgoing, await incoming]
}

function received(peer: Peer<Message>, howMany: number): Promise<number[]> {
  const seen: number[] = []
  return new Promise((resolve) => {
    peer.onMessage((message) => {
      seen.push(message.body.n)
      if (seen.length === howMany) resolve(seen)
    })
  })
}

const of = (n: number): Message => ({ name: 'count', body: { n } })

t.test('W2: hello, then messages; features of both; over ws and over wss', async (t) => {
  for (const tls of [undefined, TLS]) {
    const [a, b] = await pair(t, tls === undefined ? {} : { tls })
    const peers = await Promise.all([
      negotiate({ session: a, ledger, codec, features: [0, 3, 9] }),
      negotiate({ session: b, ledger, codec, features: [1, 2, 5] }),
    ])
    const [atAlice, atBob] = peers.map((peer) => must(peer)) as [Peer<Message>, Peer<Message>]
    t.strictSame([...atAlice.features], [0, 1], 'a feature is a pair of bits: even required, odd optional')
    t.strictSame([...atBob.features], [0, 1])
    for (let n = 0; n < 1_000; n++) atAlice.send(of(n))
    atBob.sendEncoded(codec.encode(of(7)))
    t.strictSame(
      await received(atBob, 1_000),
      Array.from({ length: 1_000 }, (_, n) => n),
    )
    t.strictSame(await received(atAlice, 1), [7])

    const reported = new Promise((resolve) => atBob.onError((code, which) => resolve([code, which])))
    atAlice.report('bad_encoding', channel)
    t.strictSame(await reported, ['bad_encoding', channel])
    const failed = new Promise((resolve) => atBob.onError((code, which) => resolve([code, which])))
    const closed = closedBy(b)
    atAlice.fail('internal')
    t.strictSame(await failed, ['internal', null])
    t.equal(await closed, 'connection_closed')
  }
  t.strictSame(encodeFeatures([]), new Uint8Array(0))
  t.strictSame(encodeFeatures([0, 9]), Uint8Array.of(2, 1), 'BOLT 9: big-endian')
  t.strictSame(decodeFeatures(Uint8Array.of(2, 1)), [0, 9])
})

t.test('W2: who cannot be talked to is refused', async (t) => {
  const other = sha256(utf8('other ledger')) as unknown as LedgerId
  const anotherVersion = cbor({ version: 2, features: new Uint8Array(0), ledger })
  const say = (bytes: Uint8Array) => (session: Session) => void session.send(bytes)
  const cases: [string, (session: Session) => void, ErrorCode][] = [
    ['another ledger', (session) => void negotiate({ session, ledger: other, codec }), 'hello_refused'],
    ['a required feature', (session) => void negotiate({ session, ledger, codec, features: [4] }), 'hello_refused'],
    ['another version', say(concatBytes(Uint8Array.of(0, hello.type), anotherVersion)), 'bad_encoding'],
    ['a message before hello', say(codec.encode(of(1))), 'hello_refused'],
    ['an unreadable hello', say(concatBytes(helloBytes, Uint8Array.of(0))), 'bad_encoding'],
    ['an empty message', say(new Uint8Array(0)), 'bad_encoding'],
    ['an unknown even type', say(Uint8Array.of(0, 200, 1)), 'bad_encoding'],
    ['nothing but a close', (session) => session.close(), 'connection_closed'],
  ]
  for (const [name, act, code] of cases) {
    const [a, b] = await pair(t)
    const negotiated = negotiate({ session: b, ledger, codec })
    act(a)
    t.match(await negotiated, { ok: false, error: { code } }, name)
    t.equal(await closedBy(b), code, `${name}: the session is over`)
  }
  const [a, b] = await pair(t)
  const demanding = negotiate({ session: a, ledger, codec, features: [4] })
  b.send(helloBytes)
  t.match(await demanding, { ok: false, error: { code: 'hello_refused' } }, 'what we require and the peer lacks')
})

t.test(
  'W2: unknown odd types are ignored, before hello and after; unknown even ones cost the connection',
  async (t) => {
    const [a, b] = await pair(t)
    const negotiated = negotiate({ session: b, ledger, codec })
    a.send(Uint8Array.of(0, 201, 255))
    a.send(helloBytes)
    const peer = must(await negotiated)
    a.send(Uint8Array.of(127, 255))
    a.send(codec.encode(of(1)))
    t.strictSame(await received(peer, 1), [1])
    const closed = closedBy(b)
    a.send(Uint8Array.of(0, 202))
    t.equal(await closed, 'bad_encoding')

    const [c, d] = await pair(t)
    const second = negotiate({ session: d, ledger, codec })
    c.send(helloBytes)
    must(await second)
    const ended = closedBy(d)
    c.send(helloBytes)
    t.equal(await ended, 'hello_refused', 'a second hello')
  },
)

t.test('silence is broken by pings; a peer without hello is not waited for', async (t) => {
  const timers = new ManualTimers()
  const [a, b] = await pair(t)
  const pings: number[] = []
  const pinged = new Promise<void>((resolve) => {
    a.onMessage((bytes) => {
      if (bytes[1] === hello.type) a.send(helloBytes)
      if (bytes[1] !== ping.type) return
      pings.push(timers.now())
      if (pings.length === 2) resolve()
    })
  })
  must(await negotiate({ session: b, ledger, codec, timers, idle_ms: 4_000 }))
  timers.advance(2_500)
  await pinged
  t.equal(pings.length, 2, 'every quarter of the idle deadline')
  b.close()
  t.equal(timers.pending, 0)

  const [, d] = await pair(t)
  const waiting = negotiate({ session: d, ledger, codec, timers, handshake_ms: 1_000 })
  timers.advance(1_001)
  t.match(await waiting, { ok: false, error: { code: 'handshake_timeout' } })
})

t.test('a persistent peer is dialed again, with jittered backoff, and never beside a live session', async (t) => {
  t.equal(backoffMs(0, 0), 125)
  t.equal(backoffMs(3, 0.5), 1_500)
  t.equal(backoffMs(1_000, 0.999999) < 30_000, true)

  const timers = new ManualTimers()
  const sessions = new SessionTable({ timers })
  const first = must(await listen({ host: '127.0.0.1', port: 0, key: bob.key, onSession() {} }))
  const { port, url } = first
  const stood: Session[] = []
  let refusals = 0
  const waiters: (() => void)[] = []
  const changed = (): Promise<void> => new Promise((resolve) => waiters.push(resolve))
  const notify = (): void => waiters.shift()?.()
  const dialer = dial({
    url,
    key: alice.key,
    remote: bob.account,
    sessions,
    timers,
    random: () => 0,
    onSession(session) {
      stood.push(session)
      notify()
    },
    onRefused() {
      refusals += 1
      notify()
    },
  })
  await changed()
  t.equal(sessions.get(bob.account), stood[0])
  dialer.wake()
  t.equal(stood.length, 1, 'one session is enough')

  const lost = closedBy(stood[0]!)
  await first.close()
  await lost
  for (let i = 1; i <= 3; i++) {
    const refused = changed()
    timers.advance(backoffMs(i, 0))
    await refused
    t.equal(refusals, i, 'doubled waits')
  }
  const again = must(await listen({ host: '127.0.0.1', port, key: bob.key, onSession() {} }))
  const back = changed()
  timers.advance(backoffMs(4, 0))
  await back
  t.equal(stood.length, 2)

  dialer.close()
  const ended = closedBy(stood[1]!)
  await again.close()
  await ended
  timers.advance(60_000)
  t.equal(stood.length + refusals, 5, 'closed: it dials no more')
  t.equal(timers.pending, 0)
})
