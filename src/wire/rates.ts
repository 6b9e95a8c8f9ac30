import { performance } from 'node:perf_hooks'
import { TokenBucket } from './bucket.js'

/** Requests per second of each name (an address, a token), with a burst of one second; the longest silent name is forgotten first. */
export class Rates {
  readonly #buckets = new Map<string, TokenBucket>()

  /** @param most names that are remembered. */
  constructor(
    private readonly perSecond: number,
    private readonly most: number,
  ) {}

  /** False where the name has used up what it may. */
  take(name = ''): boolean {
    const now = performance.now()
    const bucket = this.#buckets.get(name) ?? new TokenBucket(this.perSecond, this.perSecond, now)
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= this.most) break
      this.#buckets.delete(oldest)
    }
    if (bucket.take(1, now) === 0) return true
    bucket.take(-1, now) // refused, so not paid for
    return false
  }
}
