/**
 * Payer, hub, hospital: the hospital ends its channel on the ledger with a payment in flight, and the hub's power goes
 * meanwhile. The payer pays exactly once or not at all, the hub never loses (R3, R5, C12).
 */
import t, { type Test } from 'tap'
import type { Digest } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { transactionDigest } from '../../src/base/transaction.js'
import { must } from '../chain-adapter/fixtures.js'
import { about, cutPower, exitOf, isClosed, post, types } from './adversary.js'
import { type Flight, inFlight } from './flight.js'
import { HUB, total, until, Village } from './village.js'

const AMOUNT = 40_000n
const FEE = 4n
const WINDOW = 600

const village = await Village.build()
t.teardown(() => village.close())
const { ledger } = village
const hubConfig = { ...HUB, window: WINDOW }
let hub = await village.settle('hub', 1_000_000n, hubConfig)
const payer = await village.settle('payer', 500_000n)
const payerChannel = await village.channel(payer, hub, 300_000n, 0n)
const hubBegan = 1_000_000n

const flies = (key: string): Promise<Flight> =>
  inFlight(village, { payer, hub }, key, { amount: AMOUNT, window: WINDOW })

/** The hospital's exit is on the ledger, and the hub, reborn, knows it. */
async function exits({ puppet, id }: Flight): Promise<void> {
  puppet.stranger.close()
  puppet.input({ type: 'exitWanted' })
  await post(ledger, exitOf(puppet))
  await reborn()
  await until(() => hub.node.channel(id)?.phase === 'disputed')
}

async function reborn(): Promise<void> {
  await cutPower(village, hub)
  hub = await village.start('hub', hubConfig)
  must(await payer.node.connect({ account: hub.node.account, url: hub.url }))
  await until(() => payer.node.channel(payerChannel)?.ready === true)
}

async function reveals({ hospital, scalar }: Flight): Promise<void> {
  const { signingKey } = hospital.directory.secrets
  const unsigned = {
    kind: 'reveal' as const,
    ledger: ledger.ledger as Uint8Array as Digest,
    account: hospital.node.account,
    delegate: null,
    scalars: [scalar],
  }
  await post(ledger, { ...unsigned, signature: curve.sign(transactionDigest(unsigned), signingKey) })
}

async function advance(seconds: number): Promise<void> {
  await ledger.advance({ seconds })
  await until(() => hub.node.status().height >= ledger.head.height)
}

/** The hospital's channel is paid out. */
async function settled({ id }: Flight): Promise<void> {
  await until(() => isClosed(hub, id))
  t.match((await about(hub, id)).at(-1), { how: 'settle' })
}

async function endedOnce(t: Test, { key }: Flight, status: string): Promise<void> {
  t.match(await payer.node.waitPayment(key, 60_000), { status })
  const ends = (await payer.node.events.page(0, 1_000)).filter((event) => 'key' in event && event.key === key)
  t.same(types(ends), [`payment.${status}`])
  await until(() => hub.node.channel(payerChannel)?.locks === 0)
}

/** What the hub holds: its account, and its side of the payer's channel. */
const held = async (): Promise<bigint> => (await total(hub)) + (hub.node.channel(payerChannel)?.balance ?? 0n)

t.test('the hospital exits and reveals in time: paid once, the hub has its fee', async (t) => {
  const flight = await flies('hospital-claims')
  await exits(flight)
  t.equal(payer.node.payment(flight.key)?.status, 'pending')
  await reveals(flight)
  await endedOnce(t, flight, 'succeeded')
  await reborn()
  await advance(700)
  await settled(flight)
  await until(() => hub.node.status().feesEarned === FEE)
  t.equal(await held(), hubBegan + FEE)
  t.equal(payer.node.channel(payerChannel)?.balance, 300_000n - AMOUNT - FEE)
})

t.test('the hospital exits and reveals too late: not paid at all, and nobody loses', async (t) => {
  const flight = await flies('hospital-late')
  await exits(flight)
  await advance(700)
  t.match(hub.node.channel(flight.id), { phase: 'disputed', waiting: 'locks to be won or dead' })
  t.equal(payer.node.payment(flight.key)?.status, 'pending', 'what the hospital may still reveal is pending')
  await reborn()
  await advance(flight.expiry + 1 - ledger.head.time)
  await reveals(flight)
  await endedOnce(t, flight, 'failed')
  await settled(flight)
  t.equal(await held(), hubBegan + FEE)
  t.equal(payer.node.channel(payerChannel)?.balance, 300_000n - AMOUNT - FEE)
})

t.test('the hospital posts its state before the lock: punished; what it reveals still pays, once', async (t) => {
  const flight = await flies('hospital-older')
  const before = await held()
  await post(ledger, flight.old)
  await until(() => isClosed(hub, flight.id))
  t.match((await about(hub, flight.id)).at(-2), { type: 'channel.punished', winner: 'us' })
  t.equal(payer.node.payment(flight.key)?.status, 'pending', 'a punished lock is failed only when it is dead for good')
  await reborn()
  await reveals(flight)
  await endedOnce(t, flight, 'succeeded')
  await until(() => hub.node.status().feesEarned === 2n * FEE)
  t.equal(await held(), before + 100_001n + AMOUNT + FEE)
})

t.test('nothing is left of it: the payer’s channel closes with the peer', async (t) => {
  must(await payer.node.closeChannel(payerChannel))
  t.equal(await total(payer), 500_000n - 2n * (AMOUNT + FEE))
  t.equal(hub.node.status().channels, 0)
})
