/**
 * Channels whose parties the bench plays by itself, so that ten thousand of them take minutes: keys and revocation secrets
 * follow from the channel's id. States are as long as real ones and signed by both; what a tower and a ledger cannot look
 * into (L7: ciphertexts, the sealed part) is random. Every version is posted, taken and punished like any other.
 */
import { concatBytes, u64, utf8 } from '../../base/bytes.js'
import { channelStateDigest, encodeChannelState, type Side } from '../../base/channel-state.js'
import { curve, type Point, type Scalar, type Signature } from '../../base/curve/index.js'
import { prf, prfScalar } from '../../base/digest.js'
import type { ChannelId, LedgerId } from '../../base/ids.js'
import { encodeTransaction, type TransactionOf, transactionDigest } from '../../base/transaction.js'
import { revocationHash, revocationSecret } from '../../channel/revocation.js'

/** Of the sealed part of a state without locks (channel/content.ts). */
const SEALED_BYTES = 104
const NONCE_BYTES = 24
const CIPHERTEXT_PIECE = 32

export interface SignedState {
  readonly encoded: Uint8Array
  readonly signatures: [Signature, Signature]
}

export const channelKeys = (id: ChannelId): readonly [Scalar, Scalar] => [
  prfScalar(id, 'bench-channel-key', u64(0)),
  prfScalar(id, 'bench-channel-key', u64(1)),
]

const secretSeed = (id: ChannelId, side: Side): Uint8Array => prf(id, 'bench-revocation', u64(side))

export const secretAt = (id: ChannelId, side: Side, version: number): Uint8Array =>
  revocationSecret(secretSeed(id, side), version)

const opaque = (id: ChannelId, what: string, length: number): Uint8Array =>
  concatBytes(
    ...Array.from({ length: Math.ceil(length / CIPHERTEXT_PIECE) }, (_, at) => prf(id, `bench-${what}`, u64(at))),
  ).subarray(0, length)

/** Of one channel: what is the same in all of its states is made once. */
export class StateMaker {
  readonly #keys: readonly [Scalar, Scalar]
  readonly #ciphertexts: [Uint8Array, Uint8Array]
  readonly #commitment: Point
  readonly #sealed: Uint8Array

  constructor(
    readonly id: ChannelId,
    keyBits: number,
  ) {
    this.#keys = channelKeys(id)
    this.#ciphertexts = [opaque(id, 'opener', keyBits / 4), opaque(id, 'peer', keyBits / 4)]
    this.#commitment = curve.multiplyBase(prfScalar(id, 'bench-commitment'))
    this.#sealed = opaque(id, 'sealed', SEALED_BYTES)
  }

  get points(): [Point, Point] {
    return [curve.multiplyBase(this.#keys[0]), curve.multiplyBase(this.#keys[1])]
  }

  state(version: number): SignedState {
    const hash = (side: Side) => revocationHash(secretAt(this.id, side, version))
    const encoded = encodeChannelState({
      channel: this.id,
      version,
      commitment: this.#commitment,
      ciphertexts: this.#ciphertexts,
      locks: new Uint8Array(),
      revocations: [hash(0), hash(1)],
      nonce: prf(this.id, 'bench-nonce', utf8(String(version))).subarray(0, NONCE_BYTES),
      sealed: this.#sealed,
    })
    const digest = channelStateDigest(encoded)
    return { encoded, signatures: [curve.sign(digest, this.#keys[0]), curve.sign(digest, this.#keys[1])] }
  }

  exit(ledger: LedgerId, poster: Side, version: number): Uint8Array {
    const { encoded: state, signatures: stateSignatures } = this.state(version)
    const unsigned = { kind: 'exit' as const, ledger, channel: this.id, poster, state, stateSignatures }
    const signed: TransactionOf<'exit'> = {
      ...unsigned,
      signature: curve.sign(transactionDigest(unsigned), this.#keys[poster]),
    }
    return encodeTransaction(signed)
  }
}
