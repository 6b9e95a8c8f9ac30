/** What a node keeps for a time, for ever, or not at all; and that it tells nothing before it is durable. */
import t from 'tap'
import { Requests } from '../../src/api/requests.js'
import { type Digest, utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import type { Effect } from '../../src/channel/types.js'
import { remember } from '../../src/node/retention.js'
import { decodeFailure } from '../../src/router/failure.js'
import { parseInvoice } from '../../src/router/invoice.js'
import { sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { readFailure } from '../../src/router/onion/failure.js'
import { decodePayment } from '../../src/router/payment-record.js'
import { type Route, routeKeys, routeOffer } from '../../src/router/route.js'
import { type Table, tableKey, tableRange } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { Puppet } from './puppet.js'
import { Stranger } from './stranger.js'
import { cents, HUB, until, Village, type Villager } from './village.js'

const HOUR = 3_600
const village = await Village.build()
t.teardown(() => village.close())
let hub = await village.settle('hub', 100_000n, HUB)
const payer = await village.settle('payer', 100_000n)
const alice = await village.settle('alice', 100_000n)
const payerChannel = await village.channel(payer, hub, 50_000n, 0n)
const aliceChannel = await village.channel(alice, hub, 50_000n, 0n)
await village.stop(alice)
const diary = await village.diary('alice')
t.teardown(() => diary.close())

const meet = () =>
  Stranger.meet(diary.secrets.signingKey, {
    url: hub.url,
    account: hub.node.account,
    ledger: village.ledger.ledger,
  })
const count = async ({ directory }: Villager, table: Table): Promise<number> => {
  let rows = 0
  for await (const _ of directory.store.range(tableRange(table))) rows += 1
  return rows
}
const invoiceOf = async (key: string, amount: bigint) =>
  must(await hub.node.issueInvoice(key, { amount: cents(amount), reference: key, expiresIn: 100 * HOUR }))
const reached = async (who: Villager) => until(() => who.node.time === village.ledger.head.time)

t.test(
  'R2: an onion is refused the second time, by a hop and by the payee, also after a restart; not kept for ever',
  async (t) => {
    const puppet = Puppet.of(diary, aliceChannel, village.ledger, await meet())
    puppet.input({ type: 'connected' })
    const live = async () => {
      while (puppet.state.link !== 'live') await puppet.pump()
    }
    await live()
    const invoice = must(parseInvoice((await invoiceOf('replayed', 500n)).text))
    const { time } = village.ledger.head
    // More than is due: less would be a part, held until the others come (R1).
    const payee = { account: hub.node.account, amount: cents(501n), expiry: time + 3 * HOUR }
    const first = { account: hub.node.account, amount: cents(600n), expiry: time + 9 * HOUR }
    const next = { account: payer.node.account, amount: cents(499n), expiry: time + 3 * HOUR }
    const routes: readonly (readonly [string, Route])[] = [
      ['payment_details_wrong', { channel: aliceChannel as ChannelId, fee: cents(0n), hops: [payee] }],
      ['temporary_failure', { channel: aliceChannel as ChannelId, fee: cents(101n), hops: [first, next] }],
    ]
    const offers = routes.map(([code, route], i) => {
      const sessionKey = sessionKeyFrom(sha256(utf8(`replay ${i}`)))
      const { secrets } = routeKeys(
        sessionKey,
        route.hops.map(({ account }) => account),
      )
      const codeOf = (effect: Effect): string | undefined => {
        const read = effect.type === 'lockReturned' ? readFailure(secrets, effect.reason, 20) : undefined
        return read === undefined ? effect.type : decodeFailure(read.message)?.code
      }
      return { code, codeOf, offer: must(routeOffer(route, invoice, new Uint8Array(16), sessionKey)) }
    })
    const again = async (of: Villager, expected: readonly string[], later = 0) => {
      for (const [i, { offer, codeOf }] of offers.entries()) {
        const effect = await puppet.untilEnd({ ...offer, expiry: offer.expiry + later })
        t.equal(codeOf(effect), expected[i])
      }
      t.equal(of.node.status().stopped, 0)
    }
    await again(
      hub,
      offers.map(({ code }) => code),
    )
    t.equal(await count(hub, 'replay'), 2)
    const refused = ['onion_replayed', 'onion_replayed']
    await again(hub, refused, 60)
    await village.stop(hub)
    hub = await village.start('hub', HUB)
    puppet.onto(await meet())
    await live()
    await again(hub, refused)
    t.equal(await count(hub, 'replay'), 2)

    await village.ledger.advance({ seconds: 3 * HOUR + LIMITS.replay_margin_s - 60 })
    await reached(hub)
    t.equal(await count(hub, 'replay'), 2, 'within the margin')
    await village.ledger.advance({ seconds: 120 })
    await until(async () => (await count(hub, 'replay')) === 0)
    puppet.input({ type: 'tick' })
    await again(hub, ['payment_details_wrong', 'expiry_too_near'], 6 * HOUR)
    puppet.stranger.close()
  },
)

t.test('more than one piece of what has ended goes; what has not stays', async () => {
  const { engine, time } = payer.node
  const tag = (i: number) => sha256(utf8(`tag ${i}`)) as Digest
  const many = 2 * LIMITS.sweep_rows + 9
  await engine.run((tx) => {
    for (let i = 0; i < many; i++) remember(tx, 1 + (i % 50), tag(i))
    for (let i = 0; i < 9; i++) remember(tx, time + 10 * HOUR, tag(i))
  }).durable
  await village.ledger.advance({ seconds: 1 })
  await until(async () => (await count(payer, 'replay')) === 9)
})

t.test('an opening’s deadline is kept until the ledger has it', async (t) => {
  t.equal(await count(payer, 'funding'), 0)
  t.equal(await count(hub, 'funding'), 0)
})

t.test('keys: what cannot name a row is refused at the door', async (t) => {
  const { node } = payer
  const { text } = await invoiceOf('keys', 5n)
  const wish = { amount: cents(5n), reference: 'r', expiresIn: HOUR }
  const cases = [
    ['', 'request_key_missing'],
    ['é'.repeat(128), 'too_long'],
    ['\u{1f3e5}'.repeat(64), 'too_long'],
    ['k\ud800', 'bad_request'],
  ] as const
  for (const [key, code] of cases) {
    const refused = { ok: false, error: { code } }
    t.match(await node.pay(key, text, cents(1n)), refused)
    t.match(await node.issueInvoice(key, wish), refused)
    t.match(await node.openChannel(key, { peer: hub.node.account, deposit: cents(1n), share: cents(0n) }), refused)
    t.match(await node.wallet.transfer(key, hub.node.account, cents(1n)), refused)
    t.equal(node.payment(key), undefined)
  }
  t.match(await node.issueInvoice('é'.repeat(127), wish), { ok: true }, 'as long as a row’s name may be')
})

t.test('nothing is told before it is durable', async (t) => {
  const { node, directory } = payer
  must(await node.connect({ account: hub.node.account, url: hub.url }))
  await until(() => node.channel(payerChannel)?.ready === true)
  const { text } = await invoiceOf('durable', 700n)
  const key = 'durable payment'
  const stored = () => {
    const row = directory.store.get(tableKey('payment', utf8(key)))
    return row === undefined ? undefined : must(decodePayment(row)).phase
  }
  const commit = directory.commit.bind(directory)
  let early = 0
  let commits = 0
  directory.commit = async (batch, marks) => {
    const phase = stored()
    const view = node.payment(key)
    if (phase === undefined ? view !== undefined : (view?.status === 'succeeded') !== (phase === 'succeeded'))
      early += 1
    let synced = false
    const told = node
      .settled(() => node.channel(payerChannel)?.version)
      .then(() => {
        if (!synced) early += 1
      })
    await commit(batch, marks)
    await new Promise((resolve) => setImmediate(resolve))
    synced = true
    commits += 1
    void told
  }
  must(await node.pay(key, text, cents(1n)))
  t.match(await node.waitPayment(key, 60_000), { status: 'succeeded' })
  directory.commit = commit
  t.ok(commits >= 3)
  t.equal(early, 0)
  t.equal(stored(), 'succeeded')
})

t.test('keys of the API: payments’ for ever, others’ for a time', async (t) => {
  const { node } = payer
  const requests = new Requests(node.engine, () => node.time)
  const request = { method: 'POST', path: '/x', body: {} }
  const says = (value: string) => async () => ({ status: 201, value })
  await requests.run({ ...request, key: 'passing', forever: false }, says('first'))
  await requests.run({ ...request, key: 'payment', forever: true }, says('first'))
  await village.ledger.advance({ seconds: LIMITS.request_kept_s - 60 })
  await reached(payer)
  const answer = (key: string) => requests.run({ ...request, key, forever: key === 'payment' }, says('second'))
  t.match(await answer('passing'), { body: '"first"', replayed: true })
  await village.ledger.advance({ seconds: 120 })
  await until(async () => (await count(payer, 'requestEnd')) === 0)
  t.equal(await count(payer, 'request'), 1)
  t.match(await answer('payment'), { body: '"first"', replayed: true })
  t.match(await answer('passing'), { body: '"second"', replayed: false })
})
