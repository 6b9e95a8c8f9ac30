/**
 * A token bucket that may go into debt: what has arrived is taken, and reading stops until the debt is paid (W3). A
 * fast honest peer is slowed by TCP's own back-pressure instead of being cut off.
 */
export class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #at: number

  /** @param now milliseconds. */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** @returns milliseconds to wait until the debt is paid; 0 without debt. */
  take(cost: number, now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs) - cost
    this.#at = now
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#perMs)
  }
}

/** One peer's two rates. It outlives a connection: who reconnects brings its debt along. */
export class PeerRate {
  readonly #messages: TokenBucket
  readonly #bytes: TokenBucket

  constructor(messagesPerSecond: number, bytesPerSecond: number, now: number) {
    this.#messages = new TokenBucket(messagesPerSecond, messagesPerSecond, now)
    this.#bytes = new TokenBucket(bytesPerSecond, bytesPerSecond, now)
  }

  /** @returns milliseconds for which the peer is not to be read. */
  take(bytes: number, now: number): number {
    return Math.max(this.#messages.take(1, now), this.#bytes.take(bytes, now))
  }
}
