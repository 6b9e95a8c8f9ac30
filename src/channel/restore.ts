/**
 * A channel from the seed, the ledger and one co-signed state alone (C1, C8): what a new disk needs to get the balance
 * back. The deposits are unknown: all the pool counts as the opener's, which nothing after state 0 depends on.
 */
import { equalBytes } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { curve, type Signature } from '../base/curve/index.js'
import type { AccountId, LedgerId } from '../base/ids.js'
import type { ChannelView } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { postable } from '../chain-adapter/contract/channel-rules.js'
import { commit } from '../privacy/commitment.js'
import { UNUSED } from './birth.js'
import { exitTerms } from './content.js'
import { channelKeys, createContext } from './keys.js'
import { type OpenedState, openState } from './settlement.js'
import type { Channel, ChannelLimits, ChannelPolicy, Terms } from './types.js'

export interface Remains {
  readonly ledger: LedgerId
  readonly view: ChannelView
  /** Own. */
  readonly account: AccountId
  /** Wallet's channel seed. */
  readonly seed: Uint8Array
  /** The opener's account nonce: openChannel's. */
  readonly nonce: number
  /** Paillier moduli, [opener, peer]: the accounts' on the ledger. */
  readonly moduli: readonly [Uint8Array, Uint8Array]
  /** A state that both signed: a peer's `newest`, a tower's, or the standing one of an exit. */
  readonly state: Uint8Array
  readonly signatures: readonly [Signature, Signature]
  readonly policy: ChannelPolicy
}

export interface Restored {
  readonly terms: Terms
  readonly side: Side
  /** In phase recovery. */
  readonly channel: Channel
}

/** No operation is ever made again. */
const NO_LIMITS = { reserve: 0n, locks: 0, amountMin: 1n, amountMax: 1n, expiryMin: 0, expiryMax: 0 } as ChannelLimits

/** Of state 0 the deposits are the balances; above it only the pool shows. */
function deposits({ built, blinding, pool, poolBlinding }: OpenedState): Pick<Terms, 'deposits' | 'blindings'> {
  const { version, balances } = built.content
  return version === 0
    ? { deposits: balances, blindings: [blinding, poolBlinding - blinding] }
    : { deposits: [pool, 0n] as unknown as Terms['deposits'], blindings: [poolBlinding, 0n] }
}

/**
 * Errors: `channel_closed`; `bad_key` where the seed, the nonce or a modulus is another; `bad_signature`, `bad_encoding`,
 * `wrong_state` where the state is none of this channel's, or not what the ledger's pool opens to.
 */
export function recoverChannel(remains: Remains): Result<Restored> {
  const { view, ledger, nonce, moduli, seed } = remains
  if (view.phase === 'closed') return refuse('channel_closed')
  const side: Side = equalBytes(view.accounts[0], remains.account) ? 0 : 1
  const { channel, accounts, channelKeys: points, window, state } = view
  const keys = channelKeys(seed, { ledger, channel, accounts, nonce })
  if (!equalBytes(curve.multiplyBase(keys.signing), points[side])) return refuse('bad_key', 'channel key')
  const identity = { ledger, channel, accounts, channelKeys: points, moduli, nonce, window, state }
  const limits = [NO_LIMITS, NO_LIMITS] as const
  const none = { deposits: [0n, 0n] as unknown as Terms['deposits'], blindings: [0n, 0n] as const }
  const context = createContext({ ...identity, limits, ...none }, side, keys, remains.policy)
  if (!context.ok) return context
  const signed = postable(exitTerms(context.value), remains.state, remains.signatures)
  if (!signed.ok) return signed
  const opened = openState(context.value.secret, remains.state)
  if (!opened.ok) return opened
  const pool = commit(opened.value.pool, opened.value.poolBlinding)
  if (pool === null || !equalBytes(pool, view.pool)) return refuse('wrong_state', 'pool')
  const { built } = opened.value
  const { version } = built.content
  return ok({
    terms: { ...identity, limits, ...deposits(opened.value) },
    side,
    channel: {
      ...UNUSED,
      phase: 'recovery',
      current: { ...built, signatures: remains.signatures },
      signed: { version, digest: built.digest },
      peerKeys: null,
      peerRandomizer: new Uint8Array(),
      randomizers: new Map(),
      dispute: view.dispute,
      floor: version,
    },
  })
}
