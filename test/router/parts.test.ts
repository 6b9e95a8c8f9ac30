/** R1 in parts: how a payer splits, what it learns, what a payee holds; whatever comes in whatever order. */
import fc from 'fast-check'
import t from 'tap'
import { type Amount, plus, ZERO } from '../../src/base/amount.js'
import { curve } from '../../src/base/curve/index.js'
import { idText } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import { ok, refuse } from '../../src/base/result.js'
import { HeldParts, setName } from '../../src/node/held-parts.js'
import { FAILURE_CODES } from '../../src/router/failure.js'
import { holdEnds } from '../../src/router/held-part.js'
import { invoiceScalar } from '../../src/router/invoice.js'
import { Learnt } from '../../src/router/learnt.js'
import { createPayment, isDirect, mayAttempt, type PaymentEvent, stepPayment } from '../../src/router/payment.js'
import { decodePayment, encodePayment, type Payment } from '../../src/router/payment-record.js'
import { scalarUpstream } from '../../src/router/point-lock.js'
import { decideReceive } from '../../src/router/receive.js'
import { type Route, routeKeys, routeOffer } from '../../src/router/route.js'
import { amountOf, costOfRoute, type PartsContext, partMinOf, planParts } from '../../src/router/split.js'
import {
  alice,
  arrivalOf,
  bob,
  carol,
  cents,
  digest,
  invoiceOf,
  ledger,
  lockFrom,
  mallory,
  must,
  NOW,
  policy,
  SET,
  session,
  toCarol,
} from './support.js'

const sum = (amounts: readonly Amount[]): Amount => plus(...amounts)
const route = (channel: string, amount: bigint, fee = 0n, via = bob): Route => ({
  channel: digest(channel),
  hops: [
    { account: via.account, amount: cents(amount + fee), expiry: NOW + 1_860 },
    { account: carol.account, amount: cents(amount), expiry: NOW + 1_260 },
  ],
  fee: cents(fee),
})

/** Own channels with what they can send, each to a hub that asks `base + ppm`. */
function market(caps: readonly bigint[], base = 0n, ppm = 0n): PartsContext & { asked: number } {
  const feeOf = (amount: bigint): bigint => base + (amount * ppm + 999_999n) / 1_000_000n
  const context = {
    asked: 0,
    find: (amount: Amount, feeMax: Amount, taken: readonly Route[]) => {
      context.asked += 1
      const fee = feeOf(amount)
      if (fee > feeMax) return refuse('fee_above_limit')
      const routes = caps.flatMap((cap, i) => {
        const used = sum(taken.filter(({ channel }) => channel.join() === digest(i).join()).map(costOfRoute))
        const made = { ...route('', amount, fee), channel: digest(i) }
        return cap - used >= amount + fee ? [made] : []
      })
      return routes.length > 0 ? ok(routes) : refuse('no_capacity')
    },
    canSend: ({ channel }: Route) => cents(caps[caps.findIndex((_, i) => digest(i).join() === channel.join())] ?? 0n),
  }
  return context
}
const query = (amount: bigint, change: object = {}) => ({
  amount: cents(amount),
  feeMax: cents(1_000_000n),
  partsMax: 16,
  partMin: partMinOf(cents(amount)),
  ...change,
})

t.test('R1: one path where it can, several where it cannot, to the unit, or nothing', (t) => {
  const amounts = (caps: readonly bigint[], amount: bigint, change = {}, base = 0n, ppm = 0n) => {
    const plan = planParts(query(amount, change), market(caps, base, ppm))
    return plan.ok ? plan.value.map(amountOf) : plan.error.code
  }
  t.same(amounts([100n, 5_000n], 5_000n), [5_000n])
  t.equal(sum(amounts([4_000n, 4_000n], 6_000n) as Amount[]), 6_000n)
  t.equal(
    sum(amounts([70_000n, 30_000n], 99_900n, {}, 5n, 100n) as Amount[]),
    99_900n,
    'all but the fees of both channels',
  )
  t.equal(amounts([70_000n, 30_000n], 100_001n), 'no_capacity')
  t.equal(amounts([4_000n, 4_000n], 6_000n, { partsMax: 1 }), 'no_capacity', 'one part is what may be')
  t.equal(amounts([4_000n, 4_000n], 6_000n, { feeMax: 9n }, 5n), 'no_capacity', 'two fees are too much')
  t.equal((amounts([4_000n, 4_000n], 6_000n, { feeMax: 10n }, 5n) as Amount[]).length, 2)
  t.same(amounts([0n], 1n), 'no_capacity')
  const vain = market(Array.from({ length: 8 }, () => 1n))
  planParts(query(1_000_000n), vain)
  t.ok(vain.asked < 20, 'a search in vain is short')
  const property = fc.property(
    fc.array(fc.bigInt(0n, 100_000n), { minLength: 1, maxLength: 6 }),
    fc.bigInt(1n, 300_000n),
    fc.bigInt(0n, 30n),
    fc.bigInt(0n, 5_000n),
    (caps, amount, base, ppm) => {
      const plan = planParts(query(amount), market(caps, base, ppm))
      if (!plan.ok) {
        // Greedy, but not blind: with room to spare it finds a way.
        const room = caps.reduce((total, cap) => total + cap, 0n)
        return room < 2n * amount || caps.filter((cap) => cap > amount / 8n).length < caps.length || base > 0n
      }
      const within = caps.every((cap, i) => {
        const through = plan.value.filter(({ channel }) => channel.join() === digest(i).join())
        return sum(through.map(costOfRoute)) <= cap
      })
      const least = plan.value.every((part) => plan.value.length === 1 || amountOf(part) >= partMinOf(cents(amount)))
      return within && least && plan.value.length <= 16 && sum(plan.value.map(amountOf)) === amount
    },
  )
  fc.assert(property, { numRuns: 300 })
  t.end()
})

t.test('R5: every answer blames a hub, an edge, an edge for so much, or its price, once', (t) => {
  const [self, hub, far, payee] = [alice, bob, mallory, carol].map(({ account }) => account)
  const names = [self!, hub!, far!, payee!].map(idText)
  const part = { accounts: [hub!, far!, payee!], amount: cents(1_000) }
  const told = (code: (typeof FAILURE_CODES)[number], hop = hub, given: typeof policy | null = null) => {
    const learnt = new Learnt(self!)
    learnt.learn({ code, hop: hop ?? null, policy: given, part })
    const edge = (amount: bigint) => learnt.avoidsEdge(names[1]!, names[2]!, cents(amount))
    const more = new Learnt(self!)
    more.learn({ code, hop: hop ?? null, policy: given, part })
    more.learn({ code, hop: hop ?? null, policy: given, part })
    return {
      hub: learnt.avoidsHub(names[1]!),
      edge: edge(1n),
      full: edge(501n) && !edge(500n),
      policy: learnt.policyOf(names[1]!, names[2]!) !== undefined && !edge(1_000n),
      second: more.avoidsHub(names[1]!) || more.avoidsEdge(names[1]!, names[2]!, cents(1_000)),
    }
  }
  const kinds: Record<string, string> = {}
  for (const code of FAILURE_CODES) {
    const { second, ...found } = told(code, hub, policy)
    kinds[code] = Object.entries(found)
      .flatMap(([kind, holds]) => (holds ? [kind] : []))
      .join()
    if (code !== 'point_unusable') t.ok(second, `${code} twice from one hop: another way is tried`)
  }
  t.match(kinds, {
    temporary_failure: 'full',
    fee_too_small: 'policy',
    expiry_delta_too_small: 'policy',
    amount_below_minimum: 'policy',
    lock_expired: 'edge',
    circular_route: 'edge',
    expiry_too_near: 'hub',
    payment_details_wrong: 'hub',
    point_unusable: '',
  })
  t.ok(told('fee_too_small').edge, 'a price that is not told is no price')
  const learnt = new Learnt(self!)
  const lacking = { code: 'no_capacity_to_payee', hop: hub!, policy: null } as const
  learnt.learn({ ...lacking, part }, [{ ...part, amount: cents(500) }])
  t.equal(learnt.avoidsEdge(names[1]!, names[2]!, cents(750)), false, 'the other part under way took of it')
  t.ok(learnt.avoidsEdge(names[1]!, names[2]!, cents(501), [{ ...part, amount: cents(500) }]))
  learnt.learn({ ...lacking, part: { ...part, amount: cents(500) } })
  t.equal(learnt.avoidsEdge(names[1]!, names[2]!, cents(250)), false)
  learnt.learn({ ...lacking, part: { ...part, amount: cents(250) } })
  t.ok(learnt.avoidsEdge(names[1]!, names[2]!, cents(1)), 'three times too much: it is away')
  learnt.learn({ code: 'failure_unreadable', hop: null, policy: null, part })
  t.same(
    [names[1]!, names[2]!, names[3]!].map((name) => learnt.avoidsHub(name)),
    [true, true, false],
  )
  learnt.learn({ code: 'no_capacity', hop: null, policy: null, part })
  t.ok(learnt.avoidsEdge(names[0]!, names[1]!, cents(1_000)), 'our own channel is refused what crossed it')
  t.end()
})

t.test('R2: a route meets nobody twice, and the payer only at its end', (t) => {
  const over = (...people: readonly (typeof alice)[]): Route => ({
    channel: digest('x'),
    hops: people.map(({ account }) => ({ account, amount: cents(1), expiry: NOW })),
    fee: ZERO,
  })
  t.ok(isDirect(over(bob, mallory, carol), alice.account))
  t.notOk(isDirect(over(bob, mallory, bob, carol), alice.account))
  t.notOk(isDirect(over(bob, alice, carol), alice.account))
  t.ok(isDirect(over(bob, mallory, alice), alice.account), 'a circle, for who balances its own channels')
  t.end()
})

const TOTAL = 124_122n
const fresh = () => must(createPayment({ key: 'claim 7', invoice: invoiceOf(), feeMax: cents(100) }))
const step = (payment: Payment, event: PaymentEvent) => stepPayment(must(decodePayment(encodePayment(payment))), event)
const lockOf = (id: number) => ({ channel: digest('own'), id })
const proposed = (id: number, amount: bigint, fee = 1n): PaymentEvent => ({
  kind: 'attempted',
  route: route('own', amount, fee),
  sessionKey: session(id),
  lock: lockOf(id),
})
const t0 = invoiceScalar(carol.seed, ledger, invoiceOf().secret)
const claimOf = (id: number) =>
  routeKeys(session(id), [bob.account, carol.account]).scalars.reduce((scalar, y) => scalarUpstream(scalar, y), t0)

t.test('R5: parts side by side; the first claim is success; what left is counted part by part', (t) => {
  let payment = step(fresh(), proposed(1, 100_000n)).payment
  t.match(must(mayAttempt(payment)), { amount: 24_122n, feeMax: 99n, partsMax: 15 })
  t.throws(() => step(payment, proposed(2, 24_123n)), /^R5: parts carry/)
  t.throws(() => step(payment, proposed(2, 24_122n, 100n)), /^R5: parts cost/)
  payment = step(payment, proposed(2, 24_122n)).payment
  t.match(mayAttempt(payment), { ok: false, error: { code: 'payment_pending' } })
  t.throws(() => step(payment, proposed(3, 1n)), /^R5: /, 'a second attempt while the first is not out')
  const out = step(payment, { kind: 'dead', lock: lockOf(2) })
  t.match(out.effects, [{ kind: 'part_failed', code: 'lock_expired', part: { amount: 24_122n } }])
  t.match(must(mayAttempt(out.payment)), { amount: 24_122n })
  payment = step(out.payment, proposed(4, 24_122n)).payment
  const paid = step(payment, { kind: 'claimed', lock: lockOf(4), scalar: claimOf(4) })
  t.match(paid.effects, [{ kind: 'succeeded', proof: t0, amount: TOTAL, fee: 2n, parts: 2, hops: 2 }])
  t.same(step(paid.payment, { kind: 'claimed', lock: lockOf(1), scalar: claimOf(1) }).effects, [], 'one end')
  const left = step(paid.payment, { kind: 'settled', lock: lockOf(4), scalar: claimOf(4) })
  const back = step(left.payment, { kind: 'dead', lock: lockOf(1) })
  t.match(back.effects, [{ kind: 'came_back', amount: 100_000n, fee: 1n }], 'a payee that took one part only')
  t.match(back.payment, { phase: 'succeeded', sent: 24_122n, fee: 1n, unsettled: [] })
  t.same(step(back.payment, { kind: 'dead', lock: lockOf(1) }), { payment: back.payment, effects: [] })

  const given = step(payment, { kind: 'give_up', code: 'no_capacity' }).payment
  t.match(given, { phase: 'open', ending: { code: 'lock_expired' } }, 'failed only when every part is out')
  const first = step(given, { kind: 'void', lock: lockOf(1), code: 'proposal_void' })
  t.match(first, { payment: { phase: 'open' }, effects: [{ kind: 'part_failed' }] })
  t.match(mayAttempt(first.payment), { ok: false, error: { code: 'lock_expired' } })
  t.match(step(first.payment, { kind: 'dead', lock: lockOf(4) }).effects[1], { kind: 'failed', code: 'lock_expired' })
  const still = step(first.payment, { kind: 'claimed', lock: lockOf(4), scalar: claimOf(4) })
  t.match(still.effects, [{ kind: 'succeeded', amount: 24_122n }], 'claimed after all: there is a proof')
  t.end()
})

t.test('R5: whatever happens to parts, one end, never more than the invoice, and the books add up', (t) => {
  const SIZES = [TOTAL, 100_000n, 62_061n, 24_122n, 1n]
  const claims = Array.from({ length: 10 }, (_, id) => claimOf(id))
  const event = fc.record({ kind: fc.nat(6), lock: fc.nat(9), size: fc.nat(SIZES.length - 1) })
  const property = fc.property(fc.array(event, { maxLength: 30 }), (program) => {
    let payment = fresh()
    let [ends, started, gone] = [0, 0, 0n]
    for (const { kind, lock: id, size } of program) {
      const lock = lockOf(id)
      const events: PaymentEvent[] = [
        { kind: 'claimed', lock, scalar: claims[id]! },
        { kind: 'settled', lock, scalar: claims[id]! },
        { kind: 'dead', lock },
        { kind: 'void', lock, code: 'unknown' },
        { kind: 'returned', lock, reason: new Uint8Array(3) },
        { kind: 'give_up', code: 'no_route' },
      ]
      const missing = mayAttempt(payment)
      const amount = SIZES[size]!
      if (kind === 6 && (!missing.ok || amount > missing.value.amount || started > 9)) continue
      const before = payment
      const made = step(payment, kind === 6 ? proposed(started++, amount) : events[kind]!)
      payment = made.payment
      ends += made.effects.filter((effect) => effect.kind === 'succeeded' || effect.kind === 'failed').length
      for (const effect of made.effects) {
        if (effect.kind === 'succeeded') gone = effect.amount
        if (effect.kind === 'came_back') gone -= effect.amount
      }
      const early = payment.phase === 'failed' && before.phase === 'open'
      if (early && before.parts.some(({ lock }) => lock.id !== id)) return false
      if (payment.phase === 'open' && sum(payment.parts.map((part) => part.amount)) > TOTAL) return false
      const stands = payment.phase === 'succeeded' ? payment.unsettled.map((part) => part.amount) : []
      if (payment.phase === 'succeeded' && plus(payment.sent, ...stands) !== gone) return false
    }
    return ends === (payment.phase === 'open' ? 0 : 1)
  })
  fc.assert(property, { numRuns: 60 })
  t.end()
})

/** The payee's shell without a node: rows in a map, one transaction at a time. */
function payee() {
  const rows = new Map<string, Uint8Array>()
  const tx = {
    get: (key: Uint8Array) => rows.get(key.join()),
    put: ({ key, value }: { key: Uint8Array; value: Uint8Array }) => void rows.set(key.join(), value),
    delete: (key: Uint8Array) => void rows.delete(key.join()),
  } as unknown as Parameters<HeldParts['add']>[0]
  const invoice = invoiceOf()
  const open = () => new HeldParts((_, __, parts) => holdEnds(parts, invoice, 300))
  return { rows, tx, invoice, open }
}

/** Parts as they arrive, the last three another payer's. Made once: they cost curve operations. */
const SHARES = [100_000n, 24_122n, 62_061n, 62_061n, 24_121n, 1n, TOTAL, 100_000n, 24_122n, 62_061n]
const OTHERS = 7
const setOf = (i: number) => SET.map((byte) => (i < OTHERS ? byte : byte + 1))
const ARRIVALS = SHARES.map((amount, i) => {
  const hops = [{ account: carol.account, amount: cents(amount), expiry: NOW + 1_260 + i }]
  const offer = must(routeOffer({ channel: toCarol, hops, fee: ZERO }, invoiceOf(), setOf(i), session(40 + i)))
  return arrivalOf('final', { ...lockFrom(alice, offer, toCarol), id: i }, carol)
})

t.test('R1: the points of parts have nothing in common, and every claim opens its own', (t) => {
  t.equal(new Set(ARRIVALS.map(({ incoming }) => incoming.point.join())).size, ARRIVALS.length)
  t.equal(new Set(ARRIVALS.map(({ point }) => point?.join())).size, 1, 'but the invoice’s, for the payee alone')
  const context = { now: NOW, ledgerFresh: true, replayed: false, expiryNear: 300, seed: carol.seed }
  const issued = { invoice: invoiceOf(), paid: false }
  const held = decideReceive(ARRIVALS[0]!, { ...context, issued, held: [] })
  if (held.kind !== 'hold') return t.fail('not held')
  const claim = decideReceive(ARRIVALS[1]!, { ...context, issued, held: [held.part] })
  if (claim.kind !== 'claim') return t.fail('not claimed')
  t.same(
    claim.parts.map(({ scalar }) => curve.multiplyBase(scalar)),
    [0, 1].map((i) => ARRIVALS[i]!.incoming.point),
  )
  const tiny = decideReceive(ARRIVALS[5]!, { ...context, issued, held: [] })
  if (tiny.kind !== 'hold') return t.fail('not held')
  t.throws(() => decideReceive(ARRIVALS[5]!, { ...context, issued, held: [tiny.part] }), /^R1: a lock is one part/)
  const late = { ...context, now: NOW + LIMITS.parts_hold_s + 1, issued, held: [held.part] }
  t.throws(() => decideReceive(ARRIVALS[1]!, late), /^R1: parts whose hold/)
  const other = { ...ARRIVALS[1]!, payload: { ...ARRIVALS[1]!.payload, total: cents(TOTAL + 1n) } }
  t.match(decideReceive(other, { ...context, issued, held: [held.part] }), { kind: 'fail', reason: 'amount_wrong' })
  t.end()
})

t.test(
  'R1, C12: nothing is claimed before parts in sum to the total; then all of them, once; late ones go back',
  (t) => {
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('part' as const), i: fc.nat(SHARES.length - 1) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), i: fc.constantFrom(1, 30, 61, 900) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), i: fc.constant(0) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('out' as const), i: fc.nat(SHARES.length - 1) }) },
    )
    let paidRuns = 0
    const property = fc.property(fc.array(action, { maxLength: 25 }), (program) => {
      const { rows, tx, invoice, open } = payee()
      const names = [0, OTHERS].map((i) => setName(invoice.point, setOf(i)))
      let held = open()
      let [now, paid] = [NOW, false]
      const seen = new Set<number>()
      /** What the model says: lock → what became of it. */
      const fate = new Map<number, 'held' | 'claimed' | 'failed' | 'out'>()
      const overdue = () => {
        for (const name of held.overdue(tx, now)) {
          for (const { lock } of held.take(tx, name)) fate.set(lock.id, 'failed')
        }
      }
      for (const { do: what, i } of program) {
        if (what === 'pass') now += i
        if (what === 'restart') {
          held = open()
          held.load(tx, names)
        }
        if (what === 'out' && held.drop(tx, { channel: toCarol, id: i })) fate.set(i, 'out')
        if (what !== 'part') {
          if (held.isDue(now)) overdue()
          continue
        }
        // The same onion again comes on another lock, and is refused.
        const replayed = seen.has(i)
        const lock = { channel: toCarol, id: replayed ? 100 + i : i }
        seen.add(i)
        overdue()
        const arrival = { ...ARRIVALS[i]!, incoming: { ...ARRIVALS[i]!.incoming, ...lock } }
        const context = { now, ledgerFresh: true, replayed, expiryNear: 300, seed: carol.seed }
        const name = names[i < OTHERS ? 0 : 1]!
        const decision = decideReceive(arrival, { ...context, issued: { invoice, paid }, held: held.of(tx, name) })
        if (decision.kind === 'fail') fate.set(lock.id, 'failed')
        if (decision.kind === 'hold') {
          held.add(tx, name, decision.part)
          fate.set(lock.id, 'held')
        }
        if (decision.kind === 'claim') {
          if (paid || sum(decision.parts.map(({ amount }) => amount)) !== TOTAL) return false
          const ids = decision.parts.map((part) => part.lock.id)
          if (ids.some((id) => id !== lock.id && fate.get(id) !== 'held')) return false
          held.take(tx, name)
          paid = true
          for (const id of ids) fate.set(id, 'claimed')
          for (const part of held.takeAll(tx, invoice.point)) fate.set(part.lock.id, 'failed')
        }
        const standing = names.flatMap((each) => held.of(tx, each))
        if (standing.length !== [...fate.values()].filter((each) => each === 'held').length) return false
        if (names.some((each) => sum(held.of(tx, each).map(({ amount }) => amount)) >= TOTAL)) return false
        if (paid && standing.length > 0) return false
        if (standing.some((part) => now > part.since + LIMITS.parts_hold_s || now > part.expiry - 300)) return false
      }
      now += 10_000
      overdue()
      if (paid) paidRuns += 1
      return rows.size === 0 && ![...fate.values()].includes('held')
    })
    fc.assert(property, { numRuns: 400 })
    t.ok(paidRuns > 20, `${paidRuns} of the runs were paid`)
    t.end()
  },
)
