/** A version's plain content, and how it becomes the state that both sign (C1, C2). */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { AMOUNT_BYTES, type Amount, amountFromBytes, amountToBytes } from '../base/amount.js'
import { bigintToBytes, bytesToBigint, concatBytes, type Digest, u64 } from '../base/bytes.js'
import {
  type ChannelState,
  channelStateDigest,
  decodeLocks,
  encodeChannelState,
  encodeLocks,
  otherSide,
  type Side,
} from '../base/channel-state.js'
import { modQ, type Point, type Scalar, scalarToBigint } from '../base/curve/index.js'
import { prf, prfScalar, taggedHash } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import type { VersionKeys } from '../base/message/channel.js'
import { oncePer } from '../base/once.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { ExitTerms } from '../chain-adapter/contract/channel-rules.js'
import { commit } from '../privacy/commitment.js'
import { encodeCiphertext, withRandomizer } from '../privacy/paillier.js'
import { poolBlinding } from './keys.js'
import type { Built, Content, Context, Lock } from './types.js'

type LockFields = Pick<Lock, 'from' | 'id' | 'amount' | 'point' | 'expiry'>

const packLock = (lock: LockFields): Uint8Array =>
  concatBytes(Uint8Array.of(lock.from), u64(lock.id), amountToBytes(lock.amount), lock.point, u64(lock.expiry))

/** Locks and contents never change, in however many versions or places they are. */
const packedLock = oncePer<Lock, Uint8Array>(packLock)

/** C2: version, balances, locks with amounts; no commitment, ciphertext, R or hash. */
export const contentDigest = oncePer(
  ({ version, balances, locks }: Content): Digest =>
    taggedHash('channel-content', u64(version), ...balances.map(amountToBytes), ...locks.map(packedLock)),
)

/** C2: constant for the lock's life. */
const lockBlinding = (secret: Uint8Array, lock: LockFields): Scalar =>
  prfScalar(secret, 'lock-blinding', Uint8Array.of(lock.from), u64(lock.id), taggedHash('lock', packLock(lock)))

function finite(value: bigint, blinding: bigint): Point {
  const point = commit(value, blinding)
  invariant(point !== null, 'P1', 'a commitment with a known opening is finite')
  return point
}

export const lockCommitment = (context: Context, lock: LockFields): Point =>
  finite(lock.amount, scalarToBigint(lockBlinding(context.secret, lock)))

/** Blinding of C_A. That of state 0 is the opener's deposit (L5). */
export const balanceBlinding = (context: Context, content: Content): bigint =>
  content.version === 0
    ? context.terms.blindings[0]
    : scalarToBigint(prfScalar(context.secret, 'balance-blinding', u64(content.version), contentDigest(content)))

/** What the sealed part of a state says (C1). */
export interface Opened {
  readonly balances: readonly [Amount, Amount]
  /** In the order of the state's locks. */
  readonly locks: readonly Amount[]
  readonly pool: Amount
  /** Modulo q. */
  readonly poolBlinding: bigint
  readonly balanceBlinding: bigint
}

const SEALED_FIXED_BYTES = 3 * AMOUNT_BYTES + 2 * 32
const NONCE_BYTES = 24

const sealer = (secret: Uint8Array, nonce: Uint8Array, channel: Uint8Array, version: number) =>
  xchacha20poly1305(prf(secret, 'seal-key'), nonce, concatBytes(channel, u64(version)))

/** C1: the nonce is synthetic: the same content gives the same bytes on both sides, another content another nonce. */
function seal(context: Context, content: Content, blinding: bigint): { nonce: Uint8Array; sealed: Uint8Array } {
  const plain = concatBytes(
    amountToBytes(content.balances[0]),
    amountToBytes(content.balances[1]),
    amountToBytes(context.pool),
    bigintToBytes(modQ(poolBlinding(context.terms)), 32),
    bigintToBytes(blinding, 32),
    ...content.locks.map((lock) => amountToBytes(lock.amount)),
  )
  const nonce = prf(context.secret, 'seal-nonce', u64(content.version), contentDigest(content)).slice(0, NONCE_BYTES)
  const box = sealer(context.secret, nonce, context.terms.channel, content.version)
  return { nonce, sealed: box.encrypt(plain) }
}

/**
 * Opens any state of the channel with the channel secret alone (C1): after a loss of data, and for settling.
 * Errors: `bad_encoding` where the box is not ours or not whole.
 */
export function openSealed(secret: Uint8Array, state: ChannelState): Result<Opened> {
  const locks = decodeLocks(state.locks)
  if (!locks.ok) return locks
  let plain: Uint8Array
  try {
    plain = sealer(secret, state.nonce, state.channel, state.version).decrypt(state.sealed)
  } catch {
    return refuse('bad_encoding', 'sealed') // the cipher's only way to say that the tag is wrong
  }
  if (plain.length !== SEALED_FIXED_BYTES + AMOUNT_BYTES * locks.value.length) return refuse('bad_encoding', 'sealed')
  const amountAt = (at: number): Amount => amountFromBytes(plain.subarray(at, at + AMOUNT_BYTES))
  return ok({
    balances: [amountAt(0), amountAt(8)],
    pool: amountAt(16),
    poolBlinding: bytesToBigint(plain.subarray(24, 56)),
    balanceBlinding: bytesToBigint(plain.subarray(56, 88)),
    locks: locks.value.map((_, index) => amountAt(SEALED_FIXED_BYTES + AMOUNT_BYTES * index)),
  })
}

/** The opening of a lock's commitment: for settling. */
export const lockOpening = (secret: Uint8Array, lock: LockFields): bigint => scalarToBigint(lockBlinding(secret, lock))

/** C2: `(1 + v*n) * R`, one multiplication for whoever's key it is. */
function ciphertext(context: Context, side: Side, value: Amount, keys: VersionKeys): Uint8Array {
  const key = context.paillier[side]
  return encodeCiphertext(key, withRandomizer(key, value, bytesToBigint(keys.randomizer)))
}

/** The one state that a content and both sides' keys of its version make: both sides build it alike. */
export function build(context: Context, content: Content, keys: readonly [VersionKeys, VersionKeys]): Built {
  const blinding = balanceBlinding(context, content)
  const state: ChannelState = {
    channel: context.terms.channel as Uint8Array as Digest,
    version: content.version,
    commitment: finite(content.balances[0], blinding),
    ciphertexts: [
      ciphertext(context, 0, content.balances[0], keys[0]),
      ciphertext(context, 1, content.balances[1], keys[1]),
    ],
    locks: encodeLocks(content.locks),
    revocations: [keys[0].hash, keys[1].hash],
    ...seal(context, content, blinding),
  }
  const encoded = encodeChannelState(state)
  return { content, state, encoded, digest: channelStateDigest(encoded) }
}

/** C2: 1 < R < n², exact length, not the last one again. Otherwise a bad R harms only its sender. */
export function validRandomizer(context: Context, side: Side, randomizer: Uint8Array): boolean {
  const key = context.paillier[side]
  if (randomizer.length !== 2 * key.bytes) return false
  const value = bytesToBigint(randomizer)
  return value > 1n && value < key.nn
}

export const exitTerms = (context: Context): ExitTerms => ({
  channel: context.terms.channel,
  channelKeys: context.terms.channelKeys,
  state: context.terms.state,
  keyBits: context.paillier[0].bits,
})

/** Balances and locks of a content; with the pool they must be equal (C11). */
export const contentTotal = (content: Content): bigint =>
  content.locks.reduce((sum, lock) => sum + lock.amount, content.balances[0] + content.balances[1])

export const peerOf = (context: Context): Side => otherSide(context.side)
