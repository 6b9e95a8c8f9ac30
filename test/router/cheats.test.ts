/** R3: a hop that keeps more than its fee, or plays with expiries, gets nowhere past the next honest hop. */
import fc from 'fast-check'
import t from 'tap'
import { LIMITS } from '../../src/base/limits.js'
import type { ForwardArrival } from '../../src/router/arrival.js'
import { termsBackwards } from '../../src/router/fee.js'
import { decideForward, type ForwardDecision } from '../../src/router/forward.js'
import { routeSecrets } from '../../src/router/onion/crypto.js'
import { buildOnion } from '../../src/router/onion/packet.js'
import { decideReceive } from '../../src/router/receive.js'
import { routeOffer } from '../../src/router/route.js'
import {
  alice,
  arrivalOf,
  bob,
  carol,
  cents,
  forwardContext,
  invoiceOf,
  lockFrom,
  mallory,
  must,
  NOW,
  policy,
  SET,
  session,
  toBob,
  toCarol,
} from './support.js'

const AMOUNT = cents(124_122)
/** alice → mallory → bob → carol: fee and delta of both hubs, and a little time to spare. */
const TERMS = termsBackwards({ amount: AMOUNT, expiry: NOW + 1_260 }, [policy, policy])
const HOPS = [mallory, bob, carol].map(({ account }, i) => ({ account, ...TERMS[i]! }))
const INVOICE = invoiceOf()
const OFFER = must(routeOffer({ channel: toBob, fee: cents(0), hops: HOPS }, INVOICE, SET, session(3)))
const BOUNDS = { near: 300, far: 86_400 }
const context = forwardContext({ bounds: BOUNDS })
const toMallory = arrivalOf('forward', lockFrom(alice, OFFER), mallory)
/** What mallory ought to offer to bob. */
const DUE = {
  amount: toMallory.payload.amount,
  expiry: toMallory.payload.expiry,
  point: toMallory.point!,
  onion: toMallory.onion,
}
const atBob = (change: Partial<typeof DUE>): ForwardArrival =>
  arrivalOf('forward', lockFrom(mallory, { ...DUE, ...change, channel: toBob }), bob)
const bobSays = (change: Partial<typeof DUE>): ForwardDecision => decideForward(atBob(change), context)
const reason = (decision: ForwardDecision): string => (decision.kind === 'fail' ? decision.reason : 'forwarded')

t.test('what mallory keeps of the next hop’s money or time is refused there, to the unit', (t) => {
  t.equal(reason(bobSays({})), 'forwarded')
  t.equal(reason(bobSays({ amount: cents(DUE.amount - 1n) })), 'fee_too_small', 'one unit of bob’s fee')
  t.equal(reason(bobSays({ amount: AMOUNT })), 'fee_too_small', 'all of it')
  t.equal(reason(bobSays({ amount: cents(1) })), 'fee_too_small', 'and the payment too')
  t.equal(reason(bobSays({ expiry: DUE.expiry - 1 })), 'expiry_delta_too_small', 'one second of bob’s time')
  t.equal(reason(bobSays({ expiry: TERMS[2]!.expiry })), 'expiry_delta_too_small')
  t.equal(reason(bobSays({ expiry: NOW - 1 })), 'expiry_delta_too_small', 'dead already')
  t.equal(
    reason(bobSays({ expiry: NOW + BOUNDS.far })),
    'forwarded',
    'stretched as far as bob allows: mallory’s own money',
  )
  t.equal(reason(bobSays({ expiry: NOW + BOUNDS.far + 1 })), 'expiry_too_far')
  t.equal(reason(bobSays({ expiry: Number.MAX_SAFE_INTEGER })), 'expiry_too_far')
  const late = (now: number) => reason(decideForward(atBob({}), { ...context, now }))
  t.equal(late(TERMS[2]!.expiry - BOUNDS.near), 'forwarded')
  t.equal(late(TERMS[2]!.expiry - BOUNDS.near + 1), 'expiry_too_near', 'held back until no time is left to defend')
  t.end()
})

t.test(
  'whatever mallory offers, bob never pays for it: amount, time and fee of what he passes on are the payer’s',
  (t) => {
    const property = fc.property(
      fc.bigInt(0n, 1n << 48n),
      fc.integer({ min: 0, max: NOW + 3 * BOUNDS.far }),
      fc.integer({ min: -2_000, max: 2_000 }),
      (value, expiry, later) => {
        const decision = decideForward(atBob({ amount: cents(value), expiry }), { ...context, now: NOW + later })
        if (decision.kind === 'fail') return value < DUE.amount || expiry !== DUE.expiry || later !== 0
        const { offer, fee } = decision
        return (
          offer.amount === AMOUNT &&
          offer.expiry === TERMS[2]!.expiry &&
          fee === value - AMOUNT &&
          fee >= DUE.amount - AMOUNT &&
          expiry - offer.expiry >= policy.expiryDelta &&
          offer.expiry - (NOW + later) >= BOUNDS.near &&
          expiry - (NOW + later) <= BOUNDS.far
        )
      },
    )
    fc.assert(property, { numRuns: 300, seed: 5 })
    t.end()
  },
)

t.test('the last hop before the payee cheats the payee as little', (t) => {
  const offered = bobSays({})
  if (offered.kind !== 'forward') return t.fail(offered.reason)
  const issued = { invoice: INVOICE, paid: false }
  const says = (change: object) => {
    const arrival = arrivalOf('final', lockFrom(bob, { ...offered.offer, ...change }, toCarol), carol)
    const told = { now: NOW, ledgerFresh: true, replayed: false, expiryNear: BOUNDS.near, issued, seed: carol.seed }
    const decision = decideReceive(arrival, { ...told, held: [] } as Parameters<typeof decideReceive>[1])
    return decision.kind === 'fail' ? decision.reason : decision.kind
  }
  const { amount, expiry } = offered.offer
  t.equal(says({}), 'claim')
  t.equal(says({ amount: cents(amount - 1n) }), 'amount_wrong')
  t.equal(says({ expiry: expiry - 1 }), 'expiry_too_near')
  t.equal(says({ expiry: expiry + 100_000 }), 'claim', 'longer is the hub’s own money')
  t.end()
})

t.test('nobody carries what is not a payment: an onion has one length, its instructions one shape', (t) => {
  const secrets = routeSecrets(session(9), [mallory.account, bob.account])
  const free = (bytes: number) =>
    buildOnion(session(9), secrets, [
      { payload: new Uint8Array(bytes).fill(1), associatedData: new Uint8Array(1) },
      { payload: new Uint8Array(20), associatedData: new Uint8Array(1) },
    ])
  const carried = must(free(900))
  t.equal(carried.length, OFFER.onion.length)
  t.ok(carried.length < LIMITS.lock_payload_bytes)
  t.notOk(free(1_300).ok, 'no more than a route fits')
  t.equal(DUE.onion.length, OFFER.onion.length, 'the next hop’s onion is as long')
  const elsewhere = arrivalOf('unreadable', { ...lockFrom(alice, OFFER), onion: carried }, mallory)
  t.equal(elsewhere.kind, 'unreadable', 'bound to a lock of its own, and to instructions that hops know')
  t.end()
})
