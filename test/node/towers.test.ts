/** Towers as their client sees them (T1 to T3, S2): what waits for whom, what is told to whom, what is believed of whom. */
import { cpSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import type { TowerAnswer } from '../../src/base/message/tower.js'
import { delegationDigest } from '../../src/base/transaction.js'
import type { NodeParts } from '../../src/node/assemble.js'
import type { NodeConfig } from '../../src/node/config.js'
import { readChannelRow } from '../../src/node/live-channel.js'
import { tableKey } from '../../src/store/tables.js'
import { parseTowerReceipt } from '../../src/watchtower/tower-receipt.js'
import { must } from '../chain-adapter/fixtures.js'
import { unanswered } from './adversary.js'
import { TowerDouble } from './tower-double.js'
import { cents, until, Village, type Villager } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())

const keyOf = (name: string) => prfScalar(sha256(utf8(name)), 'tower')
const towerOf = (name: string) => TowerDouble.open(village.ledger, keyOf(name))
const [first, second, third] = [await towerOf('first'), await towerOf('second'), await towerOf('third')]
t.teardown(() => Promise.all([first.stop(), second.stop(), third.stop()]))

const OPEN = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const gated = (towers: readonly TowerDouble[], required: number): Partial<NodeConfig> => ({
  forwarding: true,
  open: OPEN,
  towers: towers.map(({ address }) => address),
  towerReceiptsRequired: required,
})

/** Alice leads and waits for the first tower, bob follows and waits for the second; carol has one and waits for none. */
let alice = await village.start('alice', gated([first], 1))
const bob = await village.start('bob', gated([second], 1))
let carol = await village.start('carol', gated([third], 0))
for (const person of [alice, bob, carol]) await village.fund(person, 1_000_000n)
const id = await village.channel(alice, bob, 100_000n, 100_000n)
const other = await village.channel(alice, carol, 100_000n, 100_000n)

const stateOf = ({ directory }: Villager, channel: ChannelId = id) =>
  readChannelRow(directory.store.get(tableKey('channel', channel))!).state
const shown = ({ node }: Villager, channel: ChannelId = id) => node.channel(channel)!
/** How many of the other's secrets somebody has on disk. */
const secretsOf = (villager: Villager) => stateOf(villager).secrets.count
const heldBy = (tower: TowerDouble, channel: ChannelId = id) => tower.kept(channel)?.version

/** Nothing is under way any more, and every tower has the newest. */
const settled = () =>
  until(
    () =>
      [alice, bob, carol].every(({ node }) =>
        node.channels().every((one) => one.locks === 0 && one.ready && one.towerLag === 0 && one.towerWaiting === 0),
      ) && [alice, bob].every((one) => secretsOf(one) === shown(one).version),
  )

let count = 0
/** An invoice of `payee` and its payment by `payer`, by key. */
async function pay(payer: Villager, payee: Villager): Promise<string> {
  const key = `pay-${count++}`
  const { text } = must(await payee.node.issueInvoice(key, { amount: cents(100n), reference: key, expiresIn: 3_600 }))
  must(await payer.node.pay(key, text, cents(10n)))
  return key
}
const statusOf = ({ node }: Villager, key: string) => node.payment(key)?.status
const succeeded = (villager: Villager, key: string) => until(() => statusOf(villager, key) === 'succeeded')

/** Resolves once everything that `from` has sent to `to` so far was read there: a policy is sent past the gate. */
async function heardBy(from: Villager, to: Villager): Promise<void> {
  const policy = shown(from).policy
  const ppm = policy.ppm + 1
  must(await from.node.setPolicy(id, { ...policy, ppm }))
  await until(async () => {
    const wish = { amount: cents(1n), reference: 'barrier', expiresIn: 3_600 }
    const { invoice } = must(await to.node.issueInvoice(`barrier-${count++}`, wish))
    return invoice.hints.some((hint) => hint.policy.ppm === ppm)
  })
}

t.test('a leader keeps its secret until the tower has signed for the next state', async (t) => {
  await settled()
  const [version, given] = [shown(alice).version, secretsOf(bob)]
  first.withholding = true
  const key = await pay(alice, bob)
  await until(() => shown(bob).version === version + 1 && shown(alice).towerWaiting > 0)
  await heardBy(alice, bob)
  t.equal(secretsOf(bob), given, 'the secret has not left')
  t.equal(statusOf(alice, key), 'pending')
  t.equal(shown(alice).towerLag, 1)
  first.answer()
  await succeeded(alice, key)
  await settled()
  t.ok(secretsOf(bob) > given)
  for (const { towers, channels } of [alice, bob].map(partsOf)) {
    t.ok(towers.confirmed(channels.get(id)!), 'S2: a channel that began after the start has lost nothing')
  }
})

t.test('a follower keeps its secret, and with it its signature', async (t) => {
  const [version, given] = [shown(alice).version, secretsOf(alice)]
  second.withholding = true
  const key = await pay(alice, bob)
  await until(() => shown(bob).towerWaiting > 0)
  t.equal(shown(bob).version, version + 1, 'durable here before the tower is asked')
  await heardBy(bob, alice)
  t.equal(shown(alice).version, version)
  t.equal(secretsOf(alice), given)
  second.answer()
  await succeeded(alice, key)
  await settled()
})

t.test('one channel that waits holds up no other; a new connection resumes from what the tower has', async (t) => {
  first.twist = (answer) => (answer.name === 'receipt' && isThis(answer.body.channel, id) ? undefined : answer)
  const waits = await pay(alice, bob)
  await until(() => shown(alice).towerWaiting > 0)
  await succeeded(alice, await pay(alice, carol))
  t.equal(statusOf(alice, waits), 'pending')
  first.twist = honest
  const appointments = first.count('appointment')
  await first.stop()
  await until(() => !alice.node.status().towers[0]!.connected)
  await first.listen()
  await succeeded(alice, waits)
  await settled()
  t.ok(first.count('appointment') > appointments, 'the receipt that was lost was asked for again')
})

const honest = (answer: TowerAnswer): TowerAnswer => answer
const isThis = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

t.test('none required: nothing waits, the newest state takes the place of those before, the lag shows', async (t) => {
  await settled()
  third.withholding = true
  const [appointments, version] = [third.count('appointment'), shown(carol, other).version]
  for (let i = 0; i < 5; i++) await succeeded(alice, await pay(alice, carol))
  await until(() => shown(carol, other).locks === 0 && shown(carol, other).version >= version + 10)
  t.equal(third.count('appointment'), appointments + 1, 'one under way')
  t.equal(shown(carol, other).towerWaiting, 0)
  t.ok(shown(carol, other).towerLag! >= 10)
  t.equal(carol.node.status().towers[0]!.behind, 1)
  third.answer()
  await settled()
  t.ok(third.count('appointment') < appointments + 10, 'not one per version')
  t.equal(heldBy(third, other), shown(carol, other).version)
  await until(() => third.kept(other)!.secrets.count === shown(carol, other).version)
})

t.test('a restart gives nothing up early, and asks again for what it has no receipt of', async (t) => {
  first.withholding = true
  const given = secretsOf(bob)
  const key = await pay(alice, bob)
  await until(() => shown(alice).towerWaiting > 0)
  await village.stop(alice)
  alice = await village.start('alice', gated([first], 1))
  await until(() => shown(alice).towerWaiting > 0)
  await heardBy(alice, bob)
  t.equal(secretsOf(bob), given, 'reestablish repeats the secret: it waits again')
  first.answer()
  await succeeded(alice, key)
  await settled()
  const [line] = alice.node.towerReceipts(id)
  t.match(must(parseTowerReceipt(line!)).body, { version: shown(alice).version })
})

t.test('a forged receipt lets nothing out; the tower is named, and asked anew', async (t) => {
  const given = secretsOf(bob)
  first.twist = (answer) =>
    answer.name === 'receipt' ? first.receipt(alice.node.account, answer.body, keyOf('mallory')) : answer
  const key = await pay(alice, bob)
  await until(() => alice.node.status().towers[0]!.code === 'tower_receipt_invalid')
  await heardBy(alice, bob)
  t.equal(secretsOf(bob), given)
  first.twist = honest
  await succeeded(alice, key)
  await settled()
  t.equal(alice.node.status().towers[0]!.code, null)
})

t.test('a receipt of a height to come waits for our own view of it', async (t) => {
  first.twist = (answer) => {
    if (answer.name !== 'receipt') return answer
    const { height } = village.ledger.head
    return first.receipt(alice.node.account, { ...answer.body, height: height + 1 })
  }
  const key = await pay(alice, bob)
  await until(() => shown(alice).towerWaiting > 0)
  await heardBy(alice, bob)
  t.equal(statusOf(alice, key), 'pending')
  first.twist = honest
  await village.ledger.advance({ seconds: 1 })
  await succeeded(alice, key)
  await settled()
})

t.test('two of three, one of them dead', async (t) => {
  await village.stop(alice)
  const dead = await towerOf('dead')
  await dead.stop()
  alice = await village.start('alice', gated([first, dead, third], 2))
  await settled()
  await succeeded(alice, await pay(alice, bob))
  third.withholding = true
  const key = await pay(alice, bob)
  await until(() => shown(alice).towerWaiting > 0 && heldBy(first) === shown(alice).version)
  await heardBy(alice, bob)
  t.equal(statusOf(alice, key), 'pending', 'one is not two')
  third.answer()
  await succeeded(alice, key)
})

t.test('S2: with one of two required, neither confirms alone: the other may know a newer state', async (t) => {
  await village.stop(alice)
  const late = await towerOf('late')
  t.teardown(() => late.stop())
  alice = await village.start('alice', gated([first, late], 1))
  await until(() => heldBy(late) === shown(alice).version)
  await village.stop(alice)
  await late.stop()
  alice = await village.start('alice', gated([first, late], 1))
  const live = () => partsOf(alice).channels.get(id)!
  await until(() => shown(alice).ready && alice.node.status().towers[0]!.connected && shown(alice).towerLag === 0)
  await succeeded(alice, await pay(alice, bob))
  t.notOk(partsOf(alice).towers.confirmed(live()), 'the first has answered, and signed since')
  await late.listen()
  await until(() => partsOf(alice).towers.confirmed(live()))
})

const partsOf = ({ node }: Villager): NodeParts => (node as unknown as { readonly parts: NodeParts }).parts

t.test('confirmed (S2) by a tower that answered since the start and holds nothing above ours', async (t) => {
  await village.stop(alice)
  await first.stop()
  alice = await village.start('alice', gated([first], 1))
  const live = () => partsOf(alice).channels.get(id)!
  await until(() => shown(alice).ready)
  t.notOk(partsOf(alice).towers.confirmed(live()), 'nobody has answered')
  await first.listen()
  await until(() => partsOf(alice).towers.confirmed(live()))
  await village.stop(alice)
  first.twist = (answer) => {
    if (answer.name !== 'registered' || answer.body.version === null) return answer
    return { ...answer, body: { ...answer.body, version: answer.body.version + 1 } }
  }
  const before = first.count('retrieve')
  alice = await village.start('alice', gated([first], 1))
  await until(() => first.count('retrieve') > before)
  t.notOk(partsOf(alice).towers.confirmed(live()), 'a tower says that it holds a newer one')
  t.equal(shown(alice).phase, 'open', 'its word alone changes nothing')
  first.twist = honest
  await village.stop(alice)
  alice = await village.start('alice', gated([first], 1))
  await settled()
})

t.test('a payee whose payer went away leaves the scalar with its tower, until the lock is out', async (t) => {
  const { version } = shown(alice)
  first.twist = (answer) => (answer.name === 'receipt' && answer.body.version >= version + 2 ? undefined : answer)
  const key = await pay(alice, bob)
  await until(() => shown(alice).version === version + 2 && shown(alice).towerWaiting > 0)
  t.equal(second.jobs.size, 0, 'the payer is here')
  await village.stop(alice)
  await until(() => second.jobs.size === 1)
  const [job] = [...second.jobs.values()]
  const [note] = [...stateOf(bob).notes.values()]
  const { margin } = partsOf(bob).channels.get(id)!.context.policy
  t.match(job!.task, { kind: 'deadline', deadline: note!.lock.expiry, from: note!.lock.expiry - margin / 2 })
  t.ok(job!.task.kind === 'deadline' && isThis(curve.multiplyBase(job!.task.scalar), note!.lock.point))
  const digest = delegationDigest(village.ledger.ledger, bob.node.account, second.address.account)
  t.ok(curve.verify(digest, job!.delegation, bob.node.account), 'the tower may reveal under the client')
  first.twist = honest
  alice = await village.start('alice', gated([first], 1))
  await succeeded(alice, key)
  await until(() => second.jobs.size === 0)
})

t.test(
  'an old copy of the directory: the tower shows what was lost, and the channel freezes with it (C8)',
  async (t) => {
    await settled()
    await village.stop(alice)
    const [dir, copy] = [join(village.root, 'alice'), join(village.root, 'alice-old')]
    cpSync(dir, copy, { recursive: true })
    alice = await village.start('alice', gated([first], 1))
    await until(() => shown(alice).ready)
    await succeeded(alice, await pay(alice, bob))
    await settled()
    const { version, balance } = shown(alice)
    await village.stop(bob) // the peer could tell as well
    await village.stop(alice)
    rmSync(dir, { recursive: true })
    renameSync(copy, dir)
    alice = await village.start('alice', gated([first], 1))
    await until(() => shown(alice).phase === 'recovery')
    await until(() => shown(alice).version === version)
    t.equal(shown(alice).balance, balance)
  },
)

t.test('a receipt that comes when the rounds have ended is evidence too, until an exit stands (T2)', async (t) => {
  await village.stop(carol)
  carol = await village.start('carol', gated([third], 0), { chain: unanswered(village.ledger, 'exit').chain })
  must(await alice.node.connect({ account: carol.node.account, url: carol.url }))
  const evidence = () => partsOf(carol).towers.receipts(other)[0]!.body.version
  await until(() => shown(alice, other).ready && shown(carol, other).towerLag === 0)
  third.withholding = true
  const before = evidence()
  await succeeded(alice, await pay(alice, carol))
  await until(() => shown(carol, other).locks === 0)
  const { version } = shown(carol, other)
  await until(() => partsOf(carol).towers.confirmed(partsOf(carol).channels.get(other)!))
  must(await carol.node.forceClose(other))
  t.equal(shown(carol, other).phase, 'exiting', 'and the ledger has not heard of it')
  t.equal(evidence(), before)
  third.answer()
  await until(() => shown(carol, other).towerLag === 0)
  t.equal(evidence(), version)
})
