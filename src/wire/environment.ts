/** What a node takes from outside: time, randomness, a place to tell. Injected, so that tests own all three. */
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { parseScalar, type Scalar } from '../base/curve/index.js'

/** Events and their fields carry no peer bytes and no secret. */
export interface Logger {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
}
export type LogFields = Readonly<Record<string, string | number | boolean>>

export const silent: Logger = { debug() {}, info() {}, warn() {} }

export interface Timers {
  /** Milliseconds, monotone, of any origin. */
  now(): number
  /** Runs `task` once, after `ms`; the answer calls it off. */
  after(ms: number, task: () => void): () => void
  /** Runs `task` in a turn of its own, once everything that is ready now has run. */
  soon(task: () => void): void
  /** The wall clock: whole seconds since 1970, as wrong as the machine's. */
  seconds(): number
}

/** Timers that do not keep the process alive: a deadline alone is no reason to stay. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  soon: (task) => void setImmediate(task),
  seconds: () => Math.floor(Date.now() / 1_000),
}

/** @returns bytes of cryptographic quality. */
export type Entropy = (length: number) => Uint8Array
export const systemEntropy: Entropy = (length) => randomBytes(length)

/** Below `bound`, 2^24 at most; the bias is below 2^-24. */
export function randomBelow(entropy: Entropy, bound: number): number {
  let value = 0
  for (const byte of entropy(6)) value = value * 256 + byte
  return value % bound
}

/** A fresh key of one handshake. */
export function ephemeralKey(entropy: Entropy): Scalar {
  for (;;) {
    const scalar = parseScalar(entropy(32))
    if (scalar.ok) return scalar.value
  }
}
