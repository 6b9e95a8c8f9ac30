/**
 * Transactions proven ahead of their submission. Those of one account form a chain: each begins from the ciphertext that
 * the one before leaves, so whoever submits them in their order measures the ledger and not the prover.
 */
import type { Amount } from '../../base/amount.js'
import { channelStateDigest } from '../../base/channel-state.js'
import { curve, modQ, type Scalar, scalarToBigint } from '../../base/curve/index.js'
import { invariant } from '../../base/errors.js'
import type { ChannelId } from '../../base/ids.js'
import type { AccountView, ChainAdapter } from '../../base/ports/chain.js'
import { type Transaction, transactionDigest } from '../../base/transaction.js'
import { channelIdOf } from '../../chain-adapter/contract/channel-rules.js'
import type { OpenTerms } from '../../chain-adapter/contract/statements.js'
import { need } from '../../chain-adapter/need.js'
import { proveClose } from '../../wallet/balances.js'
import { type Opening, readOpening } from '../../wallet/openings.js'
import { buildHalf, buildTransfer } from '../../wallet/transactions.js'
import { finiteCommitment, freshScalar } from '../../wallet/withdrawal.js'
import type { Resident } from './town.js'
import { channelKeys, StateMaker } from './watched-channel.js'

/** Ledger seconds. */
const WINDOW_S = 3_600
const VALID_S = 86_400

/** The pool is the opener's deposit: the other half is absent. */
export interface Opened {
  readonly id: ChannelId
  readonly amount: Amount
  readonly blinding: Scalar
}

export async function viewOf(chain: ChainAdapter, { wallet }: Resident): Promise<AccountView> {
  const { value } = await chain.account(wallet.account)
  invariant(value !== undefined, 'L2', 'an account of the bench is not on its ledger')
  return value
}

export class Prover {
  private constructor(
    readonly resident: Resident,
    private view: AccountView,
    private available: Opening,
  ) {}

  static async of(resident: Resident): Promise<Prover> {
    const { wallet } = resident
    const { view, available } = need(await wallet.exclusive(() => wallet.spendable(1n as Amount)))
    return new Prover(resident, view, available)
  }

  async transfer(payee: AccountView, amount: Amount): Promise<Transaction> {
    const { parts } = this.resident.wallet
    const from = { view: this.view, available: this.available }
    const { tx, rows } = need(await buildTransfer(parts, from, payee, amount))
    invariant(tx.kind === 'transfer', 'L4', 'a transfer is none')
    await parts.store.write({ puts: rows, deletes: [] })
    const opening = readOpening(parts.store, tx.ciphertextRest)
    invariant(opening !== undefined, 'K1', 'an opening that was just written is not there')
    this.#moveOn(tx.ciphertextRest, opening)
    return tx
  }

  /** With a peer that locks nothing. */
  async opening(peer: Resident, peerView: AccountView, amount: Amount): Promise<Opened & { readonly tx: Transaction }> {
    const { parts } = this.resident.wallet
    const { genesis, ledger } = parts.chain
    const blinding = freshScalar(parts.entropy)
    const accounts: OpenTerms['accounts'] = [this.view.account, peerView.account]
    const deposits = [finiteCommitment(amount, blinding), null] as const
    const terms = { ledger, accounts, nonce: this.view.nonce, window: WINDOW_S }
    const id = channelIdOf({ ...terms, deposits })
    const maker = new StateMaker(id, genesis.keyBits)
    const open: OpenTerms = {
      kind: 'openChannel',
      ...terms,
      channel: id,
      validUntil: genesis.time + VALID_S,
      state: channelStateDigest(maker.state(0).encoded),
      channelKeys: maker.points,
    }
    const parties = [this.view, peerView] as const
    const input = { terms: open, parties, side: 0, available: this.available, amount, blinding } as const
    const { half, opening } = need(await buildHalf(parts, input))
    const unsigned = { ...open, halves: [half, null] as [typeof half, null] }
    const digest = transactionDigest(unsigned)
    const sign = ({ secrets }: Resident) => curve.sign(digest, secrets.signingKey)
    this.#moveOn(half.ciphertextRest, opening)
    return { id, amount, blinding, tx: { ...unsigned, signatures: [sign(this.resident), sign(peer)] } }
  }

  #moveOn(available: Uint8Array, opening: Opening): void {
    this.view = { ...this.view, nonce: this.view.nonce + 1, available }
    this.available = opening
  }
}

/** L6: everything back to the opener. The channel must stand on the ledger. */
export async function closing({ wallet }: Resident, { id, amount, blinding }: Opened): Promise<Transaction> {
  const { pool, chain, entropy } = wallet.parts
  const { value: channel } = await chain.channel(id)
  invariant(channel !== undefined, 'L6', 'a channel to be closed is not open')
  const [opener, peer] = await Promise.all(channel.accounts.map((account) => chain.account(account)))
  invariant(opener?.value !== undefined && peer?.value !== undefined, 'L2', 'an account is missing')
  const fresh = freshScalar(entropy)
  const terms = {
    kind: 'closeChannel' as const,
    ledger: chain.ledger,
    channel: id,
    validUntil: chain.genesis.time + VALID_S,
    commitment: finiteCommitment(amount, fresh),
  }
  const prover = { pool, entropy, genesis: chain.genesis, channel, parties: [opener.value, peer.value] as const }
  const [poolBlinding, own] = [scalarToBigint(blinding), scalarToBigint(fresh)]
  const balances = [amount, 0n as Amount] as const
  const proven = await proveClose(prover, terms, { balances, blindings: [own, modQ(poolBlinding - own)] })
  const unsigned = { ...terms, ...proven }
  const digest = transactionDigest(unsigned)
  const keys = channelKeys(id)
  return { ...unsigned, signatures: [curve.sign(digest, keys[0]), curve.sign(digest, keys[1])] }
}

/** What an account holds on the ledger, in whatever stage, read with its own key. */
export async function holdings({ wallet }: Resident): Promise<bigint> {
  const { available, pendingOpen, pendingFrozen } = need(await wallet.balance())
  return available + pendingOpen + pendingFrozen
}
