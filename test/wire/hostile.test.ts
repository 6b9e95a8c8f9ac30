/**
 * Issue A, hostile input: 2,000 mutants each at WebSocket, handshake and Noise, beside an honest session that goes on
 * exchanging messages. Seeds are fixed; a failure names its mutant.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { equalBytes, utf8 } from '../../src/base/bytes.js'
import { connect } from '../../src/wire/connect.js'
import { ephemeralKey, systemEntropy } from '../../src/wire/environment.js'
import { listen } from '../../src/wire/listen.js'
import { startResponder } from '../../src/wire/noise.js'
import type { Session } from '../../src/wire/session.js'
import { mutate, type Rng, reorder, rngOf } from './mutate.js'
import { must, person } from './people.js'
import { RawClient, UPGRADE, wsFrame } from './raw-client.js'

const MUTANTS = 2_000
const WORKERS = 8

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void
function heapBytes(): number {
  gc()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}

const bob = person('bob')
const alice = person('alice')

/** What reached the owner of the listener from each hostile peer. */
const delivered = new Map<string, Uint8Array[]>()
let honestMessages = 0

const listener = must(
  await listen({
    host: '127.0.0.1',
    port: 0,
    key: bob.key,
    onSession(session) {
      const id = Buffer.from(session.peer).toString('hex')
      if (equalBytes(session.peer, alice.account)) {
        session.onMessage((message) => session.send(message))
        return
      }
      const seen: Uint8Array[] = []
      delivered.set(id, seen)
      session.onMessage((message) => {
        seen.push(message)
      })
    },
  }),
)

const honest = must(await connect({ url: listener.url, key: alice.key, remote: bob.account }))
honest.onMessage((message) => {
  if (Buffer.from(message).readUInt32BE() !== honestMessages) throw new Error('the honest session lost its order')
  honestMessages += 1
  sendHonest()
})
function sendHonest(): void {
  const message = Buffer.alloc(100)
  message.writeUInt32BE(honestMessages)
  honest.send(message)
}
sendHonest()

/** The exchange goes on: at least `count` more messages there and back. */
async function honestGoesOn(count: number): Promise<void> {
  const goal = honestMessages + count
  while (honestMessages < goal) await new Promise((resolve) => setImmediate(resolve))
}

interface Asserts {
  ok(value: boolean, text: string): void
  equal(found: number, wanted: number, text: string): void
}

/** Runs mutants 0 to MUTANTS - 1, several at once; memory after a warm-up and at the end may differ by a little only. */
async function run(t: Asserts, attack: (rng: Rng, worker: number, index: number) => Promise<void>): Promise<void> {
  const batch = async (from: number, to: number): Promise<void> => {
    const workers = Array.from({ length: WORKERS }, async (_, worker) => {
      for (let index = from + worker; index < to; index += WORKERS) await attack(rngOf(index + 1), worker, index)
    })
    await Promise.all(workers)
  }
  const before = honestMessages
  await batch(0, MUTANTS / 5)
  const warm = heapBytes()
  await batch(MUTANTS / 5, MUTANTS)
  t.ok(honestMessages > before, `${honestMessages - before} honest messages meanwhile`)
  await honestGoesOn(10)
  while (listener.unauthenticated > 0) await new Promise((resolve) => setImmediate(resolve))
  t.equal(listener.unauthenticated, 0, 'no connection is left waiting')
  t.ok(heapBytes() - warm < 8_000_000, `memory grew by ${Math.round((heapBytes() - warm) / 1024)} KiB`)
}

/** Wrong whatever follows: the listener has to end the connection, without help. */
const WRONG: readonly ((rng: Rng) => Uint8Array)[] = [
  (rng) => wsFrame(rng.bytes(50), { opcode: 1 }),
  (rng) => wsFrame(rng.bytes(50), { masked: false }),
  (rng) => wsFrame(rng.bytes(50), { opcode: rng.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) }),
  (rng) => wsFrame(rng.bytes(50), { reserved: 1 + rng.below(7) }),
  (rng) => wsFrame(rng.bytes(50), { length: 65_570 + rng.below(1_000_000) }),
  (rng) => wsFrame(rng.bytes(50), { length: 0x7fffffff + rng.below(0x7fffffff) }),
  (rng) => wsFrame(rng.bytes(126), { opcode: rng.pick([8, 9, 10]) }),
  (rng) => wsFrame(rng.bytes(10), { opcode: rng.pick([8, 9, 10]), fin: false }),
  (rng) => wsFrame(rng.bytes(5), { opcode: 0 }),
  (rng) => wsFrame(Uint8Array.of(0, 1 + rng.below(200)), { opcode: 8 }),
  (rng) =>
    Buffer.concat(Array.from({ length: 10 }, (_, i) => wsFrame(rng.bytes(5), { opcode: i ? 0 : 2, fin: false }))),
  (rng) => Buffer.concat([0, 1, 2].map(() => wsFrame(rng.bytes(30_000), { opcode: 2, fin: false }))),
  (rng) => Buffer.concat([0, 1].map(() => wsFrame(rng.bytes(5), { opcode: 2, fin: false }))),
  (rng) => wsFrame(new Uint8Array(rng.below(2) * 65_569)),
]

/** Honest bytes, spoilt anywhere: perhaps still valid, perhaps incomplete, so the client leaves in the end. */
async function spoiltStream(rng: Rng): Promise<void> {
  const client = new RawClient(listener.port)
  const frames = [rng.bytes(50), rng.bytes(66), rng.bytes(40)].map((bytes) => wsFrame(bytes))
  client.write(mutate(Buffer.concat([utf8(UPGRADE), ...frames]), rng))
  await new Promise<void>((resolve) => {
    client.socket.once('data', () => resolve())
    client.socket.end(() => resolve())
    void client.closed.then(resolve)
  })
  client.destroy()
  await client.closed
}

t.test('WebSocket: wrong frames before Noise and after, and spoilt streams', async (t) => {
  const mallories = Array.from({ length: WORKERS }, (_, i) => person(`mallory ws ${i}`))
  await run(t, async (rng, worker, index) => {
    if (index % 3 === 2) return spoiltStream(rng)
    const client = new RawClient(listener.port)
    if (index % 3 === 0) await client.upgrade()
    else await client.authenticate(mallories[worker]!, bob.account)
    client.write(WRONG[Math.floor(index / 3) % WRONG.length]!(rng))
    await client.closed
  })
  t.equal(listener.sessions.size, 1, 'only the honest session is left')
  t.equal([...delivered.values()].flat().length, 0, 'nothing was taken for a message')
})

t.test('WebSocket: an oversized request, a plain one, another subprotocol', async (t) => {
  for (const request of [
    `GET / HTTP/1.1\r\nX: ${'x'.repeat(5_000)}\r\n\r\n`,
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    UPGRADE.replace('meridian.1', 'chat'),
  ]) {
    const client = new RawClient(listener.port)
    client.write(request)
    await client.closed
  }
  await honestGoesOn(1)
  while (listener.unauthenticated > 0) await new Promise((resolve) => setImmediate(resolve))
  t.equal(listener.sessions.size, 1)
})

t.test('handshake: acts one and three at a listener', async (t) => {
  const mallory = person('mallory acts')
  const before = listener.sessions.size
  await run(t, async (rng, _worker, index) => {
    const which = index % 2 === 0 ? 1 : 3
    const client = new RawClient(listener.port)
    const shake = client.authenticate(mallory, bob.account, (act, now) => (now === which ? mutate(act, rng) : act))
    await Promise.all([which === 1 ? t.rejects(shake) : shake, client.closed])
  })
  t.equal(listener.sessions.size, before)
  t.notOk(delivered.has(Buffer.from(mallory.account).toString('hex')), 'nobody was let in')
})

t.test('handshake: act two at a caller, act three kept back', async (t) => {
  const carol = person('carol')
  const rngs = Array.from({ length: MUTANTS / 4 }, (_, i) => rngOf(i + 5_000))
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => server.close())
  server.on('connection', (ws) => {
    const rng = rngs.pop()!
    ws.on('message', (actOne) => {
      const responder = startResponder(carol.key, ephemeralKey(systemEntropy), new Uint8Array(actOne as Buffer))
      if (responder.ok) ws.send(mutate(responder.value.actTwo, rng))
    })
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const codes = new Set<string>()
  while (rngs.length > 0) {
    const result = await connect({ url: `ws://127.0.0.1:${port}`, key: alice.key, remote: carol.account })
    codes.add(result.ok ? 'ok' : result.error.code)
  }
  t.strictSame([...codes], ['handshake_failed'])
})

/** Frames of an authenticated peer, one of which is spoilt: how many messages may still be delivered before it. */
function spoil(frames: Uint8Array[], rng: Rng): { frames: Uint8Array[]; honestPrefix: number } {
  if (rng.below(3) === 0) {
    const changed = reorder(frames, rng)
    return { frames: changed, honestPrefix: changed.findIndex((frame, i) => frame !== frames[i]) }
  }
  const index = rng.below(frames.length)
  const bad = rng.below(8) === 0 ? Buffer.concat([frames[index]!, frames[index]!]) : mutate(frames[index]!, rng)
  return { frames: frames.map((frame, i) => (i === index ? bad : frame)), honestPrefix: index }
}

const said = (i: number): Uint8Array => utf8(`message ${i}`)

t.test('Noise: changed, replayed, reordered, cut and joined ciphertexts at a listener', async (t) => {
  const mallories = Array.from({ length: WORKERS }, (_, i) => person(`mallory noise ${i}`))
  const wrong: number[] = []
  await run(t, async (rng, worker, index) => {
    const mallory = mallories[worker]!
    const client = new RawClient(listener.port)
    const transport = await client.authenticate(mallory, bob.account)
    const { frames, honestPrefix } = spoil(
      Array.from({ length: 6 }, (_, i) => transport.sender.encrypt(said(i))),
      rng,
    )
    // A lost last frame shows only at the next one.
    frames.push(transport.sender.encrypt(said(6)), transport.sender.encrypt(said(7)))
    for (const frame of frames) client.write(wsFrame(frame.subarray(0, 65_569)))
    await client.closed
    const seen = delivered.get(Buffer.from(mallory.account).toString('hex')) ?? []
    const exact = seen.length === honestPrefix && seen.every((message, i) => equalBytes(message, said(i)))
    if (!exact) wrong.push(index)
  })
  t.strictSame(wrong, [], 'exactly the messages before the spoilt frame were delivered')
  t.equal(listener.sessions.size, 1)
})

t.test('Noise: the same toward a caller', async (t) => {
  const carol = person('carol')
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => server.close())
  let rng = rngOf(9)
  let prefix = 0
  server.on('connection', (ws) => {
    ws.once('message', (actOne) => {
      const responder = must(startResponder(carol.key, ephemeralKey(systemEntropy), new Uint8Array(actOne as Buffer)))
      ws.send(responder.actTwo)
      ws.once('message', (actThree) => {
        const { transport } = must(responder.finish(new Uint8Array(actThree as Buffer)))
        const spoilt = spoil(
          Array.from({ length: 6 }, (_, i) => transport.sender.encrypt(said(i))),
          rng,
        )
        prefix = spoilt.honestPrefix
        for (const frame of [...spoilt.frames, transport.sender.encrypt(said(6))]) ws.send(frame)
      })
    })
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  for (let index = 0; index < MUTANTS / 4; index++) {
    rng = rngOf(20_000 + index)
    const session: Session = must(
      await connect({ url: `ws://127.0.0.1:${port}`, key: alice.key, remote: carol.account }),
    )
    const seen: Uint8Array[] = []
    const reason = await new Promise((resolve) => {
      session.onClose(resolve)
      session.onMessage((message) => {
        seen.push(message)
      })
    })
    if (reason !== 'bad_frame' || seen.length !== prefix)
      t.fail(`mutant ${index}: ${reason}, ${seen.length} of ${prefix}`)
  }
})

t.test('the honest session has lived through it all', async (t) => {
  await honestGoesOn(100)
  t.equal(listener.sessions.size, 1)
  t.ok(honest.send(utf8('last')))
  await listener.close()
})
