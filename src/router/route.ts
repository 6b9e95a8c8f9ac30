/** Routes and what is sent along them (R2, R3, R4, R7): the payer's own channels, the gossiped graph, the invoice's hints. */
import { type Amount, amount, minus } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { Point, Scalar } from '../base/curve/index.js'
import { prf } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import { type AccountId, type ChannelId, type IdText, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { HopTerms } from './fee.js'
import { type Invoice, invoiceDigest } from './invoice.js'
import { type HopSecret, hopScalar, routeSecrets, type SharedSecret } from './onion/crypto.js'
import { buildOnion, onionBinding } from './onion/packet.js'
import {
  type Aim,
  type Avoid,
  type GraphView,
  PATH_REFUSALS,
  type PathQuery,
  type PathRefusal,
  searchWays,
  type Way,
} from './pathfind.js'
import { encodePayload, type HopPayload, SET_BYTES } from './payload.js'
import { lockPoints } from './point-lock.js'
import type { Policy } from './policy.js'
import type { SuccessEstimate } from './success.js'

/** One hop and the lock that is offered to it. */
export interface RouteHop extends HopTerms {
  readonly account: AccountId
}

export interface Route {
  /** The payer's own channel to the first hop. */
  readonly channel: ChannelId
  /** The payee last; at least one. */
  readonly hops: readonly RouteHop[]
  readonly fee: Amount
}

/** One of the payer's own channels. */
export interface OwnChannel {
  readonly channel: ChannelId
  readonly peer: AccountId
  readonly ready: boolean
  readonly canSend: Amount
  readonly slotsFree: number
}

/** What is to be paid over one route: an invoice, or a part of it (R1). */
export interface RouteQuery {
  readonly invoice: Invoice
  /** Of this part; the invoice's own where it is paid in one. */
  readonly amount: Amount
  /** What this part may cost. */
  readonly feeMax: Amount
}

export interface RouteContext {
  /** The payer. */
  readonly self: AccountId
  /** Ledger time, seconds. */
  readonly now: number
  /** L of genesis. */
  readonly amountBits: number
  readonly channels: readonly OwnChannel[]
  readonly graph: GraphView
  readonly success: SuccessEstimate
  /** Seconds added to the payee's expiry: payer and payee see the ledger's time a little apart, and a random part hides how many hops are left. */
  readonly expirySlack: number
  /** Longest time, seconds, for which the payer lets its own lock hold money. */
  readonly expiryFar: number
  /** A hub's policy toward its next hop as its last failure told it; it replaces the graph's and the invoice's (feeMax and expiryFar bound a liar). */
  readonly policyOf?: (from: IdText, to: IdText) => Policy | undefined
  /** What earlier attempts of this payment found unable. */
  readonly avoid?: Avoid
}

/** The public graph and, for this search alone, how the payee says that it is reached (R6). */
function withHints(graph: GraphView, { payee, hints }: Invoice): GraphView {
  const name = idText(payee)
  const toPayee = hints.map(({ hub, policy }) => ({ from: hub, name: idText(hub), policy }))
  return { into: (to) => (to === name ? [...toPayee, ...graph.into(to)] : graph.into(to)) }
}

/** Of several channels to one peer the first that can; R7: a route that fails for capacity says so. */
function firstChannel(way: Way, channels: readonly OwnChannel[]): OwnChannel | PathRefusal {
  const ready = channels.filter((own) => own.ready && equalBytes(own.peer, way.account))
  if (ready.length === 0) return 'next_hop_unavailable'
  return ready.find((own) => own.slotsFree > 0 && own.canSend >= way.amount) ?? 'no_capacity'
}

/** @param part what the payee gets. */
export function routeAlong(way: Way, { channel }: OwnChannel, part: Amount): Route {
  const hops: RouteHop[] = []
  for (let at: Way | undefined = way; at !== undefined; at = at.next) {
    hops.push({ account: at.account, amount: at.amount, expiry: at.expiry })
  }
  const fee = minus(way.amount, part)
  invariant(fee !== undefined, 'R3', 'a way costs less than what it delivers')
  return { channel, hops, fee }
}

/** One search: the best way through each peer that can take it. */
function routesFor(query: PathQuery, aim: Aim, context: RouteContext, refusals: Set<PathRefusal>): Route[] {
  const peers = new Set(context.channels.map((own) => idText(own.peer)))
  const routes: Route[] = []
  searchWays(
    query,
    aim,
    (refusal) => refusals.add(refusal),
    (way) => {
      if (!peers.delete(way.name)) return false
      const own = firstChannel(way, context.channels)
      if (typeof own === 'string') refusals.add(own)
      else routes.push(routeAlong(way, own, query.final.amount))
      return peers.size === 0 || routes.length === LIMITS.routes_found
    },
  )
  return routes
}

/** A limit that the best-priced way broke may be kept by the way that spends the least of it. */
const SECOND_AIMS: readonly (readonly [PathRefusal, Aim])[] = [
  ['fee_above_limit', 'fee'],
  ['expiry_too_far', 'expiry'],
  ['route_too_long', 'hops'],
]

/**
 * Routes that can be tried now, best first: the fee, and a price for locked time and for what may fail. At most one per
 * peer; a node takes the first and, when its attempt is out, asks again with what it learnt.
 * @returns where there is none, the refusal of what came nearest.
 */
export function findRoutes(query: RouteQuery, context: RouteContext): Result<readonly Route[]> {
  const { invoice, amount: part, feeMax } = query
  const { self, now, amountBits, success, avoid, policyOf } = context
  if (equalBytes(invoice.payee, self)) return refuse('circular_route')
  if (part < 1n || part > invoice.amount || !amount(part, amountBits).ok) return refuse('bad_amount')
  const path: PathQuery = {
    self,
    payee: invoice.payee,
    final: { amount: part, expiry: now + invoice.finalDelta + context.expirySlack },
    amountBits,
    feeMax,
    expiryMax: now + context.expiryFar,
    now,
    graph: withHints(context.graph, invoice),
    success,
    avoid,
    policyOf,
  }
  const refusals = new Set<PathRefusal>()
  let routes = routesFor(path, 'price', context, refusals)
  for (const [refusal, aim] of SECOND_AIMS) {
    if (routes.length === 0 && refusals.has(refusal)) routes = routesFor(path, aim, context, refusals)
  }
  if (routes.length > 0) return ok(routes)
  return refuse(PATH_REFUSALS.findLast((refusal) => refusals.has(refusal)) ?? 'no_route')
}

/** What the payer proposes in `route.channel`. */
export interface RouteOffer {
  readonly amount: Amount
  readonly point: Point
  readonly expiry: number
  readonly onion: Uint8Array
}

/** Everything an attempt's session key gives: kept in no row, derived again when a claim or a failure comes after a restart. */
export interface RouteKeys {
  readonly secrets: readonly SharedSecret[]
  /** Each hop's y (R1). */
  readonly scalars: readonly Scalar[]
}

interface DerivedKeys extends RouteKeys {
  readonly accounts: readonly AccountId[]
  readonly hops: readonly HopSecret[]
}

/** As long as its session key is in memory: a route costs two multiplications a hop. */
const derived = new WeakMap<Scalar, DerivedKeys>()

function deriveKeys(sessionKey: Scalar, accounts: readonly AccountId[]): DerivedKeys {
  const known = derived.get(sessionKey)
  const same = known?.accounts.length === accounts.length
  if (known !== undefined && same && accounts.every((account, i) => equalBytes(account, known.accounts[i]!)))
    return known
  const hops = routeSecrets(sessionKey, accounts)
  const secrets = hops.map((hop) => hop.secret)
  const keys = { accounts, hops, secrets, scalars: secrets.map(hopScalar) }
  derived.set(sessionKey, keys)
  return keys
}

export const routeKeys = (sessionKey: Scalar, accounts: readonly AccountId[]): RouteKeys =>
  deriveKeys(sessionKey, accounts)

const payloadFor = (route: Route, invoice: Invoice, set: Uint8Array, i: number): HopPayload => {
  const next = route.hops[i + 1]
  if (next !== undefined) return { kind: 'forward', next: next.account, amount: next.amount, expiry: next.expiry }
  const { amount: part, expiry } = route.hops[i]!
  return { kind: 'final', amount: part, expiry, secret: invoice.secret, total: invoice.amount, set }
}

/** What a payer names its payment of an invoice by: the same for every part, and nobody else's. @param seed the payer's. */
export const paymentSet = (seed: Uint8Array, invoice: Invoice): Uint8Array =>
  prf(seed, 'payment-set', invoiceDigest(invoice)).slice(0, SET_BYTES)

/**
 * Points and onion of one attempt.
 * @param set `paymentSet`
 * @param sessionKey fresh for this attempt (`sessionKeyFrom`).
 */
export function routeOffer(route: Route, invoice: Invoice, set: Uint8Array, sessionKey: Scalar): Result<RouteOffer> {
  const accounts = route.hops.map((hop) => hop.account)
  const { hops: secrets, scalars } = deriveKeys(sessionKey, accounts)
  const points = lockPoints(invoice.point, scalars)
  if (!points.ok) return points
  const onion = buildOnion(
    sessionKey,
    secrets,
    route.hops.map((_, i) => ({
      payload: encodePayload(payloadFor(route, invoice, set, i)),
      associatedData: onionBinding(invoice.ledger, points.value[i]!),
    })),
  )
  if (!onion.ok) return onion
  const { amount: total, expiry } = route.hops[0]!
  return ok({ amount: total, point: points.value[0]!, expiry, onion: onion.value })
}
