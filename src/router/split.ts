/**
 * An amount over several paths where one cannot carry it (R1). All of it or nothing: no part is begun unless the others
 * have a path as well, as far as the payer can know.
 */
import { type Amount, minus, plus, ZERO } from '../base/amount.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result } from '../base/result.js'
import type { Route } from './route.js'

export interface PartsQuery {
  /** What is to reach the payee, and the most that it may cost. */
  readonly amount: Amount
  readonly feeMax: Amount
  readonly partsMax: number
  /** No smaller part, unless less is asked for. */
  readonly partMin: Amount
}

export interface PartsContext {
  /** Routes for one part, the best first, once the routes `taken` carry theirs. */
  readonly find: (amount: Amount, feeMax: Amount, taken: readonly Route[]) => Result<readonly Route[]>
  /** What the own channel of a route can send, before any of the routes taken. */
  readonly canSend: (route: Route) => Amount
}

/** What a route brings to the payee, and what the payer's own channel gives for it. */
export const amountOf = (route: Route): Amount => route.hops.at(-1)?.amount ?? ZERO
export const costOfRoute = (route: Route): Amount => plus(amountOf(route), route.fee)

/** A part's least amount for a payment of this one. */
export const partMinOf = (amount: Amount): Amount => {
  const share = amount / BigInt(LIMITS.payment_part_share)
  return (share > 0n ? share : 1n) as Amount
}

/** One route for all of it, else several that sum to it. @returns the refusal of the whole where parts do not help. */
export function planParts(query: PartsQuery, context: PartsContext): Result<readonly Route[]> {
  const whole = context.find(query.amount, query.feeMax, [])
  if (whole.ok) return ok(whole.value.slice(0, 1))
  const taken: Route[] = []
  let { amount, feeMax } = query
  while (amount > ZERO) {
    const left = query.partsMax - taken.length
    const route = left > 0 ? largestPart({ ...query, amount, feeMax, partsMax: left }, context, taken) : undefined
    if (route === undefined) return whole
    taken.push(route)
    amount = (amount - amountOf(route)) as Amount
    feeMax = (feeMax - route.fee) as Amount
  }
  return ok(taken)
}

/** All that is left, or the half, the quarter, … of it; then as much more as the same own channel has. */
function largestPart(query: PartsQuery, context: PartsContext, taken: readonly Route[]): Route | undefined {
  const { amount, feeMax, partMin, partsMax } = query
  const all = context.find(amount, feeMax, taken)
  if (all.ok) return all.value[0]
  if (partsMax < 2) return undefined
  for (let size = half(amount); size >= partMin && size < amount; size = half(size)) {
    const found = context.find(size, feeMax, taken)
    const route = found.ok ? found.value[0] : undefined
    if (route !== undefined) return enlarged(route, query, context, taken)
    if (size === ONE) return undefined
  }
  return undefined
}

const ONE = 1n as Amount
const half = (amount: Amount): Amount => ((amount + 1n) / 2n) as Amount

/** A fee of `base + ppm` never grows faster than its amount, but for one unit of rounding at each hop. */
function enlarged(route: Route, query: PartsQuery, context: PartsContext, taken: readonly Route[]): Route {
  const size = amountOf(route)
  const spent = taken.filter(({ channel }) => channel.join() === route.channel.join()).map(costOfRoute)
  const room = minus(context.canSend(route), plus(...spent)) ?? ZERO
  const fee = (route.fee * room + size - 1n) / size + BigInt(route.hops.length)
  // What would be left over must be a part as well.
  const most = query.amount - query.partMin
  const target = room - fee < most ? room - fee : most
  if (target <= size) return route
  const found = context.find(target as Amount, query.feeMax, taken)
  return (found.ok ? found.value[0] : undefined) ?? route
}
