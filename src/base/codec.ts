import { z } from 'zod'
import { AMOUNT_BYTES, type Amount, amountFromBytes, amountToBytes } from './amount.js'
import type { Digest } from './bytes.js'
import { decodeCbor, encodeCbor } from './cbor.js'
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

/** Deterministic CBOR (RFC 8949 §4.2) of plain objects, arrays, byte strings, texts, integers, booleans and null. */
export const cbor: (value: unknown) => Uint8Array = encodeCbor

/** The decoded value, if `bytes` is its one canonical encoding (W2). */
export const cborCanonical = (bytes: Uint8Array): Result<unknown> => decodeCbor(bytes, LIMITS.cbor_depth)

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
