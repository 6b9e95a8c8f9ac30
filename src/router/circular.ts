/**
 * Moving one's own money from one channel into another (R7): a payment to oneself that leaves by the one and comes back by
 * the other. The invoice is the node's own and names both channels, so that what is durable of the payment says it all.
 */
import { amount } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { AccountId } from '../base/ids.js'
import { idText } from '../base/ids.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { Invoice, RouteHint } from './invoice.js'
import { type GraphView, PATH_REFUSALS, type PathRefusal, searchWays } from './pathfind.js'
import { type Route, type RouteContext, type RouteQuery, routeAlong } from './route.js'

/** A payer pays itself by this way alone. */
export const isCircular = (invoice: Invoice, self: AccountId): boolean => equalBytes(invoice.payee, self)

/** The order of the hints in the invoice: the channel by which the money comes back, then the one by which it leaves. */
export const circularHints = (comesBack: RouteHint, leaves: RouteHint): RouteHint[] => [comesBack, leaves]

/** The public graph, with one way in: through the peer of the channel that the money comes back by. */
function backBy(graph: GraphView, self: AccountId, { hub, policy }: RouteHint): GraphView {
  const name = idText(self)
  const only = [{ from: hub, name: idText(hub), policy }]
  return { into: (to) => (to === name ? only : graph.into(to)) }
}

/**
 * The way of least price. Which of its channels the last hub takes is its own choice, if there are several with this node.
 * Errors: why there is none; `circular_route` where both channels are with one peer, who forwards nothing back.
 */
export function findCircular(
  { invoice, amount: part, feeMax }: RouteQuery,
  context: RouteContext,
): Result<readonly Route[]> {
  const { self, now, amountBits, success, avoid, policyOf, channels } = context
  const [comesBack, leaves] = invoice.hints
  const own = channels.find(({ channel }) => leaves !== undefined && equalBytes(channel, leaves.channel))
  if (comesBack === undefined || leaves === undefined || own === undefined) return refuse('no_circle')
  if (equalBytes(comesBack.hub, leaves.hub)) return refuse('circular_route')
  if (part < 1n || part > invoice.amount || !amount(part, amountBits).ok) return refuse('bad_amount')
  if (!own.ready) return refuse('next_hop_unavailable')
  const first = idText(leaves.hub)
  const routes: Route[] = []
  const refusals = new Set<PathRefusal>()
  searchWays(
    {
      self,
      payee: self,
      final: { amount: part, expiry: now + invoice.finalDelta + context.expirySlack },
      amountBits,
      feeMax,
      expiryMax: now + context.expiryFar,
      now,
      graph: backBy(context.graph, self, comesBack),
      success,
      avoid,
      policyOf,
    },
    'price',
    (refusal) => refusals.add(refusal),
    (way) => {
      if (way.name !== first) return false
      if (own.slotsFree > 0 && own.canSend >= way.amount) routes.push(routeAlong(way, own, part))
      else refusals.add('no_capacity')
      return true
    },
  )
  if (routes.length > 0) return ok(routes)
  const nearest = PATH_REFUSALS.findLast((refusal) => refusals.has(refusal))
  return refuse(nearest === undefined || nearest === 'no_route' ? 'no_circle' : nearest) // it speaks of payees
}
