/** Openings beside each other: who stands still holds up nobody, who comes second tries again, what was refused is told. */
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { MeridianError } from '../../src/base/errors.js'
import { idText, parseChannelId } from '../../src/base/ids.js'
import { must } from '../chain-adapter/fixtures.js'
import { unanswered } from './adversary.js'
import { Stranger } from './stranger.js'
import { cents, until, Village, type Villager } from './village.js'

const village = await Village.build()
t.teardown(() => village.close())
const always = { ledgerAgeMax: 1_000_000 }
const open = { enabled: true, depositMin: cents(1n), shareMax: cents(1_000n) }
const hub = await village.start('hub', { ...always, open })
const carol = await village.start('carol', { ...always, open })
let bob = await village.start('bob', always)
const mallory = await village.start('mallory', always)
for (const who of [hub, carol, bob, mallory]) await village.fund(who, 100_000n)
await village.stop(mallory)
const diary = await village.diary('mallory')
t.teardown(() => diary.close())
const wish = (peer: Villager, deposit: bigint, share: bigint) => ({
  peer: peer.node.account,
  deposit: cents(deposit),
  share: cents(share),
})
for (const peer of [hub, carol]) must(await bob.node.connect({ account: peer.node.account, url: peer.url }))

t.test('L5: a peer that asks for a share and falls silent holds up nobody', async (t) => {
  const { ledger, head } = village.ledger
  const at = { url: hub.url, account: hub.node.account, ledger }
  const stranger = await Stranger.meet(diary.secrets.signingKey, at)
  const key = prfScalar(sha256(utf8('silent')), 'test')
  const limits = {
    reserve: cents(0n),
    locks: 8,
    amountMin: cents(1n),
    amountMax: cents(1_000n),
    expiryMin: 60,
    expiryMax: 9_999,
  }
  const body = {
    attempt: sha256(utf8('silent attempt')),
    nonce: 2,
    window: 86_400,
    validUntil: head.time + 600,
    channelKey: curve.multiplyBase(key),
    limits,
    deposit: { amount: cents(500n), blinding: key },
    share: cents(500n),
  }
  stranger.send({ name: 'openChannel', body })
  await until(() => stranger.heard.some(({ name }) => name === 'acceptChannel'))
  const id = must(await bob.node.openChannel('beside', wish(hub, 500n, 500n)))
  t.match(bob.node.channel(id), { balance: 500n })
  must(await hub.node.wallet.transfer('beside', carol.node.account, cents(5n)))
  t.same(
    stranger.heard.map(({ name }) => name),
    ['acceptChannel'],
    'it is still waited for',
  )
  stranger.close()
})

t.test('one account opens several channels at once: the second finds its nonce used and tries again', async (t) => {
  const opened = await Promise.all([
    bob.node.openChannel('several 0', wish(hub, 100n, 10n)).then(must),
    bob.node.openChannel('several 1', wish(carol, 100n, 10n)).then(must),
    bob.node.wallet.transfer('several', carol.node.account, cents(5n)).then(must),
  ])
  t.ok(opened)
  t.match(
    bob.node.channels().map(({ balance }) => balance),
    [500n, 100n, 100n],
  )
})

t.test('work that the pool refused is asked again: a close goes on without another connection', async (t) => {
  const [first] = bob.node.channels().filter(({ peer }) => peer === idText(hub.node.account))
  const { prove, verify, randomizerOwn } = village.pool
  let refusals = 0
  const refusing =
    <A extends unknown[], T>(job: (...input: A) => Promise<T>) =>
    (...input: A): Promise<T> =>
      ++refusals % 3 === 0 ? job(...input) : Promise.reject(new MeridianError('busy', 'proof pool'))
  Object.assign(village.pool, {
    prove: refusing(prove),
    verify: refusing(verify),
    randomizerOwn: refusing(randomizerOwn),
  })
  const id = must(parseChannelId(first!.channel))
  t.match(await bob.node.closeChannel(id), { ok: true })
  Object.assign(village.pool, { prove, verify, randomizerOwn })
  t.ok(refusals >= 4)
})

/** Once bob has found the hub's half to hold, the hub's account moves on: only the ledger sees that it is stale. */
async function outrun(key: string) {
  const wallet = await village.people.wallet('hub', village.ledger)
  const verify = village.pool.verify
  let calls = 0
  village.pool.verify = async (check, lane) => {
    const valid = await verify(check, lane)
    calls += 1
    if (calls === 2) {
      must(await wallet.rollover(key))
    }
    return valid
  }
  const outcome = bob.node.openChannel(key, wish(hub, 100n, 10n))
  await until(() => calls === 2)
  village.pool.verify = verify
  return outcome
}
const restarted = async () => {
  await village.stop(bob)
  bob = await village.start('bob', always)
}

t.test('what the ledger refused is told under its key, also after a restart', async (t) => {
  const count = bob.node.channels().length
  const refused = { ok: false, error: { code: 'bad_proof' } }
  t.match(await outrun('refused'), refused)
  t.match(await bob.node.openChannel('refused', wish(hub, 100n, 10n)), refused, 'the key says what happened')
  t.equal(bob.node.channels().length, count, 'nothing waits for it')
  await restarted()
  t.match(await bob.node.openChannel('refused', wish(hub, 100n, 10n)), refused)
})

t.test('what the ledger refuses only in the next life is told likewise, and the hub listens at once', async (t) => {
  const count = bob.node.channels().length
  await village.stop(bob)
  const line = unanswered(village.ledger, 'openChannel')
  bob = await village.start('bob', always, { chain: line.chain })
  must(await bob.node.connect({ account: hub.node.account, url: hub.url }))
  void bob.node.openChannel('crashed', wish(hub, 100n, 10n))
  await until(() => line.asked.includes('openChannel'))
  const wallet = await village.people.wallet('hub', village.ledger)
  must(await wallet.rollover('crashed'))
  await village.stop(bob)
  await until(() =>
    hub.node.peers().every(({ connected, account }) => !connected || account !== idText(bob.node.account)),
  )
  bob = await village.start('bob', always)
  await until(() => bob.node.channels().length === count)
  const refused = { ok: false, error: { code: 'bad_proof' } }
  t.match(await bob.node.openChannel('crashed', wish(hub, 100n, 10n)), refused, 'the key says what happened')
  must(await bob.node.connect({ account: hub.node.account, url: hub.url }))
  must(await bob.node.openChannel('after the crash', wish(hub, 100n, 10n))) // L5: bob begins anew, the half of before is void
})
