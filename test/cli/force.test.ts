/** `channel close --force`: what it says, asks and refuses, before a node over an in-process ledger (L7, S2). */
import t from 'tap'
import { type Amount, ZERO } from '../../src/base/amount.js'
import { idText } from '../../src/base/ids.js'
import { createPool } from '../../src/privacy/pool.js'
import { type Hosted, Nodes } from '../api/nodes.js'
import { until } from '../node/village.js'
import { People } from '../wallet/people.js'
import { outcome } from './cli.js'

const WINDOW = 600
const pool = createPool({ threads: 2 })
const people = new People(pool)
const ledger = await people.ledger()
const nodes = new Nodes(t.testdir(), ledger, pool)
const config = { ledgerAgeMax: 1_000_000, window: WINDOW }
const issuer = await nodes.start(await nodes.create('issuer'))
const bob = await nodes.start(await nodes.create('bob'), config)
let alice = await nodes.start(await nodes.create('alice'), config)
t.teardown(async () => {
  for (const { close } of [alice, bob, issuer]) await close()
  await ledger.close()
  await pool.close()
})

const total = async ({ client }: Hosted) => {
  const account = await client.account()
  return account.available_minor + account.pending_open_minor + account.pending_frozen_minor
}
for (const { client } of [alice, bob]) {
  const request = await client.registration()
  const { admission } = await issuer.client.admit(`admit ${request.account}`, request)
  await client.register('register', admission)
}
await issuer.client.mint('mint', idText(alice.node.account), 90_000n as Amount)
const address = `${idText(bob.node.account)}@${bob.node.status().listening}`
const { channel } = await alice.client.openChannel('open', address, 50_000n as Amount, ZERO)

const close = (...more: readonly string[]) =>
  outcome(['channel', 'close', channel.slice(0, 12), '--force', '--dir', alice.dir, ...more])
const exits = async () =>
  (await alice.client.eventPage(0)).events.filter(({ type }) => type === 'channel.exited').length

t.test('a node that began a moment ago may not: it says until when, and nothing happened', async (t) => {
  const { code, err } = await close('--yes')
  t.equal(code, 4, err)
  t.match(err, /exit_not_yet.*possible from 20\d\d-.*or when a tower confirms/s)
  t.notMatch(err, /outcome is not known/)
  t.match((await alice.client.channel(channel)).exit, { allowed: false, missing: null })
  const raw = await alice.post(`/v1/channels/${channel}/close`, 'raw', { force: true })
  t.equal(raw.status, 409)
  t.match(await raw.json(), { code: 'exit_not_yet', action: 'wait' })
  t.equal((await alice.post(`/v1/channels/${channel}/close`, 'bad', { force: 'yes' })).status, 400)
  t.equal(await exits(), 0)
})

t.test('it states window and date, asks, and takes no silence for a yes', async (t) => {
  await alice.close()
  alice = await nodes.start(alice.dir, { ...config, absent: 1 })
  await until(async () => (await alice.client.channel(channel)).exit.allowed)
  const { code, err } = await close()
  t.equal(code, 2, err)
  t.match(err, /window 600 s/)
  t.match(err, /500\.00 and what becomes of 0 locks: back by .*Z at the latest/)
  t.match(err, /--yes/)
  t.equal((await alice.client.channel(channel)).phase, 'open')
  t.equal(await exits(), 0)
})

t.test('with --yes it exits, once per key, and says when the money is back', async (t) => {
  const { code, out, err } = await close('--yes', '--json', '--key', 'end')
  t.equal(code, 0, err)
  const said = JSON.parse(out) as { readonly back_at: number }
  t.match(said, { channel, closed: false })
  await until(async () => (await alice.client.channel(channel)).phase === 'disputed')
  const { deadline, waiting } = await alice.client.channel(channel)
  t.equal(waiting, 'the deadline')
  t.ok(said.back_at > (deadline ?? 0) - 1, 'at the latest')
  const { out: listed } = await outcome(['channel', 'list', '--dir', alice.dir])
  t.match(listed, /disputed.*the deadline \(deadline .*Z\)/)
  t.equal((await close('--yes', '--key', 'again')).code, 0, 'what stands is told, not made anew')
  await ledger.advance({ seconds: WINDOW + 1 })
  await until(async () => (await alice.client.channel(channel)).phase === 'closed')
  const ended = await close('--yes', '--json', '--key', 'end')
  t.match(JSON.parse(ended.out), { channel, closed: true })
  t.equal(await total(alice), 90_000n)
  t.equal(await exits(), 1)
})
