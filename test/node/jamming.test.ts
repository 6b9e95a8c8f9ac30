/** Mallory jams a hub's channel to the hospital, slowly and fast, with several channels; a payer with a record pays on. */
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { bytesToHex, utf8 } from '../../src/base/bytes.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import type { Effect, Lock } from '../../src/channel/types.js'
import { defaultConfig, type NodeConfig } from '../../src/node/config.js'
import { openArrival } from '../../src/router/arrival.js'
import { decodeFailure } from '../../src/router/failure.js'
import { createInvoice, formatInvoice, type Invoice, invoiceScalar } from '../../src/router/invoice.js'
import { sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { FAILURE_BYTES, readFailure } from '../../src/router/onion/failure.js'
import { scalarUpstream } from '../../src/router/point-lock.js'
import { type Route, routeKeys, routeOffer } from '../../src/router/route.js'
import type { DataDirectory } from '../../src/store/directory.js'
import { tableRange } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { Puppet } from './puppet.js'
import { Stranger } from './stranger.js'
import { cents, until, Village, type Villager } from './village.js'

const HOUR = 3_600
const SLOTS = 12
const FLOW = 120_000n
const village = await Village.build()
t.teardown(() => village.close())
const always = { ledgerAgeMax: 1_000_000 }
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const hubConfig = { ...always, forwarding: true, open }
let hub = await village.start('hub', hubConfig)
const payer = await village.start('payer', always)
const limits = { ...defaultConfig(48).limits, locks: SLOTS }
const hospital = await village.start('hospital', { ...always, limits })
const mallories = [await village.start('mallory', always), await village.start('mallory 2', always)]
for (const who of [hub, payer, hospital, ...mallories]) await village.fund(who, 900_000n)
await village.channel(payer, hub, 800_000n, 0n)
const hospitalChannel = await village.channel(hospital, hub, 1n, FLOW)
const jammers: { readonly who: Villager; readonly channel: ChannelId }[] = []
for (const who of mallories) {
  jammers.push({ who, channel: await village.channel(who, hub, 300_000n, 0n) })
  const wish = { peer: hub.node.account, deposit: cents(300_000n), share: cents(0n) }
  jammers.push({ who, channel: must(await who.node.openChannel(`${who.name} again`, wish)) })
}
await until(() => hub.node.channels().every(({ ready }) => ready))

const diaries = new Map<Villager, DataDirectory>()
for (const who of [hospital, ...mallories]) {
  await village.stop(who)
  const diary = await village.diary(who.name)
  t.teardown(() => diary.close())
  diaries.set(who, diary)
}
const meet = (who: Villager) =>
  Stranger.meet(diaries.get(who)!.secrets.signingKey, {
    url: hub.url,
    account: hub.node.account,
    ledger: village.ledger.ledger,
  })
const puppetOf = async (who: Villager, channel: ChannelId, stranger: Stranger): Promise<Puppet> => {
  const puppet = Puppet.of(diaries.get(who)!, channel, village.ledger, stranger)
  puppet.input({ type: 'connected' })
  while (puppet.state.link !== 'live') await puppet.pump()
  return puppet
}

/** The hospital: claims what it has invoiced, and does with all else what the test says. */
const ward = await puppetOf(hospital, hospitalChannel, await meet(hospital))
const { signingKey, walletSeed } = diaries.get(hospital)!.secrets
let manner: 'hold' | 'refuse' = 'hold'
const held: Lock[] = []
let arrived = 0

function receive(effect: Effect): void {
  if (effect.type !== 'lockIn') return
  const { lock, payload } = effect
  const { amount, point, expiry, id } = lock
  const incoming = { channel: hospitalChannel, id, peer: hub.node.account, amount, point, expiry, onion: payload }
  const arrival = openArrival(incoming, signingKey, village.ledger.ledger)
  if (arrival.kind !== 'final') throw new Error(arrival.kind)
  const invoice = issued.find((one) => arrival.point !== null && bytesToHex(one.point) === bytesToHex(arrival.point))
  if (invoice !== undefined) {
    const secret = invoiceScalar(walletSeed, village.ledger.ledger, invoice.secret)
    ward.input({ type: 'fulfill', lock, scalar: scalarUpstream(secret, arrival.y) })
    return
  }
  arrived += 1
  if (manner === 'hold') held.push(lock)
  else ward.input({ type: 'giveBack', lock, reason: new Uint8Array(FAILURE_BYTES).fill(7) })
}

async function serve(): Promise<boolean> {
  const moved = await ward.pump()
  for (const effect of ward.effects.splice(0)) receive(effect)
  return moved
}

const issued: Invoice[] = []
function invoiceOf(amount: bigint): Invoice {
  const { time } = village.ledger.head
  const request = {
    ledger: village.ledger.ledger,
    amount: amount as Amount,
    secret: sha256(utf8(`invoice ${issued.length}`)),
    reference: 'claim',
    created: time,
    expires: time + 1_000 * HOUR,
    finalDelta: 2 * HOUR,
    hints: [{ hub: hub.node.account, url: null, channel: hospitalChannel, policy: hub.node.defaultPolicy }],
  }
  const invoice = must(createInvoice(request, walletSeed, signingKey))
  issued.push(invoice)
  return invoice
}

/** As many at once as there are amounts. @returns codes of those that failed. */
async function paysAtOnce(...amounts: readonly bigint[]): Promise<(string | null | undefined)[]> {
  const keys = await Promise.all(
    amounts.map(async (amount) => {
      const key = `payment ${issued.length}`
      must(await payer.node.pay(key, formatInvoice(invoiceOf(amount)), cents(1_000n)))
      return key
    }),
  )
  const isOver = (key: string) => payer.node.payment(key)?.status !== 'pending'
  while (!keys.every(isOver)) await serve()
  while (await serve());
  return keys.map((key) => payer.node.payment(key)).flatMap((end) => (end?.status === 'succeeded' ? [] : [end?.code]))
}

interface Tried {
  readonly sessionKey: Scalar
  readonly route: Route
}
let tries = 0
/** A lock that pays nobody's invoice: at the hospital, or at the hub itself. */
function jam(puppet: Puppet, amount: bigint, toHub = false): Tried & { readonly point: Uint8Array } {
  const { time } = village.ledger.head
  const sessionKey = sessionKeyFrom(sha256(utf8(`jam ${tries++}`)))
  const last = { account: curve.multiplyBase(signingKey), amount: cents(amount), expiry: time + 5 * 24 * HOUR }
  const first = {
    account: hub.node.account,
    amount: cents(amount + amount / 100n + 1n),
    expiry: last.expiry + 9 * HOUR,
  }
  const hops = toHub ? [first] : [first, last]
  const route: Route = { channel: puppet.id, fee: cents(1n), hops }
  const target = curve.multiplyBase(prfScalar(sessionKey, 'nobody'))
  const nobody = { ...(issued[0] ?? invoiceOf(1n)), point: target }
  const offer = must(routeOffer(route, nobody, new Uint8Array(16), sessionKey))
  const { point, expiry, onion } = offer
  puppet.input({ type: 'offer', operations: [{ kind: 'lock', amount: offer.amount, point, expiry, payload: onion }] })
  return { sessionKey, route, point }
}

/** Until every lock of the jammers is refused or lies at the hospital. */
async function settle(puppets: readonly Puppet[], offered: number): Promise<void> {
  const returned = () => puppets.flatMap(({ effects }) => effects.filter(({ type }) => type === 'lockReturned')).length
  while (returned() + held.length < offered) {
    for (const puppet of puppets) await puppet.pump()
    await serve()
  }
}

const codesAt = (puppet: Puppet, tried: readonly (Tried & { readonly point: Uint8Array })[]): string[] =>
  puppet.effects.flatMap((effect) => {
    if (effect.type !== 'lockReturned') return []
    const made = tried.find(({ point }) => bytesToHex(point) === bytesToHex(effect.lock.point))
    if (made === undefined) return ['foreign']
    const accounts = made.route.hops.map(({ account }) => account)
    const read = readFailure(routeKeys(made.sessionKey, accounts).secrets, effect.reason, 20)
    return [read === undefined ? 'unreadable' : `${read.hop} ${decodeFailure(read.message)?.code}`]
  })

const rowsIn = async (...of: Parameters<typeof tableRange>): Promise<number> => {
  let rows = 0
  for await (const _ of hub.directory.store.range(tableRange(...of))) rows += 1
  return rows
}
const records = () => rowsIn('node', utf8('reputation'))

const puppets: Puppet[] = []

/** The hub, and everybody meets it again. */
async function restart(config: typeof hubConfig): Promise<void> {
  const port = Number(new URL(hub.url).port)
  await village.stop(hub)
  hub = await village.start('hub', { ...config, listen: { host: '127.0.0.1', port } })
  ward.onto(await meet(hospital))
  while (ward.state.link !== 'live') await serve()
  for (const who of mallories) {
    const stranger = await meet(who)
    for (const puppet of puppets.filter((_, i) => jammers[i]!.who === who)) puppet.onto(stranger)
  }
  for (const puppet of puppets) while (puppet.state.link !== 'live') await puppet.pump()
}

t.test('slow: locks held at the payee, through four channels of two jammers; value and slots', async (t) => {
  t.same(await paysAtOnce(...Array.from({ length: 8 }, () => 100n)), [])
  t.same(await paysAtOnce(...Array.from({ length: 10 }, () => 2_000n)), [])
  t.equal(await records(), 1, 'a record in the books')
  for (const who of mallories) {
    const stranger = await meet(who)
    for (const { channel } of jammers.filter((jammer) => jammer.who === who)) {
      puppets.push(await puppetOf(who, channel, stranger))
    }
  }
  const tried = puppets.map((puppet) => [...Array.from({ length: 6 }, () => jam(puppet, 500n)), jam(puppet, 90_000n)])
  await settle(puppets, tried.flat().length)
  t.ok(held.length >= 2 && held.length <= SLOTS / 2, `${held.length} slots of ${SLOTS}`)
  t.ok(held.reduce((sum, { amount }) => sum + amount, 0n) <= FLOW / 2n)
  const codes = puppets.flatMap((puppet, i) => codesAt(puppet, tried[i]!))
  t.same([...new Set(codes)], ['0 temporary_failure'], 'the same answer for all that found no room')
  t.same(await paysAtOnce(...Array.from({ length: SLOTS / 2 }, () => 3_000n)), [], 'as many at once as half the slots')
  t.same(await paysAtOnce(45_000n), [], 'and half of the money')
})

t.test('hours later, after a restart: the locks are still held, the record still counts', async (t) => {
  await village.ledger.advance({ seconds: 5 * HOUR })
  await restart(hubConfig)
  await until(() => payer.node.channels().every(({ ready }) => ready))
  const before = held.length
  for (const puppet of puppets) puppet.effects.length = 0
  for (const puppet of puppets) for (let i = 0; i < 3; i++) jam(puppet, 10n)
  await settle(puppets, before + 12)
  t.ok(held.length <= SLOTS / 2)
  t.same(await paysAtOnce(...Array.from({ length: SLOTS / 2 }, () => 500n)), [])
})

t.test('fast: a stream that fails at once is cut short; the payer goes on', async (t) => {
  manner = 'refuse'
  for (const lock of held.splice(0)) ward.input({ type: 'giveBack', lock, reason: new Uint8Array(FAILURE_BYTES) })
  while (await serve());
  const [puppet] = puppets
  const failed = (of = puppet) => of!.effects.filter(({ type }) => type === 'lockReturned').length
  const seen = await rowsIn('replay')
  while (await puppet!.pump());
  puppet!.effects.length = 0
  arrived = 0
  const tried = []
  while (tried.length < LIMITS.failed_forwards + 8) {
    for (let i = 0; i < SLOTS / 4; i++) tried.push(jam(puppet!, 10n))
    while (failed() < tried.length) {
      await puppet!.pump()
      await serve()
    }
  }
  t.ok(arrived <= LIMITS.failed_forwards, `${arrived} reached the hospital`)
  t.equal(codesAt(puppet!, tried).at(-1), '0 temporary_failure')
  const kept = await rowsIn('replay')
  t.ok(kept - seen <= LIMITS.failed_forwards, `R2: ${kept - seen} of ${tried.length} onions are remembered`)
  // The other jammer asks the hub itself for invoices that it never issued.
  const other = puppets.at(-1)!
  other.effects.length = 0
  for (let sent = 0; sent < LIMITS.failed_forwards + 8; sent += SLOTS) {
    for (let i = 0; i < SLOTS; i++) jam(other, 10n, true)
    while (failed(other) < sent + SLOTS) await other.pump()
  }
  t.ok((await rowsIn('replay')) - kept <= LIMITS.failed_forwards, 'R2: as many of a payee')
  t.same(await paysAtOnce(...Array.from({ length: SLOTS / 2 }, () => 500n)), [])
  t.equal(hub.node.status().stopped, 0)
  t.equal(await records(), 3)
})

t.test('a large claim of a newcomer: refused beside records, let through by the operator’s word', async (t) => {
  const claim = async (hubConfigured: typeof hubConfig & Partial<NodeConfig>): Promise<number> => {
    await village.ledger.advance({ seconds: HOUR })
    await restart(hubConfigured)
    const [puppet] = puppets
    puppet!.effects.length = 0
    arrived = 0
    jam(puppet!, ((hub.node.channel(hospitalChannel)?.canSend ?? 0n) * 3n) / 4n)
    while (!puppet!.effects.some(({ type }) => type === 'lockReturned')) {
      await puppet!.pump()
      await serve()
    }
    return arrived
  }
  t.equal(await claim(hubConfig), 0)
  t.equal(await claim({ ...hubConfig, knownPeers: [mallories[0]!.node.account] }), 1)
  for (const each of puppets) each.stranger.close()
  ward.stranger.close()
})
