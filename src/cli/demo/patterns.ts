/**
 * How an amount may look where it has leaked (issue A, leak search). A pattern is searched only if chance or the structure
 * of honest data would hardly ever show it. The budget: one expected false finding in a hundred runs over 500 MB (N = 5e8)
 * with K = 600 amounts.
 *
 * Binary. Leading zeros are no information: honest data is full of zero runs next to random bytes (u64 counters beside
 * points and ciphertexts, some 1e5 of them), so what counts is the significant bytes of the amount.
 * - six and more (canaries): the bytes alone. N * K * 2^-48 is 1e-3 even if all amounts were that large. They stand inside
 *   the fixed eight bytes, CBOR's integer 1b and byte strings 46 and 48, so that one pattern finds all of these.
 * - four or five: fixed eight bytes, both endians. 1e5 zero runs * K * 2^-32 is 0.01, and few amounts are so large.
 * - three: only with CBOR's head 48 before the eight bytes, as every amount of this program is encoded: 1e5 * K * 2^-32.
 *   Without the head it would be 1e5 * K * 2^-24 = 4 false findings a run; little-endian also meets LevelDB's sequence
 *   numbers, big-endian WebSocket's 64-bit lengths.
 * - one or two: nothing tells them from a counter. Canary claims take the same path and stand for them.
 * A varint needs six bytes, 36 bits, that is an amount from 2^35 on.
 *
 * Text. Six digits and more, as whole numbers only (see matcher): in random bytes N * K * 2^-48 = 1e-3, but in 1e8
 * characters of hexadecimal a run of exactly six given digits would come N * K * 16^-6 * (6/16)^2 = 500 times.
 */
import type { Amount } from '../../base/amount.js'
import { formatDecimal, formatGrouped } from '../../base/amount.js'
import { bigintToBytes, bytesToHex, concatBytes, utf8 } from '../../base/bytes.js'

export type PatternKind =
  | 'minor-text'
  | 'decimal-text'
  | 'grouped-text'
  | 'minimal-big-endian'
  | 'minimal-little-endian'
  | 'fixed-big-endian'
  | 'fixed-little-endian'
  | 'varint'
  | 'cbor-integer'
  | 'cbor-bytes'
  | `hex of ${BinaryKind}`
  | `base64 of ${BinaryKind}`
type BinaryKind =
  | 'minimal-big-endian'
  | 'minimal-little-endian'
  | 'fixed-big-endian'
  | 'fixed-little-endian'
  | 'varint'
  | 'cbor-integer'
  | 'cbor-bytes'

export interface Pattern {
  readonly bytes: Uint8Array
  readonly kind: PatternKind
  /** Index into the list of amounts: findings never name the amount itself. */
  readonly amount: number
  /** Decimal digits, searched as a whole number. */
  readonly isNumber: boolean
}

const TEXT_DIGITS_MIN = 6

function textForms(amount: Amount): [PatternKind, Uint8Array][] {
  if (amount < 10n ** BigInt(TEXT_DIGITS_MIN - 1)) return []
  const forms: [PatternKind, string][] = [
    ['minor-text', amount.toString()],
    ['decimal-text', formatDecimal(amount)],
  ]
  const grouped = formatGrouped(amount)
  if (grouped !== forms[1]![1]) forms.push(['grouped-text', grouped])
  return forms.map(([kind, text]) => [kind, utf8(text)])
}

/** LEB128, unsigned. */
export function varint(value: bigint): Uint8Array {
  const out: number[] = []
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return Uint8Array.from([...out, Number(rest)])
    out.push(Number(rest & 127n) | 128)
  }
}

const significantBytes = (value: bigint): number => Math.ceil(value.toString(16).length / 2)

function binaryForms(amount: Amount): [BinaryKind, Uint8Array][] {
  const significant = significantBytes(amount)
  const fixed = bigintToBytes(amount, 8)
  const forms: [BinaryKind, Uint8Array][] = []
  if (significant >= 6) {
    const minimal = bigintToBytes(amount, significant)
    forms.push(['minimal-big-endian', minimal], ['minimal-little-endian', minimal.slice().reverse()])
  } else if (significant >= 4) {
    forms.push(['fixed-big-endian', fixed], ['fixed-little-endian', fixed.slice().reverse()])
  }
  if (significant === 5) forms.push(['cbor-integer', concatBytes(Uint8Array.of(0x1b), fixed)])
  if (significant >= 3 && significant < 6) forms.push(['cbor-bytes', concatBytes(Uint8Array.of(0x48), fixed)])
  const leb = varint(amount)
  if (leb.length >= 6) forms.push(['varint', leb])
  return forms
}

/**
 * The characters that `bytes` gives in any base64 text that contains it: one text per alignment, without those that mix
 * in a neighbour's bits; both alphabets.
 */
export function base64Forms(bytes: Uint8Array): Uint8Array[] {
  const texts = [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([new Uint8Array(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
    const first = Math.ceil((shift * 8) / 6)
    const end = Math.floor(((shift + bytes.length) * 8) / 6)
    const stable = text.slice(first, end)
    return [stable, stable.replaceAll('+', '-').replaceAll('/', '_')]
  })
  return [...new Set(texts)].map(utf8)
}

function encodedForms(kind: BinaryKind, bytes: Uint8Array): [PatternKind, Uint8Array][] {
  const hex = bytesToHex(bytes)
  const texts = [...new Set([hex, hex.toUpperCase()])].map(utf8)
  return [
    [kind, bytes],
    ...texts.map((text): [PatternKind, Uint8Array] => [`hex of ${kind}`, text]),
    ...base64Forms(bytes).map((text): [PatternKind, Uint8Array] => [`base64 of ${kind}`, text]),
  ]
}

/** All patterns of all amounts; equal amounts are searched once, under the first index. */
export function patternsOf(amounts: readonly Amount[]): Pattern[] {
  const patterns: Pattern[] = []
  const seen = new Set<Amount>()
  amounts.forEach((amount, index) => {
    if (seen.has(amount)) return
    seen.add(amount)
    for (const [kind, bytes] of textForms(amount)) patterns.push({ bytes, kind, amount: index, isNumber: true })
    for (const [binary, plain] of binaryForms(amount)) {
      for (const [kind, bytes] of encodedForms(binary, plain)) {
        patterns.push({ bytes, kind, amount: index, isNumber: false })
      }
    }
  })
  return patterns
}
