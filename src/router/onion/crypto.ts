/** Keys, streams and shared secrets of BOLT 4's Sphinx. */
import type { Brand } from '../../base/brand.js'
import { bytesToBigint, utf8 } from '../../base/bytes.js'
import { curve, type Point, type Scalar, scalarFromBigint, scalarToBigint } from '../../base/curve/index.js'
import { hmac, prfScalar, sha256 } from '../../base/digest.js'
import { invariant } from '../../base/errors.js'
import { chacha20Stream } from '../../base/stream.js'

/** What the payer shares with one hop: SHA-256 of their Diffie-Hellman point, 32 bytes. */
export type SharedSecret = Brand<Uint8Array, 'SharedSecret'>

/** BOLT 4 "Key Generation": HMAC-SHA-256 with the key type as its key and the secret as its message. */
export type KeyType = 'rho' | 'mu' | 'um' | 'ammag' | 'pad'
export const generateKey = (type: KeyType, secret: Uint8Array): Uint8Array => hmac(utf8(type), secret)

/** BOLT 4 "Pseudo Random Byte Stream": ChaCha20 over zeros with a zero nonce; a key serves once. */
export const stream = chacha20Stream

export function xorInto(target: Uint8Array, mask: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i]! ^= mask[i]!
}

export const sharedSecretOf = (publicKey: Point, privateKey: Scalar): SharedSecret =>
  curve.ecdh(publicKey, privateKey) as SharedSecret

/** BOLT 4 "Blinding Ephemeral Onion Keys": SHA-256 of ephemeral key and shared secret. */
export function blindingFactor(ephemeral: Point, secret: SharedSecret): Scalar {
  const factor = scalarFromBigint(bytesToBigint(sha256(ephemeral, secret)))
  invariant(factor !== undefined, 'R2', 'a hash is a multiple of the group order')
  return factor
}

/**
 * R1's y of a hop, from what payer and hop share: fresh with the session key, never zero, and no byte of the packet.
 * Only the payer and this hop can compute it.
 */
export const hopScalar = (secret: SharedSecret): Scalar => prfScalar(secret, 'hop-scalar')

/** From 32 random bytes. A session key serves one attempt: every point and every key of its route comes from it. */
export const sessionKeyFrom = (entropy: Uint8Array): Scalar => prfScalar(entropy, 'session-key')

export interface HopSecret {
  readonly ephemeral: Point
  readonly secret: SharedSecret
}

/** The payer's shared secret with every hop, in the order of the route. */
export function routeSecrets(sessionKey: Scalar, hops: readonly Point[]): HopSecret[] {
  let key = sessionKey
  return hops.map((hop) => {
    const ephemeral = curve.multiplyBase(key)
    const secret = sharedSecretOf(hop, key)
    const next = scalarFromBigint(scalarToBigint(key) * scalarToBigint(blindingFactor(ephemeral, secret)))
    invariant(next !== undefined, 'R2', 'a product of scalars is zero modulo a prime')
    key = next
    return { ephemeral, secret }
  })
}
