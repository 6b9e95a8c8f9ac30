/** The SDK before a server that misbehaves on purpose, before real nodes, and in the two examples. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { formatUsd, Meridian, MeridianError, type MeridianEvent, usd } from 'meridian'
import t from 'tap'
import { METRICS } from '../../src/api/metrics.js'
import { tokenHash } from '../../src/api/tokens.js'
import type { Amount } from '../../src/base/amount.js'
import { bytesToHex } from '../../src/base/bytes.js'
import { idText } from '../../src/base/ids.js'
import { ROOT } from '../../src/base/root.js'
import { createPool } from '../../src/privacy/pool.js'
import { verifyReceipt } from '../../src/router/receipt.js'
import { People } from '../wallet/people.js'
import { type Hosted, Nodes } from './nodes.js'

const home = t.testdir({ token: 'a-token\n' })
const at = (name: string) => join(home, name)
const cents = (value: bigint) => value as Amount
const outcome = async (call: Promise<unknown>): Promise<unknown> => {
  try {
    return await call
  } catch (error) {
    return error instanceof MeridianError ? error.code : error
  }
}

t.test('amounts are exact', (t) => {
  t.equal(usd('1241.22'), 124_122n)
  t.equal(formatUsd(usd('0.07')), '0.07')
  t.equal(usd('90071992547409.93'), 9_007_199_254_740_993n, 'more than a double holds')
  for (const bad of ['1241', '1241.2', '-1.00', '1,241.22', '1e2', '']) t.throws(() => usd(bad), { code: 'bad_amount' })
  t.end()
})

type Reply = 'cut' | 'html' | { readonly status: number; readonly body: unknown }
const problem = (status: number, code: string): Reply => ({ status, body: { code } })
const paid: Reply = {
  status: 201,
  body: {
    key: 'k',
    status: 'succeeded',
    invoice: 'i',
    reference: 'r',
    payee: 'p',
    amount_minor: '7',
    fee_minor: '0',
    hops: 1,
    code: null,
    attempts: 1,
    receipt: 'x',
  },
}

/** Answers with one reply after the other, the last one for ever. */
async function scripted(replies: readonly Reply[]) {
  const seen: { readonly key: unknown; readonly authorization: unknown; readonly body: string }[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const reply = replies[Math.min(seen.length, replies.length - 1)]!
    seen.push({ key: request.headers['idempotency-key'], authorization: request.headers.authorization, body })
    if (reply === 'cut') response.destroy()
    else if (reply === 'html') response.writeHead(502).end('<html>')
    else response.writeHead(reply.status).end(JSON.stringify(reply.body))
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const node = await Meridian.connect({ url, tokenFile: at('token'), retryMs: [1, 1] })
  const close = () => new Promise((resolve) => server.close(resolve))
  return { node, seen, close, url }
}

t.test('a write never throws once something may have started', async (t) => {
  const pending = (reason: string | null) => ({ status: 'pending', idempotencyKey: 'k', reason })
  for (const [replies, expected] of [
    [['cut', 'cut', paid], { status: 'succeeded', amount: 7n, idempotencyKey: 'k' }],
    [['html', problem(409, 'request_running'), paid], { status: 'succeeded' }],
    [['cut'], pending('unavailable')],
    [['html'], pending('unavailable')],
    [[problem(503, 'busy')], pending('busy')],
    [[problem(500, 'internal')], pending('internal')],
    [['cut', problem(401, 'unauthorized')], pending('unauthorized')],
    [['cut', problem(409, 'insufficient_funds')], pending('insufficient_funds')],
    [[{ status: 201, body: { of: 'another make' } }], pending('unavailable')],
    [[problem(422, 'invoice_invalid')], 'invoice_invalid'],
    [[problem(409, 'insufficient_funds')], 'insufficient_funds'],
    [[problem(401, 'unauthorized')], 'unauthorized'],
    [[problem(429, 'api_rate'), problem(429, 'api_rate'), paid], { status: 'succeeded' }],
    [[problem(429, 'api_rate')], 'api_rate'],
    [['cut', problem(429, 'api_rate')], pending('unavailable')],
  ] as [Reply[], unknown][]) {
    const { node, seen, close } = await scripted(replies)
    const label = JSON.stringify(replies)
    t.match(await outcome(node.payments.create({ invoice: 'i', feeMax: 3n }, { idempotencyKey: 'k' })), expected, label)
    t.ok(
      seen.every(({ key, body }) => key === 'k' && body === '{"invoice":"i","fee_max_minor":"3"}'),
      'the same key and bytes each time',
    )
    await close()
  }
  const { node, seen, close, url } = await scripted([problem(401, 'unauthorized'), paid])
  writeFileSync(at('token'), '{"url":"http://x","token":"another"}')
  t.match(await node.payments.create({ invoice: 'i', feeMax: 3n }, { idempotencyKey: 'k' }), { status: 'succeeded' })
  t.same(
    seen.map(({ authorization }) => authorization),
    ['Bearer a-token', 'Bearer another'],
    'a restarted node has another token',
  )
  await close()
  t.equal(
    await outcome(node.payments.create({ invoice: 'i', feeMax: 3n }, { idempotencyKey: 'k' })),
    'unavailable',
    'nobody took the connection: nothing was sent',
  )
  for (const bad of ['', 'caf\u20ac', 'a\nb', 'k'.repeat(256), undefined as never]) {
    const refused = node.payments.create({ invoice: 'i', feeMax: 3n }, { idempotencyKey: bad })
    t.equal(await outcome(refused), 'bad_request', 'a key that no header can carry is never pending')
  }
  for (const bad of ['http://hospital.example', 'ftp://127.0.0.1', 'x']) {
    t.equal(await outcome(Meridian.connect({ url: bad, tokenFile: at('token') })), 'bad_address', bad)
  }
  t.equal(await outcome(Meridian.connect({ url, tokenFile: at('nothing') })), 'unauthorized')
})

t.test('events go on after the last one taken, whatever cuts them', async (t) => {
  const frame = (cursor: number, type: string) =>
    `id: ${cursor}\ndata: ${JSON.stringify({ cursor, type, time: 1, channel: 'c', fee_minor: `${cursor}` })}\n\n`
  const asked: unknown[] = []
  const server = createServer((request, response) => {
    asked.push(new URL(request.url ?? '', 'http://x').searchParams.get('after'))
    if (asked.length === 2) return void response.writeHead(503).end('{"code":"unavailable"}')
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const first = asked.length === 1 ? 4 : 6
    response.write(`:\n\n${frame(3, 'forward.claimed')}${frame(first, 'forward.claimed')}`) // at least once
    response.write(`${frame(first + 1, 'of.a.newer.node')}id: 9\nda`)
    setImmediate(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const node = await Meridian.connect({ url: `http://127.0.0.1:${port}`, tokenFile: at('token') })
  const seen: MeridianEvent[] = []
  for await (const event of node.events({ after: 3 })) {
    seen.push(event)
    if (seen.length === 2) break
  }
  t.match(seen, [
    { cursor: 4, type: 'forward.claimed', fee: 4n },
    { cursor: 6, fee: 6n },
  ])
  t.same(asked, ['3', '5', '5'])
  const stop = new AbortController()
  stop.abort()
  for await (const _ of node.events({ signal: stop.signal })) t.fail('aborted')
  await new Promise((resolve) => server.close(resolve))
})

const pool = createPool({ threads: 2 })
const people = new People(pool)
const ledger = await people.ledger()
const nodes = new Nodes(t.testdir({}), ledger, pool)

/** A token as `token create` makes it. */
async function tokenFile({ client, dir }: Hosted, scopes: readonly ('read' | 'invoice' | 'pay' | 'admin')[]) {
  const token = `token-of-${scopes.join('-')}`
  await client.createToken(`token ${token}`, { name: 'test', scopes, hash: bytesToHex(tokenHash(token)) })
  const path = join(dir, token)
  writeFileSync(path, token)
  return path
}

t.test('a hospital and an insurer', async (t) => {
  const issuer = await nodes.start(await nodes.create('issuer'))
  const alice = await nodes.start(await nodes.create('alice'))
  const bob = await nodes.start(await nodes.create('bob'))
  t.teardown(async () => {
    for (const { close } of [alice, bob, issuer]) await close()
    await ledger.close()
    await pool.close()
  })
  for (const { client } of [alice, bob]) {
    const request = await client.registration()
    const { admission } = await issuer.client.admit(`admit ${request.account}`, request)
    await client.register('register', admission)
    await issuer.client.mint(`mint ${request.account}`, request.account, cents(1_000_000n))
  }
  const insurer = await Meridian.connect({ url: alice.api.url, tokenFile: join(alice.dir, 'api.json') })
  const hospital = await Meridian.connect({ url: bob.api.url, tokenFile: await tokenFile(bob, ['invoice']) })
  const peer = `${idText(bob.node.account)}@${bob.node.status().listening}`
  const opened = await insurer.channels.open({ peer, deposit: usd('5000.00') }, { idempotencyKey: 'open' })
  if (opened.status !== 'done') throw new Error('not open')
  t.match(await insurer.channels.list(), [{ channel: opened.channel, windowSeconds: Number, canSend: usd('5000.00') }])

  await t.test('by hand', async (t) => {
    const wish = { amount: usd('12.34'), reference: 'hand' }
    const invoice = await hospital.invoices.create(wish, { idempotencyKey: 'hand' })
    if (invoice.status === 'pending') throw new Error('pending')
    t.match(invoice, { status: 'open', amount: 1_234n, receipt: null })
    t.equal(
      await outcome(hospital.payments.create({ invoice: invoice.invoice, feeMax: 0n }, { idempotencyKey: 'x' })),
      'scope_missing',
    )
    t.equal(await outcome(hospital.account()), 'scope_missing')
    t.match(await insurer.payments.quote({ invoice: invoice.invoice, feeMax: 0n }), { hops: 1, fee: 0n })
    const payment = await insurer.payments.create({ invoice: invoice.invoice, feeMax: 0n }, { idempotencyKey: 'hand' })
    if (payment.status !== 'succeeded') throw new Error(payment.status)
    t.same(await insurer.payments.get('hand'), payment)
    for await (const event of hospital.events()) {
      if (event.type !== 'invoice.paid') continue
      t.match(event, { reference: 'hand', amount: 1_234n, receipt: payment.receipt }, 'both hold the same proof')
      t.ok(verifyReceipt(event.receipt, { payee: bob.node.account }).ok)
      break
    }
    t.match(await hospital.invoices.get(invoice.id), { status: 'paid', receipt: payment.receipt })
    for await (const one of hospital.invoices.list()) t.equal(one.id, invoice.id)
    t.match(await insurer.info(), { ready: true, channels: 1, ledgerAgeSeconds: Number })
  })

  await t.test('the examples, the hospital killed in between', async (t) => {
    writeFileSync(at('claims.csv'), 'claim-1,10.00\nclaim-2,0.07\nclaim-3,1241.22\n')
    const billing = { MERIDIAN_URL: bob.api.url, MERIDIAN_TOKEN_FILE: await tokenFile(bob, ['invoice']) }
    const paying = { MERIDIAN_URL: alice.api.url, MERIDIAN_TOKEN_FILE: await tokenFile(alice, ['pay']) }
    const first = example('hospital', billing)
    t.match(await first.line(), /^3 invoices/)
    const invoices = readFileSync(at('invoices.csv'), 'utf8')
    first.child.kill('SIGKILL')
    await first.ended
    const run = example('insurer', paying)
    t.equal(await run.ended, 0)
    t.same(run.lines, ['paid claim-1 10.00 fee 0.00', 'paid claim-2 0.07 fee 0.00', 'paid claim-3 1241.22 fee 0.00'])
    const again = example('hospital', billing)
    t.equal(await again.ended, 0)
    t.same(again.lines.at(-1), 'every claim is paid')
    t.equal(readFileSync(at('invoices.csv'), 'utf8'), invoices, 'the same invoices')
    const booked = () =>
      readFileSync(at('books.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    t.match(booked(), [{ claim: 'claim-1' }, { claim: 'claim-2', amount: '0.07' }, { claim: 'claim-3' }])
    t.ok(verifyReceipt(readFileSync(join(at('receipts'), 'claim-3.json'), 'utf8'), { payee: bob.node.account }).ok)
    t.equal(await example('insurer', paying).ended, 0, 'nothing is paid twice')
    t.equal(await example('hospital', billing).ended, 0)
    t.equal(booked().length, 3)
    t.equal((await insurer.channels.get(opened.channel)).balance, usd('5000.00') - usd('1263.63'))
  })

  await t.test('metrics: each described, counts of what happened, no amount and no id', async (t) => {
    const text = await (await alice.call('GET', '/metrics')).text()
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    for (const [name, { kind, help }] of Object.entries(METRICS)) {
      t.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`), name)
      t.ok(
        samples.some((line) => line.startsWith(name)),
        name,
      )
    }
    for (const line of samples) {
      if (!/^meridian_[a-z_]+(\{([a-z]+="[^"\\]*",?)+\})? [0-9.e+-]+$/.test(line)) t.fail(line)
      if (/[0-9a-f]{16}|claim[- ]|pay-/.test(line.slice(0, line.lastIndexOf(' ')))) t.fail(`names something: ${line}`)
    }
    const sampleOf = (name: string) =>
      Number(
        samples
          .find((line) => line.startsWith(`${name} `))
          ?.split(' ')
          .at(-1),
      )
    t.equal(sampleOf('meridian_ready'), 1)
    t.equal(sampleOf('meridian_channels{phase="open"}'), 1)
    t.equal(sampleOf('meridian_events_total{type="payment.succeeded"}'), 4)
    t.equal(sampleOf('meridian_payment_seconds_count{outcome="succeeded"}'), 4)
    t.equal(sampleOf('meridian_payment_seconds_bucket{outcome="succeeded",le="+Inf"}'), 4)
    t.equal(sampleOf('meridian_payment_seconds_count{outcome="failed"}'), 0)
    t.ok(sampleOf('meridian_http_request_seconds_count{route="GET /v1/payments/:key",status="200"}') > 0)
    t.ok(sampleOf('meridian_memory_bytes') > 1e6)
  })
})

function example(name: string, env: Record<string, string>) {
  const path = fileURLToPath(new URL(`dist/examples/${name}.js`, ROOT))
  const child = spawn(process.execPath, [path], { cwd: home, env: { PATH: process.env['PATH'], ...env } })
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout })
  const heard = once(reader, 'line')
  reader.on('line', (line) => lines.push(line))
  child.stderr.pipe(process.stderr)
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return { child, lines, ended, line: () => heard.then(([line]) => line as string) }
}
