/** Towers as their client sees them (T1 to T3, S2): what waits for whom, what is told to whom, what is believed of whom. */
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { idText } from '../../src/base/ids.js'
import { readChannelRow } from '../../src/node/live-channel.js'
import { tableKey } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { TowerDouble } from './tower-double.js'
import { cents, until, Village, type Villager } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())

const towerOf = (name: string) => TowerDouble.open(village.ledger, prfScalar(sha256(utf8(name)), 'tower'))
const [first, second] = [await towerOf('first'), await towerOf('second')]
t.teardown(() => Promise.all([first.stop(), second.stop()]))

const OPEN = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const gated = (towers: readonly TowerDouble[], required: number) => ({
  forwarding: true,
  open: OPEN,
  towers: towers.map(({ address }) => address),
  towerReceiptsRequired: required,
})

/** Alice leads and has a tower whose receipt she waits for; bob follows and has none. */
const alice = await village.start('alice', gated([first], 1))
const bob = await village.start('bob', { forwarding: true, open: OPEN })
await village.fund(alice, 1_000_000n)
await village.fund(bob, 1_000_000n)
const id = await village.channel(alice, bob, 100_000n, 100_000n)

const stateOf = ({ directory }: Villager, channel: ChannelId) =>
  readChannelRow(directory.store.get(tableKey('channel', channel))!).state
const versionOf = (villager: Villager) => villager.node.channel(id)!.version
/** How many of the other's secrets somebody has on disk. */
const secretsOf = (villager: Villager) => stateOf(villager, id).secrets.count

let count = 0
/** An invoice of `payee` and its payment by `payer`, by key. */
async function pay(payer: Villager, payee: Villager): Promise<string> {
  const key = `pay-${count++}`
  const { text } = must(await payee.node.issueInvoice(key, { amount: cents(100n), reference: key, expiresIn: 3_600 }))
  must(await payer.node.pay(key, text, cents(10n)))
  return key
}
const statusOf = ({ node }: Villager, key: string) => node.payment(key)?.status

/** Resolves once everything that `from` has sent to `to` so far was read there: a policy is sent past the gate. */
async function heardBy(from: Villager, to: Villager): Promise<void> {
  const policy = from.node.channel(id)!.policy
  const ppm = policy.ppm + 1
  must(await from.node.setPolicy(id, { ...policy, ppm }))
  await until(async () => {
    const wish = { amount: cents(1n), reference: 'barrier', expiresIn: 3_600 }
    const { invoice } = must(await to.node.issueInvoice(`barrier-${count++}`, wish))
    return invoice.hints.some((hint) => hint.policy.ppm === ppm)
  })
}

t.test('a leader keeps its secret until the tower has signed for the next state', async (t) => {
  await until(() => first.kept.get(idText(id))?.version === versionOf(alice))
  const [version, given] = [versionOf(alice), secretsOf(bob)]
  first.withholding = true
  const key = await pay(alice, bob)
  await until(() => versionOf(bob) === version + 1 && alice.node.channel(id)!.towerWaiting > 0)
  await heardBy(alice, bob)
  t.equal(secretsOf(bob), given, 'the secret has not left')
  t.equal(statusOf(alice, key), 'pending')
  t.equal(alice.node.channel(id)!.towerLag, 1)
  first.answer()
  await until(() => statusOf(alice, key) === 'succeeded')
  t.ok(secretsOf(bob) > given)
  await until(() => alice.node.channel(id)!.towerLag === 0)
})
