/**
 * What the failed parts of one payment taught about the paths (R5): avoid this hub, this edge, this edge for so much, or
 * take the policy that it told, once. Forgotten with the payment; a restart forgets it too, the count of attempts does not.
 */
import { type Amount, plus, ZERO } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { ErrorCode } from '../base/errors.js'
import { type AccountId, type IdText, idText } from '../base/ids.js'
import { FAILURE_CODES, type FailureCode } from './failure.js'
import type { Part } from './payment-record.js'
import type { Policy } from './policy.js'

/**
 * Whom a hop's answer blames. `edge`: its way to the next hop; `full`: the same, for this much: hubs have one answer for
 * what they lack and what is away; `policy`: the terms for it; `nobody`: fresh points may pass. What the payee answers
 * is final and not asked here.
 */
const BLAMED: Readonly<Record<FailureCode, 'hub' | 'edge' | 'full' | 'policy' | 'nobody'>> = {
  temporary_failure: 'full',
  onion_replayed: 'hub',
  payload_invalid: 'hub',
  circular_route: 'edge',
  amount_below_minimum: 'policy',
  amount_above_maximum: 'policy',
  fee_too_small: 'policy',
  expiry_delta_too_small: 'policy',
  expiry_too_near: 'hub',
  expiry_too_far: 'hub',
  point_unusable: 'nobody',
  lock_expired: 'edge',
  onion_unreadable: 'edge',
  // a forwarder that speaks as a payee lies
  payment_details_wrong: 'hub',
  parts_timeout: 'hub',
}

/** A payer's own words for `temporary_failure` (R7), and for what no hop can say. */
function blamed(code: ErrorCode): (typeof BLAMED)[FailureCode] {
  if (code === 'no_capacity_to_payee' || code === 'no_capacity_on_route') return 'full'
  return isFailureCode(code) ? BLAMED[code] : 'hub'
}

const isFailureCode = (code: ErrorCode): code is FailureCode => (FAILURE_CODES as readonly ErrorCode[]).includes(code)

/** Smaller and smaller amounts that an edge is asked for before it counts as away. */
const FULL_MAX = 3

const edgeName = (from: IdText, to: IdText): string => `${from} ${to}`

/** Names of a route's directed edges, the payer's own first. */
const edgesOf = (payer: IdText, accounts: readonly AccountId[]): string[] => {
  const names = [payer, ...accounts.map(idText)]
  return names.slice(1).map((to, i) => edgeName(names[i]!, to))
}

/** Money of this payment that is already on its way over a route. */
export interface Carried {
  readonly accounts: readonly AccountId[]
  readonly amount: Amount
}

export interface PartAnswer {
  readonly code: ErrorCode
  /** Null where no hop named itself. */
  readonly hop: AccountId | null
  readonly policy: Policy | null
  readonly part: Pick<Part, 'accounts' | 'amount'>
}

export class Learnt {
  readonly #hubs = new Set<string>()
  readonly #edges = new Set<string>()
  /** Least amount of this payment that an edge would not carry, and how often it would not. */
  readonly #full = new Map<string, { readonly least: Amount; readonly times: number }>()
  readonly #policies = new Map<string, Policy>()

  readonly #payer: IdText

  constructor(payer: AccountId) {
    this.#payer = idText(payer)
  }

  /** @param carried the payment's other parts under way: they took of the same capacity. */
  learn({ code, hop, policy, part }: PartAnswer, carried: readonly Carried[] = []): void {
    const { accounts } = part
    const at = hop === null ? -1 : accounts.findIndex((account) => equalBytes(account, hop))
    if (at < 0) {
      this.#unnamed(code, part, carried)
      return
    }
    const next = accounts[at + 1]
    if (next === undefined) return // the payee: final
    const edge = edgeName(idText(accounts[at]!), idText(next))
    switch (blamed(code)) {
      case 'hub':
        this.#hubs.add(idText(accounts[at]!))
        return
      case 'edge':
        this.#edges.add(edge)
        return
      case 'full':
        this.#tooMuch(edge, plus(part.amount, this.#used(edge, carried)))
        return
      case 'policy':
        // Once: a hop that raises its price at every attempt is not followed.
        if (policy === null || this.#policies.has(edge)) this.#edges.add(edge)
        else this.#policies.set(edge, policy)
        return
      case 'nobody':
        return
    }
  }

  /** Our own channel, or no hop, said so. */
  #unnamed(code: ErrorCode, { accounts, amount }: PartAnswer['part'], carried: readonly Carried[]): void {
    const own = edgeName(this.#payer, idText(accounts[0]!))
    // The own channel is asked itself whether it is up; a void proposal says no more (C8).
    if (code === 'next_hop_unavailable' || code === 'point_unusable') return
    if (code === 'no_capacity') this.#tooMuch(own, plus(amount, this.#used(own, carried)))
    else if (code === 'failure_unreadable') for (const hub of accounts.slice(0, -1)) this.#hubs.add(idText(hub))
    else this.#edges.add(own)
  }

  #tooMuch(edge: string, amount: Amount): void {
    const known = this.#full.get(edge) ?? { least: amount, times: 0 }
    const times = known.times + 1
    this.#full.set(edge, { least: amount < known.least ? amount : known.least, times })
    if (times === FULL_MAX) this.#edges.add(edge)
  }

  #used(edge: string, carried: readonly Carried[]): Amount {
    const over = carried.filter(({ accounts }) => edgesOf(this.#payer, accounts).includes(edge))
    return over.reduce((sum, { amount }) => plus(sum, amount), ZERO)
  }

  avoidsHub(hub: IdText): boolean {
    return this.#hubs.has(hub)
  }

  /** Whether this edge is not to carry so much more. */
  avoidsEdge(from: IdText, to: IdText, amount: Amount, carried: readonly Carried[] = []): boolean {
    const edge = edgeName(from, to)
    if (this.#edges.has(edge)) return true
    const full = this.#full.get(edge)
    // Somewhere below lies what it has: every part takes at most half of what may be left, so that few are in vain.
    return full !== undefined && 2n * amount > full.least - this.#used(edge, carried)
  }

  /** What this hop told that it asks for forwarding to that one. */
  policyOf(from: IdText, to: IdText): Policy | undefined {
    return this.#policies.get(edgeName(from, to))
  }
}
