/**
 * Channels that end on the ledger (L7 to L9, C10, S2): real nodes over sockets, real directories, the embedded ledger by a
 * manual clock. Bob is honest; alice does what a party can do with her own disk and keys.
 */
import t from 'tap'
import type { Digest } from '../../src/base/bytes.js'
import type { ChannelId } from '../../src/base/ids.js'
import { must } from '../chain-adapter/fixtures.js'
import { about, byHand, exitFrom, exitOf, isClosed, LeapingTimers, post, types } from './adversary.js'
import { cents, total, until, Village, type Villager } from './village.js'

const ABSENT = 1_000
const STALL = 100
const WINDOW = 600

const village = await Village.build()
t.teardown(() => village.close())
const { ledger } = village
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const config = { ledgerAgeMax: 1_000_000, absent: ABSENT, stall: STALL, window: WINDOW, open }
const timers = new LeapingTimers()

const bob = await village.start('bob', config, { timers })
await village.fund(bob, 1_000_000n)

/** A block, heard by bob. */
async function block(seconds = 1): Promise<void> {
  await ledger.advance({ seconds })
  await until(() => bob.node.status().height >= ledger.head.height)
}

/** Alice of this name, 100,000 of hers and 50,000 of bob's in a channel that she leads. */
async function pair(name: string) {
  const alice = await village.start(name, config)
  await village.fund(alice, 200_000n)
  const before = await total(bob)
  const id = await village.channel(alice, bob, 100_000n, 50_000n)
  return { alice, id, before }
}

async function pay(from: Villager, to: Villager, id: ChannelId, key: string, amount: bigint): Promise<void> {
  const { text } = must(await to.node.issueInvoice(key, { amount: cents(amount), reference: key, expiresIn: 100_000 }))
  must(await from.node.pay(key, text, cents(0n)))
  await from.node.waitPayment(key, 60_000)
  const paid = async () =>
    (await about(to, id)).some((event) => event.type === 'invoice.paid' && event.reference === key)
  await until(paid) // C12: only now is it irrevocable
}

async function settled(id: ChannelId): Promise<void> {
  while (bob.node.channel(id)?.waiting !== 'the settlement' && !(await isClosed(bob, id))) await block(WINDOW)
  await until(() => isClosed(bob, id))
}

t.test('L7: a peer that posts a revoked state loses the whole channel', async (t) => {
  const { alice, id, before } = await pair('alice-revoked')
  await pay(alice, bob, id, 'revoked-1', 10n)
  const old = await exitFrom(alice, id)
  await pay(alice, bob, id, 'revoked-2', 60_000n)
  await village.stop(alice)
  await post(ledger, old)
  await until(() => isClosed(bob, id))
  t.equal(await total(bob), before + 100_000n, 'the pool, and not what it came to')
  const events = await about(bob, id)
  t.same(types(events).slice(-3), ['channel.disputed', 'channel.punished', 'channel.closed'])
  t.match(events.at(-3), { by: 'peer' })
  t.match(events.at(-2), { winner: 'us' })
  t.match(events.at(-1), { how: 'punish' })
  const reborn = await village.start(alice.name, config)
  await until(() => isClosed(reborn, id))
  t.match((await about(reborn, id)).at(-2), { type: 'channel.punished', winner: 'peer' })
  t.equal(await total(reborn), 100_000n)
  await village.stop(reborn)
})

t.test('L7: an older state that is not revoked is superseded, and the newer one settled', async (t) => {
  const { alice, id, before } = await pair('alice-older')
  await pay(alice, bob, id, 'older-1', 10n)
  const puppet = await byHand(village, alice, bob, id)
  const version = bob.node.channel(id)?.version ?? 0
  puppet.input({ type: 'offer', operations: [{ kind: 'pay', amount: cents(7_000n), reference: new Uint8Array(4) }] })
  await until(() => bob.node.channel(id)?.version === version + 1)
  puppet.stranger.close()
  puppet.input({ type: 'exitWanted' })
  await post(ledger, exitOf(puppet))
  await until(async () => types(await about(bob, id)).filter((type) => type === 'channel.disputed').length === 2)
  const disputes = (await about(bob, id)).filter(({ type }) => type === 'channel.disputed')
  t.match(disputes, [
    { by: 'peer', version },
    { by: 'peer', version: version + 1 },
  ])
  t.match(bob.node.channel(id), { phase: 'disputed', waiting: 'the deadline' })
  await settled(id)
  t.equal(await total(bob), before + 10n + 7_000n)
  t.match((await about(bob, id)).at(-1), { type: 'channel.closed', how: 'settle' })
  t.equal(types(await about(bob, id)).filter((type) => type === 'pay.received').length, 1)
})

t.test('C5: a breach; the exit waits for the licence, then goes', async (t) => {
  const { alice, id, before } = await pair('alice-breach')
  await pay(alice, bob, id, 'breach-1', 10n)
  const puppet = await byHand(village, alice, bob, id)
  puppet.stranger.send({
    name: 'ack',
    body: {
      channel: id as Uint8Array as Digest,
      version: 9,
      signature: puppet.state.current.signatures[0],
      revocation: {
        version: 8,
        secret: new Uint8Array(32),
        next: { hash: new Uint8Array(32) as Digest, randomizer: new Uint8Array(256) },
      },
    },
  })
  await until(() => bob.node.channel(id)?.phase === 'broken')
  t.match(await bob.node.forceClose(id), { ok: false, error: { code: 'exit_not_yet' } })
  await block()
  t.match(bob.node.channel(id), { phase: 'broken', waiting: 'a licence to exit', exit: { kind: 'later' } })
  timers.leap(ABSENT)
  await block()
  await settled(id)
  t.equal(await total(bob), before + 10n)
  const events = await about(bob, id)
  t.match(
    events.find(({ type }) => type === 'channel.exited'),
    { reason: 'broken' },
  )
  t.equal(types(events).filter((type) => type === 'channel.exited').length, 1)
})

t.test('C10: a peer that owes an answer is a refusal after stall_s; locks alone are no reason', async (t) => {
  const { alice, id, before } = await pair('alice-stall')
  await pay(alice, bob, id, 'stall-1', 10n)
  const invoice = (key: string) =>
    alice.node.issueInvoice(key, { amount: cents(3_000n), reference: key, expiresIn: 100_000 })
  const [kept, unheard] = [must(await invoice('stall-2')), must(await invoice('stall-3'))]
  const puppet = await byHand(village, alice, bob, id)
  must(await bob.node.pay('stall-2', kept.text, cents(0n)))
  while (bob.node.channel(id)?.locks !== 1 || puppet.state.outstanding !== null) await puppet.pump()
  await until(() => bob.node.channel(id)?.waiting === null)
  await block()
  timers.leap(10 * STALL)
  await block()
  t.equal(bob.node.channel(id)?.phase, 'open', 'a lock in flight and nothing owed')
  must(await bob.node.pay('stall-3', unheard.text, cents(0n)))
  t.match(bob.node.channel(id)?.waiting, /^commit of /)
  timers.leap(STALL - 10)
  await block()
  t.equal(bob.node.channel(id)?.phase, 'open')
  timers.leap(10)
  await block()
  await settled(id)
  t.match(await bob.node.waitPayment('stall-2', 60_000), { status: 'failed', code: 'lock_expired' })
  t.match(await bob.node.waitPayment('stall-3', 60_000), { status: 'failed' })
  t.equal(await total(bob), before + 10n, 'what was locked came back')
  const events = await about(bob, id)
  t.match(
    events.find(({ type }) => type === 'channel.exited'),
    { reason: 'stalled' },
  )
  puppet.stranger.close()
})
