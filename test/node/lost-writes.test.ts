/**
 * S2, C8: what a disk that loses synced writes forgets: that an end was signed, a journal's entry, a channel's row, all of
 * it. Nobody plays on beside what has left, and nothing is signed before the tower has been heard.
 */
import { cpSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { type ChannelId, idText } from '../../src/base/ids.js'
import type { Phase } from '../../src/channel/types.js'
import type { NodeParts } from '../../src/node/assemble.js'
import { markOf, readChannelRow } from '../../src/node/live-channel.js'
import { tableKey } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { live } from '../channel/mallory.js'
import { exitFrom, post, unanswered } from './adversary.js'
import { TowerDouble } from './tower-double.js'
import { cents, total, until, Village, type Villager } from './village.js'

const WINDOW = 600
const village = await Village.build()
t.teardown(() => village.close())
const { ledger } = village
const tower = await TowerDouble.open(ledger, prfScalar(sha256(utf8('tower')), 'tower'))
t.teardown(() => tower.stop())

const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const config = { ledgerAgeMax: 1_000_000, window: WINDOW, open }
const watched = { ...config, towers: [tower.address], towerReceiptsRequired: 1 }
let alice = await village.start('alice', watched)
let bob = await village.start('bob', config)
for (const person of [alice, bob]) await village.fund(person, 1_000_000n)
const before = { alice: await total(alice), bob: await total(bob) }

const partsOf = ({ node }: Villager): NodeParts => (node as unknown as { readonly parts: NodeParts }).parts
const stateOf = (villager: Villager, id: ChannelId) => partsOf(villager).channels.get(id)?.state
const phaseOf = ({ node }: Villager, id: ChannelId) => node.channel(id)?.phase
const at = (name: string): string => join(village.root, name)
let made = 0

async function channel(): Promise<ChannelId> {
  must(await alice.node.connect({ account: bob.node.account, url: bob.url }))
  const wish = { peer: bob.node.account, deposit: cents(100_000n), share: cents(50_000n) }
  const id = must(await alice.node.openChannel(`channel ${made++}`, wish))
  await until(() => alice.node.channel(id)?.ready === true && bob.node.channel(id)?.ready === true)
  return id
}

async function pay(amount: bigint): Promise<void> {
  const key = `payment ${made++}`
  const wish = { amount: cents(amount), reference: key, expiresIn: 100_000 }
  const { text } = must(await bob.node.issueInvoice(key, wish))
  must(await alice.node.pay(key, text, cents(0n)))
  await until(() => alice.node.payment(key)?.status === 'succeeded')
  const idle = ({ node }: Villager) => node.channels().every(({ phase, locks }) => phase !== 'open' || locks === 0)
  await until(() => idle(alice) && idle(bob))
  await until(() => alice.node.channels().every(({ phase, towerLag }) => phase !== 'open' || towerLag === 0))
}

t.test('C10: in which phases the high-water file says that the rounds have ended', (t) => {
  const { state } = live().alice
  const phases: readonly Phase[] = ['funding', 'open', 'closing', 'exiting', 'broken', 'disputed', 'recovery']
  const going = phases.filter((phase) => !markOf({ ...state, phase }).ended)
  t.same(going, ['funding', 'open'])
  t.end()
})

t.test(
  'a signed exit, a journal entry, a row: forgotten, noticed, and signed for only once the tower was heard',
  async (t) => {
    const [exited, gap, rowless, sound] = [await channel(), await channel(), await channel(), await channel()]
    await pay(7_000n)
    const balances = [exited, gap, rowless, sound].map((id) => alice.node.channel(id)!.balance)
    await village.stop(alice)
    cpSync(at('alice/store'), at('older'), { recursive: true })
    alice = await village.start('alice', watched, { chain: unanswered(ledger, 'exit').chain })
    await until(() => partsOf(alice).towers.confirmed(partsOf(alice).channels.get(exited)!))
    must(await alice.node.forceClose(exited))
    t.equal(phaseOf(alice, exited), 'exiting')
    await village.stop(alice)

    rmSync(at('alice/store'), { recursive: true })
    renameSync(at('older'), at('alice/store'))
    const diary = await village.diary('alice')
    const { journal } = readChannelRow(diary.store.get(tableKey('channel', gap))!)
    const deletes = [tableKey('journal', gap, journal.next - 1), tableKey('channel', rowless)]
    await diary.store.write({ puts: [], deletes })
    await diary.close()
    await tower.stop()
    alice = await village.start('alice', watched)
    t.equal(phaseOf(alice, exited), 'recovery', 'a database that plays on beside a signed exit is behind')
    t.equal(phaseOf(alice, gap), 'recovery')
    t.equal(phaseOf(alice, rowless), undefined, 'found again by who shows its state')

    const all = [exited, gap, rowless]
    await until(() => all.every((id) => phaseOf(bob, id) === 'closing' && stateOf(alice, id)?.close?.by === 1))
    must(await alice.node.closeChannel(sound)) // behind the others in every queue; and nothing is wrong with it
    t.same(
      all.map((id) => [phaseOf(alice, id), stateOf(alice, id)?.close?.accepted]),
      all.map(() => ['recovery', null]),
      'bob may have shown what he likes best',
    )
    await tower.listen()
    await until(() => all.every((id) => phaseOf(alice, id) === 'closed'))
    t.equal(await total(alice), before.alice - 7_000n)
    t.equal(
      balances.reduce((sum, balance) => sum + balance, 0n),
      4n * 100_000n - 7_000n,
    )
  },
)

t.test('nothing is left, the peer posts an old state and is gone: the tower alone has the newest', async (t) => {
  const id = await channel()
  await pay(1_000n)
  const old = await exitFrom(bob, id)
  const wish = { amount: cents(300n), reference: 'back', expiresIn: 100_000 }
  const { text } = must(await alice.node.issueInvoice('back', wish))
  must(await bob.node.pay('back', text, cents(0n)))
  await until(
    () =>
      tower.kept.get(idText(id))?.version === alice.node.channel(id)?.version && alice.node.channel(id)?.locks === 0,
  )
  await until(() => alice.node.channel(id)?.towerLag === 0 && bob.node.channel(id)?.locks === 0)
  const { version, balance } = alice.node.channel(id)!
  await village.stop(alice)
  rmSync(at('alice'), { recursive: true })
  await village.stop(bob)
  await post(ledger, old)
  alice = await village.start('alice', watched)
  await until(() => phaseOf(alice, id) === 'recovery' && alice.node.channel(id)?.version === version)
  await until(() => stateOf(alice, id)?.dispute?.standingVersion === version)
  await ledger.advance({ seconds: WINDOW + 1 })
  await until(() => phaseOf(alice, id) === 'closed')
  t.equal(await total(alice), before.alice - 7_000n - 100_000n + balance)
  bob = await village.start('bob', config)
  await until(() => phaseOf(bob, id) === 'closed')
  t.equal((await total(alice)) + (await total(bob)), before.alice + before.bob)
})
