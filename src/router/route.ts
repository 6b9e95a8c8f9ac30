/**
 * Routes and what is sent along them (R2, R3, R7). Version 1 knows the payer's own channels and the invoice's hints:
 * payer → payee and payer → hub → payee. A search over the gossiped graph (R4) yields the same `Route`.
 */
import { type Amount, amount, minus } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { Point, Scalar } from '../base/curve/index.js'
import type { AccountId, ChannelId } from '../base/ids.js'
import { ok, type Result, refuse } from '../base/result.js'
import { type HopTerms, termsBackwards } from './fee.js'
import type { Invoice } from './invoice.js'
import { hopScalar, routeSecrets, type SharedSecret } from './onion/crypto.js'
import { buildOnion, onionBinding } from './onion/packet.js'
import { encodePayload, type HopPayload } from './payload.js'
import { lockPoints } from './point-lock.js'
import { amountRefusal, type Policy } from './policy.js'

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

export interface RouteContext {
  /** Ledger time, seconds. */
  readonly now: number
  /** L of genesis. */
  readonly amountBits: number
  readonly channels: readonly OwnChannel[]
  readonly feeMax: Amount
  /** Seconds added to the payee's expiry: payer and payee see the ledger's time a little apart, and a random part hides how many hops are left. */
  readonly expirySlack: number
  /** Longest time, seconds, for which the payer lets its own lock hold money. */
  readonly expiryFar: number
  /** A hub's policy as its last failure told it; it replaces the invoice's (feeMax and expiryFar bound a liar). */
  readonly policyOf?: (hub: AccountId) => Policy | undefined
  /** Hubs that an earlier attempt of this payment found unable. */
  readonly avoid?: (hub: AccountId) => boolean
}

/** The forwarders of a candidate with their policies, in the order of the route. */
interface Path {
  readonly forwarders: readonly { readonly account: AccountId; readonly policy: Policy }[]
}

function pathsOf(invoice: Invoice, context: RouteContext): Path[] {
  const hints = invoice.hints.filter((hint) => !context.avoid?.(hint.hub))
  const viaHubs = hints.map(({ hub, policy }) => ({
    forwarders: [{ account: hub, policy: context.policyOf?.(hub) ?? policy }],
  }))
  return [{ forwarders: [] }, ...viaHubs]
}

function routeOver(path: Path, invoice: Invoice, context: RouteContext): Result<Route> {
  const { forwarders } = path
  const accounts = [...forwarders.map((forwarder) => forwarder.account), invoice.payee]
  const toFirst = context.channels.filter((own) => equalBytes(own.peer, accounts[0]!))
  if (toFirst.length === 0) return refuse('no_route')
  const policies = forwarders.map((forwarder) => forwarder.policy)
  const final = { amount: invoice.amount, expiry: context.now + invoice.finalDelta + context.expirySlack }
  const terms = termsBackwards(final, policies)
  for (const [i, policy] of policies.entries()) {
    if (!policy.enabled) return refuse('no_route')
    const refusal = amountRefusal(policy, terms[i + 1]!.amount)
    if (refusal !== undefined) return refuse(refusal)
  }
  const first = terms[0]!
  if (!amount(first.amount, context.amountBits).ok) return refuse('bad_amount')
  const fee = minus(first.amount, invoice.amount)
  if (fee === undefined || fee > context.feeMax) return refuse('fee_above_limit')
  if (first.expiry - context.now > context.expiryFar) return refuse('expiry_too_far')
  const ready = toFirst.filter((own) => own.ready)
  if (ready.length === 0) return refuse('next_hop_unavailable')
  // R7: a route that fails for capacity says so
  const able = ready.find((own) => own.slotsFree > 0 && own.canSend >= first.amount)
  if (able === undefined) return refuse('no_capacity')
  return ok({ channel: able.channel, hops: accounts.map((account, i) => ({ account, ...terms[i]! })), fee })
}

/**
 * Every route that can be tried now, cheapest first; a node takes the first and, when its attempt is out, asks again.
 * @returns the refusal of the path that came nearest where there is none.
 */
export function findRoutes(invoice: Invoice, context: RouteContext): Result<readonly Route[]> {
  const found = pathsOf(invoice, context).map((path) => routeOver(path, invoice, context))
  const routes = found.flatMap((result) => (result.ok ? [result.value] : []))
  if (routes.length > 0) return ok(routes.sort((a, b) => (a.fee < b.fee ? -1 : a.fee > b.fee ? 1 : 0)))
  const refusals = found.flatMap((result) => (result.ok ? [] : [result.error]))
  const telling = refusals.find((refusal) => refusal.code !== 'no_route') ?? refusals[0]!
  return refuse(telling.code)
}

/** What the payer proposes in `route.channel`. */
export interface RouteOffer {
  readonly amount: Amount
  readonly point: Point
  readonly expiry: number
  readonly onion: Uint8Array
}

/** Everything an attempt's session key gives: kept nowhere, derived when a claim or a failure comes. */
export interface RouteKeys {
  readonly secrets: readonly SharedSecret[]
  /** Each hop's y (R1). */
  readonly scalars: readonly Scalar[]
}

export function routeKeys(sessionKey: Scalar, accounts: readonly AccountId[]): RouteKeys {
  const secrets = routeSecrets(sessionKey, accounts).map((hop) => hop.secret)
  return { secrets, scalars: secrets.map(hopScalar) }
}

const payloadFor = (route: Route, invoice: Invoice, i: number): HopPayload => {
  const next = route.hops[i + 1]
  if (next !== undefined) return { kind: 'forward', next: next.account, amount: next.amount, expiry: next.expiry }
  const { amount: part, expiry } = route.hops[i]!
  return { kind: 'final', amount: part, expiry, secret: invoice.secret, total: invoice.amount }
}

/** Points and onion of one attempt. @param sessionKey fresh for this attempt (`sessionKeyFrom`). */
export function routeOffer(route: Route, invoice: Invoice, sessionKey: Scalar): Result<RouteOffer> {
  const accounts = route.hops.map((hop) => hop.account)
  const secrets = routeSecrets(sessionKey, accounts)
  const scalars = secrets.map((hop) => hopScalar(hop.secret))
  const points = lockPoints(invoice.point, scalars)
  if (!points.ok) return points
  const onion = buildOnion(
    sessionKey,
    secrets,
    route.hops.map((_, i) => ({
      payload: encodePayload(payloadFor(route, invoice, i)),
      associatedData: onionBinding(invoice.ledger, points.value[i]!),
    })),
  )
  if (!onion.ok) return onion
  const { amount: total, expiry } = route.hops[0]!
  return ok({ amount: total, point: points.value[0]!, expiry, onion: onion.value })
}
