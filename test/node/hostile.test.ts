/** Mallory has an account, a session and channels with the hub, and says what she likes; payer and hospital go on. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { bytesToHex } from '../../src/base/bytes.js'
import { curve, type Point, type Scalar } from '../../src/base/curve/index.js'
import type { ChannelId } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import { packOperations } from '../../src/channel/operation.js'
import type { OfferBody, Operation } from '../../src/channel/types.js'
import { nodeCodec } from '../../src/node/messages.js'
import { routeSecrets, sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { buildOnion, onionBinding } from '../../src/router/onion/packet.js'
import { openDirectory } from '../../src/store/directory.js'
import { tableRange } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { mutate, type Rng, rngOf } from '../wire/mutate.js'
import { Puppet } from './puppet.js'
import { fictions, Stranger, type Subject } from './stranger.js'
import { cents, total, until, Village, type Villager } from './village.js'

const MUTANTS = 2_100
const SEED = 14
/** Batches of messages for each payment of the honest beside them: about twenty payments in a test. */
const BATCHES_PER_PAYMENT = 6

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const heap = (): number => {
  collect()
  return process.memoryUsage().heapUsed
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

const village = await Village.build()
t.teardown(() => village.close())
const always = { ledgerAgeMax: 100_000 }
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const hub = await village.start('hub', { ...always, forwarding: true, open })
const payer = await village.start('payer', always)
const hospital = await village.start('hospital', always)
const malloryNode = await village.start('mallory', { ...always, open })
for (const [who, amount] of [
  [hub, 2_000_000n],
  [payer, 900_000n],
  [hospital, 100n],
  [malloryNode, 500_000n],
] as const)
  await village.fund(who, amount)

const payerChannel = await village.channel(payer, hub, 800_000n, 0n)
const hospitalChannel = await village.channel(hospital, hub, 1n, 900_000n)
const led = [await village.channel(malloryNode, hub, 100_000n, 50_000n)]
led.push(
  must(
    await malloryNode.node.openChannel('second', { peer: hub.node.account, deposit: cents(9_000n), share: cents(0n) }),
  ),
)
const followed = must(
  await hub.node.openChannel('toward mallory', {
    peer: malloryNode.node.account,
    deposit: cents(60_000n),
    share: cents(70_000n),
  }),
)
const HUBS_IN_MALLORYS = 50_000n + 60_000n

let paid = 0n
let count = 0
const payOnce = async (from: Villager = payer): Promise<string | undefined> => {
  const amount = BigInt(10 + (count % 7))
  const reference = `claim-${count++}`
  const invoice = { amount: cents(amount), reference, expiresIn: 100_000 }
  const { text } = must(await hospital.node.issueInvoice(reference, invoice))
  must(await from.node.pay(reference, text, cents(10n)))
  const end = await from.node.waitPayment(reference, 60_000)
  if (end?.status === 'succeeded') paid += amount
  return end?.status === 'succeeded' ? undefined : `${reference}: ${end?.status} ${end?.code}`
}

/** Payments of the honest while `work` goes on, which tells of each batch: they begin with it and keep pace with it. */
async function besides(
  work: (said: () => void) => Promise<void>,
): Promise<{ readonly made: number; readonly wrong: string[] }> {
  const state = { done: false, batches: 0 }
  const wrong: string[] = []
  let made = 0
  const paying = (async () => {
    for (;;) {
      await until(() => state.done || state.batches >= made * BATCHES_PER_PAYMENT)
      if (state.done) return
      const fault = await payOnce()
      made += 1
      if (fault !== undefined) wrong.push(fault)
    }
  })()
  const said = (): void => {
    state.batches += 1
  }
  await work(said).finally(() => {
    state.done = true
  })
  await paying
  return { made, wrong }
}

await until(() => malloryNode.node.channel(led[1]!)?.ready === true)
const customer = await payOnce(malloryNode)
if (customer !== undefined) throw new Error(customer)
await until(() => hub.node.status().feesEarned === 1n) // C12: only then is it irrevocably the hub's
await village.stop(malloryNode)
const diary = must(await openDirectory(`${village.root}/mallory`, `${village.root}/passphrase`))
t.teardown(() => diary.close())
const key = diary.secrets.signingKey
const meet = () => Stranger.meet(key, { url: hub.url, account: hub.node.account, ledger: village.ledger.ledger })

const rowsOf = async (table: Parameters<typeof tableRange>[0]): Promise<number> => {
  let rows = 0
  for await (const _ of hub.directory.store.range(tableRange(table))) rows += 1
  return rows
}
const honest = (): string[] => [payerChannel, hospitalChannel].map((id) => hub.node.channel(id)?.phase ?? 'gone')

const subjects = (rng: Rng): Subject[] => [
  { channel: rng.bytes(32) as Subject['channel'], attempt: rng.bytes(32) },
  { channel: payerChannel as Uint8Array as Subject['channel'], attempt: rng.bytes(32) },
  { channel: hospitalChannel as Uint8Array as Subject['channel'], attempt: rng.bytes(32) },
]

t.test(`${MUTANTS} mutants of every message, seed ${SEED}`, async (t) => {
  const rng = rngOf(SEED)
  const before = heap()
  let cut = 0
  const { made, wrong } = await besides(async (said) => {
    let stranger = await meet()
    for (let sent = 0; sent < MUTANTS; said()) {
      for (const message of fictions(rng, rng.pick(subjects(rng)))) {
        stranger.sendBytes(mutate(nodeCodec.encode(message), rng))
        sent += 1
        if (await stranger.read()) continue
        cut += 1
        stranger = await meet()
      }
    }
    stranger.close()
  })
  t.ok(cut > MUTANTS / 2, 'what cannot be read costs the connection')
  t.same(wrong, [], `${made} payments beside it`)
  t.ok(made > 10)
  t.same(honest(), ['open', 'open'])
  t.ok(heap() - before < 48 * 1_048_576, 'memory stays')
  await until(() => hub.node.peers().filter(({ connected }) => connected).length <= 3)
})

t.test(`${MUTANTS} well-formed lies about channels of others, of nobody, and attempts`, async (t) => {
  const rng = rngOf(SEED + 1)
  const before = heap()
  const channels = hub.node.channels().length
  let stranger = await meet()
  const { made, wrong } = await besides(async (said) => {
    for (let sent = 0; sent < MUTANTS; said()) {
      for (const message of fictions(rng, rng.pick(subjects(rng)))) {
        stranger.send(message)
        sent += 1
      }
      if (!(await stranger.read())) stranger = await meet()
    }
  })
  t.same(wrong, [], `${made} payments beside it`)
  t.same(honest(), ['open', 'open'])
  t.equal(hub.node.channels().length, channels, 'no channel came of it')
  t.equal(await rowsOf('funding'), 0)
  t.ok(
    stranger.heard.every(({ name }) => name === 'openRefused' || name === 'forwardingPolicy' || name === 'reestablish'),
  )
  t.ok(heap() - before < 48 * 1_048_576, 'memory stays')
  stranger.close()
})

t.test('openings: one at a time, not for ever', async (t) => {
  const rng = rngOf(SEED + 2)
  const stranger = await meet()
  const { time } = village.ledger.head
  const limits = must(await hub.node.wallet.balance()) && {
    reserve: cents(0n),
    locks: 10,
    amountMin: cents(1n),
    amountMax: cents(1_000n),
    expiryMin: 60,
    expiryMax: 1_000_000,
  }
  const ask = (changes: object): void => {
    const terms = { nonce: 5, window: 86_400, validUntil: time + 600, channelKey: curve.multiplyBase(key), limits }
    const deposit = { amount: cents(500n), blinding: key }
    const body = { attempt: rng.bytes(32), ...terms, deposit, share: cents(0n), ...changes }
    stranger.send({ name: 'openChannel', body } as Parameters<Stranger['send']>[0])
  }
  ask({ validUntil: Number.MAX_SAFE_INTEGER })
  await until(() => stranger.heard.some(({ name }) => name === 'openRefused'))
  t.match(
    stranger.heard.find(({ name }) => name === 'openRefused')?.body,
    { code: 'open_terms' },
    'L5: bounded in time',
  )
  stranger.heard.length = 0
  for (let i = 0; i < 300; i++) ask({ share: cents(BigInt(i % 2)) })
  await until(() => stranger.heard.filter(({ name }) => name === 'openRefused').length >= 299)
  t.ok(stranger.heard.filter(({ name }) => name === 'acceptChannel').length <= 1, 'one attempt of a peer at a time')
  stranger.close()
  t.equal(await payOnce(), undefined)
})

t.test('garbage in locks that are right for the channel, where the hub leads', async (t) => {
  const rng = rngOf(SEED + 3)
  const puppet = Puppet.of(diary, followed, village.ledger, await meet())
  puppet.input({ type: 'connected' })
  while (puppet.state.link !== 'live') await puppet.pump()
  const rows = await rowsOf('obligation')
  const lock = (i: number): OfferBody => {
    const point = curve.multiplyBase(Uint8Array.from([1, ...rng.bytes(30), 1]) as Scalar)
    const expiry = village.ledger.head.time + 60 + rng.below(1_000_000)
    const lengths = [0, 1, 1_365, 1_366, 1_367, LIMITS.lock_payload_bytes]
    const payload = i % 2 === 0 ? onionFor(point, rng, i % 4 === 0) : rng.bytes(rng.pick(lengths))
    return { kind: 'lock', amount: cents(BigInt(1 + rng.below(50))), point, expiry, payload }
  }
  const { wrong } = await besides(async (said) => {
    for (let wave = 0; wave < 4; wave++) {
      puppet.input({ type: 'offer', operations: Array.from({ length: 60 }, (_, i) => lock(i)) })
      for (; returned(puppet) < 60 * (wave + 1); said()) await puppet.pump()
    }
  })
  t.same(wrong, [])
  t.equal(puppet.state.phase, 'open')
  t.equal(puppet.state.current.content.balances[1], 70_000n, 'every lock came back')
  t.equal(await rowsOf('obligation'), rows, 'nothing is owed any more')
  const states = new Map<number, Set<string>>()
  for (const message of puppet.heard) {
    if (message.name !== 'commit') continue
    const { version, digest } = message.body
    states.set(version, (states.get(version) ?? new Set()).add(bytesToHex(digest)))
  }
  t.ok(states.size > 8 && [...states.values()].every(({ size }) => size === 1), 'C7: one content per version')
  await refusedProposals(t, puppet, rng)
})

/** Made for the hub and this lock: what it says is garbage, or a bit of it is changed. */
function onionFor(point: Point, rng: Rng, changed: boolean): Uint8Array {
  const session = sessionKeyFrom(rng.bytes(32))
  const hop = { payload: rng.bytes(2 + rng.below(400)), associatedData: onionBinding(village.ledger.ledger, point) }
  const onion = must(buildOnion(session, routeSecrets(session, [hub.node.account]), [hop]))
  if (changed) onion[rng.below(onion.length)]! ^= 1 << rng.below(8)
  return onion
}

const returned = (puppet: Puppet): number => puppet.effects.filter(({ type }) => type === 'lockReturned').length

/** Proposals that break every rule of the predicate: each is dropped with a code, the channel stays. */
async function refusedProposals(t: Test, puppet: Puppet, rng: Rng): Promise<void> {
  const point = (): Point => curve.multiplyBase(Uint8Array.from([1, ...rng.bytes(30), 1]) as Scalar)
  const expiry = village.ledger.head.time + 5_000
  const bodies: readonly (readonly [string, Operation['body']])[] = [
    ['balance_too_low', { kind: 'pay', amount: cents(70_001n), reference: new Uint8Array() }],
    ['amount_out_of_bounds', { kind: 'pay', amount: cents(0n), reference: new Uint8Array() }],
    ['amount_out_of_bounds', { kind: 'lock', amount: 0n as Amount, point: point(), expiry, payload: rng.bytes(9) }],
    ['balance_too_low', { kind: 'lock', amount: (1n << 47n) as Amount, point: point(), expiry, payload: rng.bytes(9) }],
    ['expiry_out_of_bounds', { kind: 'lock', amount: cents(5n), point: point(), expiry: 1, payload: rng.bytes(9) }],
    [
      'expiry_out_of_bounds',
      { kind: 'lock', amount: cents(5n), point: point(), expiry: 2 ** 45, payload: rng.bytes(9) },
    ],
    [
      'lock_unknown',
      { kind: 'claim', lock: { from: 0, id: 3 }, scalar: Uint8Array.from([1, ...rng.bytes(31)]) as Scalar },
    ],
    ['lock_unknown', { kind: 'release', lock: { from: 1, id: 2 ** 40 }, reason: rng.bytes(292) }],
  ]
  let id = puppet.state.nextId[1] + 1_000
  let wrong = 0
  for (let round = 0; round < 30; round++) {
    const operations = bodies.map(([, body], i): Operation => ({ id: id + i, from: 1, body }))
    id += bodies.length
    puppet.heard.length = 0
    puppet.stranger.send({
      name: 'propose',
      body: { channel: followed as Uint8Array as Subject['channel'], operations: packOperations(operations) },
    })
    while (puppet.heard.filter(({ name }) => name === 'drop').length < bodies.length) await puppet.pump()
    const codes = puppet.heard.flatMap((message) => (message.name === 'drop' ? [message.body.code] : []))
    wrong += codes.join() === bodies.map(([code]) => code).join() ? 0 : 1
  }
  t.equal(wrong, 0, 'each with its code')
  t.equal(hub.node.channel(followed)?.phase, 'open')
  puppet.stranger.close()
}

t.test(`${MUTANTS} lies about her own channels: broken, and nobody else is`, async (t) => {
  const rng = rngOf(SEED + 4)
  const before = heap()
  const balances = hub.node.channels().map(({ channel, balance }) => [channel, balance])
  let stranger = await meet()
  const signed = new Map<string, string>()
  const { made, wrong } = await besides(async (said) => {
    for (let sent = 0; sent < MUTANTS; said()) {
      const own = rng.pick([...led, followed])
      const truth = Puppet.of(diary, own, village.ledger, stranger)
      truth.input({ type: 'connected' })
      const lies = fictions(rng, { channel: own as Uint8Array as Subject['channel'], attempt: rng.bytes(32) })
      for (const message of lies) {
        if (message.name !== 'newest' || rng.below(4) === 0) stranger.send(message)
        sent += 1
      }
      if (!(await stranger.read()) || rng.below(3) === 0) {
        stranger.close()
        stranger = await meet()
      }
      for (const { name, body } of stranger.heard) {
        if (name !== 'commit' && name !== 'ack') continue
        const at = `${bytesToHex(body.channel)}/${name}/${body.version}`
        const signature = bytesToHex(body.signature)
        if ((signed.get(at) ?? signature) !== signature) wrong.push(`${at}: signed twice`)
        signed.set(at, signature)
      }
    }
  })
  stranger.close()
  t.same(wrong, [], `${made} payments beside it`)
  t.same(honest(), ['open', 'open'])
  for (const id of [...led, followed]) {
    const seen = hub.node.channel(id)
    t.equal(seen?.phase, 'broken')
    t.equal(seen?.stopped, null, 'C11: a peer cannot break an invariant of ours')
    t.equal(seen?.balance, balances.find(([channel]) => channel === seen?.channel)?.[1], 'nothing was signed away')
  }
  t.ok(heap() - before < 48 * 1_048_576, 'memory stays')
})

t.test('at the end everybody has what is theirs, to the unit', async (t) => {
  must(await payer.node.closeChannel(payerChannel))
  must(await hospital.node.closeChannel(hospitalChannel))
  const mine = (id: ChannelId): bigint => hub.node.channel(id)!.balance
  const fees = hub.node.status().feesEarned
  const inMallorys = [...led, followed].reduce((sum, id) => sum + mine(id), 0n)
  t.equal(await total(hospital), 100n + paid)
  t.equal((await total(hub)) + inMallorys, 2_000_000n + fees)
  const malloryPaid = inMallorys - HUBS_IN_MALLORYS
  t.equal((await total(payer)) + paid + fees, 900_000n + malloryPaid)
  t.equal(hub.node.status().stopped, 0)
  t.same(unhandled, [])
})
