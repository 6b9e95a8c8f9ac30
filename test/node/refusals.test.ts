/** Openings that succeed, are refused or stand still; then a payer who builds her routes by hand reads every refusal. */
import t, { type Test } from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { equalBytes } from '../../src/base/bytes.js'
import { curve, type Point, type Scalar } from '../../src/base/curve/index.js'
import { sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { idText } from '../../src/base/ids.js'
import type { Effect } from '../../src/channel/types.js'
import { defaultConfig } from '../../src/node/config.js'
import { decodeFailure } from '../../src/router/failure.js'
import { type Invoice, parseInvoice } from '../../src/router/invoice.js'
import { sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { FAILURE_BYTES, readFailure } from '../../src/router/onion/failure.js'
import { verifyReceipt } from '../../src/router/receipt.js'
import { type Route, type RouteHop, routeKeys, routeOffer } from '../../src/router/route.js'
import { openDirectory } from '../../src/store/directory.js'
import { must } from '../chain-adapter/fixtures.js'
import { Puppet } from './puppet.js'
import { Stranger } from './stranger.js'
import { cents, HUB, total, until, Village } from './village.js'
import { WireCutter } from './wire-cutter.js'

const HOUR = 3_600
const village = await Village.build()
t.teardown(() => village.close())
const policy = { ...defaultConfig(48).policy, minAmount: cents(10n), maxAmount: cents(500_000n) }
const open = { enabled: true, depositMin: cents(100n), shareMax: cents(1_000_000n) }
const hub = await village.settle('hub', 3_000_000n, { ...HUB, policy, open })
const payer = await village.settle('payer', 500_000n)
const hospital = await village.settle('hospital', 5_000n)
const alice = await village.settle('alice', 900_000n)

const wish = (deposit: bigint, share: bigint) => ({
  peer: hub.node.account,
  deposit: cents(deposit),
  share: cents(share),
})
let channels: readonly ChannelId[] = []

t.test('openings: refused by policy, concurrent, once per key', async (t) => {
  for (const { node } of [payer, hospital, alice]) must(await node.connect({ account: hub.node.account, url: hub.url }))
  t.match(await payer.node.openChannel('small', wish(99n, 0n)), {
    ok: false,
    error: { code: 'open_not_allowed', detail: 'deposit at least 1.00' },
  })
  t.match(await payer.node.openChannel('greedy', wish(100n, 1_000_001n)), {
    error: { code: 'open_not_allowed', detail: 'inbound at most 10000.00' },
  })
  t.match(await hospital.node.openChannel('poor', wish(5_001n, 0n)), { error: { code: 'insufficient_funds' } })
  t.equal(hub.node.channels().length, 0)
  const opened = await Promise.all([
    payer.node.openChannel('p', wish(300_000n, 1_000n)),
    payer.node.openChannel('p', wish(300_000n, 1_000n)),
    hospital.node.openChannel('h', wish(1_000n, 900_000n)),
    alice.node.openChannel('a', wish(800_000n, 2_000n)),
  ])
  const [first, again, second, third] = opened.map(must)
  t.same(first, again, 'one key, one channel')
  t.same(must(await payer.node.openChannel('p', wish(300_000n, 1_000n))), first)
  channels = [first!, second!, third!]
  await until(() => channels.every((id) => hub.node.channel(id)?.ready === true))
  t.equal(await total(hub), 3_000_000n - 903_000n)
})

t.test('L5: a peer that vanishes with the hub’s half in hand: void, forgotten, and opened anew', async (t) => {
  const line = await WireCutter.before(hub.url)
  const bob = await village.settle('bob', 2_000n)
  must(await bob.node.connect({ account: hub.node.account, url: line.url }))
  line.cutAfter(4) // graphDigests, openChannel, acceptChannel, channelHalf; channelSigned is lost
  t.match(await bob.node.openChannel('b', wish(500n, 700n)), { ok: false, error: { code: 'channel_offline' } })
  const funding = () => hub.node.channels().filter(({ phase }) => phase === 'funding').length
  t.equal(funding(), 1, 'signed by the hub: it may still come')
  await hub.node.wallet.exclusive(async () => undefined)
  t.equal(await total(hub), 3_000_000n - 903_000n, 'the wallet is free, nothing is locked')
  await village.ledger.advance({ seconds: 700 })
  await until(() => funding() === 0)
  line.cutAfter(Number.POSITIVE_INFINITY)
  must(await bob.node.connect({ account: hub.node.account, url: line.url }))
  const id = must(await bob.node.openChannel('b', wish(500n, 700n)))
  await until(() => hub.node.channel(id)?.ready === true)
  must(await bob.node.closeChannel(id))
  t.equal(await total(bob), 2_000n)
  t.equal(await total(hub), 3_000_000n - 903_000n)
  await line.close()
})

const invoiceOf = async (reference: string, amount: bigint): Promise<Invoice> => {
  await until(() => hospital.node.channel(channels[1]!)?.ready === true)
  const made = must(
    await hospital.node.issueInvoice(reference, { amount: cents(amount), reference, expiresIn: 10 * HOUR }),
  )
  return must(parseInvoice(made.text))
}

interface Tried {
  readonly effect: Effect
  readonly sessionKey: Scalar
  readonly route: Route
}

let attempts = 0
/** One lock along a hand-made route, to its end. */
async function attempt(puppet: Puppet, invoice: Invoice, route: Route): Promise<Tried> {
  const sessionKey = sessionKeyFrom(sha256(Uint8Array.of(attempts >> 8, attempts++ & 255)))
  const effect = await puppet.untilEnd(must(routeOffer(route, invoice, new Uint8Array(16), sessionKey)))
  return { effect, sessionKey, route }
}

/** What the payer reads, and that nobody else does. */
function codeOf(t: Test, { effect, sessionKey, route }: Tried): string {
  if (effect.type !== 'lockReturned') return effect.type
  t.equal(effect.reason.length, FAILURE_BYTES)
  const accounts = route.hops.map(({ account }) => account)
  const read = readFailure(routeKeys(sessionKey, accounts).secrets, effect.reason, 20)
  const stranger = routeKeys(sessionKeyFrom(sessionKey), accounts)
  t.equal(readFailure(stranger.secrets, effect.reason, 20), undefined, 'only the payer reads it')
  return read === undefined ? 'unreadable' : `${read.hop} ${decodeFailure(read.message)?.code}`
}

t.test('every refusal of the hub and of the payee, read by the payer', async (t) => {
  await village.stop(alice)
  const diary = must(await openDirectory(`${village.root}/alice`, `${village.root}/passphrase`))
  t.teardown(() => diary.close())
  const at = { url: hub.url, account: hub.node.account, ledger: village.ledger.ledger }
  const puppet = Puppet.of(diary, channels[2]!, village.ledger, await Stranger.meet(diary.secrets.signingKey, at))
  puppet.input({ type: 'connected' })
  while (puppet.state.link !== 'live') await puppet.pump()

  const honest = (amount: bigint, changes: { first?: Partial<RouteHop>; last?: Partial<RouteHop> } = {}): Route => {
    const { time } = village.ledger.head
    const last = { account: hospital.node.account, amount: cents(amount), expiry: time + 3 * HOUR, ...changes.last }
    const fee = (amount * 100n + 999_999n) / 1_000_000n
    const due = { amount: cents(amount + fee), expiry: last.expiry + 2 * HOUR }
    return {
      channel: channels[2]! as Route['channel'],
      fee: cents(fee),
      hops: [{ account: hub.node.account, ...due, ...changes.first }, last],
    }
  }
  const nobody = curve.multiplyBase(sha256(Uint8Array.of(9)) as Uint8Array as Scalar)
  const now = village.ledger.head.time
  const cases: readonly (readonly [string, Route])[] = [
    ['0 temporary_failure', honest(1_000n, { last: { account: nobody as Point } })],
    ['0 circular_route', honest(1_000n, { last: { account: puppet.context.terms.accounts[0] } })],
    ['0 fee_too_small', honest(1_000n, { first: { amount: cents(1_000n) } })],
    ['0 fee_too_small', honest(1_000n, { first: { amount: cents(999n) } })],
    ['0 fee_too_small', honest(1_000n, { first: { amount: cents(1n) } })],
    ['0 expiry_too_near', honest(1_000n, { last: { expiry: now + HOUR - 60 } })],
    ['0 expiry_too_near', honest(1_000n, { last: { expiry: 1 }, first: { expiry: now + 3 * HOUR } })],
    ['0 expiry_too_far', honest(1_000n, { first: { expiry: now + 8 * 24 * HOUR } })],
    ['0 expiry_delta_too_small', honest(1_000n, { first: { expiry: now + 4 * HOUR } })],
    ['0 amount_below_minimum', honest(9n)],
    ['0 amount_above_maximum', honest(500_001n)],
    ['1 payment_details_wrong', honest(1_001n)],
  ]
  const invoice = await invoiceOf('by hand', 1_000n)
  for (const [code, route] of cases) t.equal(codeOf(t, await attempt(puppet, invoice, route)), code)

  const dear = await invoiceOf('too dear', 500_000n)
  const big = await attempt(puppet, dear, honest(500_000n))
  t.equal(big.effect.type, 'lockSettled', 'what fits goes through')
  const second = await invoiceOf('no room', 450_000n)
  // 700,000 are not hers any more; what she has left is more than the hub has toward the hospital
  t.equal(codeOf(t, await heldPart(puppet, second, honest(280_000n))), '1 parts_timeout')
  must(await payer.node.pay('fill', (await textOf('fill', 250_000n)).text, cents(100n)))
  t.match(await payer.node.waitPayment('fill', 60_000), { status: 'succeeded' })
  t.equal(codeOf(t, await attempt(puppet, second, honest(200_000n))), '0 temporary_failure')

  const wrongSecret = { ...invoice, secret: sha256(invoice.secret) }
  t.equal(codeOf(t, await attempt(puppet, wrongSecret, honest(1_000n))), '1 payment_details_wrong')
  await paidOnce(t, puppet, invoice, honest)
})

/** R1: a part alone is held, claimed never, and given back once the hold is over. */
async function heldPart(puppet: Puppet, invoice: Invoice, route: Route): Promise<Tried> {
  let out = false
  const tried = attempt(puppet, invoice, route).finally(() => {
    out = true
  })
  await until(() => (hospital.node.channel(channels[1]!)?.locks ?? 0) > 0)
  while (!out) {
    await village.ledger.advance({ seconds: 20 })
    const { time } = village.ledger.head
    await until(() => [hub, hospital].every(({ node }) => node.status().time >= time))
  }
  return tried
}

const textOf = async (reference: string, amount: bigint) =>
  must(await hospital.node.issueInvoice(reference, { amount: cents(amount), reference, expiresIn: 10 * HOUR }))

async function paidOnce(t: Test, puppet: Puppet, invoice: Invoice, honest: (amount: bigint) => Route): Promise<void> {
  const { text } = await textOf('by hand', 1_000n)
  t.ok(equalBytes(must(parseInvoice(text)).point, invoice.point), 'the same key gives the same invoice')
  must(await payer.node.pay('first', text, cents(100n)))
  const first = await payer.node.waitPayment('first', 60_000)
  t.match(first, { status: 'succeeded' })
  const receipt = first?.receipt ?? ''
  t.match(must(verifyReceipt(receipt, { payee: hospital.node.account })), { amount: 1_000n, reference: 'by hand' })
  t.equal(verifyReceipt(receipt, { payee: hub.node.account }).ok, false, 'of another payee it is none')
  const again = await attempt(puppet, invoice, honest(1_000n))
  t.equal(codeOf(t, again), '1 payment_details_wrong', 'R1: paid once, whoever pays')

  const late = await invoiceOf('late', 2_000n)
  const { text: lateText } = await textOf('late', 2_000n)
  await village.ledger.advance({ seconds: 11 * HOUR })
  await until(() => hospital.node.status().time === village.ledger.head.time && hub.node.status().time >= late.expires)
  puppet.input({ type: 'tick' })
  t.match(await payer.node.pay('late', lateText, cents(10n)), { ok: false, error: { code: 'invoice_expired' } })
  t.equal(codeOf(t, await attempt(puppet, late, honest(2_000n))), '1 payment_details_wrong')

  const gone = await invoiceOf('gone', 3_000n)
  await village.stop(hospital)
  await until(() => hub.node.channel(channels[1]!)?.connected === false)
  t.equal(codeOf(t, await attempt(puppet, gone, honest(3_000n))), '0 temporary_failure')
  const paid = 500_000n + 50n
  t.equal(puppet.state.current.content.balances[0], 800_000n - paid, 'every refused lock came back whole')
  const fees = [500_000n, 250_000n, 1_000n].reduce((sum, value) => sum + (value * 100n + 999_999n) / 1_000_000n, 0n)
  t.equal(hub.node.status().feesEarned, fees as Amount)
  t.equal(hub.node.channel(channels[1]!)?.peer, idText(hospital.node.account))
}
