/** Fees and expiries along a route, exact and from the payee backwards (R3). */
import { type Amount, plus, ppmRoundedUp } from '../base/amount.js'
import type { Policy } from './policy.js'

/** `base + ceil(ppm * amount / 10^6)` of the amount that the hop forwards. */
export const feeOf = (policy: Pick<Policy, 'base' | 'ppm'>, forwarded: Amount): Amount =>
  (policy.base + ppmRoundedUp(forwarded, BigInt(policy.ppm))) as Amount

/** Amount (minor units) and expiry (ledger seconds) of the lock offered to one hop. */
export interface HopTerms {
  readonly amount: Amount
  readonly expiry: number
}

/**
 * Terms of every lock of a route, the first hop's first.
 * @param final what the payee gets.
 * @param policies those of the forwarders, in the order of the route: one less than the route has hops.
 */
export function termsBackwards(final: HopTerms, policies: readonly Policy[]): HopTerms[] {
  const terms = [final]
  for (const policy of policies.toReversed()) {
    const next = terms[0]!
    terms.unshift({
      amount: plus(next.amount, feeOf(policy, next.amount)),
      expiry: next.expiry + policy.expiryDelta,
    })
  }
  return terms
}
