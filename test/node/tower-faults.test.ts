/**
 * T2, T3, W3: every message between a hub and its tower dropped, doubled, late, cut short, and the connection cut before
 * and after it. Payments go on, the tower ends up with the newest state, and it can still punish.
 */
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import type { AccountId, ChannelId } from '../../src/base/ids.js'
import * as towerMessages from '../../src/base/message/tower.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import { exitTerms } from '../../src/channel/content.js'
import type { NodeParts } from '../../src/node/assemble.js'
import { memoryStore } from '../../src/store/memory.js'
import { TOWER_DEFAULTS } from '../../src/watchtower/config.js'
import { towerNetwork } from '../../src/watchtower/link.js'
import { listenForClients } from '../../src/watchtower/listener.js'
import { Tower } from '../../src/watchtower/tower.js'
import { silent, systemEntropy, systemTimers, type Timers } from '../../src/wire/environment.js'
import { must } from '../chain-adapter/fixtures.js'
import { exitFrom, post } from './adversary.js'
import { type Fault, FaultLine, KINDS, type Kind } from './fault-line.js'
import { cents, HUB, total, until, Village } from './village.js'

const { register, registered, appointment, receipt, revealJob, jobReceipt, cancelJob, jobCancelled } = towerMessages
const { retrieve, retrieved, towerRefused } = towerMessages

const village = await Village.build()
const { ledger } = village
const key = prfScalar(sha256(utf8('tower under faults')), 'tower')
const chain = inProcessAdapter(ledger)
const timers = systemTimers
const config = { ...TOWER_DEFAULTS, requestsPerSecond: 100_000 }
const tower = await Tower.open({ store: memoryStore(), key, chain, timers, logger: silent, config })
await tower.start()
const door = { tower, host: '127.0.0.1', port: 0, key, ledger: ledger.ledger, logger: silent, timers }
const listener = must(await listenForClients({ ...door, entropy: systemEntropy }))
const line = new FaultLine()
t.teardown(async () => {
  line.close()
  await listener.close()
  await tower.stop()
  await village.close()
})

/** The only waits that chance has a hand in are those between two attempts to connect. */
const hurried: Timers = {
  ...systemTimers,
  after: (ms, task) => systemTimers.after(Number.isInteger(ms) ? ms : 1, task),
}
const towerAccount = curve.multiplyBase(key)
const watched = { ...HUB, towers: [{ account: towerAccount, url: listener.url }], towerReceiptsRequired: 1 }
const hub = await village.start('hub', watched, { towers: (options) => towerNetwork({ ...options, timers: hurried }) })
await village.fund(hub, 1_000_000n)
const payer = await village.settle('payer', 500_000n)
const payee = await village.settle('payee', 100n)
const up = await village.channel(payer, hub, 300_000n, 0n)
await village.channel(payee, hub, 1n, 300_000n)

const parts = (hub.node as unknown as { readonly parts: NodeParts }).parts
const terms = () => exitTerms(parts.channels.get(up)!.context)
const broken: string[] = []
for (const { node, name } of [hub, payer, payee]) {
  node.events.listen((event) => {
    if (event.type === 'channel.broken') broken.push(`${name}: ${event.clause}`)
  })
}

let made = 0
/** A state, a secret and a job go to the tower: nothing is acknowledged before its receipts. */
async function payment(): Promise<void> {
  const name = `payment-${made++}`
  const { text } = must(
    await payee.node.issueInvoice(name, { amount: cents(100n), reference: name, expiresIn: 100_000 }),
  )
  must(await payer.node.pay(name, text, cents(10n)))
  await until(() => payer.node.payment(name)?.status !== 'pending')
  const { status, code } = payer.node.payment(name)!
  if (status !== 'succeeded') throw new Error(`${name} failed: ${code}`)
}
const reconnect = async (): Promise<void> => line.cutFrom(towerAccount)
const question = async (): Promise<void> => {
  parts.towers.ask(terms())
  await until(() => parts.towers.surveyed(up))
}
const unknown = new Uint8Array(32).fill(7) as ChannelId
const refusal = async (): Promise<void> => parts.towers.ask({ ...terms(), channel: unknown })

const toTower = towerAccount
const toHub = hub.node.account
const CASES: readonly (readonly [{ readonly type: number; readonly name: string }, AccountId, () => Promise<void>])[] =
  [
    [register, toTower, reconnect],
    [registered, toHub, reconnect],
    [appointment, toTower, payment],
    [receipt, toHub, payment],
    [revealJob, toTower, payment],
    [jobReceipt, toHub, payment],
    [cancelJob, toTower, payment],
    [jobCancelled, toHub, payment],
    [retrieve, toTower, question],
    [retrieved, toHub, question],
    [towerRefused, toHub, refusal],
  ]
const FAULTS = KINDS.filter((kind) => kind !== 'repeated')
const ENDS: ReadonlySet<Kind> = new Set(['dropped', 'truncated', 'cut before it', 'cut after it'])

async function through(fault: Fault): Promise<void> {
  await until(() => fault.struck)
  if (fault.kind === 'delayed') {
    await ledger.advance({ seconds: 1 })
    line.release(fault)
  }
  if (ENDS.has(fault.kind)) await until(() => fault.ended)
}

/** Nothing is owed any more, on either side. */
const calm = (): boolean =>
  hub.node.status().towers.every(({ connected, behind, jobs }) => connected && behind === 0 && jobs === 0) &&
  hub.node.channels().every(({ locks, towerLag, towerWaiting }) => locks + (towerLag ?? 1) + towerWaiting === 0)

t.test('no message is without its case', async (t) => {
  const defined = Object.values(towerMessages).flatMap((one) =>
    typeof one === 'object' && one !== null && 'type' in one && typeof one.type === 'number' && one.type < 255
      ? [one.type]
      : [],
  )
  t.same([...new Set(defined)].sort(), CASES.map(([{ type }]) => type).sort())
})

for (const kind of FAULTS) {
  t.test(`${kind}: payments go on, and the tower has what it must have`, async (t) => {
    for (const [{ type, name }, to, trigger] of CASES) {
      const fault = line.arm(type, to, kind)
      await Promise.all([trigger(), through(fault)])
      await until(calm)
      t.equal(tower.status().jobs, 0, name)
    }
    await question()
    await payment()
    await until(calm)
    t.equal(hub.node.status().towers[0]!.code, null, 'what an answer to nothing was blamed for is forgiven')
  })
}

t.test('after all of it an old state is punished in the hub’s absence', async (t) => {
  const old = await exitFrom(payer, up)
  await payment()
  await until(calm)
  const { balance } = hub.node.channel(up)!
  t.equal(balance, BigInt(made) * 101n)
  t.same(broken, [])
  await village.stop(hub)
  await village.stop(payer)
  await post(ledger, old)
  await until(async () => (await chain.channel(up)).value?.phase === 'closed')
  const reborn = await village.start('hub', watched)
  await until(() => reborn.node.channel(up)?.phase === 'closed')
  t.equal(await total(reborn), 1_000_000n, 'the whole pool of the payer’s channel')
})
