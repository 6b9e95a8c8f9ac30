/**
 * Search backward from the payee (R4): only there the amount is known, and each hop before it adds fee and time to what
 * the one after it gets. Dijkstra's, over a price that adds up: fee, what the locked time is worth, and how likely each
 * hop is to fail. Everything is exact and ordered, so one graph and one question give one answer.
 */
import type { Amount } from '../base/amount.js'
import type { ErrorCode } from '../base/errors.js'
import { type AccountId, type IdText, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { feeOf, type HopTerms } from './fee.js'
import { amountRefusal, type Policy } from './policy.js'
import type { SuccessEstimate } from './success.js'

/** A directed edge: what its hub asks for forwarding over one channel. */
export interface GraphEdge {
  readonly from: AccountId
  /** idText(from). */
  readonly name: IdText
  readonly policy: Policy
}

/** What a search reads of a graph. */
export interface GraphView {
  /** Several channels of one pair are several edges: a forwarder may use any of them. */
  into(to: IdText): readonly GraphEdge[]
}

export const EMPTY_GRAPH: GraphView = { into: () => [] }

/** What earlier attempts of a payment found unable. */
export interface Avoid {
  readonly hub: (hub: IdText) => boolean
  readonly edge: (from: IdText, to: IdText) => boolean
}

/** Why an edge or a path was left out: the farther down this list, the nearer it came to a route. */
export const PATH_REFUSALS = [
  'no_route',
  'amount_below_minimum',
  'amount_above_maximum',
  'route_too_long',
  'bad_amount',
  'expiry_too_far',
  'fee_above_limit',
  'next_hop_unavailable',
  'no_capacity',
] as const satisfies readonly ErrorCode[]
export type PathRefusal = (typeof PATH_REFUSALS)[number]

/** What a search makes as small as it can. `price` is what is wanted; the others find what only just fits a limit. */
export type Aim = 'price' | 'fee' | 'expiry' | 'hops'

export interface PathQuery {
  /** The payer: no path leads through it. */
  readonly self: AccountId
  readonly payee: AccountId
  /** What the payee's lock carries. */
  readonly final: HopTerms
  readonly amountBits: number
  readonly feeMax: Amount
  /** Ledger time that no expiry on the path may pass. */
  readonly expiryMax: number
  /** Ledger time now, seconds. */
  readonly now: number
  readonly graph: GraphView
  readonly success: SuccessEstimate
  readonly avoid: Avoid | undefined
  /** Replaces what the graph says of a pair. */
  readonly policyOf: ((from: IdText, to: IdText) => Policy | undefined) | undefined
}

/** The cheapest known way from one account to the payee: the lock that this account must be offered for it. */
export interface Way extends HopTerms {
  readonly account: AccountId
  readonly name: IdText
  /** Accounts from here to the payee, both counted. */
  readonly hops: number
  /** In the unit of the search's aim. */
  readonly cost: bigint
  /** The rest of the way; undefined at the payee. */
  readonly next: Way | undefined
}

/** Two percent a year, in millionths a day: what locked money could earn elsewhere. */
const LOCK_PPM_PER_DAY = 55n
/** What a failed attempt costs its payer in time, minor units; and one part in so many of the amount. */
const FAILURE_PRICE = 10n
const FAILURE_SHARE = 2_000n

/** Thousandths of a minor unit. `risk`: thousandths of -ln(probability). */
function priceOf(fee: Amount, forwarded: Amount, delta: number, risk: number): bigint {
  const locked = (forwarded * BigInt(delta) * LOCK_PPM_PER_DAY) / 86_400_000n
  return fee * 1_000n + locked + (FAILURE_PRICE + forwarded / FAILURE_SHARE) * BigInt(risk)
}

/** A total order: equal costs must not make an answer depend on the order in which edges came. */
function precedes(a: Way, b: Way): boolean {
  if (a.cost !== b.cost) return a.cost < b.cost
  if (a.hops !== b.hops) return a.hops < b.hops
  if (a.amount !== b.amount) return a.amount < b.amount
  if (a.expiry !== b.expiry) return a.expiry < b.expiry
  if (a.name !== b.name) return a.name < b.name
  return (a.next?.name ?? '') < (b.next?.name ?? '')
}

/** A binary heap of ways; those that a better one replaced stay in it until they come up. */
class Frontier {
  readonly #ways: Way[] = []

  push(way: Way): void {
    const ways = this.#ways
    let at = ways.length
    ways.push(way)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!precedes(way, ways[parent]!)) break
      ways[at] = ways[parent]!
      at = parent
    }
    ways[at] = way
  }

  pop(): Way | undefined {
    const ways = this.#ways
    const [top] = ways
    const last = ways.pop()
    if (last === undefined || last === top) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= ways.length) break
      if (child + 1 < ways.length && precedes(ways[child + 1]!, ways[child]!)) child += 1
      if (!precedes(ways[child]!, last)) break
      ways[at] = ways[child]!
      at = child
    }
    ways[at] = last
    return top
  }
}

class Search {
  readonly #best = new Map<IdText, Way>()
  readonly #frontier = new Frontier()
  readonly #self: IdText
  readonly #amountMax: bigint

  constructor(
    private readonly query: PathQuery,
    private readonly aim: Aim,
    private readonly refused: (refusal: PathRefusal) => void,
  ) {
    this.#self = idText(query.self)
    this.#amountMax = (1n << BigInt(query.amountBits)) - 1n
  }

  run(reached: (way: Way) => boolean): void {
    const { payee, final } = this.query
    const first: Way = { ...final, account: payee, name: idText(payee), hops: 1, cost: 0n, next: undefined }
    if (this.#fits(first)) this.#offer(first)
    for (let way = this.#frontier.pop(); way !== undefined; way = this.#frontier.pop()) {
      if (this.#best.get(way.name) !== way) continue
      if (reached(way)) return
      this.#extend(way)
    }
  }

  #extend(way: Way): void {
    const { graph, avoid, policyOf } = this.query
    for (const edge of graph.into(way.name)) {
      const { name } = edge
      const known = this.#best.get(name)
      // No edge has a price below zero: what is as cheap already stays so.
      if (name === this.#self || (known !== undefined && known.cost <= way.cost)) continue
      if (avoid?.hub(name) === true || avoid?.edge(name, way.name) === true) continue
      const longer = this.#before(way, edge, policyOf?.(name, way.name) ?? edge.policy)
      if (longer !== undefined && (known === undefined || precedes(longer, known))) this.#offer(longer)
    }
  }

  /** The way that begins one hop earlier, or why it is none. */
  #before(way: Way, { from, name }: GraphEdge, policy: Policy): Way | undefined {
    if (!policy.enabled) return undefined
    const refusal = amountRefusal(policy, way.amount)
    if (refusal !== undefined) return this.#no(refusal)
    if (way.hops >= LIMITS.path_hops) return this.#no('route_too_long')
    const fee = feeOf(policy, way.amount)
    const longer: Way = {
      account: from,
      name,
      amount: (way.amount + fee) as Amount,
      expiry: way.expiry + policy.expiryDelta,
      hops: way.hops + 1,
      cost: way.cost + this.#cost(way, name, fee, policy.expiryDelta),
      next: way,
    }
    return this.#fits(longer) ? longer : undefined
  }

  #cost(way: Way, from: IdText, fee: Amount, delta: number): bigint {
    switch (this.aim) {
      case 'fee':
        return fee
      case 'expiry':
        return BigInt(delta)
      case 'hops':
        return 1n
      case 'price':
        return priceOf(fee, way.amount, delta, this.query.success.risk(from, way.name, way.amount, this.query.now))
    }
  }

  #fits(way: Way): boolean {
    const { final, feeMax, expiryMax } = this.query
    if (way.amount > this.#amountMax) this.refused('bad_amount')
    else if (way.amount - final.amount > feeMax) this.refused('fee_above_limit')
    else if (way.expiry > expiryMax) this.refused('expiry_too_far')
    else return true
    return false
  }

  #no(refusal: PathRefusal): undefined {
    this.refused(refusal)
    return undefined
  }

  #offer(way: Way): void {
    this.#best.set(way.name, way)
    this.#frontier.push(way)
  }
}

/**
 * Ways to the payee in the order of their cost, each account's best once, until `reached` has enough.
 * @param refused hears why edges were left out; it may hear the same more than once.
 */
export function searchWays(
  query: PathQuery,
  aim: Aim,
  refused: (refusal: PathRefusal) => void,
  reached: (way: Way) => boolean,
): void {
  new Search(query, aim, refused).run(reached)
}
