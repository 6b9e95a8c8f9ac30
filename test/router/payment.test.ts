import fc from 'fast-check'
import t from 'tap'
import { equalBytes } from '../../src/base/bytes.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { idText } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import { decideForward } from '../../src/router/forward.js'
import { invoiceDigest, invoiceScalar } from '../../src/router/invoice.js'
import { claimObligation, failObligation, offerObligation, stepObligation } from '../../src/router/obligation.js'
import { UNREADABLE } from '../../src/router/onion/failure.js'
import {
  createPayment,
  mayAttempt,
  type PaymentEvent,
  paymentStatus,
  samePayment,
  stepPayment,
} from '../../src/router/payment.js'
import { decodePayment, encodePayment, type Payment } from '../../src/router/payment-record.js'
import { formatReceipt, verifyReceipt } from '../../src/router/receipt.js'
import { decideReceive, RECEIVE_RULES, type ReceiveContext } from '../../src/router/receive.js'
import { findRoutes, type Route, type RouteContext, type RouteQuery, routeOffer } from '../../src/router/route.js'
import {
  alice,
  arrivalOf,
  bob,
  carol,
  cents,
  digest,
  forwardContext,
  invoiceOf,
  ledger,
  lockFrom,
  longRoute,
  must,
  NOW,
  own,
  policy,
  routeContext,
  routeQuery,
  SET,
  session,
  toBob,
  toCarol,
} from './support.js'

const refusal = (code: string) => ({ ok: false, error: { code } })

t.test('R7: routes from own channels and hints, with terms that every hop accepts', (t) => {
  const [route] = must(findRoutes(routeQuery(), routeContext()))
  t.same(
    route?.hops.map((hop) => hop.account),
    [bob.account, carol.account],
  )
  t.equal(route?.fee, 5n + 13n)
  t.equal(route?.hops[0]?.amount, 124_140n)
  t.equal(route?.hops[1]?.expiry, NOW + 1_200 + 60)
  t.equal(route?.hops[0]?.expiry, NOW + 1_200 + 60 + 600)
  const direct = { ...own, channel: digest('alice-carol'), peer: carol.account }
  const both = must(findRoutes(routeQuery(), routeContext({ channels: [own, direct] })))
  t.same(
    both.map((found) => found.hops.length),
    [1, 2],
    'cheapest first',
  )
  const second = { ...own, channel: digest('second') }
  const spare = must(findRoutes(routeQuery(), routeContext({ channels: [{ ...own, canSend: cents(1) }, second] })))
  t.same(spare[0]?.channel, second.channel, 'several channels per pair')
  const never = () => false
  const cases: [string, Partial<RouteContext>, Partial<RouteQuery>?][] = [
    ['no_route', { channels: [] }],
    ['no_route', { avoid: { hub: (hub) => hub === idText(bob.account), edge: never } }],
    [
      'no_route',
      { avoid: { hub: never, edge: (from, to) => from === idText(bob.account) && to === idText(carol.account) } },
    ],
    ['no_route', { policyOf: () => ({ ...policy, enabled: false }) }],
    ['no_capacity', { channels: [{ ...own, canSend: cents(124_139) }] }],
    ['no_capacity', { channels: [{ ...own, slotsFree: 0 }] }],
    ['next_hop_unavailable', { channels: [{ ...own, ready: false }] }],
    ['fee_above_limit', {}, { feeMax: cents(17) }],
    ['fee_above_limit', { policyOf: () => ({ ...policy, base: cents(1_000) }) }],
    ['expiry_too_far', { expiryFar: 1_859 }],
    ['amount_below_minimum', { policyOf: () => ({ ...policy, minAmount: cents(124_123) }) }],
    ['amount_above_maximum', { policyOf: () => ({ ...policy, maxAmount: cents(124_121) }) }],
    ['bad_amount', { amountBits: 16 }, { feeMax: cents(10n ** 12n) }],
    ['bad_amount', {}, { amount: cents(0) }],
    ['bad_amount', {}, { amount: cents(124_123) }],
    ['circular_route', { self: carol.account }],
  ]
  for (const [code, change, query] of cases) {
    t.match(findRoutes(routeQuery(query), routeContext(change)), refusal(code), code)
  }
  const exact = { channels: [{ ...own, canSend: cents(124_140), slotsFree: 1 }], expiryFar: 1_860 }
  t.ok(findRoutes(routeQuery({ feeMax: cents(18) }), routeContext(exact)).ok, 'bounds are inclusive')
  const [part] = must(findRoutes(routeQuery({ amount: cents(1_000) }), routeContext()))
  t.same([part?.hops[1]?.amount, part?.fee], [1_000n, 6n], 'R1: a part of the invoice')
  t.end()
})

/** The whole path in memory: the shell's part is the calls between the machines. */
function travel(route: Route, sessionKey: Scalar, receive: Partial<ReceiveContext> = {}) {
  const invoice = invoiceOf()
  const offer = must(routeOffer(route, invoice, SET, sessionKey))
  const atBob = arrivalOf('forward', lockFrom(alice, offer), bob)
  const forward = decideForward(atBob, forwardContext())
  if (forward.kind === 'fail') return failObligation(atBob, forward.reason, forward.policy).effects[0]
  const bobs = offerObligation(atBob.incoming, { channel: toCarol, id: 1 }, atBob.secret, forward.fee).obligation
  const atCarol = arrivalOf('final', lockFrom(bob, forward.offer, toCarol), carol)
  const context = { now: NOW + 30, ledgerFresh: true, replayed: false, expiryNear: 300, seed: carol.seed }
  const decision = decideReceive(atCarol, { ...context, held: [], issued: { invoice, paid: false }, ...receive })
  if (decision.kind === 'hold') throw new Error('held')
  const carols =
    decision.kind === 'claim'
      ? claimObligation(atCarol.incoming, decision.parts[0]!.scalar)
      : failObligation(atCarol, decision.reason)
  const [effect] = carols.effects
  if (effect?.kind === 'claim')
    return stepObligation(bobs, { kind: 'outgoingClaimed', scalar: effect.scalar }).effects[0]
  if (effect?.kind === 'release')
    return stepObligation(bobs, { kind: 'outgoingReturned', reason: effect.reason }).effects[0]
  return undefined
}

const LOCK = { channel: toBob, id: 3 }
const ROUTE = must(findRoutes(routeQuery(), routeContext()))[0]!
const fresh = () => must(createPayment({ key: 'claim-7', invoice: invoiceOf(), feeMax: cents(100) }))
const attempted = (n: number): PaymentEvent => ({ kind: 'attempted', route: ROUTE, sessionKey: session(n), lock: LOCK })

/** Through the codec at every step: the record is all there is. */
const step = (payment: Payment, event: PaymentEvent) => stepPayment(must(decodePayment(encodePayment(payment))), event)

t.test('R1, R5: paid through the hub; the payer holds a receipt that verifies offline', (t) => {
  const pending = step(fresh(), attempted(1)).payment
  t.match(paymentStatus(pending), { status: 'pending', attempts: 1 })
  const claim = travel(ROUTE, session(1))
  if (claim?.kind !== 'claim') return t.fail('no claim came back')
  const paid = step(pending, { kind: 'claimed', lock: LOCK, scalar: claim.scalar })
  const proof = invoiceScalar(carol.seed, ledger, invoiceOf().secret)
  t.same(paid.effects, [{ kind: 'succeeded', proof, amount: 124_122n, fee: 18n, parts: 1, hops: 2 }])
  t.match(paymentStatus(paid.payment), { status: 'succeeded' })
  t.same(step(paid.payment, { kind: 'claimed', lock: LOCK, scalar: claim.scalar }).effects, [], 'one end')
  const settled = step(paid.payment, { kind: 'settled', lock: LOCK, scalar: claim.scalar })
  t.same(settled.effects, [])
  t.match(settled.payment, { sent: 124_122n, fee: 18n, unsettled: [] })
  t.same(step(settled.payment, { kind: 'dead', lock: LOCK }).effects, [], 'it left')
  t.match(step(paid.payment, { kind: 'dead', lock: LOCK }).effects, [{ kind: 'came_back', amount: 124_122n, fee: 18n }])

  const text = formatReceipt(invoiceOf(), proof)
  t.same(Object.keys(JSON.parse(text)), ['format', 'invoice', 'scalar'], 'stable names')
  t.match(must(verifyReceipt(text, { ledger, payee: carol.account })), { amount: 124_122n, reference: 'claim 7' })
  t.same(must(verifyReceipt(text)).id, invoiceDigest(invoiceOf()))
  t.match(verifyReceipt(text, { payee: bob.account }), refusal('receipt_foreign'))
  t.match(verifyReceipt(text, { ledger: digest('other ledger') }), refusal('receipt_foreign'))
  t.match(verifyReceipt(formatReceipt(invoiceOf(), session(1))), refusal('receipt_invalid'), 'another scalar')
  t.match(
    verifyReceipt(formatReceipt(invoiceOf({ secret: digest('x') }), proof)),
    refusal('receipt_invalid'),
    'another invoice',
  )
  t.match(verifyReceipt(formatReceipt({ ...invoiceOf(), amount: cents(9) }, proof)), refusal('invoice_signature'))
  const parsed = JSON.parse(text) as Record<string, string>
  const wrong = [
    { ...parsed, more: 1 },
    { ...parsed, format: 'x' },
    { ...parsed, scalar: '0'.repeat(64) },
    { ...parsed, scalar: parsed['scalar']!.toUpperCase().replace(/[A-F]?$/, 'A') },
    [],
    null,
    7,
  ]
  for (const value of wrong) t.match(verifyReceipt(JSON.stringify(value)), refusal('receipt_invalid'))
  for (const bad of ['', '{', 'null', text.slice(1)]) t.match(verifyReceipt(bad), refusal('receipt_invalid'))
  t.match(verifyReceipt(' '.repeat(8_193)), refusal('too_long'))
  for (let i = 0; i < text.length - 1; i++) {
    const mutant = `${text.slice(0, i)}${text[i] === 'q' ? 'p' : 'q'}${text.slice(i + 1)}`
    if (!/\s/.test(text[i]!) && verifyReceipt(mutant).ok) t.fail(`character ${i} of a receipt changed and it passes`)
  }
  t.end()
})

t.test('R2, R5: a failed attempt tells code and hop to the payer; then another attempt, then an end', (t) => {
  const pending = step(fresh(), attempted(1)).payment
  const low = travel({ ...ROUTE, hops: [{ ...ROUTE.hops[0]!, amount: cents(124_139) }, ROUTE.hops[1]!] }, session(1))
  if (low?.kind !== 'release') return t.fail('no release came back')
  const priced = step(pending, { kind: 'returned', lock: LOCK, reason: low.reason })
  const failure = { kind: 'part_failed', code: 'fee_too_small', hop: bob.account, policy }
  t.match(priced.effects, [failure], "with the hub's policy")
  t.match(paymentStatus(priced.payment), { status: 'pending' }, 'not ended: the shell decides')
  const given = step(priced.payment, { kind: 'give_up', code: 'no_route' })
  t.same(given.effects, [{ kind: 'failed', code: 'fee_too_small', hop: bob.account, place: 1 }])
  t.match(mayAttempt(given.payment), refusal('payment_ended'))
  const release = travel(ROUTE, session(2), { issued: undefined })
  if (release?.kind !== 'release') return t.fail('no release came back')
  const again = step(priced.payment, attempted(2)).payment
  const ended = step(again, { kind: 'returned', lock: LOCK, reason: release.reason })
  t.same(
    ended.effects.at(-1),
    { kind: 'failed', code: 'payment_details_wrong', hop: carol.account, place: 2 },
    'the payee is final',
  )
  t.match(paymentStatus(ended.payment), { status: 'failed', attempts: 2 })
  t.throws(() => step(ended.payment, attempted(3)), /^R5: /)
  const altered = release.reason.slice()
  altered[9]! ^= 1
  const cases: [PaymentEvent, string][] = [
    [{ kind: 'returned', lock: LOCK, reason: altered }, 'failure_unreadable'],
    [{ kind: 'returned', lock: LOCK, reason: UNREADABLE }, 'failure_unreadable'],
    [{ kind: 'returned', lock: LOCK, reason: new Uint8Array(0) }, 'failure_unreadable'],
    [{ kind: 'dead', lock: LOCK }, 'lock_expired'],
    [{ kind: 'void', lock: LOCK, code: 'proposal_void' }, 'next_hop_unavailable'],
    [{ kind: 'void', lock: LOCK, code: 'balance_too_low' }, 'no_capacity'],
  ]
  for (const [event, code] of cases) t.match(step(pending, event).effects, [{ kind: 'part_failed', code, hop: null }])
  t.end()
})

t.test('R5: pending is never failed; no second attempt while the first is not out; the key names one payment', (t) => {
  const pending = step(fresh(), attempted(1)).payment
  const given = step(pending, { kind: 'give_up', code: 'no_route' })
  t.match(
    given,
    { payment: { phase: 'open', ending: { code: 'no_route' } }, effects: [] },
    'it ends when its lock is out',
  )
  t.match(step(given.payment, { kind: 'dead', lock: LOCK }).effects[1], { kind: 'failed', code: 'no_route' })
  t.match(mayAttempt(pending), refusal('payment_pending'))
  t.throws(() => step(pending, attempted(2)), /^R5: /)
  const elsewhere: PaymentEvent = { kind: 'dead', lock: { channel: toBob, id: 4 } }
  t.same(step(pending, elsewhere).effects, [], 'the lock of another attempt')
  t.throws(
    () => step(pending, { kind: 'claimed', lock: LOCK, scalar: session(9) }),
    /^R1: /,
    'a scalar that opens nothing',
  )
  const same = { key: 'claim-7', invoice: invoiceOf(), feeMax: cents(100) }
  t.ok(samePayment(pending, same).ok)
  t.match(samePayment(pending, { ...same, feeMax: cents(101) }), refusal('payment_key_reused'))
  t.match(
    samePayment(pending, { ...same, invoice: invoiceOf({ reference: 'claim 8' }) }),
    refusal('payment_key_reused'),
  )
  t.match(createPayment({ ...same, key: '' }), refusal('too_long'))
  let payment = fresh()
  for (let i = 0; i < LIMITS.payment_attempts; i++)
    payment = step(step(payment, attempted(i)).payment, { kind: 'dead', lock: LOCK }).payment
  t.match(mayAttempt(payment), refusal('lock_expired'), 'attempts are bounded')
  t.throws(() => step(fresh(), { ...attempted(1), route: { ...ROUTE, fee: cents(101) } } as PaymentEvent), /^R5: /)
  t.match(step(fresh(), { kind: 'give_up', code: 'no_capacity' }).effects, [
    { kind: 'failed', code: 'no_capacity', hop: null, place: null },
  ])
  t.end()
})

t.test('R5: exactly one end, whatever events come in whatever order, repeated and late', (t) => {
  const claim = travel(ROUTE, session(1))
  if (claim?.kind !== 'claim') return t.fail('no claim')
  const events: PaymentEvent[] = [
    { kind: 'claimed', lock: LOCK, scalar: claim.scalar },
    { kind: 'returned', lock: LOCK, reason: UNREADABLE },
    { kind: 'dead', lock: LOCK },
    { kind: 'dead', lock: { channel: toCarol, id: 3 } },
    { kind: 'void', lock: LOCK, code: 'unknown' },
    { kind: 'give_up', code: 'no_route' },
    attempted(1),
  ]
  const property = fc.property(fc.array(fc.constantFrom(...events), { maxLength: 12 }), (program) => {
    let payment = fresh()
    let ends = 0
    for (const event of program) {
      if (event.kind === 'attempted' && !mayAttempt(payment).ok) continue
      const next = step(payment, event)
      ends += next.effects.filter((effect) => effect.kind === 'succeeded' || effect.kind === 'failed').length
      const out = event.kind === 'returned' || event.kind === 'dead' || event.kind === 'void'
      const held = payment.phase === 'open' && payment.parts.length > 0
      if (held && !out && next.payment.phase === 'failed') return false
      payment = next.payment
    }
    const { status } = paymentStatus(payment)
    return ends === (status === 'pending' ? 0 : 1)
  })
  fc.assert(property, { numRuns: 150 })
  t.match(decodePayment(encodePayment(fresh()).slice(1)), { ok: false })
  t.end()
})

t.test('R1, R6: the payee claims only what it invoiced, once, in time; every rule is reached', (t) => {
  const invoice = invoiceOf()
  const direct = (change: Partial<Route['hops'][0]> = {}, paid = invoice) => {
    const hops = [{ account: carol.account, amount: cents(124_122), expiry: NOW + 1_260, ...change }]
    const offer = must(routeOffer({ channel: toBob, hops, fee: cents(0) }, paid, SET, session(5)))
    return arrivalOf('final', lockFrom(alice, offer), carol)
  }
  const context = (change: Partial<ReceiveContext> = {}): ReceiveContext => ({
    now: NOW,
    ledgerFresh: true,
    replayed: false,
    expiryNear: 300,
    seed: carol.seed,
    issued: { invoice, paid: false },
    held: [],
    ...change,
  })
  const good = decideReceive(direct(), context())
  t.match(good, { kind: 'claim', parts: [{ amount: 124_122n }] })
  if (good.kind === 'claim')
    t.same(curve.multiplyBase(good.parts[0]!.scalar), direct().incoming.point, 'the scalar opens the lock')
  const arrival = direct()
  const lock = (change: object) => ({ ...arrival, incoming: { ...arrival.incoming, ...change } })
  const secret = { ...arrival, payload: { ...arrival.payload, secret: digest('guess') } }
  const part = (id: number, amount: number) => ({
    lock: { channel: toCarol, id },
    secret: arrival.secret,
    amount: cents(amount),
    expiry: NOW + 1_260,
    since: NOW,
  })
  const crowd = Array.from({ length: LIMITS.payment_parts }, (_, i) => part(100 + i, 1))
  t.match(decideReceive(direct({ amount: cents(1) }), context()), { kind: 'hold', part: { amount: 1n, since: NOW } })
  const cases: [string, ReturnType<typeof decideReceive>][] = [
    ['ledger_stale', decideReceive(arrival, context({ ledgerFresh: false }))],
    ['ledger_stale', decideReceive(arrival, context({ ledgerFresh: false, issued: undefined }))],
    ['onion_replayed', decideReceive(arrival, context({ replayed: true }))],
    ['invoice_unknown', decideReceive(arrival, context({ issued: undefined }))],
    ['secret_wrong', decideReceive(secret, context())],
    ['invoice_paid', decideReceive(arrival, context({ issued: { invoice, paid: true } }))],
    ['invoice_expired', decideReceive(arrival, context({ now: invoice.expires + 1 }))],
    ['amount_wrong', decideReceive(lock({ amount: cents(124_121) }), context())],
    ['amount_wrong', decideReceive(lock({ amount: cents(124_123) }), context())],
    ['amount_wrong', decideReceive(direct({ amount: cents(60_000) }), context({ held: [part(1, 64_123)] }))],
    ['amount_wrong', decideReceive(direct({ amount: cents(0) }), context())],
    ['parts_too_many', decideReceive(direct({ amount: cents(1) }), context({ held: crowd }))],
    ['amount_wrong', decideReceive(direct({ amount: cents(1) }, { ...invoice, amount: cents(1) }), context())],
    ['expiry_too_near', decideReceive(lock({ expiry: NOW + 1_259 }), context())],
    ['expiry_too_near', decideReceive(arrival, context({ now: NOW + 1_260 - 299 }))],
  ]
  for (const [reason, decision] of cases) t.match(decision, { kind: 'fail', reason }, reason)
  t.match(decideReceive(arrival, context({ now: NOW + 960 })), { kind: 'claim' }, 'bounds are inclusive')
  for (const rule of RECEIVE_RULES)
    t.ok(
      cases.some(([reason]) => reason === rule.reason),
      rule.name,
    )
  const elsewhere = invoiceOf({ secret: digest('another') })
  t.throws(() => decideReceive(arrival, context({ issued: { invoice: elsewhere, paid: false } })), /^R1: /)
  t.end()
})

t.test('R2: how long a route of real payloads may be', (t) => {
  const fits = (count: number) => routeOffer(longRoute(count, 124_122n), invoiceOf(), SET, session(6))
  t.ok(fits(14).ok)
  t.match(fits(20), refusal('route_too_long'))
  let longest = 14
  while (fits(longest + 1).ok) longest++
  t.comment(`a route has at most ${longest} hops`)
  t.equal(must(fits(1)).onion.length, must(fits(longest)).onion.length, 'and its packet tells nothing of it')
  t.notOk(equalBytes(must(fits(2)).point, must(fits(3)).point))
  t.end()
})
