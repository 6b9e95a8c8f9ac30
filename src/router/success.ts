/**
 * How likely a hop is to forward, learnt from this node's own payments alone (R4): capacities are hidden. Per directed
 * pair the last amount that went through and the last that did not, which count for less the older they are.
 */
import type { Amount } from '../base/amount.js'
import { type ErrorCode, unreachable } from '../base/errors.js'
import { type AccountId, type IdText, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'

export interface SuccessEstimate {
  /**
   * How unlikely it is that `from` forwards `amount` to `to` at ledger time `now`: a whole number of thousandths of
   * -ln(probability), above zero.
   */
  risk(from: IdText, to: IdText, amount: Amount, now: number): number
}

/** Where nothing is known: four in five. */
const UNKNOWN = 0.8
/** Right after an amount like it went through. */
const PROVEN = 0.99
/** Never quite impossible: balances move. */
const WORST = 0.001
/** Ledger seconds in which an experience loses half of its weight. */
const SUCCESS_HALF_S = 7 * 86_400
const FAILURE_HALF_S = 3_600

const riskOf = (probability: number): number => Math.max(1, Math.round(-1_000 * Math.log(Math.max(WORST, probability))))

const RISK_UNKNOWN = riskOf(UNKNOWN)

export const NO_EXPERIENCE: SuccessEstimate = { risk: () => RISK_UNKNOWN }

/** `at`: ledger seconds. A failure of amount 0 is one that no amount would have spared. */
interface Seen {
  readonly amount: Amount
  readonly at: number
}

export interface Experience {
  readonly from: AccountId
  readonly to: AccountId
  readonly success: Seen | null
  readonly failure: Seen | null
}

/** What one hop of an attempt taught. */
export interface Lesson {
  readonly from: AccountId
  readonly to: AccountId
  readonly amount: Amount
  readonly worked: boolean
}

const weight = (age: number, half: number): number => 2 ** (-Math.max(0, age) / half)

/** How much of a failure of `failed` an amount meets, from none at what is known to work (or nothing) to all. */
function share(amount: Amount, works: Amount, failed: Amount): number {
  if (amount >= failed) return 1
  if (amount <= works) return 0
  return Number(((amount - works) * 1_000n) / (failed - works)) / 1_000
}

function probability({ success, failure }: Experience, amount: Amount, now: number): number {
  const proven = success !== null && amount <= success.amount
  const hope = proven ? UNKNOWN + (PROVEN - UNKNOWN) * weight(now - success.at, SUCCESS_HALF_S) : UNKNOWN
  if (failure === null) return hope
  const works = success?.amount ?? (0n as Amount)
  return hope * (1 - share(amount, works, failure.amount) * weight(now - failure.at, FAILURE_HALF_S))
}

const lastAt = ({ success, failure }: Experience): number => Math.max(success?.at ?? 0, failure?.at ?? 0)

export class Success implements SuccessEstimate {
  /** By `from`, then `to`. */
  readonly #pairs = new Map<IdText, Map<IdText, Experience>>()
  #size = 0

  risk(from: IdText, to: IdText, amount: Amount, now: number): number {
    const known = this.#pairs.get(from)?.get(to)
    return known === undefined ? RISK_UNKNOWN : riskOf(probability(known, amount, now))
  }

  get size(): number {
    return this.#size
  }

  /** @returns what to store, and the pair to forget for it. */
  learn(
    { from, to, amount, worked }: Lesson,
    now: number,
  ): { readonly kept: Experience; readonly dropped: Experience | undefined } {
    const known = this.#pairs.get(idText(from))?.get(idText(to))
    const seen = { amount, at: now }
    let success = known?.success ?? null
    let failure = known?.failure ?? null
    if (worked) {
      // What went through goes for every smaller amount, and against failures of amounts that are no larger.
      if (success === null || amount >= success.amount || weight(now - success.at, SUCCESS_HALF_S) < 0.5) success = seen
      if (failure !== null && failure.amount <= amount) failure = null
    } else {
      failure = seen
      if (success !== null && amount <= success.amount) success = null
    }
    const kept = { from, to, success, failure }
    const dropped = known === undefined && this.#size >= LIMITS.success_pairs ? this.#oldest() : undefined
    if (dropped !== undefined) this.#forget(dropped)
    this.restore(kept)
    return { kept, dropped }
  }

  /** What was stored. */
  restore(experience: Experience): void {
    const from = idText(experience.from)
    const to = idText(experience.to)
    const pairs = this.#pairs.get(from) ?? new Map<IdText, Experience>()
    if (!pairs.has(to)) this.#size += 1
    this.#pairs.set(from, pairs.set(to, experience))
  }

  #forget({ from, to }: Experience): void {
    const pairs = this.#pairs.get(idText(from))
    if (pairs?.delete(idText(to)) === true) this.#size -= 1
    if (pairs?.size === 0) this.#pairs.delete(idText(from))
  }

  #oldest(): Experience | undefined {
    let oldest: Experience | undefined
    for (const pairs of this.#pairs.values()) {
      for (const experience of pairs.values()) {
        if (oldest === undefined || lastAt(experience) < lastAt(oldest)) oldest = experience
      }
    }
    return oldest
  }
}

/** How an attempt ended; `hop` null: nobody named itself. */
export type AttemptEnd =
  | { readonly kind: 'claimed' }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly hop: AccountId | null }

/** What it says of the pair behind the hop that failed: of every amount, of this one, or nothing. */
function blame(code: ErrorCode): 'always' | 'amount' | 'nothing' {
  switch (code) {
    case 'no_capacity':
    case 'no_capacity_on_route':
    case 'no_capacity_to_payee':
    case 'temporary_failure': // one answer for many reasons (failure.ts): a smaller amount may pass
      return 'amount'
    case 'next_hop_unavailable':
      return 'always'
    default:
      return 'nothing' // prices, points and times: the next route has others
  }
}

/**
 * What an attempt teaches. @param accounts the route without the payer, the payee last; @param amount the part that the
 * payee was to get: what each hop carried, but for fees.
 */
export function lessonsOf(accounts: readonly AccountId[], amount: Amount, end: AttemptEnd): readonly Lesson[] {
  const pairs = accounts.slice(1).map((to, i) => ({ from: accounts[i]!, to }))
  const carried = (count: number): Lesson[] => pairs.slice(0, count).map((pair) => ({ ...pair, amount, worked: true }))
  if (end.kind === 'claimed') return carried(pairs.length)
  const { hop, code } = end
  const at = hop === null ? -1 : accounts.findIndex((account) => idText(account) === idText(hop))
  if (at === -1) return []
  const pair = pairs[at]
  if (pair === undefined) return carried(pairs.length) // the payee itself answered
  const blamed = blame(code)
  switch (blamed) {
    case 'nothing':
      return carried(at)
    case 'amount':
      return [...carried(at), { ...pair, amount, worked: false }]
    case 'always':
      return [...carried(at), { ...pair, amount: 0n as Amount, worked: false }]
    default:
      return unreachable(blamed)
  }
}
