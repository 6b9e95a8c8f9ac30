/** R7: a hub moves its own money in a circle; several channels of a pair; which side lacks capacity; what it grants. */
import t, { type Test } from 'tap'
import type { ChannelId } from '../../src/base/ids.js'
import { idText } from '../../src/base/ids.js'
import type { PaymentView } from '../../src/node/payment-view.js'
import { must } from '../chain-adapter/fixtures.js'
import { cents, until, Village, type Villager } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())
const always = { ledgerAgeMax: 1_000_000 }
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const hubs = { ...always, forwarding: true, open }
let alice = await village.start('alice', hubs)
const bob = await village.start('bob', hubs)
const carol = await village.start('carol', hubs)
for (const who of [alice, bob, carol]) await village.fund(who, 900_000n)
const toBob = await village.channel(alice, bob, 200_000n, 0n)
const toCarol = await village.channel(alice, carol, 1_000n, 90_000n)
await village.channel(bob, carol, 30_000n, 0n)
await until(() => alice.node.status().graphChannels >= 3)

const more = async (from: Villager, to: Villager, key: string, deposit: bigint): Promise<ChannelId> => {
  const wish = { peer: to.node.account, deposit: cents(deposit), share: cents(0n) }
  const id = must(await from.node.openChannel(key, wish))
  await until(() => from.node.channel(id)?.ready === true && to.node.channel(id)?.ready === true)
  return id
}
const wish = (amount: bigint, feeMax = 100n) => ({
  from: toBob,
  to: toCarol,
  amount: cents(amount),
  feeMax: cents(feeMax),
})
const ended = async (key: string): Promise<PaymentView | undefined> => {
  await until(() => alice.node.payment(key)?.status !== 'pending')
  return alice.node.payment(key)
}
/** What alice has in each of the two channels, once no lock is under way. */
const rest = async () => {
  await until(() => [toBob, toCarol].every((id) => alice.node.channel(id)?.locks === 0))
  return [toBob, toCarol].map((id) => alice.node.channel(id)!.balance)
}

const failures = async () => {
  const events = await alice.node.events.page(0, 1_000)
  return new Map(events.flatMap((event) => (event.type === 'payment.failed' ? [[event.key, event] as const] : [])))
}

let probes = 0
/** Gossip has told alice what the hubs ask of each other. */
const informed = (t: Test) =>
  until(async () => {
    const key = `probe ${probes++}`
    must(await alice.node.rebalance(key, wish(1n)))
    const code = (await ended(key))?.code ?? null
    if (code === 'no_circle' || code === 'next_hop_unavailable') return false
    t.equal(code, null)
    return true
  })

t.test('out of one channel, back by the other, once, for the fees of two hubs', async (t) => {
  await informed(t)
  const before = await rest()
  t.match(await alice.node.rebalance('first', wish(20_000n)), { ok: true })
  t.match(await ended('first'), { status: 'succeeded', amount: 20_000n, hops: 3, payee: idText(alice.node.account) })
  const fee = alice.node.payment('first')!.fee!
  t.equal(fee, 2n + 3n, '100 ppm of 20,000, rounded up, twice')
  const after = [before[0]! - 20_000n - fee, before[1]! + 20_000n]
  t.same(await rest(), after)
  t.match(await alice.node.rebalance('first', wish(20_000n)), { ok: true, value: { status: 'succeeded' } })
  t.match(await alice.node.rebalance('first', wish(20_001n)), { ok: false, error: { code: 'request_key_reused' } })
  const back = { ...wish(20_000n), from: toCarol, to: toBob }
  t.match(await alice.node.rebalance('first', back), { ok: false, error: { code: 'request_key_reused' } })
  t.same(await rest(), after, 'the key moves it once')
})

t.test('exactly once over a restart in the middle', async (t) => {
  const before = await rest()
  const started = alice.node.rebalance('restarted', wish(3_000n))
  must(await started)
  await village.stop(alice)
  alice = await village.start('alice', hubs)
  t.match(await alice.node.rebalance('restarted', wish(3_000n)), { ok: true })
  const end = await ended('restarted')
  const moved = end?.status === 'succeeded' ? [3_000n + end.fee!, 3_000n] : [0n, 0n]
  t.same(await rest(), [before[0]! - moved[0]!, before[1]! + moved[1]!])
  await until(() => [toBob, toCarol].every((id) => alice.node.channel(id)?.ready === true))
  await informed(t)
})

t.test('what cannot be: said, with the side that lacks capacity, and nothing moves', async (t) => {
  const before = await rest()
  const failing = async (key: string, given: ReturnType<typeof wish>) => {
    const made = await alice.node.rebalance(key, given)
    return made.ok ? (await ended(key))?.code : made.error.code
  }
  t.equal(await failing('dear', wish(1_000n, 1n)), 'fee_above_limit')
  t.equal(await failing('own side', wish(190_000n)), 'no_capacity')
  t.equal(alice.node.payment('own side')?.failedAt, null)
  t.equal(await failing('between hubs', wish(25_000n)), 'no_capacity_on_route', 'bob’s side toward carol')
  const said = { hop: 1, account: idText(bob.node.account) }
  t.same(alice.node.payment('between hubs')?.failedAt, said)
  const told = await failures()
  t.same([told.get('own side')?.failedAt, told.get('between hubs')?.failedAt], [null, said], 'the books say it too')
  t.equal(await failing('unknown', { ...wish(1n), from: toBob.slice().fill(7) as ChannelId }), 'not_found')
  const second = await more(alice, bob, 'alice bob 2', 5_000n)
  t.equal(await failing('one peer', { ...wish(1n), to: second }), 'circular_route')
  const byLeaf = await village.channel(await village.settle('erin', 50_000n), alice, 20_000n, 20_000n)
  for (const circle of [{ from: byLeaf }, { to: byLeaf }]) {
    t.equal(await failing('a leaf', { ...wish(1n), ...circle }), 'forwarding_off', 'its peer passes nothing on')
  }
  const { text } = must(await alice.node.issueInvoice('own', { amount: cents(5n), reference: 'x', expiresIn: 99 }))
  t.match(await alice.node.pay('own', text, cents(5n)), { error: { code: 'circular_route' } }, 'only by rebalancing')
  t.same(await rest(), before)
})

t.test('several channels of a pair: the forwarder takes whichever has room', async (t) => {
  const before = await rest()
  const second = await more(bob, carol, 'bob carol 2', 40_000n)
  must(await alice.node.rebalance('by the second', wish(25_000n)))
  t.match(await ended('by the second'), { status: 'succeeded' })
  await until(() => bob.node.channel(second)?.locks === 0)
  t.ok(bob.node.channel(second)!.balance < 40_000n, 'the first had 7,000 left')
  t.equal((await rest())[1], before[1]! + 25_000n)
})

t.test('R7: the rules of who grants inbound capacity, each refused with what it allows', async (t) => {
  const policy = {
    enabled: true,
    depositMin: cents(1_000n),
    shareMax: cents(50_000n),
    sharePercent: 300,
    shareBudget: cents(60_000n),
    fundsKept: cents(30_000n),
  }
  const dave = await village.start('dave', { ...hubs, open: { ...policy, peers: [alice.node.account] } })
  await village.fund(dave, 100_000n)
  for (const { node } of [alice, bob]) must(await node.connect({ account: dave.node.account, url: dave.url }))
  let keys = 0
  const asks = async (deposit: bigint, share: bigint, who = alice) => {
    const wish = { peer: dave.node.account, deposit: cents(deposit), share: cents(share) }
    for (;;) {
      const asked = await who.node.openChannel(`dave ${keys++}`, wish)
      if (asked.ok || asked.error.code !== 'busy') return asked // he may not be done with the last one yet
    }
  }
  const refused = (code: string, detail?: string) => ({
    ok: false,
    error: detail === undefined ? { code } : { code, detail },
  })
  t.match(await asks(5_000n, 0n, bob), refused('open_not_allowed'), 'not on the list')
  t.match(await asks(999n, 0n), refused('open_not_allowed', 'deposit at least 10.00'))
  t.match(await asks(20_000n, 50_001n), refused('open_not_allowed', 'inbound at most 500.00'))
  t.match(await asks(1_000n, 3_001n), refused('open_not_allowed', 'inbound at most 30.00'), 'three times the deposit')
  const toDave = must(await asks(20_000n, 40_000n))
  t.match(await asks(20_000n, 20_001n), refused('open_no_funds'), 'the budget')
  t.match(await asks(20_000n, 20_000n), { ok: true }, 'to the unit')
  t.match(await asks(20_000n, 1n), refused('open_no_funds'))
  t.match(await asks(20_000n, 0n), { ok: true }, 'a channel without a share is no matter of the budget')

  await until(async () => (await alice.node.rebalance('apart', { ...wish(1n), to: toDave })).ok)
  t.match(await ended('apart'), { code: 'no_circle' }, 'dave’s only channels are with alice')
})
