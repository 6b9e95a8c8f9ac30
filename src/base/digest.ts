import { hash } from 'node:crypto'
import { bytesToBigint, concatBytes, type Digest, framed, u64, utf8 } from './bytes.js'
import { type Scalar, scalarFromBigint } from './curve/scalar.js'

/**
 * SHA-256 by OpenSSL: several times faster than JavaScript, from the shortest input on. As a text of one character a byte,
 * because a Buffer costs twice what the hash does.
 */
function digest(bytes: Uint8Array): Digest {
  const text = hash('sha256', bytes, 'binary')
  const out = new Uint8Array(HASH_BYTES)
  for (let index = 0; index < HASH_BYTES; index++) out[index] = text.charCodeAt(index)
  return out as Digest
}

/** The one hash (section 2). */
export const sha256 = (...parts: readonly Uint8Array[]): Digest =>
  digest(parts.length === 1 ? parts[0]! : concatBytes(...parts))

/** What `taggedHash` hashes: for callers that hash many inputs that differ in a few bytes. */
export const taggedBytes = (tag: string, ...parts: readonly Uint8Array[]): Uint8Array => framed(tagBytes(tag), ...parts)

/** Tags and labels are words of this program, so there are few of them. */
const tags = new Map<string, Uint8Array>()

function tagBytes(tag: string): Uint8Array {
  const known = tags.get(tag)
  if (known !== undefined) return known
  const bytes = utf8(`meridian/1/${tag}`)
  tags.set(tag, bytes)
  return bytes
}

/** Domain-separated hash of length-prefixed parts: no two tags or lists of parts collide by concatenation. */
export const taggedHash = (tag: string, ...parts: readonly Uint8Array[]): Digest => digest(taggedBytes(tag, ...parts))

const BLOCK_BYTES = 64
const HASH_BYTES = 32

/** HMAC-SHA-256, RFC 2104: two hashes; OpenSSL's own object for it costs more than they do. */
export function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const short = key.length > BLOCK_BYTES ? digest(key) : key
  const inner = new Uint8Array(BLOCK_BYTES + message.length).fill(0x36, 0, BLOCK_BYTES)
  const outer = new Uint8Array(BLOCK_BYTES + HASH_BYTES).fill(0x5c, 0, BLOCK_BYTES)
  for (let index = 0; index < short.length; index++) {
    inner[index]! ^= short[index]!
    outer[index]! ^= short[index]!
  }
  inner.set(message, BLOCK_BYTES)
  outer.set(digest(inner), BLOCK_BYTES)
  return digest(outer)
}

/** PRF(key, label, parts) of 32 bytes: HMAC-SHA-256 over the framed label and parts. */
export const prf = (key: Uint8Array, label: string, ...parts: readonly Uint8Array[]): Uint8Array =>
  hmac(key, taggedBytes(label, ...parts))

const NO_SALT = new Uint8Array(HASH_BYTES)

/** A PRF with an output of any length up to 8160 bytes: RFC 5869's HKDF without salt and info over the PRF's value. */
export function prfBytes(key: Uint8Array, length: number, label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const extracted = hmac(NO_SALT, prf(key, label, ...parts))
  const out = new Uint8Array(length)
  let block: Uint8Array = new Uint8Array()
  for (let made = 0; made < length; made += HASH_BYTES) {
    block = hmac(extracted, concatBytes(block, Uint8Array.of(made / HASH_BYTES + 1)))
    out.set(block.subarray(0, length - made), made)
  }
  return out
}

/** A scalar in [1, q-1]: 48 bytes reduced modulo q (bias below 2^-128); zero is skipped by counting on. */
export function prfScalar(key: Uint8Array, label: string, ...parts: readonly Uint8Array[]): Scalar {
  for (let counter = 0; ; counter++) {
    const scalar = scalarFromBigint(bytesToBigint(prfBytes(key, 48, label, ...parts, u64(counter))))
    if (scalar !== undefined) return scalar
  }
}
