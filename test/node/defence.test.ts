/**
 * A node defends what it has whatever else is wrong with it: a channel that stopped at a defect (C11), an account whose
 * last transaction nobody knows the outcome of (K1).
 */
import t from 'tap'
import { sha256 } from '../../src/base/digest.js'
import { InvariantError, MeridianError } from '../../src/base/errors.js'
import type { ChannelId } from '../../src/base/ids.js'
import type { ChainAdapter } from '../../src/base/ports/chain.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import type { NodeParts } from '../../src/node/assemble.js'
import { stoppedKey } from '../../src/node/stopped.js'
import { parseInvoice } from '../../src/router/invoice.js'
import { sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { type Route, routeOffer } from '../../src/router/route.js'
import { must } from '../chain-adapter/fixtures.js'
import { about, byHand, exitFrom, exitOf, isClosed, post, types, unanswered } from './adversary.js'
import { cents, total, until, Village, type Villager } from './village.js'

const WINDOW = 600
const village = await Village.build()
t.teardown(() => village.close())
const { ledger } = village
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) }
const config = { ledgerAgeMax: 1_000_000, window: WINDOW, open }
let bob = await village.start('bob', config)
const carol = await village.start('carol', config)
let alice = await village.start('alice', config)
for (const person of [bob, carol, alice]) await village.fund(person, 1_000_000n)

const partsOf = ({ node }: Villager): NodeParts => (node as unknown as { readonly parts: NodeParts }).parts
const liveOf = (villager: Villager, id: ChannelId) => partsOf(villager).channels.get(id)!
const reconnect = async () => must(await alice.node.connect({ account: bob.node.account, url: bob.url }))

let made = 0
async function channel(): Promise<ChannelId> {
  await reconnect()
  const wish = { peer: bob.node.account, deposit: cents(100_000n), share: cents(50_000n) }
  const id = must(await alice.node.openChannel(`channel ${made++}`, wish))
  await until(() => alice.node.channel(id)?.ready === true && bob.node.channel(id)?.ready === true)
  return id
}

async function pay(amount: bigint): Promise<void> {
  const key = `payment ${made++}`
  const { text } = must(await bob.node.issueInvoice(key, { amount: cents(amount), reference: key, expiresIn: 100_000 }))
  must(await alice.node.pay(key, text, cents(0n)))
  await until(() => alice.node.payment(key)?.status === 'succeeded')
  await until(() => [alice, bob].every(({ node }) => node.channels().every(({ locks }) => locks === 0)))
}

t.test('K1: nobody knows what became of a transfer: the node starts, punishes, and the account waits', async (t) => {
  const before = await total(bob)
  const id = await channel()
  await pay(10n)
  const old = await exitFrom(alice, id)
  await pay(60_000n)
  const silent = unanswered(ledger, 'transfer')
  await village.stop(bob)
  bob = await village.start('bob', config, { chain: silent.chain })
  void bob.node.wallet.transfer('unknown', carol.node.account, cents(5n))
  await until(() => silent.asked.includes('transfer'))
  await village.stop(bob)
  await village.stop(alice)

  let away = true
  const inner = inProcessAdapter(ledger)
  const submit: ChainAdapter['submit'] = (tx) =>
    away && tx.kind === 'transfer' ? Promise.reject(new MeridianError('unavailable')) : inner.submit(tx)
  bob = await village.start('bob', config, { chain: { ...inner, submit } })
  await post(ledger, old)
  await until(() => bob.node.channel(id)?.phase === 'closed')
  t.equal(await total(bob), before + 100_000n, 'the whole pool')
  await t.rejects(bob.node.wallet.transfer('another', carol.node.account, cents(1n)), { code: 'unavailable' })
  away = false
  must(await bob.node.wallet.transfer('another', carol.node.account, cents(1n)))
  t.equal(await total(bob), before + 100_000n - 5n - 1n, 'the first came first, once')
  alice = await village.start('alice', config)
})

t.test(
  'C11: a channel that stopped says nothing after a restart either, until its owner takes it up again',
  async (t) => {
    const id = await channel()
    await pay(10n)
    const { towers } = partsOf(bob)
    const { stepped } = towers
    towers.stepped = (tx, one, from) => {
      if (one.text === liveOf(bob, id).text && one.state.outstanding === null && one.state.pending.length > 0)
        throw new InvariantError('C11', 'a defect')
      stepped.call(towers, tx, one, from)
    }
    const { version } = bob.node.channel(id)!
    const paid = alice.node.payDirect(id, { amount: cents(1n), reference: new Uint8Array(4) })
    await until(() => bob.node.channel(id)?.stopped === 'C11')
    for (const again of ['first', 'second']) {
      await bob.node.engine.run(() => undefined).durable
      await village.stop(bob)
      bob = await village.start('bob', config)
      await reconnect()
      t.match(bob.node.channel(id), { stopped: 'C11', phase: 'open', ready: false, version }, again)
      t.equal(bob.node.status().stopped, 1)
      t.match(await bob.node.closeChannel(id), {
        ok: false,
        error: { code: 'channel_not_open', detail: /channel resume/ },
      })
      t.match(await bob.node.forceClose(id), {
        ok: false,
        error: { code: 'exit_unlicensed', detail: /channel resume/ },
      })
      t.not(alice.node.channel(id)?.ready, true, 'no reestablish came')
    }
    await village.stop(bob)
    const diary = await village.diary('bob')
    await diary.store.write({ puts: [], deletes: [stoppedKey(id)] })
    await diary.close()
    bob = await village.start('bob', config)
    await reconnect()
    await paid
    await until(() => bob.node.channel(id)!.version > version && bob.node.channel(id)!.ready)
    t.equal(bob.node.channel(id)!.stopped, null)
    must(await alice.node.closeChannel(id))
  },
)

t.test('C11: a channel that stopped: a revoked exit is punished, after a restart too', async (t) => {
  const before = await total(bob)
  const id = await channel()
  await pay(10n)
  const old = await exitFrom(alice, id)
  await pay(60_000n)
  liveOf(bob, id).stopped = 'C11'
  await ledger.advance({ seconds: 1 })
  await until(() => bob.node.engine.get(stoppedKey(id)) !== undefined) // work that failed as a whole took the row along
  await village.stop(bob)
  await village.stop(alice)
  bob = await village.start('bob', config)
  t.equal(bob.node.channel(id)?.stopped, 'C11')
  await post(ledger, old)
  await until(() => isClosed(bob, id))
  t.equal(await total(bob), before + 100_000n)
  t.equal(bob.node.engine.get(stoppedKey(id)), undefined)
  alice = await village.start('alice', config)
})

t.test(
  'C11: a defect at the exit itself loses it to no defence: heard again with a later head, or by a later process',
  async (t) => {
    for (const restarted of [false, true]) {
      await reconnect()
      const before = await total(bob)
      const id = await channel()
      await pay(10n)
      const old = await exitFrom(alice, id)
      await pay(60_000n)
      await village.stop(alice)
      const { towers } = partsOf(bob)
      const { stepped } = towers
      towers.stepped = (tx, one, from) => {
        if (one.text === liveOf(bob, id).text && one.state.phase === 'disputed') throw new TypeError('a defect')
        stepped.call(towers, tx, one, from)
      }
      await post(ledger, old)
      await ledger.advance({ seconds: 1 })
      await until(() => bob.node.status().height >= ledger.head.height)
      t.match(bob.node.channel(id), { phase: 'open', stopped: 'C11' })
      t.equal(await total(bob), before - 50_000n)
      if (restarted) {
        await village.stop(bob)
        bob = await village.start('bob', config)
      } else towers.stepped = stepped
      await ledger.advance({ seconds: 1 })
      await until(() => isClosed(bob, id))
      t.equal(await total(bob), before + 100_000n, 'the whole pool')
      const ends = types(await about(bob, id)).filter((type) => /disputed|punished|closed/.test(type))
      t.same(ends, ['channel.disputed', 'channel.punished', 'channel.closed'])
      alice = await village.start('alice', config)
    }
  },
)

t.test(
  'C11: a channel that stopped: an older exit is superseded, what is known is revealed, the rest settled',
  async (t) => {
    await reconnect()
    const before = await total(bob)
    const id = await channel()
    await pay(1_000n)
    const wish = { amount: cents(7_000n), reference: 'known', expiresIn: 100_000 }
    const invoice = must(parseInvoice(must(await bob.node.issueInvoice('known', wish)).text))
    const puppet = await byHand(village, alice, bob, id)
    const last = { account: bob.node.account, amount: cents(7_000n), expiry: ledger.head.time + 3 * 3_600 }
    const route: Route = { channel: id as Route['channel'], fee: cents(0n), hops: [last] }
    const { amount, point, expiry, onion } = must(
      routeOffer(route, invoice, new Uint8Array(16), sessionKeyFrom(sha256(Uint8Array.of(1)))),
    )
    puppet.input({ type: 'offer', operations: [{ kind: 'lock', amount, point, expiry, payload: onion }] })
    while (puppet.state.outstanding !== null) await puppet.pump()
    await until(() => /^commit of/.test(bob.node.channel(id)?.waiting ?? '')) // his claim, which she does not read
    const { state } = puppet
    puppet.input({ type: 'exitWanted' })
    const older = exitOf(puppet)
    puppet.state = state
    const { version } = state.current.content
    puppet.input({ type: 'offer', operations: [{ kind: 'pay', amount: cents(500n), reference: new Uint8Array(4) }] })
    await until(() => bob.node.channel(id)?.version === version + 1)
    puppet.stranger.close()
    liveOf(bob, id).stopped = 'C11'
    await post(ledger, older)
    await until(() => liveOf(bob, id).state.dispute?.standingVersion === version + 1)
    await until(async () => {
      await ledger.advance({ seconds: WINDOW })
      return bob.node.channel(id)?.phase === 'closed'
    })
    t.equal(await total(bob), before + 1_000n + 7_000n + 500n)
  },
)

t.test('L7: a part that fails at a head keeps it from no other, and hears it again without another head', async (t) => {
  const { towers, exits, gossip } = partsOf(bob)
  const heard: string[] = []
  const told = (
    part: { advanced?: unknown; review?: unknown },
    method: 'advanced' | 'review',
    name: string,
    fails = 0,
  ) => {
    const own = part as Record<string, (...view: unknown[]) => void>
    const { [method]: inner } = own
    let failing = fails
    own[method] = (...view) => {
      failing -= 1
      heard.push(`${name}${failing >= 0 ? ' failed' : ''}`)
      if (failing >= 0) throw new TypeError('a defect')
      inner?.call(part, ...view)
    }
  }
  told(towers, 'advanced', 'towers', 2)
  told(exits, 'review', 'exits')
  told(gossip, 'advanced', 'gossip')
  await ledger.advance({ seconds: 1 })
  await until(() => heard.includes('towers'))
  t.same(heard.slice(0, 3), ['towers failed', 'exits', 'gossip'])
  const towersHeard = heard.filter((what) => what.startsWith('towers')) // another head may come in between
  t.same(towersHeard.slice(0, 3), ['towers failed', 'towers failed', 'towers'])
})
