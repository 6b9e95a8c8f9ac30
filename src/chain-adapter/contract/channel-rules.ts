/** Rules of a channel that its parties must judge exactly as the contract does (C11): pure, no ledger needed. */
import { type Digest, equalBytes, u64 } from '../../base/bytes.js'
import {
  type ChannelState,
  channelStateDigest,
  decodeChannelState,
  decodeLocks,
  type PublicLock,
} from '../../base/channel-state.js'
import {
  curve,
  type Element,
  type Point,
  type Signature,
  subtractElements,
  sumElements,
} from '../../base/curve/index.js'
import { taggedHash } from '../../base/digest.js'
import type { AccountId, ChannelId, LedgerId } from '../../base/ids.js'
import { ok, type Result, refuse } from '../../base/result.js'

export interface ChannelIdTerms {
  readonly ledger: LedgerId
  /** [opener, peer]. */
  readonly accounts: readonly [AccountId, AccountId]
  /** The opener's account nonce: consumed by the opening, so an id never comes back. */
  readonly nonce: number
  readonly window: number
  /** Deposit commitments, null for an absent half. */
  readonly deposits: readonly [Point, Point | null]
}

/** L5's rule for a channel's id. */
export const channelIdOf = (terms: ChannelIdTerms): ChannelId =>
  taggedHash(
    'channel-id',
    terms.ledger,
    terms.accounts[0],
    terms.accounts[1],
    u64(terms.nonce),
    u64(terms.window),
    terms.deposits[0],
    terms.deposits[1] ?? new Uint8Array(),
  )

/** What a posted state is judged against; a ChannelView with genesis's key size. */
export interface ExitTerms {
  readonly channel: Uint8Array
  readonly channelKeys: readonly [Point, Point]
  /** Digest of state 0. */
  readonly state: Digest
  /** Bits of genesis's moduli. */
  readonly keyBits: number
}

/**
 * L7's check of a state without its signatures: version, counts and lengths only. Ciphertexts and the sealed part stay
 * opaque, so nothing that a peer supplied can make a signed state unpostable.
 */
export function wellFormedState(terms: ExitTerms, encoded: Uint8Array): Result<ChannelState> {
  const state = decodeChannelState(encoded)
  if (!state.ok) return state
  if (!equalBytes(state.value.channel, terms.channel)) return refuse('wrong_state', 'channel')
  if (state.value.version === 0 && !equalBytes(channelStateDigest(encoded), terms.state)) {
    return refuse('wrong_state', 'state 0')
  }
  if (state.value.ciphertexts.some((ciphertext) => ciphertext.length !== terms.keyBits / 4)) {
    return refuse('bad_ciphertext', 'length')
  }
  const locks = decodeLocks(state.value.locks)
  return locks.ok ? state : locks
}

/** Both channel keys over the digest of the exact bytes (C1). */
export function stateSigners(
  terms: Pick<ExitTerms, 'channelKeys'>,
  encoded: Uint8Array,
  signatures: readonly [Signature, Signature],
): readonly { readonly key: Point; readonly digest: Digest; readonly signature: Signature }[] {
  const digest = channelStateDigest(encoded)
  return [
    { key: terms.channelKeys[0], digest, signature: signatures[0] },
    { key: terms.channelKeys[1], digest, signature: signatures[1] },
  ]
}

/** The contract's own exit check (L7, C11): the state that `exit` and `supersede` would accept, or their refusal. */
export function postable(
  terms: ExitTerms,
  encoded: Uint8Array,
  signatures: readonly [Signature, Signature],
): Result<ChannelState> {
  const state = wellFormedState(terms, encoded)
  if (!state.ok) return state
  const signed = stateSigners(terms, encoded, signatures)
  return signed.every(({ digest, signature, key }) => curve.verify(digest, signature, key))
    ? state
    : refuse('bad_signature', 'state')
}

export type LockOutcome = 'won' | 'dead' | 'undecided'

/**
 * L8: won if its point was revealed at or before its expiry, dead once ledger time exceeds expiry without that.
 * `revealedAt` is the first ledger time of the point's scalar, undefined where the registry does not hold it.
 */
export function lockOutcome(
  lock: Pick<PublicLock, 'expiry'>,
  revealedAt: number | undefined,
  now: number,
): LockOutcome {
  if (revealedAt !== undefined && revealedAt <= lock.expiry) return 'won'
  return now > lock.expiry ? 'dead' : 'undecided'
}

/**
 * L9: `C_A = C_state + locks won by or returned to the opener`, `C_B = C_pool - C_A`, for the standing state's encoding;
 * `locks_undecided` while a lock is neither won nor dead. Prover and contract compute the same two.
 */
export function settledCommitments(
  pool: Point,
  standing: Uint8Array,
  revealedAt: (point: Point) => number | undefined,
  now: number,
): Result<readonly [Element, Element]> {
  const state = decodeChannelState(standing)
  if (!state.ok) return state
  const locks = decodeLocks(state.value.locks)
  if (!locks.ok) return locks
  const opener: Point[] = [state.value.commitment]
  for (const lock of locks.value) {
    const outcome = lockOutcome(lock, revealedAt(lock.point), now)
    if (outcome === 'undecided') return refuse('locks_undecided')
    // A lock is out of its offerer's balance: won it goes to the other side, dead it returns.
    const toOpener = lock.from === 0 ? outcome === 'dead' : outcome === 'won'
    if (toOpener) opener.push(lock.commitment)
  }
  const own = sumElements(opener)
  return ok([own, subtractElements(pool, own)])
}
