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

t.test(
  'nothing is left, the peer posts old states and is gone: the tower alone has the newest, and the secrets',
  async (t) => {
    const [robbed, disputed, later] = [await channel(), await channel(), await channel()]
    const ids = [robbed, disputed, later]
    await pay(1_000n)
    const old = [await exitFrom(bob, robbed), await exitFrom(bob, disputed), await exitFrom(bob, later)]
    const bobs = { alice: await total(alice), bob: await total(bob) }
    for (const [at, id] of ids.entries())
      must(await bob.node.payDirect(id, { amount: cents(300n + BigInt(at)), reference: new Uint8Array(4) }))
    const secretsOf = (id: ChannelId) => tower.kept(id)!.secrets.count
    const version = (id: ChannelId) => alice.node.channel(id)!.version
    await until(() => ids.every((id) => bob.node.channel(id)!.version === version(id) && secretsOf(id) === version(id)))
    const [, { balance }] = ids.map((id) => alice.node.channel(id)!) as [unknown, { balance: bigint }]
    const newest = version(disputed)
    await village.stop(alice)
    rmSync(at('alice'), { recursive: true })
    await village.stop(bob)
    for (const exit of old.slice(0, 2)) await post(ledger, exit)
    tower.twist = (answer) => {
      if (answer.name !== 'retrieved' || idText(answer.body.channel) !== idText(disputed)) return answer
      const { count, slots } = answer.body.secrets
      return { ...answer, body: { ...answer.body, secrets: { count, slots: slots.map((slot) => sha256(slot)) } } }
    }
    alice = await village.start('alice', watched)
    await until(() => phaseOf(alice, robbed) === 'closed')
    await until(() => stateOf(alice, disputed)?.dispute?.standingVersion === newest)
    t.equal(phaseOf(alice, disputed), 'recovery', 'with secrets that are none, the state still supersedes')
    await ledger.advance({ seconds: WINDOW + 1 })
    await until(() => phaseOf(alice, disputed) === 'closed')
    t.equal(phaseOf(alice, later), 'recovery')
    await tower.stop()
    await post(ledger, old[2]!)
    await until(() => phaseOf(alice, later) === 'closed')
    t.equal(
      await total(alice),
      bobs.alice + 150_000n + balance + 150_000n,
      'L7: two whole pools, one without the tower, and what was hers of the other',
    )
    bob = await village.start('bob', config)
    await until(() => ids.every((id) => phaseOf(bob, id) === 'closed'))
    t.equal((await total(alice)) + (await total(bob)), before.alice + before.bob)
  },
)
