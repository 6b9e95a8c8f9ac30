import { hexToBytes } from '@noble/hashes/utils.js'
import type { Brand } from './brand.js'

export { hexToBytes }

export type Bytes = Uint8Array
/** A SHA-256 digest. */
export type Digest = Brand<Uint8Array, 'Digest'>

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Lexicographic order, shorter first on a tie: the order of canonical map keys and of sorted accounts. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** A view, not a copy. */
export const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** As maps in memory have it as a key: a character a byte, in the same order. */
export const keyText = (bytes: Uint8Array): string => bufferOf(bytes).toString('latin1')

export const bytesToHex = (bytes: Uint8Array): string => bufferOf(bytes).toString('hex')

/** A plain Uint8Array of its own, whatever the parts are views of. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** The parts in their order, as few pieces of at most so many bytes as that makes; a longer part is one by itself. */
export function concatUpTo(bytesMax: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let piece: Uint8Array[] = []
  let bytes = 0
  for (const part of parts) {
    if (piece.length > 0 && bytes + part.length > bytesMax) {
      pieces.push(concatBytes(...piece))
      piece = []
      bytes = 0
    }
    piece.push(part)
    bytes += part.length
  }
  if (piece.length > 0) pieces.push(concatBytes(...piece))
  return pieces
}

const encoder = new TextEncoder()
export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** Big-endian, fixed length. @throws RangeError when negative or too large: the caller's range check is missing. */
export function bigintToBytes(value: bigint, length: number): Uint8Array {
  const hex = value.toString(16)
  if (value < 0n || hex.length > length * 2) throw new RangeError(`bigintToBytes: value does not fit ${length} bytes`)
  const out = new Uint8Array(length)
  out.set(Buffer.from(hex.padStart(length * 2, '0'), 'hex')) // by far the fastest way there is in Node 20
  return out
}

export const bytesToBigint = (bytes: Uint8Array): bigint => (bytes.length === 0 ? 0n : BigInt(`0x${bytesToHex(bytes)}`))

/** A 64-bit big-endian counter: ids, versions, times, heights (all below 2^53). */
export function u64(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('u64: not a safe unsigned integer')
  const out = new Uint8Array(8)
  writeU32(out, 0, Math.floor(value / 0x1_0000_0000))
  writeU32(out, 4, value % 0x1_0000_0000)
  return out
}

function writeU32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
}

export function readU64(bytes: Uint8Array, offset = 0): number | undefined {
  if (bytes.length < offset + 8) return undefined
  const value = readU32(bytes, offset) * 0x1_0000_0000 + readU32(bytes, offset + 4)
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined
}

const readU32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! * 0x100_0000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)

/** Length-prefixed concatenation: no two lists of parts give the same bytes (P6). */
export function framed(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 4 * parts.length
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    writeU32(out, at, part.length)
    out.set(part, at + 4)
    at += 4 + part.length
  }
  return out
}
