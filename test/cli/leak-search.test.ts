import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect as tcpConnect } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { encode } from 'cborg'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { type Amount, amountToBytes } from '../../src/base/amount.js'
import { bytesToHex, utf8 } from '../../src/base/bytes.js'
import { cbor } from '../../src/base/codec.js'
import { plantAndFind } from '../../src/cli/demo/leak-control.js'
import { type Place, searchLeaks } from '../../src/cli/demo/leak-search.js'
import { Matcher, Scan } from '../../src/cli/demo/matcher.js'
import { patternsOf, varint } from '../../src/cli/demo/patterns.js'
import { RecordingReader } from '../../src/cli/demo/recording.js'
import { startRelay } from '../../src/cli/demo/relay.js'
import { createLevelStore } from '../../src/store/level.js'
import { connect } from '../../src/wire/connect.js'
import { listen } from '../../src/wire/listen.js'
import { rngOf } from '../wire/mutate.js'
import { messages, must, person } from '../wire/people.js'

const small = 124_122n as Amount
const large = 3_999_999_999n as Amount
const canary = 0x0123456789abn as Amount
const amounts = [small, large, canary]

/** Kinds and places found in `bytes`, pushed in pieces of `size`. */
function find(bytes: Uint8Array, list: readonly Amount[] = amounts, size = bytes.length): string[] {
  const found: string[] = []
  const scan = new Scan(new Matcher(patternsOf(list)), (pattern, offset) => found.push(`${pattern.kind}@${offset}`))
  for (let at = 0; at < bytes.length; at += size) scan.push(bytes.subarray(at, at + size))
  scan.end()
  return found
}
const kinds = (bytes: Uint8Array, list: readonly Amount[] = amounts): string[] =>
  find(bytes, list).map((place) => place.replace(/@.*/, ''))

t.test('text: whole numbers in every writing', async (t) => {
  for (const text of [
    '124122',
    'fee=124122,',
    '{"amount_minor":124122}',
    '[7,124122,8]',
    'EUR124122 ',
    ' "124122"',
    '-124122-',
    '124122.',
  ]) {
    t.strictSame(kinds(utf8(text)), ['minor-text'], text)
  }
  for (const text of ['1241.22', 'a;1241.22;b', '17,1241.22,9', 'EUR1241.22'])
    t.strictSame(kinds(utf8(text)), ['decimal-text'], text)
  for (const text of ['1,241.22', 'USD 1,241.22.', '"1,241.22"'])
    t.strictSame(kinds(utf8(text)), ['grouped-text'], text)
  for (const text of [
    '1241220',
    '0124122',
    '5124122',
    '0.124122',
    '124122.5',
    '3.1241.22',
    '1241.225',
    '11,241.22',
    '1,241.220',
  ]) {
    t.strictSame(kinds(utf8(text)), [], `part of another number: ${text}`)
  }
  t.strictSame(kinds(utf8('1,241,100.22'), [24_110_022n as Amount]), [], 'the tail of a grouped number')
  t.strictSame(kinds(utf8(`${'ab'.repeat(10)}124122${'cd'.repeat(10)}`)), [], 'an accident in a hexadecimal id')
  t.strictSame(kinds(utf8('12345'), [12_345n as Amount]), [], 'five digits are too common')
})

t.test('binary: every kind, and in hexadecimal and base64 at three alignments', async (t) => {
  const be = (value: bigint): Buffer => Buffer.from(amountToBytes(value as Amount))
  const le = (value: bigint): Buffer => be(value).reverse()
  const wrap = (bytes: Uint8Array): Buffer => Buffer.concat([Buffer.from('xy'), bytes, Buffer.from('zz')])
  const cases: [string, Uint8Array, Amount][] = [
    ['cbor-bytes', cbor(be(small)), small],
    ['fixed-big-endian', be(large), large],
    ['fixed-little-endian', le(large), large],
    ['cbor-integer', encode(0x1234567890n), 0x1234567890n as Amount],
    ['minimal-big-endian', be(canary).subarray(2), canary],
    ['minimal-big-endian', be(canary), canary],
    ['minimal-big-endian', encode(canary), canary],
    ['minimal-big-endian', cbor(be(canary).subarray(2)), canary],
    ['minimal-little-endian', le(canary).subarray(0, 6), canary],
    ['minimal-little-endian', le(canary), canary],
    ['varint', varint(canary), canary],
  ]
  for (const [kind, bytes, amount] of cases) {
    t.ok(kinds(wrap(bytes), [amount]).includes(kind), kind)
    const hex = bytesToHex(bytes)
    for (const text of [hex, hex.toUpperCase(), `0${hex}0`]) {
      t.ok(kinds(utf8(`"${text}"`), [amount]).includes(`hex of ${kind}`), `${kind} in hexadecimal`)
    }
    for (let before = 0; before < 3; before++) {
      for (const encoding of ['base64', 'base64url'] as const) {
        const text = Buffer.concat([Buffer.alloc(before, 0xfb), bytes, Buffer.alloc(5, 0xff)]).toString(encoding)
        t.ok(kinds(utf8(text), [amount]).includes(`base64 of ${kind}`), `${kind} in ${encoding} after ${before}`)
      }
    }
  }
  t.strictSame([...varint(300n)], [0xac, 0x02])
  t.strictSame(kinds(wrap(be(small))), [], 'three bytes among zeros are no evidence (patterns.ts)')
})

t.test('a pattern is found wherever the pieces are cut, once, and with its context', async (t) => {
  const bytes = Buffer.alloc(600_000, 'x')
  const text = ' 124122 '
  const places = [0, 262_000, 262_020, 262_140, 262_141, 262_142, 262_143, 262_144, 524_280, 524_285, 599_992]
  const apart = places.filter((place, i) => i === 0 || place - places[i - 1]! >= text.length)
  for (const place of apart) bytes.write(text, place)
  const wanted = apart.map((place) => `minor-text@${place + 1}`)
  for (const size of [600_000, 262_144, 65_537, 1_000])
    t.strictSame(find(bytes, [small], size), wanted, `pieces of ${size}`)
  for (let cut = 262_100; cut < 262_200; cut += 1) {
    const block = Buffer.alloc(400_000, ' ')
    block.write('9124122', cut)
    block.write('124122', cut + 200)
    if (find(block, [small], 65_536).join() !== `minor-text@${cut + 200}`) t.fail(`cut at ${cut}`)
  }
})

t.test('no false finding in 48 MB of random bytes, hexadecimal, base64 and zero runs', async (t) => {
  const rng = rngOf(7)
  const many = Array.from({ length: 600 }, (_, i) => BigInt(rng.below(i < 590 ? 10_000_000 : 2 ** 31)) as Amount)
  const six = Array.from({ length: 6 }, () => (BigInt(rng.next()) * 50_000n + 2n ** 40n) as Amount)
  const found: string[] = []
  const scan = new Scan(new Matcher(patternsOf([...many, ...six])), (pattern) => found.push(pattern.kind))
  let state = createHash('sha256').update('leak').digest()
  const random = (bytes: number): Buffer => {
    const out: Buffer[] = []
    for (let size = 0; size < bytes; size += 32) {
      state = createHash('sha256').update(state).digest()
      out.push(state)
    }
    return Buffer.concat(out)
  }
  for (let i = 0; i < 8; i++) {
    const block = random(1 << 20)
    scan.push(block)
    scan.push(utf8(bytesToHex(block)))
    scan.push(utf8(block.toString('base64')))
    // 50,000 points with a 64-bit counter behind each, as states and keys have them.
    for (let at = 0; at + 33 <= block.length; at += 160)
      scan.push(Buffer.concat([block.subarray(at, at + 33), Buffer.alloc(6), block.subarray(at, at + 2)]))
  }
  scan.end()
  t.strictSame(found, [])
})

t.test('recordings: masked frames, fragments, chunked and compressed bodies, byte by byte', async (t) => {
  const read = (raw: Uint8Array, size: number): { messages: string[]; opaque: boolean } => {
    const seen: string[] = []
    let current = ''
    const reader = new RecordingReader({
      bytes: (piece) => {
        current += Buffer.from(piece).toString('latin1')
      },
      messageEnd: () => {
        seen.push(current)
        current = ''
      },
    })
    for (let at = 0; at < raw.length; at += size) reader.push(raw.subarray(at, at + size))
    reader.end()
    return { messages: seen, opaque: reader.opaque }
  }
  const masked = (text: string, first: number): Buffer =>
    Buffer.from([first, 0x80 | text.length, 9, 8, 7, 6, ...utf8(text).map((byte, i) => byte ^ [9, 8, 7, 6][i & 3]!)])
  const zipped = gzipSync(utf8('squeezed'))
  const up = Buffer.concat([
    utf8('POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello'),
    utf8('POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n'),
    utf8(`POST /c HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: ${zipped.length}\r\n\r\n`),
    zipped,
    utf8('GET /d HTTP/1.1\r\n\r\n'),
    utf8('GET /e HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    masked('one', 0x82),
    masked('tw', 0x02),
    masked('o', 0x80),
  ])
  const down = Buffer.concat([
    utf8('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    utf8('HTTP/1.1 204 No Content\r\n\r\n'),
    utf8('HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n'),
    utf8('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'),
    Buffer.from([0x82, 126, 0, 200, ...Buffer.alloc(200, 'L')]),
    Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 2, 104, 105]),
  ])
  for (const size of [1, 7, 1_000_000]) {
    t.strictSame(read(up, size), { messages: ['hello', 'abcde', 'squeezed', 'one', 'two'], opaque: false })
    t.strictSame(read(down, size), { messages: ['ok', 'L'.repeat(200), 'hi'], opaque: false })
  }
  t.strictSame(read(utf8('HTTP/1.1 200 OK\r\n\r\nto the end'), 3).messages, ['to the end'])
  t.equal(read(Buffer.from([0x16, 3, 1, 2, 0, ...Buffer.alloc(70_000)]), 9_999).opaque, true, 'TLS')
})

/** Everything that a demo leaves behind, small: two relays, a ledger's database, a node's. */
async function world(dir: string, leak: Amount | undefined) {
  const recordings = join(dir, 'wire')
  const bob = person('bob')
  const alice = person('alice')
  const echo = must(
    await listen({ host: '127.0.0.1', port: 0, key: bob.key, onSession: (s) => s.onMessage((m) => s.send(m)) }),
  )
  const relay = await startRelay({ targetHost: '127.0.0.1', targetPort: echo.port, dir: recordings, name: 'peer' })
  const session = must(await connect({ url: `ws://127.0.0.1:${relay.port}`, key: alice.key, remote: bob.account }))
  const back = messages(session, 20)
  for (let i = 0; i < 20; i++) session.send(cbor({ n: i, amount: amountToBytes(canary), text: '1241.22' }))
  await back
  session.close()
  await echo.close()
  await relay.close()

  const api = await plainServer(recordings, leak)
  const stores = []
  for (const name of ['ledger', 'node']) {
    mkdirSync(join(dir, name))
    const store = must(await createLevelStore(join(dir, name, 'db')))
    await store.write({ puts: [{ key: utf8('a row'), value: utf8('sealed') }], deletes: [] })
    await store.close()
    stores.push(join(dir, name))
  }
  return {
    recordings,
    ledger: stores[0]!,
    disk: stores[1]!,
    recording: join(recordings, 'peer-1.up'),
    wireBytes: relay.bytes,
    api,
  }
}

/** HTTP and a WebSocket without Noise, through a relay of its own. */
async function plainServer(dir: string, leak: Amount | undefined): Promise<number> {
  const server: Server = createServer((request, response) => {
    request.resume()
    request.on('end', () => response.end('{"ok":true}'))
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (ws) => ws.on('message', (data) => ws.send(data, { binary: true })))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const relay = await startRelay({ targetHost: '127.0.0.1', targetPort: port, dir, name: 'plain' })
  const answer = await fetch(`http://127.0.0.1:${relay.port}/v1`, { method: 'POST', body: '{"status":"ready"}' })
  if ((await answer.text()) !== '{"ok":true}') throw new Error('the relay changed an answer')
  const ws = new WebSocket(`ws://127.0.0.1:${relay.port}`)
  await new Promise((resolve) => ws.once('open', resolve))
  const echoed = new Promise((resolve) => ws.once('message', resolve))
  ws.send(leak === undefined ? utf8('nothing') : amountToBytes(leak))
  await echoed
  const closed = new Promise((resolve) => ws.once('close', resolve))
  ws.terminate()
  await closed
  await relay.close()
  sockets.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  return relay.bytes
}

t.test('relay, search and control together', async (t) => {
  const dir = t.testdir()
  const { recordings, ledger, disk, recording, wireBytes, api } = await world(dir, undefined)
  const places: Place[] = [
    { medium: 'wire', path: recordings },
    { medium: 'ledger', path: ledger },
    { medium: 'disk', path: disk },
  ]
  const clean = await searchLeaks(amounts, places)
  t.strictSame(clean.findings, [], 'Noise hides what two peers say')
  t.equal(clean.opaque, 0, 'every recording was understood')
  const recorded = readdirSync(recordings).map((name) => readFileSync(join(recordings, name)).length)
  t.equal(
    recorded.reduce((sum, bytes) => sum + bytes, 0),
    wireBytes + api,
    'every byte is on disk',
  )
  t.ok(clean.bytes > wireBytes + api && clean.files >= recorded.length + 2)

  const control = { amount: canary, ledger, recording, disk }
  t.strictSame(await plantAndFind(control), ['ledger', 'wire', 'disk'])
  t.strictSame(await searchLeaks(amounts, places), clean, 'planted on copies only')
  writeFileSync(join(disk, 'canary.log'), `amount ${canary}`)
  t.strictSame(await plantAndFind(control), ['ledger', 'wire'], 'found before planting: that control proves nothing')
  await t.rejects(plantAndFind({ ...control, recording: join(disk, 'canary.log') }), { code: 'bad_encoding' })
  await t.rejects(plantAndFind({ ...control, ledger: recordings }), { code: 'store_missing' })
  await t.rejects(searchLeaks(amounts, [{ medium: 'log', path: join(dir, 'nowhere') }]), { code: 'ENOENT' })
})

t.test('a real leak on the wire is found behind its mask, and named by its index alone', async (t) => {
  const dir = t.testdir()
  const { recordings } = await world(dir, canary)
  const report = await searchLeaks(amounts, [{ medium: 'wire', path: recordings }])
  t.ok(report.findings.some(({ file, view }) => view === 'payload' && file.endsWith('plain-2.up')))
  t.ok(report.findings.some(({ file, view }) => view === 'raw' && file.endsWith('plain-2.down')))
  t.ok(report.findings.every(({ amount }) => amount === 2))
  t.notMatch(JSON.stringify(report), new RegExp(canary.toString()))
})

t.test('a relay whose target is dead ends the call, and goes on', async (t) => {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  const relay = await startRelay({ targetHost: '127.0.0.1', targetPort: port, dir: t.testdir(), name: 'dead' })
  for (let i = 0; i < 2; i++) {
    const socket = tcpConnect(relay.port, '127.0.0.1')
    socket.on('error', () => {}) // a reset is one way of being ended
    await new Promise((resolve) => socket.once('close', resolve))
  }
  t.equal(relay.bytes, 0)
  await relay.close()
})
