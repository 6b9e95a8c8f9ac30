import fc from 'fast-check'
import t from 'tap'
import { type AccountId, idText } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import { termsBackwards } from '../../src/router/fee.js'
import type { GraphEdge, GraphView } from '../../src/router/pathfind.js'
import { amountRefusal, type Policy } from '../../src/router/policy.js'
import { findRoutes, type Route, type RouteContext, routeOffer } from '../../src/router/route.js'
import {
  carol,
  cents,
  digest,
  invoiceOf,
  must,
  NOW,
  party,
  policy,
  routeContext,
  routeQuery,
  SET,
  session,
} from './support.js'

const refusal = (code: string) => ({ ok: false, error: { code } })
const hubs = Array.from({ length: 24 }, (_, i) => party(`hub ${i}`))
const hub = (i: number): AccountId => (i < 0 ? carol.account : hubs[i]!.account)

interface Drawn {
  /** -1 is the payee. */
  readonly from: number
  readonly to: number
  readonly policy: Policy
}

function graphOf(edges: readonly Drawn[]): GraphView {
  const into = new Map<string, GraphEdge[]>()
  for (const { from, to, policy } of edges) {
    const name = idText(hub(to))
    into.set(name, [...(into.get(name) ?? []), { from: hub(from), name: idText(hub(from)), policy }])
  }
  return { into: (to) => into.get(to) ?? [] }
}

const own = (i: number, canSend = 10n ** 9n) => ({
  channel: digest(`own ${i}`),
  peer: hub(i),
  ready: true,
  canSend: cents(canSend),
  slotsFree: 1,
})

const invoice = invoiceOf({ hints: [] })
const edge = (from: number, to: number, change: Partial<Policy> = {}): Drawn => ({
  from,
  to,
  policy: { ...policy, ...change },
})
const search = (edges: readonly Drawn[], change: Partial<RouteContext> = {}, feeMax = 10n ** 6n) =>
  findRoutes(
    routeQuery({ invoice, feeMax: cents(feeMax) }),
    routeContext({ channels: [own(0)], graph: graphOf(edges), expiryFar: 10 ** 6, ...change }),
  )
const accountsOf = (route: Route | undefined): number[] =>
  (route?.hops ?? []).map(({ account }) => hubs.findIndex((each) => idText(each.account) === idText(account)))

t.test('R4: cheap, short and reliable; parallel channels, bounds and disabled ones', (t) => {
  const two = [edge(0, 1), edge(1, -1), edge(0, 2), edge(2, -1)]
  t.same(accountsOf(must(search([...two.slice(0, 2), edge(0, 2, { base: cents(900) }), two[3]!]))[0]), [0, 1, -1])
  const parallel = [
    edge(0, -1, { base: cents(50) }),
    edge(0, -1, { base: cents(2) }),
    edge(0, -1, { base: cents(1), enabled: false }),
  ]
  t.equal(must(search(parallel))[0]?.fee, 2n + 13n, 'any channel of the pair may do, the cheapest that can')
  const bounded = [edge(0, -1, { maxAmount: cents(10) }), edge(0, -1, { base: cents(50) })]
  t.equal(must(search(bounded))[0]?.fee, 50n + 13n)
  const risky = (amount: bigint) => ({ risk: (from: string) => (from === idText(hub(1)) ? Number(amount) : 1) })
  t.same(accountsOf(must(search(two, { success: risky(5_000n) }))[0]), [0, 2, -1], 'what failed is gone around')
  const long = [
    edge(0, -1, { expiryDelta: 900_000 }),
    edge(0, 1, { expiryDelta: 60 }),
    edge(1, -1, { expiryDelta: 60 }),
  ]
  t.same(accountsOf(must(search(long, { success: risky(1n) }))[0]), [0, 1, -1], 'locked time has its price')
  t.same(
    must(search(two, { channels: [own(1), own(2)] })).map(accountsOf),
    [
      [1, -1],
      [2, -1],
    ].sort((a, b) => Buffer.compare(hub(a[0]!), hub(b[0]!))),
    'the best way through each own peer',
  )
  t.match(search([edge(0, 1)]), refusal('no_route'))
  t.match(search(two, { self: hub(0) }), refusal('no_route'), 'never through the payer itself')
  const through = [edge(0, 3), edge(3, -1)]
  t.match(search(through, { self: hub(3) }), refusal('no_route'))
  t.match(search([edge(0, -1, { maxAmount: cents(1) })]), refusal('amount_above_maximum'))
  t.match(search([edge(0, -1, { minAmount: cents(10n ** 9n) })]), refusal('amount_below_minimum'))
  t.end()
})

t.test('R4: a limit that the best price breaks is kept by another way', (t) => {
  const edges = [
    edge(0, -1, { base: cents(1), expiryDelta: 9_000 }),
    edge(0, 1, { base: cents(40), expiryDelta: 60 }),
    edge(1, -1, { base: cents(40), expiryDelta: 60 }),
  ]
  const free = { success: { risk: () => 1 } }
  t.same(accountsOf(must(search(edges, { ...free, expiryFar: 2_000 }))[0]), [0, 1, -1])
  t.same(accountsOf(must(search(edges, free, 20n))[0]), [0, -1])
  t.match(search(edges, { ...free, expiryFar: 2_000 }, 20n), refusal('fee_above_limit'))
  // The best price to hub 1 keeps the limit, and breaks it one hop earlier.
  const before = edge(0, 1)
  const slow = [before, edge(1, -1, { base: cents(1), expiryDelta: 1_500 }), edge(1, -1, { expiryDelta: 60 })]
  t.equal(must(search(slow, { ...free, expiryFar: 3_000 }))[0]?.hops[0]?.expiry, NOW + 1_260 + 60 + 600)
  const dear = [before, edge(1, -1, { base: cents(60), expiryDelta: 60 }), edge(1, -1, { expiryDelta: 900_000 })]
  t.equal(must(search(dear, free, 80n))[0]?.fee, 18n + 18n)
  const chain = (count: number, change: Partial<Policy> = {}) =>
    Array.from({ length: count }, (_, i) => edge(i, i + 1 < count ? i + 1 : -1, change))
  const cheap = { base: cents(0), ppm: 0, expiryDelta: 1 }
  const longest = must(search(chain(LIMITS.path_hops - 1, cheap)))[0]!
  t.equal(longest.hops.length, LIMITS.path_hops)
  t.ok(routeOffer(longest, invoice, SET, session(1)).ok, 'and an onion carries it')
  t.match(search(chain(LIMITS.path_hops, cheap)), refusal('route_too_long'))
  const [short] = must(search([...chain(LIMITS.path_hops, cheap), edge(0, 12, { base: cents(5_000) })], free))
  t.equal(short?.hops[1]?.amount, invoice.amount, 'where the cheapest is too long, a shorter one')
  t.ok(short!.hops.length <= LIMITS.path_hops)
  t.end()
})

/** All simple paths, by trying. */
function everyPath(edges: readonly Drawn[], first: number): Drawn[][] {
  const paths: Drawn[][] = []
  const walk = (at: number, taken: readonly Drawn[], seen: ReadonlySet<number>): void => {
    for (const next of edges.filter(({ from, to }) => from === at && !seen.has(to))) {
      if (next.to === -1) paths.push([...taken, next])
      else walk(next.to, [...taken, next], new Set([...seen, next.to]))
    }
  }
  walk(first, [], new Set([first]))
  return paths
}

t.test('R4: against trying every path: a way is found where there is one, and can be forwarded', (t) => {
  const zPolicyOf = fc.record({
    base: fc.integer({ min: 0, max: 300 }).map(cents),
    ppm: fc.integer({ min: 0, max: 3_000 }),
    expiryDelta: fc.integer({ min: 1, max: 3_000 }),
    minAmount: fc.constant(cents(1)),
    maxAmount: fc.constantFrom(cents(100_000), cents(10n ** 9n), cents(10n ** 10n)),
    enabled: fc.constantFrom(true, true, true, false),
  })
  const zHub = fc.integer({ min: 0, max: 4 })
  const zEdge = fc.record({ from: zHub, to: fc.oneof(fc.constant(-1), zHub), policy: zPolicyOf })
  // One limit binds at a time: where both do, a way that only just keeps both may be missed.
  const zLimit = fc.oneof(
    fc.record({ feeMax: fc.bigInt({ min: 0n, max: 1_500n }), expiryFar: fc.constant(10 ** 6) }),
    fc.record({ feeMax: fc.constant(10n ** 6n), expiryFar: fc.integer({ min: 1_260, max: 9_000 }) }),
  )
  let found = 0
  const property = fc.property(fc.array(zEdge, { minLength: 5, maxLength: 14 }), zLimit, (drawn, limit) => {
    const { feeMax, expiryFar } = limit
    const edges = drawn.filter(({ from, to }) => from !== to)
    const result = search(edges, { expiryFar }, feeMax)
    const final = { amount: invoice.amount, expiry: NOW + 1_260 }
    const possible = everyPath(edges, 0).flatMap((path) => {
      const policies = path.map((each) => each.policy)
      const terms = termsBackwards(final, policies)
      const fits = policies.every((each, i) => each.enabled && amountRefusal(each, terms[i + 1]!.amount) === undefined)
      const fee = terms[0]!.amount - invoice.amount
      const { expiry } = terms[0]!
      return fits && fee <= feeMax && expiry <= NOW + expiryFar ? [{ fee, expiry }] : []
    })
    if (!result.ok) return possible.length === 0
    found += 1
    const [{ hops, fee: paid }] = result.value as readonly [Route]
    if (new Set(hops.map(({ account }) => idText(account))).size !== hops.length) return false
    return possible.some(({ fee, expiry }) => fee === paid && hops[0]!.expiry === expiry)
  })
  fc.assert(property, { numRuns: 400 })
  t.ok(found > 50, `${found} of 400 had a route`)
  t.end()
})

t.test('R4: one graph and one question give one answer, whatever the order of the edges', (t) => {
  const edges = Array.from({ length: 60 }, (_, i) => edge(i % 7, ((i * 5) % 8) - 1)).filter(
    ({ from, to }) => from !== to,
  )
  const [first] = must(search(edges))
  for (let turn = 1; turn < 20; turn++) {
    const shuffled = [...edges.slice(turn * 3), ...edges.slice(0, turn * 3)]
    t.same(must(search(shuffled))[0], first)
  }
  t.end()
})
