import t from 'tap'
import type { Digest } from '../../src/base/bytes.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { type AccountId, type ChannelId, idText } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import {
  type Authentic,
  agrees,
  announceChannel,
  announcePolicy,
  channelTermsOf,
  parseAnnouncement,
  readAnnouncement,
  signChannel,
} from '../../src/router/announcement.js'
import { DIGESTS_BYTES, Pending } from '../../src/router/gossip.js'
import { type ApplyContext, Graph } from '../../src/router/graph.js'
import { lessonsOf, NO_EXPERIENCE, Success } from '../../src/router/success.js'
import { alice, bob, carol, cents, digest, ledger, mallory, must, NOW, policy } from './support.js'

const refusal = (code: string) => ({ ok: false, error: { code } })
type Party = typeof alice
const id: ChannelId = digest('public')

function announced(a: Party, b: Party, channel = id, signers: readonly Party[] = [a, b], of: Digest = ledger) {
  const terms = channelTermsOf(of, channel, [a.account, b.account])
  const [first, second] = [a, b].map((party, i) => ({
    account: party.account,
    signature: signChannel(terms, signers[i]!.key),
  }))
  return announceChannel(terms, [first!, second!])!
}

const asks = (from: Party, at: number, change = {}, channel = id, key: Scalar = from.key) =>
  announcePolicy({ kind: 'policy', ledger, channel, from: from.account, at, policy: { ...policy, ...change } }, key)

const context = (change: Partial<ApplyContext> = {}): ApplyContext => ({
  now: NOW,
  channelKnown: () => ({ accounts: [bob.account, alice.account], open: true }),
  ...change,
})

const channelOf = (name: string): ChannelId => digest(name)
const edges = (graph: Graph, to: Party) => graph.into(idText(to.account)).map(({ from, policy }) => [from, policy.base])

t.test('R4: a channel is public once both hubs signed it, and the ledger has it open', (t) => {
  const graph = new Graph()
  const channel = announced(alice, bob)
  t.same(announced(bob, alice).bytes, channel.bytes, 'one form, whoever announces')
  t.ok(
    agrees(
      channelTermsOf(ledger, id, [bob.account, alice.account]),
      channel.announcement.signatures[0],
      alice.account,
    ) ||
      agrees(
        channelTermsOf(ledger, id, [bob.account, alice.account]),
        channel.announcement.signatures[1],
        alice.account,
      ),
  )
  t.match(must(graph.apply(must(parseAnnouncement(channel.bytes, ledger)), context())), { part: 'channel' })
  t.ok(graph.has(id))
  t.match(graph.apply(channel, context()), refusal('announcement_stale'))
  const known = (change: object) =>
    context({ channelKnown: () => ({ accounts: [alice.account, bob.account], open: true, ...change }) })
  const fresh = () => new Graph()
  t.match(fresh().apply(channel, context({ channelKnown: () => undefined })), refusal('announcement_unknown_channel'))
  t.match(fresh().apply(channel, known({ open: false })), refusal('announcement_unknown_channel'), 'closed')
  const others = { accounts: [alice.account, carol.account] as const }
  t.match(fresh().apply(channel, known(others)), refusal('announcement_unknown_channel'), 'of somebody else')
  const forged = [
    announced(alice, bob, id, [alice, mallory]),
    announced(alice, bob, id, [mallory, bob]),
    announced(alice, bob, id, [bob, alice]),
    asks(alice, NOW, {}, id, mallory.key),
  ]
  for (const { bytes } of forged) t.match(parseAnnouncement(bytes, ledger), refusal('announcement_signature'))
  const [first, second] = channel.announcement.accounts
  const swapped = { ...channel.announcement, accounts: [second, first] }
  t.notOk(announceChannel(swapped as never, []), 'without signatures there is none')
  t.match(parseAnnouncement(channel.bytes, digest('elsewhere')), refusal('announcement_wrong_ledger'))
  t.match(
    parseAnnouncement(announced(alice, bob, id, [alice, bob], digest('elsewhere')).bytes, ledger),
    refusal('announcement_wrong_ledger'),
  )
  t.match(parseAnnouncement(new Uint8Array(LIMITS.announcement_bytes + 1), ledger), refusal('announcement_invalid'))
  for (let i = 0; i < channel.bytes.length; i += 7) {
    const mutant = channel.bytes.slice()
    mutant[i]! ^= 1
    if (parseAnnouncement(mutant, ledger).ok) t.fail(`byte ${i} of an announcement changed and it passes`)
  }
  t.match(readAnnouncement(channel.bytes), { ok: true })
  t.end()
})

t.test('R4: policies by sequence: newer ones hold; stale, equal, future and foreign ones do not', (t) => {
  const graph = new Graph()
  t.match(graph.apply(asks(alice, NOW), context()), refusal('announcement_unknown_channel'), 'before its channel')
  must(graph.apply(announced(alice, bob), context()))
  must(graph.apply(asks(alice, NOW, { base: 7n }), context()))
  t.same(edges(graph, bob), [[alice.account, 7n]])
  t.same(edges(graph, alice), [], 'directed')
  t.match(graph.apply(asks(alice, NOW, { base: 8n }), context()), refusal('announcement_stale'), 'equal')
  t.match(graph.apply(asks(alice, NOW - 1, { base: 8n }), context()), refusal('announcement_stale'))
  t.match(graph.apply(asks(carol, NOW), context()), refusal('announcement_unknown_channel'), 'no party of the channel')
  const ahead = NOW + LIMITS.announcement_future_s
  t.match(graph.apply(asks(alice, ahead + 1), context()), refusal('announcement_future'))
  must(graph.apply(asks(alice, NOW + 1, { base: 9n }), context()))
  must(graph.apply(asks(bob, ahead, { base: 3n }), context()))
  t.same([edges(graph, bob), edges(graph, alice)], [[[alice.account, 9n]], [[bob.account, 3n]]])
  const old = asks(bob, NOW - LIMITS.announcement_kept_s - 1, {}, id)
  const second = new Graph()
  must(second.apply(announced(alice, bob), context()))
  t.match(second.apply(old, context()), refusal('announcement_stale'), 'older than anybody keeps')
  const other = channelOf('second')
  must(graph.apply(announced(bob, alice, other), context()))
  must(graph.apply(asks(alice, NOW, { base: 1n }, other), context()))
  t.same(
    edges(graph, bob).map(([, base]) => base),
    [9n, 1n],
    'several channels of one pair',
  )
  t.end()
})

t.test('R4: what ended goes at once, what nobody renews in time, and none has more than its share', (t) => {
  const graph = new Graph()
  const empty = graph.digests.bytes
  must(graph.apply(announced(alice, bob), context()))
  must(graph.apply(asks(alice, NOW), context()))
  must(graph.apply(asks(bob, NOW + 100), context()))
  t.same(
    graph
      .remove(id)
      .map(({ part }) => part)
      .sort(),
    [0, 1, 'channel'],
  )
  t.same([graph.size, edges(graph, bob), graph.digests.bytes, graph.remove(id)], [0, [], empty, []])
  must(graph.apply(announced(alice, bob), context()))
  must(graph.apply(asks(alice, NOW), context()))
  must(graph.apply(asks(bob, NOW + 100), context()))
  t.same(graph.expire(NOW + LIMITS.announcement_kept_s), [])
  t.equal(graph.expire(NOW + LIMITS.announcement_kept_s + 1).length, 1, "alice's policy")
  t.same([edges(graph, bob).length, edges(graph, alice).length], [0, 1])
  t.equal(graph.expire(NOW + LIMITS.announcement_kept_s + 101).length, 2, "bob's, and the channel with it")
  t.same([graph.size, graph.digests.bytes], [0, empty])
  const crowd = new Graph()
  const of = (n: number) => {
    const terms = channelTermsOf(ledger, digest(`crowd ${n}`), [alice.account, curve.multiplyBase(mallory.key)])
    const signature = announced(alice, bob).announcement.signatures[0]
    return announceChannel(
      terms,
      terms.accounts.map((account: AccountId) => ({ account, signature })),
    )!
  }
  const anyone = context({ channelKnown: () => ({ accounts: [alice.account, mallory.account], open: true }) })
  for (let n = 0; n < LIMITS.graph_channels_per_account; n++) must(crowd.apply(of(n), anyone))
  t.match(crowd.apply(of(-1), anyone), refusal('announcement_quota'))
  crowd.remove(digest('crowd 0'))
  t.ok(crowd.apply(of(-1), anyone).ok)
  t.end()
})

t.test('R4: two graphs find where they differ, and become one; each thing is told once', (t) => {
  const [here, there] = [new Graph(), new Graph()]
  const items: Authentic[] = []
  for (let n = 0; n < 40; n++) {
    const channel = digest(`synced ${n}`)
    items.push(announced(alice, bob, channel), asks(alice, NOW, {}, channel), asks(bob, NOW, {}, channel))
  }
  for (const item of items) must(here.apply(item, context()))
  for (const item of items.toReversed().filter(({ announcement }) => announcement.kind === 'channel'))
    must(there.apply(item, context()))
  for (const item of items.toReversed()) if (item.announcement.kind === 'policy') must(there.apply(item, context()))
  t.same(here.digests.bytes, there.digests.bytes, 'whatever the order')
  t.equal(here.digests.bytes.length, DIGESTS_BYTES)
  const changed = digest('synced 7')
  must(here.apply(asks(alice, NOW + 1, { base: 99n }, changed), context()))
  const differing = [...here.items()].filter(({ channel }) => here.digests.differs(there.digests.bytes, channel))
  t.ok(differing.length >= 3 && differing.length < 30, 'only the range that differs')
  const pending = new Pending()
  for (const name of differing) pending.add(name)
  for (const name of differing) pending.add(name)
  t.equal(pending.size, differing.length)
  const told: Uint8Array[] = []
  while (pending.size > 0) told.push(...pending.take((name) => here.get(name), 1_000))
  t.equal(told.length, differing.length)
  for (const bytes of told) {
    const item = must(parseAnnouncement(bytes, ledger))
    if (!there.holds(item)) must(there.apply(item, context()))
  }
  t.same(here.digests.bytes, there.digests.bytes)
  t.equal(there.policy(changed, alice.account)?.policy.base, 99n)
  const restored = new Graph()
  for (const name of here.items()) t.ok(restored.restore(must(readAnnouncement(here.get(name)!)), NOW))
  t.same(restored.digests.bytes, here.digests.bytes, 'a restart changes nothing')
  pending.add({ channel: digest('gone'), part: 'channel' })
  t.same(
    pending.take((name) => here.get(name), 1_000),
    [],
    'what is no longer held is not told',
  )
  t.end()
})

t.test('R4: success is learnt from own payments, forgets with time, and is bounded', (t) => {
  const [from, to] = [idText(alice.account), idText(bob.account)]
  const pair = { from: alice.account, to: bob.account }
  const unknown = NO_EXPERIENCE.risk(from, to, cents(1), NOW)
  const success = new Success()
  const risk = (amount: number, now = NOW) => success.risk(from, to, cents(amount), now)
  t.equal(risk(1), unknown)
  success.learn({ ...pair, amount: cents(1_000), worked: false }, NOW)
  t.ok(risk(1_000) > 20 * unknown && risk(5_000) === risk(1_000))
  t.ok(risk(500) < risk(900) && risk(1) < risk(500), 'the nearer to what failed, the riskier')
  t.ok(risk(1_000, NOW + 3_600) < risk(1_000, NOW + 60), 'it is forgotten')
  t.ok(risk(1_000, NOW + 86_400) < unknown + 10)
  success.learn({ ...pair, amount: cents(600), worked: true }, NOW + 1)
  t.ok(risk(600) < unknown / 5 && risk(601) > risk(600))
  t.ok(risk(1_000) > 20 * unknown, 'the failure still counts for more')
  success.learn({ ...pair, amount: cents(2_000), worked: true }, NOW + 2)
  t.ok(risk(1_500) < unknown / 5, 'what went through disproves it')
  success.learn({ ...pair, amount: cents(0), worked: false }, NOW + 3)
  t.ok(risk(1) > 20 * unknown, 'unable whatever the amount')
  t.equal(success.risk(to, from, cents(1), NOW), unknown, 'directed')
  for (let n = 0; n < LIMITS.success_pairs; n++) {
    const other = { ...alice, account: curve.multiplyBase(alice.key) }
    success.learn(
      { from: Uint8Array.of(2, n >> 8, n & 255) as AccountId, to: other.account, amount: cents(1), worked: true },
      NOW + 10 + n,
    )
  }
  t.same([success.size, risk(1)], [LIMITS.success_pairs, unknown], 'the oldest made room')
  const accounts = [alice.account, bob.account, carol.account]
  const lessons = (code: string, hop: AccountId | null) =>
    lessonsOf(accounts, cents(5), { kind: 'failed', code: code as never, hop }).map(({ amount, worked }) => [
      amount,
      worked,
    ])
  t.same(lessons('no_capacity', alice.account), [[5n, false]])
  t.same(lessons('no_capacity', bob.account), [
    [5n, true],
    [5n, false],
  ])
  t.same(lessons('next_hop_unavailable', bob.account), [
    [5n, true],
    [0n, false],
  ])
  t.same(lessons('fee_too_small', bob.account), [[5n, true]], 'a price is no failure')
  t.same(
    lessons('payment_details_wrong', carol.account),
    [
      [5n, true],
      [5n, true],
    ],
    'the payee had it',
  )
  t.same(lessons('failure_unreadable', null), [])
  t.same(lessonsOf(accounts, cents(5), { kind: 'claimed' }).length, 2)
  t.end()
})
