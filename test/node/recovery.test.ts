/** C8, S2: disks that are lost, restored, or older than they think. Everybody gets at least what is theirs; nobody is punished. */
import { cpSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { decodeChannelState } from '../../src/base/channel-state.js'
import type { Signature } from '../../src/base/curve/index.js'
import { sha256 } from '../../src/base/digest.js'
import { type ChannelId, idText } from '../../src/base/ids.js'
import { isRestored, knownPeers, restoredRows } from '../../src/node/kept-peers.js'
import { readChannelRow } from '../../src/node/live-channel.js'
import { isOpening } from '../../src/node/messages.js'
import { readBackup, writeBackup } from '../../src/store/backup.js'
import { createDirectory, openDirectory } from '../../src/store/directory.js'
import { Secrets } from '../../src/store/keystore.js'
import { tableKey } from '../../src/store/tables.js'
import { must } from '../chain-adapter/fixtures.js'
import { Stranger } from './stranger.js'
import { cents, HUB, PATIENT, total, until, Village, type Villager } from './village.js'
import { WireCutter } from './wire-cutter.js'

const PASSPHRASE = utf8('correct horse')
const HOUR = 3_600

const village = await Village.build()
t.teardown(() => village.close())
const hub = await village.settle('hub', 10_000_000n, HUB)
const bob = await village.settle('bob', 10_000_000n)
let carol = await village.settle('carol', 10_000_000n)
let alice = await village.settle('alice', 10_000_000n)
/** Alice is found where she was: a restart takes another port. */
const toAlice = await WireCutter.before(alice.url)
const toHub = await WireCutter.before(hub.url)
t.teardown(() => Promise.all([toAlice.close(), toHub.close()]))
const bobChannel = await village.channel(bob, { ...hub, url: toHub.url }, 1_000_000n, 1_000_000n)

const at = (name: string): string => join(village.root, name)
const aliceAddress = () => ({ account: alice.node.account, url: toAlice.url })

let made = 0
/** Pays and waits until nothing of it is under way any more. */
async function pay(from: Villager, to: Villager, amount: bigint): Promise<bigint> {
  const key = `payment-${made++}`
  const wish = { amount: cents(amount), reference: key, expiresIn: 100 * HOUR }
  const { text } = must(await to.node.issueInvoice(key, wish))
  must(await from.node.pay(key, text, cents(100n)))
  await until(() => from.node.payment(key)?.status !== 'pending')
  const view = from.node.payment(key)
  if (view?.status !== 'succeeded') throw new Error(`${key}: ${view?.code}`)
  const idle = ({ node }: Villager) => node.channels().every(({ phase, locks }) => phase !== 'open' || locks === 0)
  await until(() => [from, to, hub].every(idle))
  return amount + (view.fee ?? 0n)
}

/** Alice leads one channel and follows in the other. */
async function openBoth(round: string): Promise<{ readonly led: ChannelId; readonly followed: ChannelId }> {
  must(await alice.node.connect({ account: hub.node.account, url: hub.url }))
  must(await carol.node.connect(aliceAddress()))
  const wish = { deposit: cents(1_000_000n), share: cents(0n) }
  const led = must(await alice.node.openChannel(round, { peer: hub.node.account, ...wish }))
  const followed = must(await carol.node.openChannel(round, { peer: alice.node.account, ...wish }))
  await until(() => alice.node.channel(led)?.ready === true && hub.node.channel(led)?.ready === true)
  await until(() => carol.node.channel(followed)?.ready === true && alice.node.channel(followed)?.ready === true)
  return { led, followed }
}

async function startAlice(): Promise<void> {
  alice = await village.start('alice', PATIENT)
  toAlice.lead(alice.url)
}

/** Both ends have closed, and what was alice's is on her account. */
async function broughtBack(t: Test, ids: readonly ChannelId[], expected: bigint): Promise<void> {
  const closed = (villager: Villager, id: ChannelId) => villager.node.channel(id)?.phase === 'closed'
  await until(async () => {
    void carol.node.connect(aliceAddress()) // wakes her dialer
    await village.ledger.advance({ seconds: 1 })
    return ids.every((id) => closed(alice, id) && (closed(hub, id) || closed(carol, id)))
  })
  t.equal(await total(alice), expected, 'to the unit')
  t.equal(alice.node.status().recovering, 0)
  await until(() => [...alice.directory.highWater.channels()].length === 0) // S2: what is closed is forgotten
}

/** Backup, total loss, restore: the new directory knows the seed and the peers, nothing else. */
async function loseDisk(): Promise<void> {
  const { secrets, store } = alice.directory
  const peers = await knownPeers(store, alice.node.account)
  const file = at(`backup-${made++}`)
  const content = { genesis: null, keyBits: 1024, config: '{}', peers }
  must(await writeBackup(file, PASSPHRASE, secrets, content, true))
  await village.stop(alice)
  rmSync(at('alice'), { recursive: true })
  const backup = must(await readBackup(new Uint8Array(readFileSync(file)), PASSPHRASE))
  const seed = backup.secrets.exportSeed()
  const directory = must(await createDirectory(at('alice'), PASSPHRASE, { test: true, seed }))
  await directory.store.write(restoredRows(backup.peers))
  await directory.close()
}

t.test('a new disk from the backup alone: both channels come back, balance by balance', async (t) => {
  const before = await total(alice)
  const { led, followed } = await openBoth('first')
  const spent = (await pay(alice, bob, 1_241n)) + (await pay(alice, hub, 30n)) + (await pay(alice, bob, 7n))
  await pay(carol, alice, 555n)
  await loseDisk()
  await startAlice()
  t.ok(isRestored(alice.directory.store))
  await broughtBack(t, [led, followed], before - spent + 555n)
})

t.test('the restored node goes on: new channels are channels like any other', async (t) => {
  const { led, followed } = await openBoth('second')
  await pay(alice, bob, 100n)
  await pay(carol, alice, 50n)
  await village.stop(alice)
  await startAlice()
  await until(() => alice.node.channel(led)?.ready === true)
  await pay(alice, bob, 100n)
  const phases = [led, followed].map((id) => alice.node.channel(id)?.phase)
  t.same(phases, ['open', 'open'], 'not frozen by the mark of the restore')
  await until(() => {
    void carol.node.connect(aliceAddress())
    return alice.node.channel(followed)?.ready === true
  })
  must(await alice.node.closeChannel(led))
  must(await carol.node.closeChannel(followed))
})

t.test('with a lock in flight: won for the hub after the loss, and counted', async (t) => {
  const before = await total(alice)
  const { led, followed } = await openBoth('third')
  await pay(alice, bob, 10n)
  const key = 'in flight'
  const wish = { amount: cents(2_000n), reference: key, expiresIn: 100 * HOUR }
  const { text } = must(await bob.node.issueInvoice(key, wish))
  toHub.stall(true)
  const forwardable = hub.node.channel(bobChannel)!.canSend
  must(await alice.node.pay(key, text, cents(100n)))
  await until(() => hub.node.channel(bobChannel)!.canSend < forwardable) // irrevocably in: the hub has offered it on
  await loseDisk()
  await startAlice()
  await until(() => alice.node.channel(led)?.phase === 'recovery')
  t.equal(alice.node.channel(led)?.locks, 1, 'the lock is in the state that the hub showed')
  toHub.stall(false)
  await broughtBack(t, [led, followed], before - 10n - 2_000n - 2n)
  await until(async () => (await bob.node.invoices(100)).find(({ text: own }) => own === text)?.paid === true)
})

t.test('an old copy of the directory, high-water file and all, does not know its age: the peers show it', async (t) => {
  const before = await total(alice)
  const { led, followed } = await openBoth('fourth')
  const first = await pay(alice, bob, 10n)
  await pay(carol, alice, 1n)
  await village.stop(alice)
  cpSync(at('alice'), at('old'), { recursive: true })
  await startAlice()
  await until(() => alice.node.channel(led)?.ready === true)
  await until(() => {
    void carol.node.connect(aliceAddress())
    return alice.node.channel(followed)?.ready === true
  })
  const later = await pay(alice, bob, 3_000n)
  await pay(carol, alice, 700n)
  await village.stop(alice)
  rmSync(at('alice'), { recursive: true })
  renameSync(at('old'), at('alice'))
  await startAlice()
  await broughtBack(t, [led, followed], before - first - later + 701n)
  const frozen = (await alice.node.events.page(0, 1_000)).flatMap((event) =>
    event.type === 'channel.broken' && event.clause === 'C8' ? [event.channel] : [],
  )
  t.ok(
    [led, followed].every((id) => frozen.includes(idText(id))),
    'both were frozen, by what their peers showed',
  )
})

t.test('a database behind its high-water file is in RECOVERY before any peer is met', async (t) => {
  const before = await total(alice)
  const { led, followed } = await openBoth('fifth')
  await pay(alice, bob, 10n)
  await village.stop(alice)
  cpSync(join(at('alice'), 'store'), at('older'), { recursive: true })
  await startAlice()
  await until(() => alice.node.channel(led)?.ready === true)
  const later = await pay(alice, bob, 3_000n)
  await village.stop(alice)
  rmSync(join(at('alice'), 'store'), { recursive: true })
  renameSync(at('older'), join(at('alice'), 'store'))
  toAlice.stall(true)
  await startAlice()
  t.equal(alice.node.channel(led)?.phase, 'recovery', 'the one that moved on')
  t.match(await alice.node.closeChannel(led), { ok: false, error: { code: 'channel_recovering' } })
  toAlice.stall(false)
  await until(() => alice.node.channel(led)?.phase === 'closed')
  await until(() => {
    void carol.node.connect(aliceAddress())
    return alice.node.channel(followed)?.ready === true
  })
  t.equal(alice.node.channel(followed)?.phase, 'open', 'the other one lost nothing')
  must(await carol.node.closeChannel(followed))
  await broughtBack(t, [led, followed], before - 10n - 1n - later)
})

t.test('a peer that lies to a restored node gets nothing signed', async (t) => {
  const before = await total(alice)
  const carolDir = join(village.root, 'carol')
  must(await carol.node.connect(aliceAddress()))
  const wish = { peer: alice.node.account, deposit: cents(1_000_000n), share: cents(0n) }
  const paid = must(await carol.node.openChannel('lied about', wish))
  await until(() => alice.node.channel(paid)?.ready === true)
  await pay(carol, alice, 700n)
  await village.stop(carol)
  cpSync(carolDir, at('carol-old'), { recursive: true })
  carol = await village.start('carol', PATIENT)
  must(await carol.node.connect(aliceAddress()))
  await until(() => alice.node.channel(paid)?.ready === true)
  await pay(carol, alice, 9_000n)
  const unpaid = must(await carol.node.openChannel('the other', wish))
  await loseDisk()
  await village.stop(carol)

  const shownBy = async (dir: string, channel: ChannelId) => {
    const directory = must(await openDirectory(dir, PASSPHRASE))
    const { state } = readChannelRow(directory.store.get(tableKey('channel', channel))!)
    await directory.close()
    const { encoded, signatures } = state.current
    return { channel, state: encoded, signatures: [...signatures] as [Signature, Signature] }
  }
  const key = new Secrets(sha256(utf8('meridian test person carol'))).signingKey
  const older = await shownBy(at('carol-old'), paid)
  const newest = await shownBy(carolDir, paid)
  const foreign = { ...(await shownBy(carolDir, unpaid)), channel: paid }
  await startAlice()
  const at_ = { url: alice.url, account: alice.node.account, ledger: village.ledger.ledger }
  const stranger = await Stranger.meet(key, at_)
  const heard = () => stranger.heard.flatMap((message) => (isOpening(message) ? [] : [message.name]))
  await until(async () => (await stranger.read()) && heard().filter((name) => name === 'recovering').length === 2)
  const forged = { ...newest, signatures: [newest.signatures[0], older.signatures[1]] as [Signature, Signature] }
  const bent = { ...newest, state: newest.state.with(newest.state.length - 20, 0x55) }
  for (const body of [forged, bent, foreign]) stranger.send({ name: 'newest', body })
  await stranger.read()
  t.equal(alice.node.channel(paid), undefined, 'nothing of it is believed')

  stranger.send({ name: 'newest', body: newest })
  await until(async () => (await stranger.read()) && alice.node.channel(paid)?.phase === 'recovery')
  const { version, balance } = alice.node.channel(paid)!
  const { commitment, ciphertexts } = must(decodeChannelState(older.state))
  const unsigned = { channel: paid, validUntil: village.ledger.head.time + HOUR, commitment, ciphertexts }
  const proof = { ciphertextsRegulator: ciphertexts, proof: new Uint8Array(64), signature: older.signatures[0] }
  stranger.send({ name: 'newest', body: older })
  stranger.send({ name: 'closeOffer', body: { ...unsigned, ...proof } })
  await stranger.read()
  await stranger.read()
  t.match(alice.node.channel(paid), { phase: 'recovery', version, balance }, 'an older state changes nothing')
  t.same(
    heard().filter((name) => name !== 'newest' && name !== 'recovering'),
    [],
    'no signature, no secret, no round',
  )
  stranger.close()

  carol = await village.start('carol', PATIENT)
  await broughtBack(t, [paid, unpaid], before + 9_700n)
})
