/** The operator API before real nodes: tokens, idempotency keys, bodies, payments, events. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ApiClient, connectApi } from '../../src/api/client.js'
import { statusOf } from '../../src/api/problem.js'
import { Requests } from '../../src/api/requests.js'
import type { Amount } from '../../src/base/amount.js'
import { ERRORS, type ErrorCode } from '../../src/base/errors.js'
import { idText } from '../../src/base/ids.js'
import { Engine } from '../../src/node/engine.js'
import { createPool } from '../../src/privacy/pool.js'
import { verifyReceipt } from '../../src/router/receipt.js'
import { memoryStore } from '../../src/store/memory.js'
import { People } from '../wallet/people.js'
import { brokenBodies, framesOf, slowReader } from './hostile.js'
import { type Hosted, Nodes, refusal } from './nodes.js'

const cents = (value: bigint) => value as Amount

const pool = createPool({ threads: 2 })
const people = new People(pool)
const ledger = await people.ledger()
const nodes = new Nodes(t.testdir(), ledger, pool)
const issuer = await nodes.start(await nodes.create('issuer'))
const alice = await nodes.start(await nodes.create('alice'))
const bob = await nodes.start(await nodes.create('bob'), {}, { heartbeat_ms: 20, stall_ms: 200 })
t.teardown(async () => {
  for (const { close } of [bob, issuer]) await close()
  await ledger.close()
  await pool.close()
})

const codeOf = async (response: Response) => ((await response.json()) as { readonly code: string }).code
const totalOf = async ({ client }: Hosted) => {
  const account = await client.account()
  return account.available_minor + account.pending_open_minor + account.pending_frozen_minor
}

t.test('a token of this start opens everything but health', async (t) => {
  t.equal(statSync(join(alice.dir, 'api.json')).mode & 0o777, 0o600)
  for (const authorization of [
    '',
    'Bearer ',
    `Bearer ${bob.token}`,
    alice.token,
    `Bearer ${alice.token} `,
    `bearer ${alice.token}x`,
  ]) {
    for (const path of ['/v1/node', '/v1/account', '/v1/events', '/nowhere', '/healthz/../v1/node']) {
      const answer = await alice.call('GET', path, { authorization })
      const trimmed = authorization.trim() === `Bearer ${alice.token}` // the HTTP library drops the blank
      t.equal(answer.status === 401, !trimmed, `${path} ${authorization.length}`)
    }
  }
  t.equal((await alice.call('POST', '/v1/payments', { authorization: 'Bearer x' })).status, 401)
  t.equal((await alice.call('GET', '/healthz', { authorization: '' })).status, 200)
  t.same(await (await alice.call('GET', '/readyz', { authorization: '' })).json(), { ready: true })
  const unknown = await alice.call('GET', '/v1/nowhere')
  t.match(unknown.headers.get('content-type'), /^application\/problem\+json/)
  t.match(await unknown.json(), {
    type: 'urn:meridian:error:not_found',
    status: 404,
    code: 'not_found',
    action: 'fix_request',
  })
})

t.test('every error has a status, an action and words', (t) => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) t.ok(statusOf(code) >= 400 && statusOf(code) < 600, code)
  t.end()
})

t.test('accounts: admitted, registered, minted to', async (t) => {
  for (const each of [alice, bob]) {
    t.same(await each.client.account(), {
      account: idText(each.node.account),
      registered: false,
      available_minor: 0n,
      pending_open_minor: 0n,
      pending_frozen_minor: 0n,
    })
    const request = await each.client.registration()
    t.equal(await refusal(each.client.admit('admit', request)), 'not_issuer')
    const { admission } = await issuer.client.admit(`admit ${request.account}`, request)
    t.match(await each.client.register('register', admission), { registered: true })
    await issuer.client.mint(`mint ${request.account}`, request.account, cents(1_000_000n))
    t.equal(await totalOf(each), 1_000_000n)
  }
})

t.test('a key stands for one request', async (t) => {
  const to = idText(bob.node.account)
  const path = '/v1/account/transfer'
  const body = { to, amount_minor: '7' }
  const json = { 'content-type': 'application/json' }
  const bare = await alice.call('POST', path, json, JSON.stringify(body))
  t.same([bare.status, await codeOf(bare)], [400, 'request_key_missing'])
  for (const key of ['x'.repeat(256), 'caf\u00e9']) t.equal((await alice.post(path, key, body)).status, 400)

  const both = await Promise.all([alice.post(path, 'one', body), alice.post(path, 'one', body)])
  t.same(both.map(({ status }) => status).sort(), [201, 409])
  const [first, running] = both[0]!.status === 201 ? both : both.toReversed()
  t.equal(await codeOf(running!), 'request_running')
  t.equal(first!.headers.get('idempotency-replayed'), null)
  const text = await first!.text()
  const again = await alice.post(path, 'one', { amount_minor: '7', to })
  t.same([again.status, again.headers.get('idempotency-replayed'), await again.text()], [201, 'true', text])
  const other = await alice.post(path, 'one', { to, amount_minor: '8' })
  t.same([other.status, await codeOf(other)], [422, 'request_key_reused'])
  t.equal(await codeOf(await alice.post('/v1/account/redeem', 'one', { amount_minor: '7' })), 'request_key_reused')
  t.equal(await totalOf(alice), 1_000_000n - 7n)
  t.equal((await alice.post(path, 'k'.repeat(255), body)).status, 201, 'the longest key')
  t.equal((await alice.post(path, 'rollover/1', body)).status, 201, "no name of the wallet's own")
  t.equal(await totalOf(alice), 1_000_000n - 21n)
})

t.test('a refusal is the last word only where nothing but another request would help', async (t) => {
  const to = idText(bob.node.account)
  const path = '/v1/account/transfer'
  const poor = { to, amount_minor: '1500000' }
  t.equal(await codeOf(await alice.post(path, 'rich later', poor)), 'insufficient_funds')
  await issuer.client.mint('more', idText(alice.node.account), cents(1_000_000n))
  t.equal((await alice.post(path, 'rich later', poor)).status, 201)
  await bob.client.transfer('back', idText(alice.node.account), cents(1_500_000n))
  const { keys } = await people.get('nobody')
  const lost = { to: idText(keys.account), amount_minor: '1' }
  const [once, twice] = [await alice.post(path, 'nobody', lost), await alice.post(path, 'nobody', lost)]
  t.same([once.status, twice.status, twice.headers.get('idempotency-replayed')], [422, 422, 'true'])
  t.same(await once.json(), await twice.json())
})

t.test('a process that died in between runs the request again, and only that one', async (t) => {
  const fatal = (error: unknown): never => {
    throw error
  }
  const store = memoryStore()
  const disk = { store, commit: (batch: Parameters<typeof store.write>[0]) => store.write(batch) }
  const requests = () => new Requests(new Engine(disk, fatal), () => 0)
  const request = { key: 'k', method: 'POST', path: '/x', body: { a: 1 }, forever: false }
  let begun = 0
  void requests().run(request, () => {
    begun += 1
    return new Promise(() => {})
  })
  while (begun === 0) await new Promise((resolve) => setImmediate(resolve))
  const reborn = requests()
  await t.rejects(
    reborn.run({ ...request, body: { a: 2 } }, async () => ({ status: 201, value: {} })),
    { code: 'request_key_reused' },
  )
  t.match(await reborn.run(request, async () => ({ status: 202, value: 1, open: true })), {
    status: 202,
    replayed: false,
  })
  t.match(await reborn.run(request, async () => ({ status: 201, value: 2 })), { status: 201, body: '2' })
  t.match(await requests().run(request, () => Promise.reject(new Error('ran twice'))), {
    status: 201,
    body: '2',
    replayed: true,
  })
  await t.rejects(
    reborn.run({ ...request, key: 'l' }, async () => {
      throw new Error('a defect with 123456 in it')
    }),
    { message: /defect/ },
  )
  t.match(await reborn.run({ ...request, key: 'l' }, async () => ({ status: 201, value: 3 })), { body: '3' })
})

t.test('amounts are digit strings below 2^L', async (t) => {
  const bad = [1, 1.5, '01', '-1', '+1', '1.00', '1e3', ' 1', '', null, [], '281474976710656', '9'.repeat(21), '0']
  for (const amount_minor of bad) {
    const answer = await bob.post('/v1/invoices', 'amounts', { amount_minor, reference: 'r' })
    t.same([answer.status, await codeOf(answer)], [400, 'bad_amount'], JSON.stringify(amount_minor))
  }
  const largest = await bob.client.createInvoice('largest', cents((1n << 48n) - 1n), 'r')
  t.equal(largest.amount_minor, (1n << 48n) - 1n)
})

t.test('hundreds of broken bodies: a clear refusal each, and no money moves', async (t) => {
  const paths = {
    '/v1/account/transfer': { to: idText(bob.node.account), amount_minor: '3' },
    '/v1/invoices': { amount_minor: '3', reference: 'claim', expires_in_s: 5 },
    '/v1/payments': { invoice: 'mrd1', fee_max_minor: '3' },
    '/v1/channels': { peer: `${idText(bob.node.account)}@ws://127.0.0.1:1`, deposit_minor: '3', inbound_minor: '0' },
    '/v1/policy': { base_minor: '0', ppm: 1, expiry_delta_s: 1, min_minor: '1', max_minor: '2', enabled: true },
  }
  const before = await totalOf(alice)
  const seen = new Map<string, number>()
  for (const [path, body] of Object.entries(paths)) {
    for (const broken of brokenBodies(body)) {
      const answer = await alice.call(
        'POST',
        path,
        { 'content-type': 'application/json', 'idempotency-key': 'broken' },
        broken,
      )
      const problem = (await answer.json()) as { readonly code: string; readonly action: string }
      if (answer.status < 400 || answer.status > 499) t.fail(`${path} ${answer.status} ${problem.code}: ${broken}`)
      if (!(problem.code in ERRORS)) t.fail(`${path}: ${problem.code}`)
      seen.set(problem.code, (seen.get(problem.code) ?? 0) + 1)
    }
  }
  t.same([...seen.keys()].sort(), ['bad_amount', 'bad_request', 'too_long'], JSON.stringify([...seen]))
  t.ok([...seen.values()].reduce((sum, count) => sum + count, 0) > 300)
  const invoice = Buffer.from('{"amount_minor":"3","reference":"caf?"}')
  invoice[invoice.indexOf('?')] = 0xe9 // no UTF-8: it would become another text silently
  const json = { 'content-type': 'application/json', 'idempotency-key': 'latin' }
  t.equal(await codeOf(await alice.call('POST', '/v1/invoices', json, invoice)), 'bad_request')
  const plain = await alice.call('POST', '/v1/invoices', { 'content-type': 'text/plain', 'idempotency-key': 'k' }, '{}')
  t.equal(plain.status, 400)
  t.equal(await totalOf(alice), before)
  t.equal((await alice.call('GET', '/healthz')).status, 200)
  t.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
})

t.test('a channel, invoices and payments', async (t) => {
  const address = `${idText(bob.node.account)}@${bob.node.status().listening}`
  const { channel } = await alice.client.openChannel('open', address, cents(500_000n), cents(0n))
  t.same(await alice.client.openChannel('open', address, cents(500_000n), cents(0n)), {
    channel,
    peer: idText(bob.node.account),
  })
  t.match(await alice.client.channel(channel), { side: 'opener', balance_minor: 500_000n })
  t.equal(await refusal(alice.client.channel('00'.repeat(32))), 'not_found')
  t.match((await bob.client.peers()).peers, [{ account: idText(alice.node.account), connected: true }])
  const { policy } = await alice.client.channel(channel)
  const wanted = { ...policy, base_minor: '5', min_minor: '1', max_minor: '1000' }
  t.match(await alice.client.setPolicy('policy', channel, wanted), { base_minor: 5n })
  t.match((await alice.client.channel(channel)).policy, { base_minor: 5n, max_minor: 1_000n })
  t.match(await alice.client.setPolicy('default', null, { ...wanted, base_minor: '7' }), { base_minor: 7n })
  t.match(await alice.client.policy(), { base_minor: 7n, max_minor: 1_000n })

  const invoice = await bob.client.createInvoice('claim-1', cents(1_234n), 'claim 1')
  t.same(await bob.client.createInvoice('claim-1', cents(1_234n), 'claim 1'), { ...invoice, warning: null })
  t.match(await alice.client.quote(invoice.invoice, cents(10n)), {
    amount_minor: 1_234n,
    fee_minor: 0n,
    hops: 1,
    can_send_minor: 500_000n,
    can_send_at_once_minor: 500_000n,
  })
  t.equal(await refusal(alice.client.payment('pay-1')), 'not_found')
  const paid = await alice.client.pay('pay-1', invoice.invoice, cents(10n))
  t.match(paid, { status: 'succeeded', amount_minor: 1_234n, fee_minor: 0n, reference: 'claim 1', code: null })
  t.ok(verifyReceipt(paid.receipt ?? '', { payee: bob.node.account }).ok)
  t.same(await alice.client.payment('pay-1'), paid)
  const again = await alice.post('/v1/payments', 'pay-1', { invoice: invoice.invoice, fee_max_minor: '10' })
  t.same([again.status, again.headers.get('idempotency-replayed')], [201, 'true'])
  t.equal(await refusal(alice.client.pay('pay-2', invoice.invoice, cents(10n))), 'invoice_paid')
  t.equal(await refusal(alice.client.quote(invoice.invoice, cents(10n))), 'invoice_paid', 'and has no price any more')
  t.same(
    { ...(await bob.client.invoice(invoice.id)), receipt: null },
    { ...invoice, paid: true, can_receive_minor: null },
  )
  t.equal(await refusal(bob.client.invoice(invoice.invoice)), 'not_found', 'an id has 64 digits')

  const large = await bob.client.createInvoice('claim-2', cents(498_767n), 'claim 2')
  const failed = await alice.client.pay('pay-3', large.invoice, cents(10n))
  t.match(failed, { status: 'failed', receipt: null, failed_at: null }, 'a failed payment is a resource')
  t.match(large, { can_receive_minor: 500_000n - 1_234n, warning: 'no_capacity_to_payee' }, 'R7: said before it fails')
  t.match(await bob.client.createInvoice('claim-3', cents(498_766n), 'claim 3'), { warning: null }, 'to the unit')
  const detail = 'fees included, 4,987.66 can be sent, 4,987.66 of it at once'
  await t.rejects(alice.client.quote(large.invoice, cents(10n)), { code: 'no_capacity', detail })
  t.ok(failed.code !== null && failed.code in ERRORS)
  t.equal(await refusal(alice.client.pay('pay-4', 'mrd1nonsense', cents(10n))), 'invoice_invalid')
  for (let i = 5; i < 15; i++) {
    const { invoice } = await bob.client.createInvoice(`claim-${i}`, cents(1n), `claim ${i}`)
    t.match(await alice.client.pay(`pay-${i}`, invoice, cents(0n)), { status: 'succeeded' })
  }
})

t.test('lists in the order of time, in pages', async (t) => {
  const { invoices, cursor } = await bob.client.invoices()
  t.same(invoices.map(({ reference }) => reference).slice(-4), ['claim 11', 'claim 12', 'claim 13', 'claim 14'])
  const { payments } = await alice.client.payments()
  t.same(payments.map(({ key }) => key).slice(0, 3), ['pay-1', 'pay-3', 'pay-5'])
  t.same(await bob.client.invoices(cursor), { invoices: [], cursor }, 'nothing new: the same cursor again')
  for (const [path, who] of [
    ['/v1/invoices', bob],
    ['/v1/payments', alice],
  ] as const) {
    const all: unknown[] = []
    for (let after = 0; ; ) {
      const answer = await who.call('GET', `${path}?limit=4&after=${after}`)
      const page = (await answer.json()) as { readonly [list: string]: readonly unknown[] } & {
        readonly cursor: number
      }
      const entries = page[path.slice(4)]!
      if (entries.length === 0) break
      all.push(...entries)
      after = page.cursor
    }
    t.same(all, ((await (await who.call('GET', path)).json()) as Record<string, unknown>)[path.slice(4)])
  }
  t.equal((await bob.call('GET', '/v1/invoices?limit=1001')).status, 400)
})

t.test('a payment without an end is told as pending; the same key asks again', async (t) => {
  const { invoice } = await bob.client.createInvoice('late', cents(9n), 'late')
  const headers = { 'content-type': 'application/json', 'idempotency-key': 'late', prefer: 'respond-async, wait=0' }
  const body = JSON.stringify({ invoice, fee_max_minor: '0' })
  const pending = await alice.call('POST', '/v1/payments', headers, body)
  t.same([pending.status, pending.headers.get('idempotency-replayed')], [202, null])
  t.equal(pending.headers.get('preference-applied'), 'wait=0')
  t.match(await pending.json(), { status: 'pending', fee_minor: null, receipt: null })
  const ended = await alice.call('POST', '/v1/payments', { ...headers, prefer: 'wait=60' }, body)
  t.same([ended.status, ended.headers.get('idempotency-replayed')], [201, 'true'])
  t.match(await ended.json(), { status: 'succeeded', amount_minor: '9' })
  const heard = new AbortController()
  for await (const event of bob.client.events(0, heard.signal)) {
    if (event.type === 'invoice.paid' && event['reference'] === 'late') heard.abort()
  }
})

t.test('a drain lets what is under way end, and takes nothing new', async (t) => {
  const [first, second] = [
    await bob.client.createInvoice('drain 1', cents(9n), 'drain 1'),
    await bob.client.createInvoice('drain 2', cents(9n), 'drain 2'),
  ]
  t.match(await alice.client.pay('drain 1', first.invoice, cents(0n), 0), { status: 'pending' })
  t.ok(alice.node.load().locks > 0)
  const drained = alice.node.drain(60_000)
  t.equal(await refusal(alice.client.pay('drain 2', second.invoice, cents(0n))), 'unavailable')
  t.equal((await alice.call('GET', '/readyz')).status, 503)
  t.match(await drained, { locks: 0, ledgerWaiting: 0 })
  t.match(await alice.client.payment('drain 1'), { status: 'succeeded' })
})

t.test('a stop ends what waits; the next start has another token and the same memory', async (t) => {
  const { dir, token } = alice
  const stream = await alice.call('GET', '/v1/events', { accept: 'text/event-stream' })
  await alice.close()
  await stream.text()
  t.notOk(existsSync(join(dir, 'api.json')))
  t.equal(await refusal(alice.client.node()), 'unavailable')
  await t.rejects(connectApi(dir), { code: 'unavailable', message: /meridian start/ })
  const reborn = await nodes.start(dir, { ledgerAgeMax: -1 })
  t.not(reborn.token, token)
  t.equal(await refusal(new ApiClient({ url: reborn.api.url, token }).node()), 'unauthorized')
  t.equal((await reborn.call('GET', '/readyz')).status, 503, 'the view of the ledger is too old')
  const { invoice } = await bob.client.createInvoice('stale', cents(9n), 'stale')
  const stale = await reborn.post('/v1/payments', 'stale', { invoice, fee_max_minor: '0' })
  t.match(await stale.json(), { status: 'failed', code: 'ledger_stale' }, 'A1: and says so to who would pay')
  t.match(await (await connectApi(dir)).payment('late'), { status: 'succeeded' })
  const again = await reborn.post('/v1/account/transfer', 'one', { to: idText(bob.node.account), amount_minor: '7' })
  t.same([again.status, again.headers.get('idempotency-replayed')], [201, 'true'])
  await reborn.close()
})

t.test('events: pages, streams from any cursor, heartbeats, readers that do not read', async (t) => {
  const reader = bob
  const all = await reader.client.eventPage(0)
  const paid = all.events.filter(({ type }) => type === 'invoice.paid')
  t.equal(paid.length, 13)
  t.match(paid[0], { reference: 'claim 1', amount_minor: '1234' })
  t.ok(verifyReceipt(String(paid[0]?.['receipt']), { payee: bob.node.account }).ok, 'with its receipt')
  t.same(
    all.events.map(({ cursor }) => cursor),
    all.events.map((_, i) => i + 1),
  )
  t.same((await reader.client.eventPage(4)).events, all.events.slice(4))

  const some: unknown[] = []
  const stop = new AbortController()
  for await (const event of reader.client.events(0, stop.signal)) {
    some.push(event)
    if (some.length === 3) stop.abort()
  }
  const last = { 'last-event-id': '3', accept: 'text/event-stream' }
  const stream = await reader.call('GET', '/v1/events?after=0', last)
  const rest = await framesOf(stream, all.events.length - 3)
  t.same([...some, ...rest.events], all.events)

  for (const bad of ['-1', '1.5', 'x', '1e3']) {
    t.equal((await reader.call('GET', `/v1/events?after=${bad}`)).status, 400)
    t.equal((await reader.call('GET', '/v1/events', { 'last-event-id': bad })).status, 400)
  }
  const beyond = all.events.length + 1
  for (const accept of ['application/json', 'text/event-stream']) {
    const ahead = await reader.call('GET', `/v1/events?after=${beyond}`, { accept })
    t.same([ahead.status, await codeOf(ahead)], [422, 'cursor_ahead'], 'it would be silent until the log is as long')
    await (await reader.call('GET', `/v1/events?after=${beyond - 1}`, { accept })).body?.cancel()
  }
  await slowReader(reader)
  t.equal((await reader.call('GET', '/healthz')).status, 200)
})
