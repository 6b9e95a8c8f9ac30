/** The shape of every transaction's rule, and the checks that several of them share. */
import type { Digest } from '../../base/bytes.js'
import type { Point, Signature } from '../../base/curve/index.js'
import type { ErrorCode } from '../../base/errors.js'
import type { Genesis } from '../../base/genesis.js'
import type { AccountId, LedgerId } from '../../base/ids.js'
import type { AccountView, ChannelView } from '../../base/ports/chain.js'
import { ok, type Result, refuse } from '../../base/result.js'
import {
  type Transaction,
  type TransactionKind,
  type TransactionOf,
  transactionDigest,
} from '../../base/transaction.js'
import type { ProofCheck } from '../../privacy/statement.js'
import { multiply } from './ciphertext.js'
import { type Draft, readAccount, readChannel, type StateView, writeAccount } from './state.js'

export interface Env {
  readonly view: StateView
  readonly genesis: Genesis
  readonly ledger: LedgerId
  /** Ledger time, seconds. */
  readonly now: number
  readonly height: number
}

export interface Signed {
  readonly key: Point
  readonly digest: Digest
  readonly signature: Signature
  /** The code of its refusal where it is not `bad_signature`. */
  readonly code?: ErrorCode
}

/** L3's order is the shape of a rule: comparisons, then signatures, then group and Paillier arithmetic. */
export interface Admitted {
  readonly signed: readonly Signed[]
  /** Writes to a draft that a refusal throws away (L10); says what remains to be proved. */
  readonly effect: (draft: Draft) => Result<readonly ProofCheck[]>
}

export type Rule<K extends TransactionKind> = (env: Env, tx: TransactionOf<K>) => Result<Admitted>

export const byAccount = (
  tx: Transaction & { readonly account: AccountId; readonly signature: Signature },
): Signed => ({
  key: tx.account,
  digest: transactionDigest(tx),
  signature: tx.signature,
})

export function knownAccount(env: Env, id: AccountId): Result<AccountView> {
  const account = readAccount(env.view, id)
  return account === undefined ? refuse('unknown_account') : ok(account)
}

/** The account whose next nonce this is. */
export function actingAccount(
  env: Env,
  tx: { readonly account: AccountId; readonly nonce: number },
): Result<AccountView> {
  const account = knownAccount(env, tx.account)
  return account.ok && account.value.nonce !== tx.nonce ? refuse('bad_nonce') : account
}

/** A channel that has not been paid out. */
export function liveChannel(env: Env, id: Uint8Array): Result<ChannelView> {
  const channel = readChannel(env.view, id)
  if (channel === undefined) return refuse('unknown_channel')
  return channel.phase === 'closed' ? refuse('channel_closed') : ok(channel)
}

/** Both parties of a channel that exists: an account is never removed. */
export function partiesOf(env: Env, channel: ChannelView): Result<readonly [AccountView, AccountView]> {
  const opener = knownAccount(env, channel.accounts[0])
  if (!opener.ok) return opener
  const peer = knownAccount(env, channel.accounts[1])
  return peer.ok ? ok([opener.value, peer.value]) : peer
}

/** L10: every modulus of a ledger has genesis's length, so every ciphertext has twice that. */
export const haveLength = (env: Env, ...ciphertexts: readonly Uint8Array[]): boolean =>
  ciphertexts.every((ciphertext) => ciphertext.length === env.genesis.keyBits / 4)

/** Changes what the draft holds of an account, so that several changes of one transaction add up. */
export function update(draft: Draft, id: AccountId, change: (account: AccountView) => Partial<AccountView>): void {
  const account = readAccount(draft, id)!
  writeAccount(draft, { ...account, ...change(account) })
}

/** L2: a credit multiplies pendingOpen and nothing else, so that no incoming payment voids a proof of the owner. */
export const credit = (draft: Draft, id: AccountId, ciphertext: Uint8Array): void =>
  update(draft, id, ({ n, pendingOpen }) => ({ pendingOpen: multiply(n, pendingOpen, ciphertext) }))

export const consumeNonce = (draft: Draft, id: AccountId): void =>
  update(draft, id, ({ nonce }) => ({ nonce: nonce + 1 }))
