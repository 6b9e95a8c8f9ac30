import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { bytesToBigint, concatBytes, type Digest, framed, u64, utf8 } from './bytes.js'
import { type Scalar, scalarFromBigint } from './curve/scalar.js'

/** The one hash (section 2). */
export const sha256 = (...parts: readonly Uint8Array[]): Digest => nobleSha256(concatBytes(...parts)) as Digest

/** What `taggedHash` hashes: for callers that hash many inputs that differ in a few bytes. */
export const taggedBytes = (tag: string, ...parts: readonly Uint8Array[]): Uint8Array =>
  framed(utf8(`meridian/1/${tag}`), ...parts)

/** Domain-separated hash of length-prefixed parts: no two tags or lists of parts collide by concatenation. */
export const taggedHash = (tag: string, ...parts: readonly Uint8Array[]): Digest =>
  nobleSha256(taggedBytes(tag, ...parts)) as Digest

/** PRF(key, label, parts) of 32 bytes: HMAC-SHA-256 over the framed label and parts. */
export const prf = (key: Uint8Array, label: string, ...parts: readonly Uint8Array[]): Uint8Array =>
  hmac(nobleSha256, key, framed(utf8(`meridian/1/${label}`), ...parts))

/** A PRF with an output of any length up to 8160 bytes (HKDF-expand over the PRF's value). */
export const prfBytes = (key: Uint8Array, length: number, label: string, ...parts: readonly Uint8Array[]): Uint8Array =>
  hkdf(nobleSha256, prf(key, label, ...parts), undefined, undefined, length)

/** A scalar in [1, q-1]: 48 bytes reduced modulo q (bias below 2^-128); zero is skipped by counting on. */
export function prfScalar(key: Uint8Array, label: string, ...parts: readonly Uint8Array[]): Scalar {
  for (let counter = 0; ; counter++) {
    const scalar = scalarFromBigint(bytesToBigint(prfBytes(key, 48, label, ...parts, u64(counter))))
    if (scalar !== undefined) return scalar
  }
}
