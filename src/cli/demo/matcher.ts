/**
 * Many patterns at once over streams of hundreds of megabytes: a rolling 4-byte window is looked up in a bit filter, and
 * only what passes it in a table of anchors.
 */
import { equalBytes } from '../../base/bytes.js'
import type { Pattern } from './patterns.js'

const ANCHOR_BYTES = 4
/** 2^21 bits, 256 KiB: stays in the cache; with 20,000 anchors one byte in a hundred passes by chance. */
const FILTER_SHIFT = 11
/** Bytes seen around a pattern to judge it, and more than its own length. */
const CONTEXT_BYTES = 128
const BLOCK_BYTES = 1 << 18
/** A number beside so many letters and digits stands in encoded data (an id is 64 characters), not in a text. */
const TOKEN_CHARACTERS = 20

interface Anchor {
  readonly pattern: Pattern
  readonly offset: number
}

export type OnMatch = (pattern: Pattern, offset: number) => void

const hash = (window: number): number => Math.imul(window, 0x9e3779b1) >>> FILTER_SHIFT

/** The four bytes of a pattern that honest data shows least: no zeros, no padding, all different. */
function anchorOffset(bytes: Uint8Array): number {
  let best = 0
  let bestScore = -1
  for (let offset = 0; offset + ANCHOR_BYTES <= bytes.length; offset++) {
    const window = new Set(bytes.subarray(offset, offset + ANCHOR_BYTES))
    for (const common of [0x00, 0x30, 0x41]) window.delete(common)
    if (window.size > bestScore) [best, bestScore] = [offset, window.size]
  }
  return best
}

export class Matcher {
  readonly #filter = new Uint8Array(1 << (32 - FILTER_SHIFT - 3))
  readonly #anchors = new Map<number, Anchor[]>()

  constructor(patterns: readonly Pattern[]) {
    for (const pattern of patterns) this.#add(pattern)
  }

  #add(pattern: Pattern): void {
    if (pattern.bytes.length < ANCHOR_BYTES || pattern.bytes.length * 2 > CONTEXT_BYTES) {
      throw new RangeError(`a pattern of ${pattern.bytes.length} bytes`)
    }
    const offset = anchorOffset(pattern.bytes)
    const window = new DataView(pattern.bytes.buffer, pattern.bytes.byteOffset + offset).getInt32(0)
    const bit = hash(window)
    this.#filter[bit >>> 3] = this.#filter[bit >>> 3]! | (1 << (bit & 7))
    const alike = this.#anchors.get(window)
    if (alike === undefined) this.#anchors.set(window, [{ pattern, offset }])
    else alike.push({ pattern, offset })
  }

  /** Calls back with every anchor's place in `bytes`, whole pattern or not. */
  anchorsIn(bytes: Uint8Array, found: (pattern: Pattern, start: number) => void): void {
    const filter = this.#filter
    let window = 0
    for (let i = 0; i < bytes.length; i++) {
      window = (window << 8) | bytes[i]!
      const bit = hash(window)
      if ((filter[bit >>> 3]! & (1 << (bit & 7))) === 0 || i < ANCHOR_BYTES - 1) continue
      for (const { pattern, offset } of this.#anchors.get(window) ?? []) found(pattern, i + 1 - ANCHOR_BYTES - offset)
    }
  }
}

/** One stream, pushed in pieces of any size; matches come with their offset in the stream, each once. */
export class Scan {
  readonly #matcher: Matcher
  readonly #onMatch: OnMatch
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  /** The last bytes of what was judged, as context, and the first ones that were not. */
  #kept: Uint8Array = new Uint8Array(0)
  /** Stream offset of `#kept`. */
  #base = 0
  /** Patterns that end at or before it have been judged. */
  #judged = 0

  constructor(matcher: Matcher, onMatch: OnMatch) {
    this.#matcher = matcher
    this.#onMatch = onMatch
  }

  push(bytes: Uint8Array): void {
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
    if (this.#pendingBytes >= BLOCK_BYTES) this.#judge(CONTEXT_BYTES / 2)
  }

  end(): void {
    this.#judge(0)
  }

  /** @param after bytes that a judged pattern must have behind it, for its context. */
  #judge(after: number): void {
    const bytes = Buffer.concat([this.#kept, ...this.#pending])
    this.#pending = []
    this.#pendingBytes = 0
    const limit = this.#base + bytes.length - after
    this.#matcher.anchorsIn(bytes, (pattern, start) => {
      const end = start + pattern.bytes.length
      if (start < 0 || this.#base + end <= this.#judged || this.#base + end > limit) return
      if (!equalBytes(bytes.subarray(start, end), pattern.bytes)) return
      if (pattern.isNumber && !isWholeNumber(bytes, start, end)) return
      this.#onMatch(pattern, this.#base + start)
    })
    this.#judged = Math.max(this.#judged, limit)
    const from = Math.max(0, bytes.length - after - CONTEXT_BYTES)
    this.#kept = new Uint8Array(bytes.subarray(from))
    this.#base += from
  }
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39
/** Characters of hexadecimal, base64 (both alphabets) and UUIDs; not `=`, which stands before values. */
const isToken = (byte: number | undefined): boolean =>
  byte !== undefined && /[A-Za-z0-9+/_-]/.test(String.fromCharCode(byte))

const DOT = 0x2e
const COMMA = 0x2c

/** No part of a longer number, and no accident within encoded data. */
function isWholeNumber(bytes: Uint8Array, start: number, end: number): boolean {
  if (isDigit(bytes[start - 1]) || isDigit(bytes[end])) return false
  if (bytes[start - 1] === DOT && isDigit(bytes[start - 2])) return false
  if (bytes[end] === DOT && isDigit(bytes[end + 1])) return false
  // `241,100.22` within `1,241,100.22`; `7,124122` is two numbers of a list.
  const headDigits = bytes.subarray(start, end).findIndex((byte) => !isDigit(byte))
  const threeDigitHead = headDigits === 3 && bytes[start + 3] === COMMA
  if (threeDigitHead && bytes[start - 1] === COMMA && isDigit(bytes[start - 2])) return false
  let beside = 0
  for (let i = start - 1; isToken(bytes[i]) && beside < TOKEN_CHARACTERS; i--) beside += 1
  for (let i = end; isToken(bytes[i]) && beside < TOKEN_CHARACTERS; i++) beside += 1
  return beside < TOKEN_CHARACTERS
}
