/** A network: payer → hub → hub → hospital over what hubs announce, a price that changes, a hub that goes, peers that forge. */
import t from 'tap'
import type { ChannelId } from '../../src/base/ids.js'
import { announcePolicy, channelTermsOf, signChannel } from '../../src/router/announcement.js'
import { must } from '../chain-adapter/fixtures.js'
import { digest, party } from '../router/support.js'
import { Stranger } from './stranger.js'
import { cents, until, Village, type Villager } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())

const always = { ledgerAgeMax: 1_000_000 }
const asHub = {
  ...always,
  forwarding: true,
  open: { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) },
}
const hub1 = await village.start('hub1', asHub)
let hub2 = await village.start('hub2', asHub)
const hub3 = await village.start('hub3', asHub)
const payer = await village.start('payer', always)
let hospital = await village.start('hospital', always)
const quiet = await village.start('quiet', { ...asHub, announceChannels: false })
for (const villager of [hub1, hub2, hub3, quiet, payer, hospital]) await village.fund(villager, 2_000_000n)

await village.channel(payer, hub1, 1_000_000n, 0n)
const to2 = await village.channel(hub1, hub2, 500_000n, 1_000n)
must(await hub1.node.setPolicy(to2, { ...hub1.node.defaultPolicy, ppm: 0 }))
await village.channel(hub1, hub3, 500_000n, 1_000n)
/** Of no one's graph: both would have to announce it. */
await village.channel(quiet, hub1, 1_000n, 1_000n)
const over2 = await village.channel(hospital, hub2, 1n, 400_000n)
const over3 = await village.channel(hospital, hub3, 1n, 400_000n)

/** Where it was: who keeps it connected finds it again. */
const again = ({ name, url }: Villager) =>
  village.start(name, { ...asHub, listen: { host: '127.0.0.1', port: Number(new URL(url).port) } })
const known = ({ node }: Villager): number => node.status().graphChannels
const invoiceFor = async (reference: string, amount: bigint) => {
  const { text } = must(
    await hospital.node.issueInvoice(reference, { amount: cents(amount), reference, expiresIn: 9_000 }),
  )
  return text
}
const feeOf = (text: string): bigint | undefined => {
  const quote = payer.node.quote(text, cents(1_000n))
  return quote.ok ? quote.value.fee : undefined
}
const policyOf = (villager: Villager, ppm: number) => ({ ...villager.node.defaultPolicy, ppm })

t.test('R4: channels between hubs become known to everybody; those of payers and hospitals to nobody', async (t) => {
  await until(() => [payer, hospital, hub1, hub2, hub3].every((villager) => known(villager) === 2))
  const text = await invoiceFor('claim-1', 100_000n)
  await until(() => feeOf(text) === 10n)
  must(await payer.node.pay('key-1', text, cents(100n)))
  const paid = await payer.node.waitPayment('key-1', 60_000)
  t.match(
    paid,
    { status: 'succeeded', hops: 3, fee: 10n, attempts: 1 },
    'the second hub asks for ten, the first for nothing',
  )
  t.equal(hospital.node.channel(over2)?.balance, 100_001n)
  t.same([payer, hub1, hub2, hub3, hospital].map(known), [2, 2, 2, 2, 2])
})

t.test('R4: a price that changes at run time is known, paid, and gone around', async (t) => {
  const text = await invoiceFor('claim-2', 100_000n)
  t.equal(feeOf(text), 10n)
  must(await hub1.node.setPolicy(to2, policyOf(hub1, 5_000)))
  await until(() => feeOf(text) === 21n)
  must(await payer.node.pay('key-2', text, cents(100n)))
  t.match(await payer.node.waitPayment('key-2', 60_000), { status: 'succeeded', hops: 3, fee: 21n, attempts: 1 })
  t.equal(hospital.node.channel(over3)?.balance, 100_001n, 'over the third hub')
  const unpaid = await invoiceFor('claim-2, once more', 100_000n)
  must(await hub1.node.setPolicy(to2, policyOf(hub1, 0)))
  await until(() => feeOf(unpaid) === 10n)
})

t.test('R5: a hub that goes is gone around, and that is remembered', async (t) => {
  const text = await invoiceFor('claim-3', 100_000n)
  await village.stop(hub2)
  must(await payer.node.pay('key-3', text, cents(100n)))
  t.match(await payer.node.waitPayment('key-3', 60_000), { status: 'succeeded', hops: 3, fee: 21n, attempts: 2 })
  hub2 = await again(hub2)
  const another = await invoiceFor('claim-4', 100_000n)
  must(await payer.node.pay('key-4', another, cents(100n)))
  t.match(await payer.node.waitPayment('key-4', 60_000), { status: 'succeeded', attempts: 1, fee: 21n })
})

t.test('R4: what is forged costs its sender the connection, what is late does not', async (t) => {
  const mallory = party('mallory')
  const { ledger } = village.issuer.parts.chain
  const { account } = hub1.node
  const terms = channelTermsOf(ledger, to2, [hub1.node.account, hub2.node.account])
  const now = hub1.node.time
  const says = (channel: ChannelId, at: number, from = mallory.account) =>
    announcePolicy({ kind: 'policy', ledger, channel, from, at, policy: policyOf(hub1, 0) }, mallory.key).bytes
  const tell = async (...items: Uint8Array[]): Promise<boolean> => {
    const stranger = await Stranger.meet(mallory.key, { url: hub1.url, account, ledger }, [1, 3])
    stranger.send({ name: 'announcements', body: { items } })
    await stranger.read()
    stranger.send({ name: 'graphDigests', body: { digests: new Uint8Array(4_096) } })
    // Worked off behind the connection's back: a second look tells.
    for (let i = 0; i < 20 && !stranger.ended; i++) await stranger.read()
    const stands = !stranger.ended
    stranger.close()
    return stands
  }
  t.ok(await tell(says(digest('nowhere'), now)), 'of an unknown channel')
  t.ok(await tell(says(to2, now)), 'of no party')
  t.ok(await tell(), 'nothing')
  t.notOk(await tell(says(to2, now, hub2.node.account)), 'signed by another')
  t.notOk(await tell(Uint8Array.of(0xa0)), 'no announcement')
  t.notOk(await tell(says(to2, now).slice(1)), 'cut')
  const stranger = await Stranger.meet(mallory.key, { url: hub1.url, account, ledger }, [1, 3])
  const signature = signChannel(terms, mallory.key)
  stranger.send({ name: 'channelAgreement', body: { channel: to2, signature } })
  t.ok(await stranger.read(), 'only the two of a channel agree on it')
  stranger.close()
  t.equal(known(hub1), 2)
})

t.test('R4: after a restart the graph is there; a closed channel leaves it everywhere', async (t) => {
  await village.stop(hospital)
  hospital = await village.start('hospital', always)
  t.equal(known(hospital), 2, 'before anybody could tell')
  await until(() => hub2.node.channel(over2)?.ready === true && hub1.node.channel(to2)?.ready === true)
  must(await hub1.node.closeChannel(to2))
  await until(() => [payer, hospital, hub1, hub2, hub3].every((villager) => known(villager) === 1))
  const text = await invoiceFor('claim-5', 1_000n)
  t.equal(feeOf(text), 2n, 'over the third hub alone')
})
