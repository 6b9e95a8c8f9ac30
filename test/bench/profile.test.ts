/**
 * What a payment costs in operations that do not depend on the machine's mood (issue D): exponentiations, curve
 * multiplications, signatures, syncs, messages, bytes; all nodes together, held to profile.json. A change that costs less
 * or has to cost more rewrites it: `PROFILE=write node dist/test/bench/profile.test.js`, and the difference is reviewed.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type Count, type Counts, counts, countsBetween } from '../../src/base/counters.js'
import type { ChannelId } from '../../src/base/ids.js'
import { ROOT } from '../../src/base/root.js'
import { must } from '../chain-adapter/fixtures.js'
import { cents, until, Village, type Villager } from '../node/village.js'

const FILE = fileURLToPath(new URL('test/bench/profile.json', ROOT))
/** Bytes vary with the lengths of numbers within; syncs of one node with what happens to meet in one batch. */
const TOLERANCE: Partial<Record<string, number>> = {
  wireBytes: 0.02,
  diskBytes: 0.02,
  fsyncs: 0.1,
} satisfies Partial<Record<Count, number>>

type Profile = Readonly<Record<string, Readonly<Record<string, number>>>>

const village = await Village.build()
t.teardown(() => village.close())
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const hub = await village.start('hub', { forwarding: true, open })
const payer = await village.start('payer')
const payee = await village.start('payee')
for (const villager of [hub, payer, payee]) await village.fund(villager, 1_000_000n)
const incoming = await village.channel(payer, hub, 500_000n, 0n)
const outgoing = await village.channel(payee, hub, 1n, 500_000n)

/** Both sides hold the same version and wait for nothing. */
const quiet = ([a, b]: readonly [Villager, Villager], id: ChannelId): boolean => {
  const sides = [a.node.channel(id), b.node.channel(id)]
  const same = new Set(sides.map((side) => side?.version)).size === 1
  return same && sides.every((side) => side?.ready === true && side.locks === 0 && side.waiting === null)
}

const durable = () => Promise.all([payer, hub, payee].map(({ node }) => node.settled(() => undefined)))

/**
 * Nothing is under way, in the workers neither. A step asks for its next R (C2) once its batch is synced, so that comes first;
 * then no job waits; then a job of our own has been through every thread, behind what the thread had in hand; then their answers are in.
 */
async function settled(): Promise<void> {
  await until(() => quiet([payer, hub], incoming) && quiet([payee, hub], outgoing))
  await durable()
  await until(() => village.pool.waiting === 0)
  await village.pool.closeKey({ id: 1_000_000, n: new Uint8Array() })
  await durable()
}

async function costOf(payments: number, work: () => Promise<void>): Promise<Record<string, number>> {
  await settled()
  const before = counts()
  await work()
  await settled()
  const { nameSyncs: _, ...spent }: Counts = countsBetween(before, counts())
  return Object.fromEntries(Object.entries(spent).map(([name, value]) => [name, value / payments]))
}

const pay = async (amount: bigint, index: number) =>
  must(await payer.node.payDirect(incoming, { amount: cents(amount), reference: new Uint8Array(8).fill(index) }))

async function payInvoice(name: string): Promise<void> {
  const wish = { amount: cents(1_000n), reference: name, expiresIn: 3_600 }
  const { text } = must(await payee.node.issueInvoice(name, wish))
  must(await payer.node.pay(name, text, cents(100n)))
  t.match(await payer.node.waitPayment(name, 60_000), { status: 'succeeded' })
  await settled()
}

const ONE_BY_ONE = 8
const AT_ONCE = 100
const ROUTED = 4

async function measured(): Promise<Profile> {
  await pay(5n, 0) // the first round of a channel is not like the others
  await payInvoice('first')
  return {
    'direct, one at a time': await costOf(ONE_BY_ONE, async () => {
      for (let index = 1; index <= ONE_BY_ONE; index++) {
        await pay(10n, index)
        await settled()
      }
    }),
    'direct, 100 at once': await costOf(AT_ONCE, async () => {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => pay(10n, index)))
    }),
    'routed through one hub, one at a time': await costOf(ROUTED, async () => {
      for (let index = 1; index <= ROUTED; index++) await payInvoice(`routed ${index}`)
    }),
  }
}

t.test('a payment costs what it did', async (t) => {
  const profile = await measured()
  if (process.env['PROFILE'] === 'write') writeFileSync(FILE, `${JSON.stringify(profile, null, 2)}\n`)
  const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Profile
  for (const [workload, expected] of Object.entries(stored)) {
    for (const [name, value] of Object.entries(expected)) {
      const found = profile[workload]?.[name] ?? Number.NaN
      const close = Math.abs(found - value) <= value * (TOLERANCE[name] ?? 0)
      t.ok(close, `${workload}: ${name} is ${found} a payment, and was ${value}`)
    }
  }
})
