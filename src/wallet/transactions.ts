/** Builds and proves the account's transactions (L3, L4) and its half of an opening (L5); submits nothing. */
import type { Amount } from '../base/amount.js'
import type { Side } from '../base/channel-state.js'
import { curve, modQ, type Scalar, scalarToBigint } from '../base/curve/index.js'
import type { AccountView } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { type DepositHalf, transactionDigest, type Unsigned } from '../base/transaction.js'
import {
  depositStatement,
  mintStatement,
  type OpenTerms,
  type Parties,
  redeemStatement,
  transferStatement,
} from '../chain-adapter/contract/statements.js'
import { type Opening, openingRow } from './openings.js'
import type { Built, Mintable, Spendable, WalletParts } from './parts.js'
import { encodeFor, finiteCommitment, freshRandomness, withdraw } from './withdrawal.js'

const sign = (parts: WalletParts, tx: Unsigned) => curve.sign(transactionDigest(tx), parts.keys.signing)

const common = (parts: WalletParts, view: AccountView) => ({
  ledger: parts.chain.ledger,
  account: parts.keys.account,
  nonce: view.nonce,
})

export async function buildTransfer(
  parts: WalletParts,
  from: Spendable,
  payee: AccountView,
  amount: Amount,
): Promise<Result<Built>> {
  const { pool, chain, keys, entropy } = parts
  const { available } = from
  const regulator = chain.genesis.regulator.n
  const made = await withdraw(pool, entropy, { keys, available, amount, receiver: payee.n, regulator })
  const unproven = {
    kind: 'transfer',
    ...common(parts, from.view),
    to: payee.account,
    ciphertextTo: made.ciphertextReceiver,
    ...made.fields,
  } as const
  const statement = transferStatement(chain.genesis, from.view, payee, unproven)
  if (!statement.ok) return statement
  const unsigned = { ...unproven, proof: await pool.prove(statement.value, made.witness, 'urgent', keys.paillier) }
  return ok({
    tx: { ...unsigned, signature: sign(parts, unsigned) },
    rows: [openingRow(made.fields.ciphertextRest, made.opening)],
  })
}

export async function buildRedeem(parts: WalletParts, from: Spendable, amount: Amount): Promise<Result<Built>> {
  const { pool, chain, keys, entropy } = parts
  const { issuer, regulator } = chain.genesis
  const { available } = from
  const made = await withdraw(pool, entropy, { keys, available, amount, receiver: issuer.n, regulator: regulator.n })
  const unproven = {
    kind: 'redeem',
    ...common(parts, from.view),
    ciphertextIssuer: made.ciphertextReceiver,
    ...made.fields,
  } as const
  const statement = redeemStatement(chain.genesis, from.view, unproven)
  if (!statement.ok) return statement
  const unsigned = { ...unproven, proof: await pool.prove(statement.value, made.witness, 'urgent', keys.paillier) }
  return ok({
    tx: { ...unsigned, signature: sign(parts, unsigned) },
    rows: [openingRow(made.fields.ciphertextRest, made.opening)],
  })
}

/** Errors: `bad_amount` below 0.01 or where the supply would reach 2^L (L3). */
export async function buildMint(
  parts: WalletParts,
  { view, secrets, supply }: Mintable,
  payee: AccountView,
  amount: Amount,
): Promise<Result<Built>> {
  const { pool, chain } = parts
  const { genesis } = chain
  if (amount < 1n) return refuse('bad_amount', 'at least 0.01')
  if ((supply.total + amount) >> BigInt(genesis.amountBits) !== 0n) return refuse('bad_amount', 'supply')
  const randomness = freshRandomness(genesis.regulator.n, parts.entropy)
  const [to, regulator] = await Promise.all([
    pool.encrypt(payee.n, amount, secrets.randomness),
    pool.encrypt(genesis.regulator.n, amount, randomness),
  ])
  const blinding = scalarToBigint(secrets.blinding)
  const unproven = {
    kind: 'mint',
    ...common(parts, view),
    to: payee.account,
    commitment: finiteCommitment(amount, secrets.blinding),
    ciphertextTo: encodeFor(payee.n, to),
    ciphertextRegulator: encodeFor(genesis.regulator.n, regulator),
  } as const
  const witness = {
    openings: [
      { value: amount, blinding },
      { value: supply.total + amount, blinding: modQ(supply.blinding + blinding) },
    ],
    randomness: [secrets.randomness, randomness],
  }
  const proof = await pool.prove(mintStatement(genesis, payee, supply.commitment, unproven), witness, 'urgent')
  const unsigned = { ...unproven, proof }
  return ok({ tx: { ...unsigned, signature: sign(parts, unsigned) }, rows: [] })
}

export interface HalfInput {
  readonly terms: OpenTerms
  readonly parties: Parties
  readonly side: Side
  /** Of parties[side]'s `available`. */
  readonly available: Opening
  readonly amount: Amount
  /** The deposit commitment's (L5). */
  readonly blinding: Scalar
}

/** One side's proven half. Its opening row must be durable before the half leaves. */
export async function buildHalf(
  parts: WalletParts,
  input: HalfInput,
): Promise<Result<{ readonly half: DepositHalf; readonly opening: Opening }>> {
  const { pool, chain, keys, entropy } = parts
  const { terms, parties, side, available, amount, blinding } = input
  const regulator = chain.genesis.regulator.n
  const receiver = parties[side === 0 ? 1 : 0].n
  const made = await withdraw(pool, entropy, { keys, available, amount, receiver, regulator, blinding })
  const unproven = { ...made.fields, ciphertextPeer: made.ciphertextReceiver }
  const statement = depositStatement(chain.genesis, parties, terms, side, unproven)
  if (!statement.ok) return statement
  const proof = await pool.prove(statement.value, made.witness, 'urgent', keys.paillier)
  return ok({ half: { ...unproven, proof }, opening: made.opening })
}
