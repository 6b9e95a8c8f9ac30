/** The table of endpoints before a real node: who may call what, and that answers are what the document says. */
import { createServer, get } from 'node:http'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import t from 'tap'
import { z } from 'zod'
import { ApiClient } from '../../src/api/client.js'
import { type Endpoint, endpoints } from '../../src/api/endpoints.js'
import { Tokens, tokenHash } from '../../src/api/tokens.js'
import type { Amount } from '../../src/base/amount.js'
import { bytesToHex } from '../../src/base/bytes.js'
import { LIMITS } from '../../src/base/limits.js'
import { createPool } from '../../src/privacy/pool.js'
import { People } from '../wallet/people.js'
import { brokenRequests, rawAnswer } from './hostile.js'
import { Nodes, refusal } from './nodes.js'

const pool = createPool({ threads: 1 })
const ledger = await new People(pool).ledger()
const nodes = new Nodes(t.testdir(), ledger, pool)
const alice = await nodes.start(await nodes.create('alice'), {}, { heartbeat_ms: 50, stranger_ms: 0 })
t.teardown(async () => {
  await alice.close()
  await ledger.close()
  await pool.close()
})

t.test('tokens open what their scopes name, until they are revoked', async (t) => {
  const scopes = ['read', 'invoice', 'pay', 'admin'] as const
  const make = async (...given: (typeof scopes)[number][]) => {
    const token = `token-${given.join('-')}`
    const wish = { name: token, scopes: given, hash: bytesToHex(tokenHash(token)) }
    const { id } = await alice.client.createToken(token, wish)
    t.same(await alice.client.createToken(`${token} again`, wish), await alice.client.createToken(token, wish))
    return { id, authorization: `Bearer ${token}` }
  }
  const [read, invoice, pay, admin] = [
    await make('read'),
    await make('invoice'),
    await make('pay'),
    await make('admin'),
  ]
  const allowed = {
    'GET /v1/account': [read, admin],
    'GET /metrics': [read, admin],
    'GET /v1/invoices': [read, invoice, admin],
    'GET /v1/events': [read, invoice, admin],
    'GET /v1/payments': [read, pay, admin],
    'GET /v1/routes': [read, pay, admin],
    'GET /v1/tokens': [admin],
    'POST /v1/invoices': [invoice, admin],
    'POST /v1/payments': [pay, admin],
    'POST /v1/account/transfer': [admin],
    'POST /v1/channels': [admin],
    'POST /v1/tokens': [admin],
  }
  for (const [call, who] of Object.entries(allowed)) {
    const [method = '', path = ''] = call.split(' ')
    for (const one of [read, invoice, pay, admin]) {
      const { status } = await alice.call(method, path, {
        authorization: one.authorization,
        accept: 'application/json',
      })
      t.equal(status === 403, !who.includes(one), `${call} ${one.authorization}`)
      t.not(status, 401)
    }
  }
  const { tokens } = await alice.client.tokens()
  t.same(
    tokens.map(({ id }) => id),
    [read, invoice, pay, admin].map(({ id }) => id).sort(),
  )
  t.notOk(JSON.stringify(tokens).includes(bytesToHex(tokenHash('token-read'))), 'not even the hash')
  const listening = { authorization: read.authorization, accept: 'text/event-stream' }
  const stream = await alice.call('GET', '/v1/events', listening)
  await alice.client.revokeToken('revoke', read.id)
  t.match(await stream.text(), /^(:\n\n)*$/, 'a stream that it opened ends')
  t.equal((await alice.call('GET', '/v1/account', { authorization: read.authorization })).status, 401)
  t.equal(await refusal(alice.client.revokeToken('revoke more', read.id)), 'not_found')
  const broken = [{ scopes: [] }, { scopes: ['root'] }, { hash: 'xx' }, { name: '' }]
  for (const [i, part] of broken.entries()) {
    const body = { name: 'n', scopes: ['read'], hash: '0'.repeat(64), ...part }
    t.equal((await alice.post('/v1/tokens', `broken ${i}`, body)).status, 400)
  }
  const guard = new Tokens(alice.node.engine, 'of this start', () => 0)
  for (const [remote, scopes] of [
    ['127.0.0.1', ['admin']],
    ['::1', ['admin']],
    ['::ffff:127.0.0.1', ['admin']],
    ['10.0.0.7', undefined],
    ['::ffff:10.0.0.7', undefined],
    [undefined, undefined],
  ] as const) {
    t.same(guard.callerOf('Bearer of', remote), undefined)
    t.same(new Tokens(alice.node.engine, 'ours', () => 0).callerOf('Bearer ours', remote)?.scopes, scopes, `${remote}`)
    t.same(guard.callerOf(admin.authorization, remote)?.scopes, ['admin'], 'one that was made works from anywhere')
  }
})

t.test('the document names every route, and answers are what it says', async (t) => {
  const document = (await (await alice.call('GET', '/v1/openapi.json', { authorization: '' })).json()) as {
    readonly openapi: string
    readonly paths: Record<string, Record<string, { readonly responses: object; readonly operationId: string }>>
  }
  t.equal(document.openapi, '3.1.0')
  const api = endpoints()
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
  t.same(operations.map(({ operationId }) => operationId).sort(), Object.keys(api).sort())
  t.notOk(JSON.stringify(document).includes('"transform"'))
  for (const endpoint of Object.values(api) as Endpoint[]) {
    const { path, method } = endpoint
    const { status } = await alice.call(method, path.replace(/:\w+/, '0'.repeat(64)), { accept: 'application/json' })
    t.ok([200, 400, 404, 415].includes(status), `${method} ${path} ${status}`)
    if (method === 'POST' || path.includes(':') || ['/v1/routes', '/metrics'].includes(path)) continue
    const answer: unknown = await (await alice.call(method, path, { accept: 'application/json' })).json()
    if (path === '/v1/openapi.json') continue
    const strict = z.strictObject((endpoint.answer as z.ZodObject).shape)
    t.ok(strict.safeParse(answer).success, `${path}: nothing is sent that is not described`)
  }
  for (const [path, set] of [
    ['/v1/channels', 'channels'],
    ['/v1/peers', 'peers'],
    ['/v1/towers', 'towers'],
  ]) {
    const page = (await (await alice.call('GET', `${path}?after=${'f'.repeat(66)}&limit=1`)).json()) as object
    t.match(page, { [`${set}`]: [], cursor: 'f'.repeat(66) })
    t.equal((await alice.call('GET', `${path}?after=x`)).status, 400)
  }
})

t.test('what is no HTTP, or says that it is something else, is refused in the words of the API', async (t) => {
  const json = { 'content-type': 'application/json', 'idempotency-key': 'typed' }
  for (const odd of [{ 'content-type': 'application/json; charset=utf-16' }, { 'content-encoding': 'gzip' }]) {
    const { status } = await alice.call(
      'POST',
      '/v1/invoices',
      { ...json, ...odd },
      '{"amount_minor":"3","reference":"r"}',
    )
    t.equal(status, 400, JSON.stringify(odd))
  }
  for (const [request, status] of brokenRequests(alice.token)) {
    const { first, problem } = await rawAnswer(alice, request)
    t.same([first, problem?.status], [status, status], request.slice(0, 20))
  }
  t.same((await alice.client.invoices()).invoices, [], 'half a body is no request')
})

t.test('so many requests of one token and no more; nothing of the others is begun', async (t) => {
  const limited = await nodes.start(await nodes.create('limited'), {}, { requests_per_s: 3 })
  t.teardown(() => limited.close())
  const token = 'another'
  const wish = { name: token, scopes: ['admin'] as const, hash: bytesToHex(tokenHash(token)) }
  await limited.client.createToken('k', wish)
  const invoices = Array.from({ length: 60 }, (_, i) =>
    limited.post('/v1/invoices', `key ${i}`, { amount_minor: '5', reference: 'r' }),
  )
  const answers = await Promise.all(invoices)
  const refused = answers.findIndex(({ status }) => status === 429)
  const problem = (await answers[refused]?.json()) as { readonly code: string; readonly action: string }
  t.match(problem, { code: 'api_rate', action: 'wait' })
  t.equal(answers[refused]?.headers.get('retry-after'), '1')
  const other = await limited.call('GET', '/v1/node', { authorization: `Bearer ${token}` })
  t.equal(other.status, 200, 'another token has a rate of its own')
  t.equal((await limited.call('GET', '/readyz', { authorization: '' })).status, 200, 'a probe is not counted')
  const { invoices: issued } = await new ApiClient({ url: limited.api.url, token }).invoices()
  t.equal(issued.length, answers.filter(({ status }) => status === 201).length)
  const guesses = await Promise.all(
    Array.from({ length: 60 }, () => limited.call('GET', '/v1/node', { authorization: 'Bearer x' })),
  )
  t.ok(guesses.some(({ status }) => status === 429))
})

t.test('what has left the log is refused to whoever asks for it, in words and with its sum', async (t) => {
  const { client, node } = alice
  const { durable } = node.engine.run((tx) => {
    for (const time of [1, 1, 2, 9, 10])
      node.events.append(tx, { type: 'forward.claimed', time, channel: 'c', fee: 5n as Amount })
  })
  await durable
  const { events: all } = await client.eventPage(0)
  t.equal(await refusal(client.archiveEvents('beyond', 6)), 'cursor_ahead')
  t.match(await client.archiveEvents('books', 4), { archived: 4, last: 5, pruned: { cursor: 0, channels_minor: 0n } })
  await node.events.prune(node.engine, 9)
  t.match(await client.eventArchive(), { archived: 4, pruned: { cursor: 3, time: 2, channels_minor: 15n } })
  for (const accept of ['application/json', 'text/event-stream']) {
    const gone = await alice.call('GET', '/v1/events?after=2', { accept })
    t.match([gone.status, await gone.json()], [410, { code: 'cursor_pruned', detail: 'after=3' }], 'never in silence')
  }
  t.same((await client.eventPage(3)).events, all.slice(3))
  const late = node.events.page.bind(node.events)
  node.events.page = async (cursor, limit) => {
    await node.events.prune(node.engine, 10) // while the reader is on its way
    return late(cursor, limit)
  }
  const stream = await alice.call('GET', '/v1/events?after=3', { accept: 'text/event-stream' })
  t.equal(await stream.text(), '', 'a stream that was too slow ends')
  node.events.page = late
})

t.test('so many event streams and no more; a closed one makes room', async (t) => {
  const open = async () => {
    const end = new AbortController()
    const headers = { authorization: `Bearer ${alice.token}`, accept: 'text/event-stream' }
    const answer = await fetch(`${alice.api.url}/v1/events?after=5`, { headers, signal: end.signal })
    return { end, status: answer.status }
  }
  const streams = await Promise.all(Array.from({ length: LIMITS.api_streams }, open))
  t.ok(streams.every(({ status }) => status === 200))
  const surplus = await alice.call('GET', '/v1/events?after=5', { accept: 'text/event-stream' })
  t.same([surplus.status, ((await surplus.json()) as { readonly code: string }).code], [503, 'busy'])
  for (const { end } of streams) end.abort()
  const metric = async () =>
    /meridian_event_streams (\d+)/.exec(await (await alice.call('GET', '/metrics')).text())?.[1]
  while ((await metric()) !== '0') await new Promise((resolve) => setImmediate(resolve))
  const last = await open()
  t.equal(last.status, 200)
  last.end.abort()
})

t.test('the client: whatever answers a write, the outcome is known or `unavailable`', async (t) => {
  let answer: { readonly status: number; readonly body: string } = { status: 200, body: '' }
  const server = createServer((_request, response) => response.writeHead(answer.status).end(answer.body))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const client = new ApiClient({ url: `http://127.0.0.1:${port}`, token: 'x' })
  const problem = (code: string) => JSON.stringify({ code, detail: 'd' })
  for (const [status, body, code] of [
    [200, '', 'unavailable'],
    [200, '<html>', 'unavailable'],
    [201, '{}', 'unavailable'],
    [500, problem('internal'), 'unavailable'],
    [500, problem('of a newer node'), 'unavailable'],
    [503, problem('busy'), 'busy'],
    [409, problem('insufficient_funds'), 'insufficient_funds'],
    [302, '', 'unavailable'],
  ] as const) {
    answer = { status, body }
    t.equal(await refusal(client.rollover('k')), code, `${status} ${body}`)
  }
  answer = { status: 500, body: problem('internal') }
  t.equal(await refusal(client.node()), 'internal')
})

t.test('connections that say nothing keep nobody out, and take nothing from who has a token', async (t) => {
  const stream = await alice.call('GET', '/v1/events?after=5', { accept: 'text/event-stream' })
  const reader = stream.body!.getReader()
  const port = Number(new URL(alice.api.url).port)
  const silent = Array.from({ length: LIMITS.api_connections + 50 }, () => {
    const socket = connectSocket(port, '127.0.0.1', () => socket.write('GET /v1/node HTTP/1.1\r\nHost: x\r\n'))
    return socket.on('error', () => {})
  })
  t.teardown(() => silent.map((socket) => socket.destroy()))
  await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
  const health = () =>
    new Promise<number>((resolve) => {
      const fresh = { agent: false } // a connection of its own
      get(`${alice.api.url}/healthz`, fresh, (response) => resolve(response.resume().statusCode ?? 0)).on('error', () =>
        resolve(0),
      )
    })
  t.equal((await health()) || (await health()), 200, 'if not the first knock, the second')
  t.match(await reader.read(), { done: false }, 'the stream goes on')
  await reader.cancel()
})
