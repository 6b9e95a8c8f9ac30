import { performance } from 'node:perf_hooks'
import { LIMITS } from '../../base/limits.js'
import { TokenBucket } from '../../wire/bucket.js'

/** Requests per second and address, with a burst of one second; the longest silent address is forgotten first. */
export class AddressRates {
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(private readonly perSecond: number) {}

  /** False where the address has used up what it may. */
  take(address = ''): boolean {
    const now = performance.now()
    const bucket = this.#buckets.get(address) ?? new TokenBucket(this.perSecond, this.perSecond, now)
    this.#buckets.delete(address)
    this.#buckets.set(address, bucket)
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= LIMITS.ledger_addresses) break
      this.#buckets.delete(oldest)
    }
    if (bucket.take(1, now) === 0) return true
    bucket.take(-1, now) // refused, so not paid for
    return false
  }
}
