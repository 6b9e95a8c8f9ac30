import { decode as cborDecode, encode as cborEncode, rfc8949EncodeOptions } from 'cborg'
import { z } from 'zod'
import { AMOUNT_BYTES, type Amount, amountFromBytes, amountToBytes } from './amount.js'
import { type Digest, equalBytes } from './bytes.js'
import { type Point, parsePoint, parseScalar, type Scalar, type Signature } from './curve/index.js'
import { LIMITS } from './limits.js'
import { ok, type Result, refuse } from './result.js'

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array

/** Byte string of an exact length. */
export const zBytes = (length: number) =>
  z.custom<Uint8Array>((v) => isBytes(v) && v.length === length).describe(`${length} bytes`)
/** Byte string of at most `max` bytes. */
export const zBytesUpTo = (max: number) =>
  z.custom<Uint8Array>((v) => isBytes(v) && v.length <= max).describe(`up to ${max} bytes`)
export const zDigest = z.custom<Digest>((v) => isBytes(v) && v.length === 32).describe('digest, 32 bytes')
export const zPoint = z.custom<Point>((v) => isBytes(v) && parsePoint(v).ok).describe('point, 33 bytes')
export const zScalar = z.custom<Scalar>((v) => isBytes(v) && parseScalar(v).ok).describe('scalar, 32 bytes')
export const zSignature = z.custom<Signature>((v) => isBytes(v) && v.length === 64).describe('signature, 64 bytes')
/** Heights, times (seconds), versions, ids, counts. */
export const zCount = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
/** Eight bytes on the wire whatever the amount: lengths tell nothing. */
export const zAmount = z.codec(
  zBytes(AMOUNT_BYTES),
  z.custom<Amount>((v) => typeof v === 'bigint'),
  { decode: amountFromBytes, encode: amountToBytes },
)
/** 0 the opener, 1 the other party. */
export const zSide = z.union([z.literal(0), z.literal(1)])
export const zText = (max: number) => z.string().max(max)

const CBOR_DECODE = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  rejectDuplicateMapKeys: true,
} as const

/** Nesting is bounded before the recursive decoder sees the bytes: a counter over the CBOR heads. */
function depthWithin(bytes: Uint8Array, limit: number): boolean {
  const open: number[] = []
  for (let at = 0; at < bytes.length; ) {
    const major = bytes[at]! >> 5
    const short = bytes[at]! & 31
    at += 1
    let argument = short
    if (short >= 24) {
      if (short > 27) return false
      const size = 1 << (short - 24)
      if (at + size > bytes.length) return false
      argument = 0
      for (let i = 0; i < size; i++) argument = argument * 256 + bytes[at + i]!
      at += size
    }
    if (major === 2 || major === 3) at += argument
    if (at > bytes.length) return false
    if (major === 6 || (major === 7 && short > 22)) return false // no tags and no floats anywhere in the protocol
    if ((major === 4 || major === 5) && argument > 0) {
      if (argument > bytes.length) return false
      open.push(major === 5 ? argument * 2 : argument)
      if (open.length > limit) return false
      continue
    }
    while (open.length > 0) {
      const left = open.pop()! - 1
      if (left > 0) {
        open.push(left)
        break
      }
    }
  }
  return open.length === 0
}

/** Deterministic CBOR (RFC 8949 §4.2) of plain objects, arrays, byte strings, texts, integers, booleans and null. */
export const cbor = (value: unknown): Uint8Array => cborEncode(value, rfc8949EncodeOptions)

/** The decoded value, if `bytes` is its one canonical encoding (W2: decode, re-encode, compare). */
export function cborCanonical(bytes: Uint8Array): Result<unknown> {
  if (!depthWithin(bytes, LIMITS.cbor_depth)) return refuse('bad_encoding', 'structure')
  let value: unknown
  try {
    value = cborDecode(bytes, CBOR_DECODE)
  } catch {
    return refuse('bad_encoding', 'cbor') // the decoder's message may quote the bytes
  }
  return equalBytes(cbor(value), bytes) ? ok(value) : refuse('bad_encoding', 'not canonical')
}

/** Parses bytes at the door: canonical CBOR, then the schema's shape; names the field that is wrong, never its value. */
export function decodeAs<S extends z.ZodType>(schema: S, bytes: Uint8Array): Result<z.output<S>> {
  const value = cborCanonical(bytes)
  if (!value.ok) return value
  const parsed = schema.safeParse(value.value)
  if (parsed.success) return ok(parsed.data)
  return refuse('bad_encoding', parsed.error.issues[0]?.path.map(String).join('.').slice(0, 80) || 'shape')
}

/** @throws when the value does not fit its schema: a defect of the caller. */
export const encodeAs = <S extends z.ZodType>(schema: S, value: z.output<S>): Uint8Array =>
  cbor(z.encode(schema, value))
