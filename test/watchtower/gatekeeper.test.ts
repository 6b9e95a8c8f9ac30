/** T1 and T2: who may ask for what, what is kept of it, and when it is answered. */
import t from 'tap'
import { bytesToHex, utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { sha256 } from '../../src/base/digest.js'
import type { ErrorCode } from '../../src/base/errors.js'
import type { GivenSecrets, TowerRequest } from '../../src/base/message/tower.js'
import { revocationSecret } from '../../src/channel/revocation.js'
import { parseRow } from '../../src/store/rows.js'
import { tableRange } from '../../src/store/tables.js'
import { zWatched } from '../../src/watchtower/record.js'
import { alice, appointmentOf, bob, Client, jobOf, mallory, quiet, seedOf, wholeStore, Yard } from './yard.js'

const rows = async (yard: Yard) => {
  const found = []
  for await (const { value } of yard.store.range(tableRange('watched'))) found.push(parseRow(value, zWatched))
  return found
}

t.test('registration: a party of a channel that the ledger shows', async (t) => {
  const yard = await Yard.build({ channelsPerClient: 2 })
  const [a, m] = [new Client(alice, yard.tower), new Client(mallory, yard.tower)]
  t.equal(await a.register(yard.channel), 'tower_later', 'before openChannel is final')
  yard.chain.take(yard.opening)
  t.equal(await m.register(yard.channel), 'tower_not_party')
  t.same((await a.ask({ name: 'register', body: { channel: yard.channel.id } })).body, {
    channel: yard.channel.id,
    version: null,
    secrets: 0,
  })
  t.equal(await a.register(yard.channel), 'registered', 'again')
  await a.ask(appointmentOf(yard.channel, yard.state(4), yard.secrets(alice, 0, 3)))
  t.match((await a.ask({ name: 'register', body: { channel: yard.channel.id } })).body, { version: 4, secrets: 3 })
  t.equal(await a.register(yard.plant('second')), 'registered')
  t.equal(await a.register(yard.plant('third')), 'tower_quota')
  t.equal(await new Client(bob, yard.tower).register(yard.plant('third')), 'registered', 'each client has its own')
  yard.chain.link = 'dark'
  t.equal(await a.register(yard.plant('fourth')), 'unavailable')
  for (const request of [
    appointmentOf(yard.channel, yard.state(1)),
    { name: 'retrieve', body: { channel: yard.channel.id } },
    jobOf(yard.world, mallory, yard.channel, 'job', {
      kind: 'deadline',
      scalar: yard.world.scalar(),
      from: 0,
      deadline: 2_000,
    }),
  ] satisfies TowerRequest[]) {
    t.equal(await m.verdict(request), 'tower_not_watched', request.name)
  }
  t.end()
})

t.test('appointments: the contract judges the state, the tree judges the secrets', async (t) => {
  const yard = await Yard.opened()
  const { alice: a, channel } = yard
  const verdict = (version: number, secrets?: GivenSecrets) =>
    a.verdict(appointmentOf(channel, yard.state(version), secrets))
  const list = (from: number, to: number) => yard.secrets(alice, from, to)
  const five = yard.state(5)
  const forged = { ...five, signatures: [five.signatures[0], five.signatures[0]] as typeof five.signatures }
  t.equal(await a.verdict(appointmentOf(channel, forged)), 'bad_signature', 'one party alone signs nothing')
  const other = yard.plant('another channel')
  t.equal(await a.verdict(appointmentOf(channel, yard.planted(other, 5))), 'wrong_state')
  t.equal(await a.verdict(appointmentOf(channel, yard.planted({ ...channel }, 0))), 'wrong_state', 'a false state 0')
  t.equal(await a.verdict(appointmentOf(channel, { ...five, encoded: utf8('rubbish') })), 'bad_encoding')
  t.same(
    (await rows(yard)).map(({ newest }) => newest),
    [null, null],
    'refusals change nothing',
  )

  t.equal(await verdict(5, list(0, 4)), 'receipt')
  t.equal(await verdict(5, list(0, 4)), 'receipt', 'repeated')
  t.equal(await verdict(4, list(0, 4)), 'tower_stale')
  const changed = yard.otherState(5)
  t.equal(await a.verdict(appointmentOf(channel, changed)), 'tower_conflict', 'two contents of one version')
  t.equal(await verdict(6, list(5, 6)), 'tower_gap')
  t.equal(await verdict(6, list(4, 8)), 'tower_gap', 'beyond the state')
  const lie = (from: number): GivenSecrets => ({ kind: 'list', from, list: [sha256(utf8('lie'))] })
  t.equal(await verdict(6, lie(3)), 'tower_conflict', 'another secret of a version held')
  t.equal(await verdict(6, lie(5)), 'tower_gap')
  t.equal(await verdict(6, list(2, 4)), 'receipt', "the round's own secret may come with the next state")
  const twisted: GivenSecrets = { kind: 'list', from: 4, list: [...list(4, 5).list, sha256(utf8('lie'))] }
  t.equal(await verdict(7, twisted), 'wrong_secret', 'it opens neither the tree nor its hash')
  t.equal(await verdict(7, list(4, 5)), 'receipt')
  t.equal(await verdict(8, { kind: 'list', from: 5, list: [...list(5, 6).list, sha256(utf8('lie'))] }), 'wrong_secret')
  t.match((await a.ask(appointmentOf(channel, yard.state(8), list(3, 8)))).body, { version: 8, secrets: 8 })
  t.same(
    (await rows(yard)).map(({ newest }) => newest?.version ?? null),
    [8, null],
    'of bob nothing',
  )
  t.end()
})

t.test("a round's secret is held to the hash of its own state, one state late", async (t) => {
  const yard = await Yard.opened()
  const { alice: a, channel } = yard
  await a.ask(appointmentOf(channel, yard.state(6), yard.secrets(alice, 0, 5)))
  await a.ask(appointmentOf(channel, yard.state(7), yard.secrets(alice, 5, 6)))
  // Version 6 has the tree's first place: no secret stored before is derived from it, so nothing but the hash shows the lie.
  const lie: GivenSecrets = { kind: 'list', from: 6, list: [sha256(utf8('lie'))] }
  t.equal(await a.verdict(appointmentOf(channel, yard.state(8), lie)), 'wrong_secret')
  t.equal(await a.verdict(appointmentOf(channel, yard.state(8))), 'receipt')
  t.equal(await a.verdict(appointmentOf(channel, yard.state(9), yard.secrets(alice, 6, 8))), 'receipt')
  t.end()
})

t.test('a late tower gets the whole store, which must be one tree and agree with what it holds', async (t) => {
  const yard = await Yard.opened()
  const { alice: a, bob: b, channel } = yard
  const verdict = (client: Client, version: number, secrets: GivenSecrets) =>
    client.verdict(appointmentOf(channel, yard.state(version), secrets))
  const store = wholeStore(channel, 1, 1_000) as Extract<GivenSecrets, { kind: 'store' }>
  t.equal(store.slots.length, 10)
  const twisted = (place: number) => store.slots.map((slot, at) => (at === place ? sha256(slot) : slot))
  for (const place of [1, 3]) {
    t.equal(await verdict(a, 1_000, { ...store, slots: twisted(place) }), 'wrong_secret', `place ${place}`)
  }
  t.equal(await verdict(a, 1_000, { ...store, count: 1_024 }), 'bad_encoding', 'more than its slots')
  t.equal(await verdict(a, 500, store), 'tower_gap', 'beyond the state')
  t.equal(await verdict(a, 1_000, store), 'receipt')
  t.equal(await verdict(a, 1_000, wholeStore(channel, 1, 999)), 'tower_stale')
  t.equal(await verdict(a, 1_001, wholeStore(channel, 0, 1_001)), 'tower_conflict', 'another tree')
  t.equal(await verdict(a, 1_001, yard.secrets(alice, 1_000, 1_001)), 'receipt', 'and goes on with lists')
  t.equal(await verdict(a, 2_000, wholeStore(channel, 1, 2_000)), 'receipt')
  t.same((await a.ask({ name: 'retrieve', body: { channel: channel.id } })).body, {
    channel: channel.id,
    newest: { state: yard.state(2_000).encoded, signatures: yard.state(2_000).signatures },
    secrets: { count: 2_000, slots: (wholeStore(channel, 1, 2_000) as typeof store).slots },
  })
  t.match((await b.ask({ name: 'retrieve', body: { channel: channel.id } })).body, {
    newest: null,
    secrets: { count: 0 },
  })
  t.end()
})

t.test('five thousand updates leave one state and at most 49 secrets, and no plaintext', async (t) => {
  const yard = await Yard.opened()
  const { alice: a, channel } = yard
  const answers = []
  for (let version = 1; version <= 5_000; version++) {
    const request = appointmentOf(channel, yard.state(version), yard.secrets(alice, version - 1, version))
    answers.push(a.ask(request))
    if (version % 200 === 0) await Promise.all(answers.splice(0))
  }
  const [row, none] = await rows(yard)
  t.equal(none?.newest, null)
  t.equal(row?.newest?.version, 5_000)
  t.equal(row?.secrets.count, 5_000)
  t.equal(row?.secrets.slots.length, 13)
  t.ok(yard.store.syncs < 1_000, `${yard.store.syncs} syncs for 5,000 receipts: group commit`)
  const last = a.answers.at(-1)
  t.match(last?.body, { version: 5_000, secrets: 5_000 })
  const held = bytesToHex(new Uint8Array((await rawRows(yard)).flatMap((bytes) => [...bytes])))
  t.notOk(held.includes(bytesToHex(seedOf(channel, 1))), 'not the tree of the counterparty')
  for (const secret of [channel.keys[0], channel.keys[1], alice.key, bob.key]) {
    t.notOk(held.includes(bytesToHex(secret)), 'no key of anybody')
  }
  t.notOk(held.includes(bytesToHex(revocationSecret(seedOf(channel, 1), 5_000))), 'no secret that was not given up')
  t.end()
})

async function rawRows(yard: Yard): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for await (const { value } of yard.store.range({ from: Uint8Array.of(1), to: Uint8Array.of(255) })) found.push(value)
  return found
}

t.test('no receipt before its sync; what was receipted survives a crash, what was not may not', async (t) => {
  const yard = await Yard.opened()
  await yard.alice.ask(appointmentOf(yard.channel, yard.state(1)))
  yard.store.hold()
  const pending = yard.alice.ask(appointmentOf(yard.channel, yard.state(2)))
  const repeated = yard.alice.ask(appointmentOf(yard.channel, yard.state(2)))
  const retrieved = yard.alice.ask({ name: 'retrieve', body: { channel: yard.channel.id } })
  await quiet()
  t.equal(yard.alice.answers.length, 2, 'neither of the three is answered')
  await yard.crash('lost')
  t.equal((await rows(yard))[0]?.newest?.version, 1)
  const again = new Client(alice, yard.tower)
  t.match((await again.ask({ name: 'register', body: { channel: yard.channel.id } })).body, { version: 1 })
  t.ok([pending, repeated, retrieved])
  t.end()
})

t.test('a store that fails ends the tower: no receipt, no further answer', async (t) => {
  const yard = await Yard.opened()
  yard.store.failSync(1)
  void yard.alice.ask(appointmentOf(yard.channel, yard.state(2)))
  await quiet()
  void yard.alice.ask({ name: 'retrieve', body: { channel: yard.channel.id } })
  await quiet()
  t.same(
    yard.alice.answers.map(({ name }) => name),
    ['registered'],
  )
  t.end()
})

t.test('quotas: bytes and jobs per client, requests per second by reading more slowly', async (t) => {
  const yard = await Yard.opened({ bytesPerClient: 2_000, jobsPerClient: 4, requestsPerSecond: 10 })
  const { alice: a, channel, world } = yard
  const second = yard.plant('second')
  await a.register(second)
  t.equal(await a.verdict(appointmentOf(channel, yard.state(1))), 'receipt')
  const verdicts: string[] = []
  for (let n = 0; n < 4; n++) {
    const more = yard.plant(`more ${n}`)
    await a.register(more)
    verdicts.push(await a.verdict(appointmentOf(more, yard.planted(more, 1))))
  }
  t.equal(verdicts.at(-1), 'tower_quota')
  const job = (name: string, changes: { deadline?: number } = {}) =>
    jobOf(world, alice, channel, name, {
      kind: 'deadline',
      scalar: world.scalar(),
      from: 9_000,
      deadline: 9_000,
      ...changes,
    })
  t.equal(await a.verdict(job('past', { deadline: world.at.time - 1 })), 'tower_job_late')
  t.equal(await a.verdict(job('far', { deadline: world.at.time + yard.config.jobAheadMax + 1 })), 'tower_job_late')
  const first = job('first')
  t.equal(await a.verdict(first), 'jobReceipt')
  t.equal(await a.verdict(first), 'jobReceipt', 'repeated')
  t.equal(await a.verdict(job('first')), 'tower_job_conflict', 'the same name, another scalar')
  const unsigned = job('unsigned')
  if (unsigned.name === 'revealJob') {
    const delegation = curve.sign(sha256(utf8('something else')), alice.key)
    t.equal(
      await a.verdict({ ...unsigned, body: { ...unsigned.body, delegation } }),
      'bad_signature' satisfies ErrorCode,
    )
  }
  t.equal(await a.verdict(job('second')), 'jobReceipt')
  t.equal(await a.verdict(job('third')), 'tower_quota', 'one payer takes no more than are left to the others')
  const scalar = world.scalar()
  const about = (one: typeof second, name: string) =>
    jobOf(world, alice, one, name, { kind: 'deadline', scalar, from: 9_000, deadline: 9_000 })
  t.equal(await a.verdict(about(second, 'another channel')), 'tower_quota', 'by no further channel either')
  const others = yard.plant('of another payer', [mallory.account, alice.account])
  await a.register(others)
  t.equal(await a.verdict(about(others, 'other')), 'jobReceipt', 'which have room')
  if (first.name !== 'revealJob') return t.fail('a job')
  t.equal(await a.verdict({ name: 'cancelJob', body: { job: first.body.job } }), 'jobCancelled')
  t.equal(await a.verdict(job('third')), 'jobReceipt', 'what is cancelled makes room')

  let taken = 0
  const session = yard.tower.connect(bob.account, () => {})
  for (let n = 0; n < 30; n++) {
    session.receive({ name: 'retrieve', body: { channel: channel.id } }, () => {
      taken += 1
    })
  }
  await quiet()
  t.equal(taken, 9, 'bob asked once before')
  yard.timers.advance(1_000)
  t.equal(taken, 19)
  t.end()
})
