/** Everything secret of a channel comes from the wallet's channel seed (L5, C2, C3): a backup is the seed alone. */
import { bytesToBigint, u64 } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { curve, type Scalar } from '../base/curve/index.js'
import { prf, prfBytes, prfScalar } from '../base/digest.js'
import type { AccountId, LedgerId } from '../base/ids.js'
import { ok, type Result } from '../base/result.js'
import { publicKey, randomnessBits } from '../privacy/paillier.js'
import type { ChannelKeys, ChannelPolicy, Context, Terms } from './types.js'

/** L5: known before the channel's id is; both sides use the opener and the opener's nonce, each its own seed. */
export const signingKey = (seed: Uint8Array, ledger: LedgerId, opener: AccountId, nonce: number): Scalar =>
  prfScalar(seed, 'channel-key', ledger, opener, u64(nonce))

export const channelKeys = (
  seed: Uint8Array,
  terms: Pick<Terms, 'ledger' | 'channel' | 'accounts' | 'nonce'>,
): ChannelKeys => ({
  signing: signingKey(seed, terms.ledger, terms.accounts[0], terms.nonce),
  revocation: prf(seed, 'channel-revocation', terms.channel),
  randomness: prf(seed, 'channel-randomness', terms.channel),
})

/** L5. `salt` is fresh for every attempt: two attempts of one nonce never share a blinding. */
export const depositBlinding = (
  seed: Uint8Array,
  ledger: LedgerId,
  opener: AccountId,
  nonce: number,
  side: Side,
  salt: Uint8Array,
): Scalar => prfScalar(seed, 'deposit-blinding', ledger, opener, u64(nonce), Uint8Array.of(side), salt)

/** C2: the s of `R = h^s mod n²` for a version of this side's own ciphertext. */
export function randomnessOf(keys: ChannelKeys, modulusBits: number, version: number): bigint {
  return bytesToBigint(prfBytes(keys.randomness, randomnessBits(modulusBits) / 8, 'randomness', u64(version)))
}

/** C1: from the ECDH of the channel keys, ledger and channel: two attempts with the same keys differ too. */
const channelSecret = (terms: Terms, side: Side, keys: ChannelKeys): Uint8Array =>
  prf(curve.ecdh(terms.channelKeys[side === 0 ? 1 : 0], keys.signing), 'channel-secret', terms.ledger, terms.channel)

/** Errors: `bad_key` where a modulus is not one. */
export function createContext(terms: Terms, side: Side, keys: ChannelKeys, policy: ChannelPolicy): Result<Context> {
  const opener = publicKey(terms.moduli[0])
  if (!opener.ok) return opener
  const peer = publicKey(terms.moduli[1])
  if (!peer.ok) return peer
  return ok({
    terms,
    side,
    keys,
    secret: channelSecret(terms, side, keys),
    paillier: [opener.value, peer.value],
    pool: (terms.deposits[0] + terms.deposits[1]) as Context['pool'],
    policy,
  })
}

/** Blinding of C_pool = sum of the deposits' commitments. */
export const poolBlinding = (terms: Terms): bigint => terms.blindings[0] + terms.blindings[1]
