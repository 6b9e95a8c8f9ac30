import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { WebSocket } from 'ws'
import { cbor } from '../../src/base/codec.js'
import { curve } from '../../src/base/curve/index.js'
import { encodeGenesis, ledgerIdOf } from '../../src/base/genesis.js'
import { LIMITS } from '../../src/base/limits.js'
import { encodeTransaction } from '../../src/base/transaction.js'
import type { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { serveLedger } from '../../src/chain-adapter/embedded/server.js'
import { Subscribers } from '../../src/chain-adapter/embedded/subscribers.js'
import { CBOR_TYPE } from '../../src/chain-adapter/protocol.js'
import { connectLedger } from '../../src/chain-adapter/remote/client.js'
import { replayBlock } from '../../src/chain-adapter/replay.js'
import { runCheck } from '../../src/privacy/check.js'
import { register } from '../contract/account-transactions.js'
import { reveal } from '../contract/channel-transactions.js'
import { role, testGenesis, World } from '../contract/world.js'
import { codeOf, eventsAfter } from './conformance/user.js'
import { createLedger, must } from './fixtures.js'

const genesis = testGenesis()
const id = ledgerIdOf(genesis)
const [alice, bob] = [role('alice'), role('bob')]
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port

/** A TCP relay that forwards requests and, while `deaf`, cuts the connection instead of bringing answers back. */
async function relay(target: string) {
  const state = { deaf: false, cut: 0 }
  const server = createServer((client: Socket) => {
    const upstream = connect(Number(new URL(target).port), '127.0.0.1')
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.pipe(upstream)
    upstream.on('data', (bytes) => {
      if (!state.deaf) return void client.write(bytes)
      state.cut += 1
      state.deaf = false
      client.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { state, url: `http://127.0.0.1:${portOf(server)}`, close: () => void server.close() }
}

t.test('the ledger’s faces', async (t) => {
  const world = new World()
  const ledger = await createLedger()
  let server = await serveLedger(ledger)
  const chain = await connectLedger(server.url, id)
  t.teardown(async () => {
    await chain.close()
    await server.close()
    await ledger.close()
  })
  await chain.submit(register(world, alice))
  world.accept(register(world, alice))

  await t.test('malformed requests get a clear error and change nothing', async (t) => {
    const before = (await chain.head()).height
    const good = encodeTransaction(register(world, bob))
    const post = async (body: Uint8Array, type = CBOR_TYPE, path = '/v1/transactions') => {
      const init = { method: 'POST', headers: { 'content-type': type }, body: body as Uint8Array<ArrayBuffer> }
      const answer = await fetch(`${server.url}${path}`, init)
      const problem = (await answer.json()) as { code: string; status: number; action: string }
      t.match(answer.headers.get('content-type'), /problem\+json/)
      t.equal(problem.status, answer.status)
      return `${answer.status} ${problem.code}`
    }
    t.equal(await post(new Uint8Array()), '400 bad_encoding')
    t.equal(await post(good, 'application/json'), '400 bad_encoding')
    t.equal(await post(new Uint8Array(LIMITS.transaction_bytes + 1)), '413 too_long')
    t.equal(await post(Buffer.concat([good, Buffer.of(0)])), '400 bad_encoding', 'trailing bytes')
    t.equal(await post(good.slice(0, -1)), '400 bad_encoding', 'cut short')
    t.equal(await post(good, CBOR_TYPE, '/v1/nothing'), '404 ledger_no_route')
    t.equal(
      await post(cbor({ seconds: -1, include: true, expect: 0 }), CBOR_TYPE, '/v1/test/advance'),
      '400 bad_encoding',
    )
    for (let i = 0; i < 60; i++) {
      const mutant = good.map((byte, at) => (at === (i * 7919) % good.length ? byte ^ (1 << (i % 8)) : byte))
      t.match(await post(mutant), /^4\d\d [a-z_]+$/, `mutant ${i}`)
    }
    for (const path of [
      'accounts/00',
      `accounts/02${'ff'.repeat(32)}`,
      'channels/zz',
      'revealed/1',
      'blocks',
      'blocks?from=-1',
    ]) {
      t.equal((await fetch(`${server.url}/v1/${path}`)).status, 400, path)
    }
    const raw = connect(Number(new URL(server.url).port), '127.0.0.1')
    raw.end('\u0000\u0001 not HTTP at all\r\n\r\n')
    raw.resume()
    await once(raw, 'close')
    t.ok((await chain.head()).height >= before)
    t.ok(await chain.submit(register(world, bob)), 'an honest client is not concerned')
    world.accept(register(world, bob))
  })

  await t.test('feeds take no messages and no unknown addresses', async (t) => {
    const socket = (path: string) => new WebSocket(`${server.url.replace('http', 'ws')}${path}`)
    for (const path of ['/v1/events', '/v1/events?cursor=x', '/v1/events?cursor=1&x=1', '/elsewhere']) {
      const ws = socket(path)
      t.match((await once(ws, 'error'))[0], { message: /404/ }, path)
    }
    const talker = socket('/v1/heads')
    await once(talker, 'open')
    talker.send('hello')
    t.equal((await once(talker, 'close'))[0], 1008)
  })

  await t.test('an answer lost on the way: the same bytes are sent again, the outcome is one', async (t) => {
    const path = await relay(server.url)
    const far = await connectLedger(path.url, id)
    const before = (await chain.head()).cursor
    path.state.deaf = true
    const tx = reveal(world, alice, [world.scalar()])
    const receipt = await far.submit(tx)
    t.equal(path.state.cut, 1, 'the first answer was lost')
    t.same(receipt, await chain.submit(tx))
    t.equal((await chain.head()).cursor, before + 1, 'once')
    await far.close()
    path.close()
  })

  await t.test('nobody answers: unavailable, then it goes on', async (t) => {
    const port = Number(new URL(server.url).port)
    const hasty = await connectLedger(server.url, id, { unknown_ms: 300 })
    const { cursor } = await chain.head()
    const live = eventsAfter(chain, cursor, 1)
    await server.close()
    t.equal(await codeOf(hasty.submit(reveal(world, alice, [world.scalar()]))), 'unavailable')
    const patient = chain.submit(reveal(world, alice, [world.scalar()]))
    server = await serveLedger(ledger, { port })
    const receipt = await patient
    t.equal((await live)[0]?.cursor, cursor + 1, 'the feed resumed where it was')
    t.ok(receipt.cursor > cursor)
    await hasty.close()
  })

  await t.test('rates are bounded', async (t) => {
    const slow = await serveLedger(ledger, { requests_per_s: 5 })
    const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(`${slow.url}/v1/now`)))
    const limited = answers.filter(({ status }) => status === 429)
    t.ok(limited.length > 0 && answers.some(({ status }) => status === 200))
    t.match(await limited[0]!.json(), { code: 'ledger_rate', action: 'wait' })
    await slow.close()
  })

  await t.test('blocks for the auditor replay to the signed head', async (t) => {
    const state = new Map<string, Uint8Array>()
    const head = await chain.head()
    let previous = undefined as typeof head | undefined
    while (previous === undefined || previous.height < head.height) {
      for (const block of await chain.blocks(previous === undefined ? 0 : previous.height + 1)) {
        const view = { get: (key: string) => state.get(key) }
        for (const [key, value] of must(replayBlock(view, genesis, previous, block, (it) => runCheck(it))))
          state.set(key, value)
        previous = block.head
      }
    }
    t.ok(previous.height >= head.height)
    t.same(await chain.blocks(previous.height + 1_000), [])
  })

  await t.test('a false ledger is found out', async (t) => {
    t.equal(await codeOf(connectLedger(server.url, ledgerIdOf({ ...genesis, amountBits: 18 }))), 'ledger_other')
    const honest = await chain.head()
    const forged = { ...honest, cursor: honest.cursor + 1 }
    let head = forged
    const liar = createHttpServer((request, response) => {
      response.end(request.url === '/v1/genesis' ? encodeGenesis(genesis) : cbor(head))
    }).listen(0, '127.0.0.1')
    await once(liar, 'listening')
    const url = `http://127.0.0.1:${portOf(liar)}`
    t.equal(await codeOf(connectLedger(url, id)), 'ledger_head', 'an unsigned head')
    head = honest
    const fooled = await connectLedger(url, id)
    head = { ...forged, signature: curve.sign(honest.stateHash, bob.key) }
    t.equal(await codeOf(fooled.now()), 'ledger_head', 'another key’s signature')
    await fooled.close()
    liar.close()
  })

  await t.test('the contract runs off the main thread', async (t) => {
    const stats = await ledger.stats()
    t.not(stats.thread, 0)
    t.ok(stats.accepted > 0)
  })
})

t.test('a subscriber that does not read is cut off, not waited for', async (t) => {
  let sent = 0
  const endless: Pick<Ledger, 'follow' | 'heads'> = {
    async *follow() {
      for (;;) {
        sent += 1
        yield new Uint8Array(1 << 20)
      }
    },
    async *heads() {},
  }
  const subscribers = new Subscribers(endless, 200)
  const server = createHttpServer().listen(0, '127.0.0.1')
  server.on('upgrade', (request, socket, head) => subscribers.upgrade(request, socket, head))
  await once(server, 'listening')
  const ws = new WebSocket(`ws://127.0.0.1:${portOf(server)}/v1/events?cursor=0`)
  await once(ws, 'open')
  ws.pause()
  while (subscribers.size > 0) await new Promise((resolve) => setImmediate(resolve))
  t.ok(sent < 64, `memory stayed bounded: ${sent} blocks left the ledger`)
  ws.terminate()
  subscribers.close()
  server.close()
})
