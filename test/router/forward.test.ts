/** R1 and R3: points along a route, fees and expiries, the forwarding rules, and what a forwarder owes. */
import { encode } from 'cborg'
import fc from 'fast-check'
import t from 'tap'
import { bytesToHex, equalBytes } from '../../src/base/bytes.js'
import { cbor } from '../../src/base/codec.js'
import { curve, G, scalarFromBigint } from '../../src/base/curve/index.js'
import { prfScalar } from '../../src/base/digest.js'
import { ERRORS } from '../../src/base/errors.js'
import { openArrival } from '../../src/router/arrival.js'
import {
  decodeFailure,
  encodeFailure,
  FAILURE_CODES,
  type LocalReason,
  reasonOfChannel,
  TOLD,
  translate,
} from '../../src/router/failure.js'
import { feeOf, termsBackwards } from '../../src/router/fee.js'
import {
  CHANNEL_RULES,
  decideForward,
  type ForwardContext,
  NODE_RULES,
  type OutgoingChannel,
} from '../../src/router/forward.js'
import { failObligation } from '../../src/router/obligation.js'
import { routeSecrets } from '../../src/router/onion/crypto.js'
import { FAILURE_MESSAGE_BYTES } from '../../src/router/onion/failure.js'
import { buildOnion, onionBinding } from '../../src/router/onion/packet.js'
import { decodePayload, encodePayload } from '../../src/router/payload.js'
import { lockPoints, opens, pointAfter, proofOfPayment, scalarUpstream } from '../../src/router/point-lock.js'
import { checkPolicy, expiryDeltaMin, type Policy } from '../../src/router/policy.js'
import { routeKeys, routeOffer } from '../../src/router/route.js'
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
  mallory,
  must,
  NOW,
  outgoing,
  policy,
  SET,
  session,
  stranger,
  toBob,
  toCarol,
} from './support.js'

const s = (value: bigint) => scalarFromBigint(value)!
/** As drawn at random: fast-check's own favourites (1, q - 1, …) add up to zero, which no draw ever does. */
const zScalar = fc.uint8Array({ minLength: 4, maxLength: 32 }).map((bytes) => prfScalar(bytes, 'drawn'))
const zScalars = fc.uniqueArray(zScalar, { minLength: 1, maxLength: 20, selector: bytesToHex })

t.test('R1: scalars combine back to a proof; points do not repeat; no hop can be skipped', (t) => {
  const property = fc.property(zScalar, zScalars, (secret, ys) => {
    const target = curve.multiplyBase(secret)
    const points = lockPoints(target, ys)
    if (!points.ok) return false
    if (new Set([target, ...points.value].map(bytesToHex)).size !== ys.length + 1) return false
    let scalar = secret
    for (let i = ys.length - 1; i >= 0; i--) {
      // the hop computes what is left, and claims with what it learnt and its own y
      const rest = pointAfter(points.value[i]!, ys[i]!)
      if (rest === null || !equalBytes(rest, points.value[i + 1] ?? target)) return false
      // wormhole: what the hop after next is claimed with opens neither this lock nor the one between
      if (opens(points.value[i]!, scalar)) return false
      scalar = scalarUpstream(scalar, ys[i]!)
      if (!opens(points.value[i]!, scalar)) return false
    }
    const proof = proofOfPayment(target, scalar, ys)
    return proof !== undefined && equalBytes(proof, secret) && proofOfPayment(target, secret, ys) === undefined
  })
  fc.assert(property, { numRuns: 25 })
  t.equal(pointAfter(G, s(1n)), null, 'G - 1*G is infinity')
  t.match(lockPoints(curve.negate(G), [s(1n)]), { ok: false, error: { code: 'point_unusable' } }, '-G + 1*G too')
  t.equal(proofOfPayment(G, s(1n), [s(1n)]), undefined, 'a proof of zero is none')
  t.end()
})

t.test('R1: mallory, who holds the first and the last hop, links or skips nothing', (t) => {
  const route = longRoute(3, 5_000n)
  const invoice = invoiceOf()
  const offers = [session(1), session(2)].map((key) => must(routeOffer(route, invoice, SET, key)))
  t.notSame(offers[0]!.point, offers[1]!.point, 'two attempts share no point')
  const { scalars } = routeKeys(
    session(1),
    route.hops.map((hop) => hop.account),
  )
  const points = must(lockPoints(invoice.point, scalars))
  const known = [scalars[0]!, scalars[2]!]
  for (const a of [points[0]!, points[1]!])
    for (const y of known) t.not(bytesToHex(pointAfter(a, y) ?? G), bytesToHex(points[2]!))
  t.end()
})

const zPolicies = fc.array(
  fc.record({ base: fc.bigInt(0n, 10_000n), ppm: fc.integer({ min: 0, max: 10_000_000 }), delta: fc.nat(100_000) }),
  { maxLength: 19 },
)

t.test('R3: fees and expiries are exact, from the payee backwards', (t) => {
  t.equal(feeOf({ base: cents(0), ppm: 1 }, cents(1)), 1n, 'rounded up')
  t.equal(feeOf({ base: cents(0), ppm: 1 }, cents(1_000_000)), 1n)
  t.equal(feeOf({ base: cents(0), ppm: 1 }, cents(1_000_001)), 2n)
  t.equal(feeOf({ base: cents(7), ppm: 0 }, cents(10n ** 15n)), 7n)
  t.equal(feeOf({ base: cents(3), ppm: 2_500 }, cents(2n ** 48n - 1n)), 3n + 703_687_441_777n)
  const property = fc.property(fc.bigInt(1n, 2n ** 40n), fc.nat(2 ** 31), zPolicies, (value, expiry, raw) => {
    const policies = raw.map((p): Policy => ({ ...policy, base: cents(p.base), ppm: p.ppm, expiryDelta: p.delta }))
    const terms = termsBackwards({ amount: cents(value), expiry }, policies)
    if (terms.length !== policies.length + 1 || terms.at(-1)!.amount !== value) return false
    return policies.every((p, i) => {
      const [incoming, next] = [terms[i]!, terms[i + 1]!]
      const fee = incoming.amount - next.amount
      const proportional = fee - p.base
      const exact = BigInt(p.ppm) * next.amount
      // the least integer that is not below ppm * amount / 10^6
      if (proportional * 1_000_000n < exact || (proportional - 1n) * 1_000_000n >= exact) return false
      return incoming.expiry === next.expiry + p.expiryDelta
    })
  })
  fc.assert(property, { numRuns: 200 })
  const min = expiryDeltaMin({ finality: 10, inclusion: 60 }, 300)
  t.equal(min, 430)
  const refused = (change: Partial<Policy>) => checkPolicy({ ...policy, ...change }, min)
  t.ok(refused({ expiryDelta: 430 }).ok)
  t.match(refused({ expiryDelta: 429 }), { ok: false, error: { code: 'policy_invalid' } })
  t.match(refused({ minAmount: cents(0) }), { ok: false, error: { code: 'policy_invalid' } })
  t.match(refused({ maxAmount: cents(1), minAmount: cents(2) }), { ok: false, error: { code: 'policy_invalid' } })
  t.end()
})

t.test('R2: payloads are canonical, and the kind fits the place', (t) => {
  const forward = { kind: 'forward', next: bob.account, amount: cents(5), expiry: NOW } as const
  const final = {
    kind: 'final',
    amount: cents(5),
    expiry: NOW,
    secret: digest('s'),
    total: cents(5),
    set: SET,
  } as const
  t.same(must(decodePayload(encodePayload(forward), false)), forward)
  t.same(must(decodePayload(encodePayload(final), true)), final)
  const refused = { ok: false, error: { code: 'payload_invalid' } }
  t.match(decodePayload(encodePayload(forward), true), refused, 'a last hop has no next one')
  t.match(decodePayload(encodePayload(final), false), refused, 'the payee is last')
  const eight = new Uint8Array(8)
  const wrong = {
    kind: [2, bob.account, eight, 1],
    point: [0, new Uint8Array(33), eight, 1],
    amount: [0, bob.account, new Uint8Array(7), 1],
    negative: [0, bob.account, eight, -1],
    fraction: [0, bob.account, eight, 1.5],
    more: [0, bob.account, eight, 1, 1],
    less: [0, bob.account, eight],
    secret: [1, eight, 1, new Uint8Array(31), eight, SET],
    set: [1, eight, 1, digest('s'), eight, SET.slice(1)],
    'no set': [1, eight, 1, digest('s'), eight],
    map: { kind: 0 },
  }
  for (const [name, value] of Object.entries(wrong)) {
    const last = Array.isArray(value) && value[0] === 1
    t.match(decodePayload(encode(value), last), refused, name)
  }
  t.match(decodePayload(new Uint8Array(0), false), refused, 'empty')
  t.end()
})

const route = { channel: toBob, fee: cents(18), hops: [] }
const TERMS = termsBackwards({ amount: cents(124_122), expiry: NOW + 1_260 }, [policy])
const ROUTE = {
  ...route,
  hops: [
    { account: bob.account, ...TERMS[0]! },
    { account: carol.account, ...TERMS[1]! },
  ],
}
const OFFER = must(routeOffer(ROUTE, invoiceOf(), SET, session(7)))
const ARRIVAL = arrivalOf('forward', lockFrom(alice, OFFER), bob)

const FULL = { ...outgoing.room, general: outgoing.room.whole }

t.test('R3: a lock that fits is forwarded, with the point that the hub computed', (t) => {
  const decision = decideForward(ARRIVAL, forwardContext())
  t.match(decision, { kind: 'forward', fee: TERMS[0]!.amount - TERMS[1]!.amount })
  if (decision.kind !== 'forward') return t.end()
  t.match(decision.offer, { channel: toCarol, amount: TERMS[1]!.amount, expiry: TERMS[1]!.expiry })
  t.same(decision.offer.point, pointAfter(OFFER.point, ARRIVAL.y))
  const last = arrivalOf('final', lockFrom(bob, decision.offer, toCarol), carol)
  t.same(last.point, invoiceOf().point, 'the payee finds its T')
  // the first channel that passes is taken, wherever it stands
  const full = { ...outgoing, channel: digest('full'), canSend: cents(0) }
  const second = decideForward(ARRIVAL, forwardContext({ channelsTo: () => [full, outgoing] }))
  t.match(second, { kind: 'forward', offer: { channel: toCarol } })
  t.end()
})

t.test('R3: every rule refuses with its reason, and reasons come in the order of the list', (t) => {
  const { expiry } = ARRIVAL.payload
  type Change = { context?: Partial<ForwardContext>; channel?: Partial<OutgoingChannel>; policy?: Partial<Policy> }
  const cases: [LocalReason, Change][] = [
    ['ledger_stale', { context: { ledgerFresh: false } }],
    ['onion_replayed', { context: { replayed: true } }],
    ['failed_too_often', { context: { claimant: { ...stranger, mayFail: false } } }],
    ['forwarding_off', { context: { forwarding: false } }],
    ['unknown_next_hop', { context: { channelsTo: () => [] } }],
    ['expiry_too_near', { context: { bounds: { near: expiry - NOW + 1, far: 86_400 } } }],
    ['expiry_too_far', { context: { bounds: { near: 300, far: ARRIVAL.incoming.expiry - NOW - 1 } } }],
    ['point_live', { context: { pointUse: () => 'live' } }],
    ['amount_below_minimum', { policy: { minAmount: cents(124_123) } }],
    ['fee_too_small', { policy: { base: cents(6) } }],
    ['expiry_delta_too_small', { policy: { expiryDelta: 601 } }],
    ['channel_closing', { channel: { phase: 'closing' } }],
    ['channel_disabled', { policy: { enabled: false } }],
    ['slots_full', { channel: { slotsFree: 0 } }],
    ['balance_too_low', { channel: { canSend: cents(124_121) } }],
    ['kept_for_others', { channel: { room: FULL } }],
  ]
  const decideWith = (...changes: Change[]) => {
    const channel = Object.assign({}, outgoing, ...changes.map((change) => change.channel))
    channel.policy = Object.assign({}, policy, ...changes.map((change) => change.policy))
    const context = Object.assign({ channelsTo: () => [channel] }, ...changes.map((change) => change.context))
    return decideForward(ARRIVAL, forwardContext(context))
  }
  t.match(decideWith({}), { kind: 'forward' })
  for (const [i, [reason, change]] of cases.entries()) {
    t.match(decideWith(change), { kind: 'fail', reason }, reason)
    const after = cases.slice(i).map(([, later]) => later)
    t.match(
      decideWith(...after.toReversed()),
      { kind: 'fail', reason },
      `${reason}, with all that comes later wrong too`,
    )
  }
  t.match(decideWith({ context: { pointUse: () => 'revealed' } }), { reason: 'point_revealed' })
  t.match(decideWith({ channel: { phase: 'offline' } }), { reason: 'channel_offline' })
  t.match(decideWith({ policy: { maxAmount: cents(124_121) } }), { reason: 'amount_above_maximum' })
  const exact = {
    context: { bounds: { near: expiry - NOW, far: ARRIVAL.incoming.expiry - NOW } },
    channel: { canSend: cents(124_122), slotsFree: 1 },
    policy: { minAmount: cents(124_122), maxAmount: cents(124_122) },
  }
  t.match(decideWith(exact), { kind: 'forward' }, 'every bound is inclusive')
  t.match(decideForward({ ...ARRIVAL, point: null }, forwardContext()), { reason: 'point_zero' })
  const back = { ...ARRIVAL, incoming: { ...ARRIVAL.incoming, peer: carol.account } }
  t.match(decideForward(back, forwardContext()), { reason: 'circular_route' })
  const short = { ...ARRIVAL, incoming: { ...ARRIVAL.incoming, amount: cents(1) } }
  t.match(decideForward(short, forwardContext()), { reason: 'fee_too_small' }, 'less in than out')
  // of several channels the one that came furthest speaks, with its policy
  const channels = [
    { ...outgoing, phase: 'offline' as const },
    { ...outgoing, canSend: cents(1), policy: { ...policy, ppm: 1 } },
  ]
  t.match(decideForward(ARRIVAL, forwardContext({ channelsTo: () => channels })), {
    reason: 'balance_too_low',
    policy: { ppm: 1 },
  })
  t.equal(NODE_RULES.length + CHANNEL_RULES.length, 17)
  t.end()
})

t.test('what the payer may learn: one table, every code known, every message fits and is canonical', (t) => {
  for (const reason of Object.keys(TOLD) as LocalReason[]) {
    const message = translate(reason, policy)
    const bytes = encodeFailure(message)
    t.ok(bytes.length <= FAILURE_MESSAGE_BYTES, reason)
    t.same(decodeFailure(bytes), message)
    t.ok(message.code in ERRORS)
    t.equal(message.policy !== null, /amount_(below|above)|fee_too|delta_too/.test(reason))
  }
  // How a hop and its channels stand: one answer, to the byte.
  const standing = /^(ledger_stale|forwarding_off|unknown_next|channel_|balance_|slots_|kept_|failed_too|proposal_)/
  const answers = (Object.keys(TOLD) as LocalReason[]).filter((reason) => standing.test(reason))
  t.equal(answers.length, 12)
  t.equal(new Set(answers.map((reason) => bytesToHex(encodeFailure(translate(reason, policy))))).size, 1)
  const largest = {
    code: 'expiry_delta_too_small',
    policy: { ...policy, expiryDelta: Number.MAX_SAFE_INTEGER },
  } as const
  t.ok(encodeFailure(largest).length <= FAILURE_MESSAGE_BYTES)
  for (const hidden of ['ledger_stale', 'balance_too_low', 'channel_offline', 'invoice_paid', 'secret_wrong'])
    t.notOk((FAILURE_CODES as readonly string[]).includes(hidden), `${hidden} stays here`)
  t.equal(decodeFailure(cbor(['internal', null])), undefined, 'no other code')
  t.equal(decodeFailure(new Uint8Array(0)), undefined)
  t.equal(reasonOfChannel('balance_too_low'), 'balance_too_low')
  t.equal(reasonOfChannel('too_many_locks'), 'slots_full')
  t.equal(reasonOfChannel('channel_not_open'), 'channel_closing')
  t.equal(reasonOfChannel('channel_offline'), 'channel_offline')
  t.equal(reasonOfChannel('point_in_use'), 'point_live')
  t.equal(reasonOfChannel('proposal_void'), 'proposal_void')
  t.equal(reasonOfChannel('unknown'), 'channel_refused')
  t.end()
})

t.test('an onion for another node, or another lock, is unreadable; a payload of nonsense is answered', (t) => {
  const lock = lockFrom(alice, OFFER)
  t.equal(openArrival(lock, mallory.key, ledger).kind, 'unreadable')
  t.equal(openArrival({ ...lock, point: G }, bob.key, ledger).kind, 'unreadable')
  t.equal(openArrival(lock, bob.key, digest('other ledger')).kind, 'unreadable')
  t.equal(openArrival(lock, bob.key, ledger).kind, 'forward')
  const key = session(8)
  const binding = onionBinding(ledger, G)
  const nonsense = { payload: new Uint8Array(40), associatedData: binding }
  const packet = must(buildOnion(key, routeSecrets(key, [bob.account]), [nonsense]))
  const arrival = arrivalOf('invalid', { ...lock, point: G, onion: packet }, bob)
  t.match(failObligation(arrival, 'payload_invalid').effects, [{ kind: 'release' }])
  t.end()
})
