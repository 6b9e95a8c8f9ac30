/** A node and the real tower: receipts that let secrets out, an old exit answered in the node's absence, and the verdict. */
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { type ChannelId, idText } from '../../src/base/ids.js'
import { decodeBlock } from '../../src/chain-adapter/block.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import { memoryStore } from '../../src/store/memory.js'
import { TOWER_DEFAULTS } from '../../src/watchtower/config.js'
import { historiesOf, judge } from '../../src/watchtower/fault.js'
import { listenForClients } from '../../src/watchtower/listener.js'
import { Tower } from '../../src/watchtower/tower.js'
import { parseTowerReceipt } from '../../src/watchtower/tower-receipt.js'
import { silent, systemEntropy, systemTimers } from '../../src/wire/environment.js'
import { must } from '../chain-adapter/fixtures.js'
import { exitFrom, post } from './adversary.js'
import { TowerDouble } from './tower-double.js'
import { cents, total, until, Village, type Villager } from './village.js'

const village = await Village.build()
const { ledger } = village
const key = prfScalar(sha256(utf8('real')), 'tower')
const chain = inProcessAdapter(ledger)
const timers = systemTimers
const tower = await Tower.open({ store: memoryStore(), key, chain, timers, logger: silent, config: TOWER_DEFAULTS })
await tower.start()
const listening = { tower, host: '127.0.0.1', port: 0, key, ledger: ledger.ledger, logger: silent, timers }
const listener = must(await listenForClients({ ...listening, entropy: systemEntropy }))
/** Signs and sleeps. */
const sleeper = await TowerDouble.open(ledger, prfScalar(sha256(utf8('sleeper')), 'tower'))
t.teardown(async () => {
  await Promise.all([listener.close(), sleeper.stop()])
  await tower.stop()
  await village.close()
})

const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const towers = [{ account: curve.multiplyBase(key), url: listener.url }, sleeper.address]
const alice = await village.start('alice', { open })
let bob = await village.start('bob', { open, towers, towerReceiptsRequired: 2 })
for (const person of [alice, bob]) await village.fund(person, 1_000_000n)
const id = await village.channel(alice, bob, 100_000n, 50_000n)

async function pay(payer: Villager, payee: Villager, name: string): Promise<void> {
  const wish = { amount: cents(1_000n), reference: name, expiresIn: 3_600 }
  const { text } = must(await payee.node.issueInvoice(name, wish))
  must(await payer.node.pay(name, text, cents(0n)))
  await until(() => payer.node.payment(name)?.status === 'succeeded')
}

const source = {
  genesis: ledger.genesis,
  head: async () => ledger.head,
  blocks: async (from: number) => (await ledger.blocks(from)).map((bytes) => must(decodeBlock(bytes))),
}
const verdictsOn = async (lines: readonly string[], channel: ChannelId) => {
  const history = (await historiesOf(source, new Set([idText(channel)]))).get(idText(channel))!
  return lines.map((line) => must(judge(must(parseTowerReceipt(line)), history)))
}

t.test('the real tower signs for every round, and answers while its client is away', async (t) => {
  await pay(alice, bob, 'one')
  const old = await exitFrom(alice, id)
  await pay(alice, bob, 'two')
  await pay(bob, alice, 'three')
  await until(() => bob.node.status().towers.every(({ behind }) => behind === 0))
  t.ok(bob.node.status().towers.every(({ connected, code }) => connected && code === null))
  const receipts = bob.node.towerReceipts(id)
  t.equal(receipts.length, 2)
  t.match(await verdictsOn(receipts, id), [{ reason: 'no_exit' }, { reason: 'no_exit' }])
  await village.stop(bob)
  await village.stop(alice)
  await ledger.advance({ seconds: 1 })
  await post(ledger, old)
  await until(async () => (await verdictsOn(receipts, id))[0]!.reason === 'punished')
  bob = await village.start('bob', { open, towers, towerReceiptsRequired: 2 })
  await until(() => bob.node.channel(id)?.phase === 'closed')
  t.equal(await total(bob), 1_100_000n, 'the whole pool')
})

t.test('histories are read from a signed chain only', async (t) => {
  const names = new Set([idText(id)])
  const forged = {
    ...source,
    blocks: async (from: number) => {
      const page = await source.blocks(from)
      return page.map((block) => ({ ...block, transactions: block.transactions.slice(1) }))
    },
  }
  await t.rejects(historiesOf(forged, names), { code: 'ledger_head' })
  await t.rejects(historiesOf({ ...source, blocks: async () => [] }, names), { code: 'audit_withheld' })
})
