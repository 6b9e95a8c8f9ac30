/** T3: a forwarder whose towers must sign acknowledges no claim before what it gets for it upstream is safe. */
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { idText } from '../../src/base/ids.js'
import { TOWER_REQUEST_TYPES, type TowerAnswer, type TowerMessageOf } from '../../src/base/message/tower.js'
import type { NodeConfig } from '../../src/node/config.js'
import { readChannelRow } from '../../src/node/live-channel.js'
import { givenJobs } from '../../src/node/tower-jobs.js'
import { tableKey } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { unanswered } from './adversary.js'
import { TowerDouble } from './tower-double.js'
import { cents, until, Village } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())
const tower = await TowerDouble.open(village.ledger, prfScalar(sha256(utf8('tower')), 'tower'))
t.teardown(() => tower.stop())

const config = {
  forwarding: true,
  open: { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) },
  towers: [tower.address],
  towerReceiptsRequired: 1,
}
let hub = await village.start('hub', config)
const payer = await village.start('payer')
const payee = await village.start('payee')
for (const person of [hub, payer, payee]) await village.fund(person, 1_000_000n)
const up = await village.channel(payer, hub, 100_000n, 0n)
/** The payee leads: the hub acknowledges with its ack. */
const down = await village.channel(payee, hub, 1n, 100_000n)

async function pay(key: string): Promise<void> {
  await until(() => payee.node.channel(down)?.ready === true && payer.node.channel(up)?.ready === true)
  const wish = { amount: cents(100n), reference: key, expiresIn: 3_600 }
  const { text } = must(await payee.node.issueInvoice(key, wish))
  must(await payer.node.pay(key, text, cents(10n)))
}
const succeeded = (key: string) => until(() => payer.node.payment(key)?.status === 'succeeded')
const waiting = () => hub.node.channel(down)!.towerWaiting
const jobsHeard = (kind: 'deadline' | 'derived') =>
  tower.heard.flatMap((one) => {
    // Dave has his own, for his channel: when the hub is away.
    const isOne = one.name === 'revealJob' && one.body.task.kind === kind && idText(one.body.channel) === idText(up)
    return isOne ? [one.body] : []
  })
/** Noted until its claim is irrevocable: the newest state may be without it already. */
const upstreamLock = () => {
  const { state } = readChannelRow(hub.directory.store.get(tableKey('channel', up))!)
  return [...state.notes.values()][0]!.lock
}
/** Nothing of the payments before is left: a restart would give its job again. */
const quiet = () => until(async () => (await givenJobs(hub.directory.store)).length === 0)
async function restart(config: Partial<NodeConfig>, runs = true): Promise<void> {
  if (runs) await village.stop(hub)
  hub = await village.start('hub', config)
  for (const { node } of [payer, payee]) must(await node.connect({ account: hub.node.account, url: hub.url }))
}
async function reconnect(): Promise<void> {
  await tower.stop()
  await until(() => !hub.node.status().towers[0]!.connected)
  await tower.listen()
}

/** No job is signed for, and from the first one on nothing more upstream: there the lock stays in, and the job wanted. */
function withholdJobs(): void {
  const before = jobsHeard('deadline').length
  const stuck = (answer: TowerAnswer): boolean =>
    answer.name === 'receipt' && idText(answer.body.channel) === idText(up) && jobsHeard('deadline').length > before
  tower.twist = (answer) => (answer.name === 'jobReceipt' || stuck(answer) ? undefined : answer)
}

t.test('the acknowledgement of a claim waits for the job upstream, across a restart', async (t) => {
  withholdJobs()
  await pay('one')
  await until(() => jobsHeard('deadline').length >= 1 && waiting() > 0)
  const [job] = jobsHeard('deadline') as [TowerMessageOf<'revealJob'>]
  const lock = upstreamLock()
  t.equal(job.task.kind === 'deadline' && Buffer.compare(curve.multiplyBase(job.task.scalar), lock.point), 0)
  t.equal(job.task.deadline, lock.expiry)
  t.same(job.channel, up)
  const { version } = payee.node.channel(down)!
  await until(() => hub.node.channel(down)!.version === version + 1 && hub.node.channel(down)!.towerLag === 0)
  t.ok(waiting() > 0, 'the state is receipted: it is the job that is waited for')
  await restart(config)
  await until(() => waiting() > 0)
  t.equal(payee.node.channel(down)!.version, version, 'not acknowledged')
  tower.twist = (answer) => answer
  await reconnect()
  await succeeded('one')
  await until(() => tower.jobs.size === 0)
})

t.test('a forward under way is told as a pair of hops only where the operator chose so', async (t) => {
  await pay('two')
  await succeeded('two')
  t.same(jobsHeard('derived'), [])
  await restart({ ...config, towerDerivedJobs: true })
  await pay('three')
  await succeeded('three')
  await until(() => tower.jobs.size === 0)
  const [derived] = jobsHeard('derived') as [TowerMessageOf<'revealJob'>]
  const { task } = jobsHeard('deadline').at(-1)!
  if (derived.task.kind !== 'derived' || task.kind !== 'deadline') return t.fail('kinds')
  const sum = curve.addBase(derived.task.point, derived.task.y)
  t.equal(Buffer.compare(sum!, curve.multiplyBase(task.scalar)), 0, 'the outgoing point and y give the incoming one')
  t.equal(derived.task.deadline, task.deadline)
})

t.test(
  'a job whose end the tower did not confirm is cancelled again after a restart, one that is wanted is not',
  async (t) => {
    const ends = (id: Uint8Array) =>
      tower.heard.filter((one) => one.name === 'cancelJob' && idText(one.body.job) === idText(id))
    tower.twist = (answer) => (answer.name === 'jobCancelled' ? undefined : answer)
    const before = jobsHeard('deadline').length
    await pay('again')
    await succeeded('again')
    await until(() => jobsHeard('deadline').length > before) // what pays upstream waits for nothing
    const { job } = jobsHeard('deadline')[before]!
    await until(() => ends(job).length >= 1)
    withholdJobs()
    const wanted = jobsHeard('deadline').length
    await pay('wanted')
    await until(() => jobsHeard('deadline').length > wanted && waiting() > 0)
    const { job: held } = jobsHeard('deadline')[wanted]!
    await village.stop(hub)
    const said = ends(job).length
    await restart(config, false)
    await until(() => ends(job).length > said)
    t.equal(ends(held).length, 0)
    t.same(
      (await givenJobs(hub.directory.store)).map(({ id }) => idText(id)).filter((id) => id === idText(held)).length,
      1,
    )
    tower.twist = (answer) => answer
    await reconnect()
    await succeeded('wanted')
    await quiet()
  },
)

t.test('a hub that leads downstream waits with its commit', async (t) => {
  const dave = await village.start('dave', config)
  await village.fund(dave, 1_000n)
  const channel = await village.channel(hub, dave, 100_000n, 0n)
  await until(() => hub.node.channel(channel)!.towerLag === 0)
  withholdJobs()
  const before = jobsHeard('deadline').length
  const { text } = must(
    await dave.node.issueInvoice('four', { amount: cents(50n), reference: 'four', expiresIn: 3_600 }),
  )
  const { version } = dave.node.channel(channel)!
  must(await payer.node.pay('four', text, cents(10n)))
  await until(() => hub.node.channel(channel)!.towerWaiting > 0 && jobsHeard('deadline').length > before)
  t.equal(dave.node.channel(channel)!.version, version + 1, 'the lock is in, its claim is in no commit that left')
  tower.twist = (answer) => answer
  await reconnect()
  await succeeded('four')
  await quiet()
})

t.test('a job that the tower takes never: the hub reveals by itself, and the rounds go on', async (t) => {
  const { asked, chain } = unanswered(village.ledger)
  await village.stop(hub)
  hub = await village.start('hub', config, { chain })
  for (const { node } of [payer, payee]) must(await node.connect({ account: hub.node.account, url: hub.url }))
  withholdJobs() // upstream the lock stays in
  const { twist } = tower
  tower.twist = (answer) => {
    if (answer.name !== 'jobReceipt') return twist(answer)
    const body = { request: TOWER_REQUEST_TYPES.revealJob, channel: null, job: answer.body.job }
    return { name: 'towerRefused', body: { ...body, code: 'tower_job_late' } }
  }
  const { version } = payee.node.channel(down)!
  await pay('five')
  await until(() => payee.node.channel(down)!.version >= version + 2 && payee.node.channel(down)!.locks === 0)
  t.same(
    asked.filter((kind) => kind === 'reveal'),
    ['reveal'],
    'what it gets upstream is safe before it acknowledges',
  )
  tower.twist = (answer) => answer
  await reconnect()
  await succeeded('five')
})
