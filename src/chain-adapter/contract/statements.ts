/**
 * What each transaction's prover must show: built by prover and contract from the same ledger state, genesis and public
 * fields (P6). A context lists ledger id, parameters, accounts, nonce or (channel, version), then the ledger's current
 * inputs; ciphertexts, commitments and keys that a statement names enter the transcript by themselves.
 */
import { u64 } from '../../base/bytes.js'
import { otherSide, type Side } from '../../base/channel-state.js'
import { type Element, subtractElements, sumElements } from '../../base/curve/index.js'
import { sha256 } from '../../base/digest.js'
import { invariant } from '../../base/errors.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import type { AccountView, ChannelView } from '../../base/ports/chain.js'
import { ok, type Result, refuse } from '../../base/result.js'
import type { DepositHalf, TransactionKind, TransactionOf } from '../../base/transaction.js'
import type { Statement, StatementKey } from '../../privacy/statement.js'
import { divide } from './ciphertext.js'

/** A transaction before its proof and its signatures exist. */
export type Unproven<K extends TransactionKind> = Omit<TransactionOf<K>, 'proof' | 'signature' | 'signatures'>
export type OpenTerms = Omit<Unproven<'openChannel'>, 'halves'>
export type UnprovenHalf = Omit<DepositHalf, 'proof'>
/** [opener, peer]. */
export type Parties = readonly [AccountView, AccountView]

/** The link whose ciphertext is the withdrawn c_T under the payer's own key, derived by both sides (P7). */
export const WITHDRAWN_LINK = 0

const ROLES = ['opener', 'peer'] as const

const regulatorKey = (genesis: Genesis): StatementKey => ({ role: 'regulator', n: genesis.regulator.n })

const context = (genesis: Genesis, ...parts: readonly Uint8Array[]): Uint8Array[] => [
  ledgerIdOf(genesis),
  u64(genesis.keyBits),
  genesis.issuer.account,
  genesis.regulator.account,
  ...parts,
]

interface Receiver {
  readonly role: string
  readonly n: Uint8Array
  readonly ciphertext: Uint8Array
}

/** P7 with L4's checks: T >= 1, A' >= 0, A' = A - T, equal amounts under the keys of payer, receiver and regulator. */
function withdrawalStatement(
  genesis: Genesis,
  named: { readonly kind: TransactionKind; readonly role: string; readonly context: readonly Uint8Array[] },
  payer: AccountView,
  receiver: Receiver,
  fields: Pick<UnprovenHalf, 'commitment' | 'rest' | 'ciphertextRest' | 'ciphertextRegulator'>,
): Result<Statement> {
  const withdrawn = divide(payer.n, payer.available, fields.ciphertextRest)
  if (withdrawn === undefined) return refuse('bad_ciphertext', 'ciphertextRest')
  return ok({
    kind: named.kind,
    role: named.role,
    bits: genesis.amountBits,
    context: context(genesis, ...named.context, payer.available),
    keys: [{ role: named.role, n: payer.n }, { role: receiver.role, n: receiver.n }, regulatorKey(genesis)],
    commitments: [fields.commitment, fields.rest],
    links: [
      { key: 0, commitment: 0, value: withdrawn },
      { key: 0, commitment: 1, value: fields.ciphertextRest },
      { key: 1, commitment: 0, value: receiver.ciphertext },
      { key: 2, commitment: 0, value: fields.ciphertextRegulator },
    ],
    ranges: [
      { commitment: 0, minimum: 1n },
      { commitment: 1, minimum: 0n },
    ],
  })
}

/** L4. */
export const transferStatement = (
  genesis: Genesis,
  payer: AccountView,
  payee: AccountView,
  tx: Unproven<'transfer'>,
): Result<Statement> =>
  withdrawalStatement(
    genesis,
    { kind: 'transfer', role: 'payer', context: [tx.account, tx.to, u64(tx.nonce)] },
    payer,
    { role: 'payee', n: payee.n, ciphertext: tx.ciphertextTo },
    tx,
  )

/** L3: a transfer to the issuer that burns. */
export const redeemStatement = (genesis: Genesis, payer: AccountView, tx: Unproven<'redeem'>): Result<Statement> =>
  withdrawalStatement(
    genesis,
    { kind: 'redeem', role: 'payer', context: [tx.account, u64(tx.nonce)] },
    payer,
    { role: 'issuer', n: genesis.issuer.n, ciphertext: tx.ciphertextIssuer },
    tx,
  )

/** L5: one side's deposit, its own prover and transcript. The channel id binds both deposit commitments. */
export const depositStatement = (
  genesis: Genesis,
  parties: Parties,
  terms: OpenTerms,
  side: Side,
  half: UnprovenHalf,
): Result<Statement> =>
  withdrawalStatement(
    genesis,
    {
      kind: 'openChannel',
      role: ROLES[side],
      context: [
        terms.channel,
        ...terms.accounts,
        ...terms.channelKeys,
        u64(terms.nonce),
        u64(terms.window),
        u64(terms.validUntil),
        terms.state,
      ],
    },
    parties[side],
    { role: ROLES[otherSide(side)], n: parties[otherSide(side)].n, ciphertext: half.ciphertextPeer },
    half,
  )

/** L3: the minted amount, at least 1, under the keys of payee and regulator, and a supply that stays below 2^L. */
export const mintStatement = (
  genesis: Genesis,
  payee: AccountView,
  minted: Element,
  tx: Unproven<'mint'>,
): Statement => ({
  kind: 'mint',
  role: 'issuer',
  bits: genesis.amountBits,
  context: context(genesis, tx.account, tx.to, u64(tx.nonce), minted ?? new Uint8Array()),
  keys: [{ role: 'payee', n: payee.n }, regulatorKey(genesis)],
  commitments: [tx.commitment, sumElements([minted, tx.commitment])],
  links: [
    { key: 0, commitment: 0, value: tx.ciphertextTo },
    { key: 1, commitment: 0, value: tx.ciphertextRegulator },
  ],
  ranges: [
    { commitment: 0, minimum: 1n },
    { commitment: 1, minimum: 0n },
  ],
})

/** L6: both balances in range and under their owner's key and the regulator's; with C_A + C_B = C_pool no inflation. */
function balancesStatement(
  genesis: Genesis,
  named: { readonly kind: TransactionKind; readonly role: string; readonly context: readonly Uint8Array[] },
  channel: ChannelView,
  parties: Parties,
  commitments: readonly [Element, Element],
  fields: Pick<Unproven<'settle'>, 'ciphertexts' | 'ciphertextsRegulator'>,
): Statement {
  return {
    kind: named.kind,
    role: named.role,
    bits: genesis.amountBits,
    context: context(
      genesis,
      channel.channel,
      ...channel.accounts,
      ...named.context,
      channel.pool,
      ...channel.poolCiphertexts,
    ),
    keys: [{ role: 'opener', n: parties[0].n }, { role: 'peer', n: parties[1].n }, regulatorKey(genesis)],
    commitments,
    links: [
      { key: 0, commitment: 0, value: fields.ciphertexts[0] },
      { key: 1, commitment: 1, value: fields.ciphertexts[1] },
      { key: 2, commitment: 0, value: fields.ciphertextsRegulator[0] },
      { key: 2, commitment: 1, value: fields.ciphertextsRegulator[1] },
    ],
    ranges: [
      { commitment: 0, minimum: 0n },
      { commitment: 1, minimum: 0n },
    ],
  }
}

/** L6: C_B = C_pool - C_A. */
export const closeStatement = (
  genesis: Genesis,
  channel: ChannelView,
  parties: Parties,
  tx: Unproven<'closeChannel'>,
): Statement =>
  balancesStatement(
    genesis,
    { kind: 'closeChannel', role: 'parties', context: [u64(tx.validUntil)] },
    channel,
    parties,
    [tx.commitment, subtractElements(channel.pool, tx.commitment)],
    tx,
  )

/** L9: bound to the channel and the standing version; `commitments` are settledCommitments'. */
export function settleStatement(
  genesis: Genesis,
  channel: ChannelView,
  parties: Parties,
  commitments: readonly [Element, Element],
  tx: Unproven<'settle'>,
): Statement {
  const { dispute } = channel
  invariant(dispute !== null, 'L9', 'only a disputed channel is settled')
  return balancesStatement(
    genesis,
    { kind: 'settle', role: 'settler', context: [u64(dispute.standingVersion), sha256(dispute.standing)] },
    channel,
    parties,
    commitments,
    tx,
  )
}
