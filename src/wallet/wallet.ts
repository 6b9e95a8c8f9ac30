/**
 * One ledger account (K1): knows what stands behind `available`, builds and proves its transactions one at a time, rolls
 * credits over when they are needed. Everything but the idempotency keys is rebuilt from the ledger and the seed.
 */
import { type Amount, plus } from '../base/amount.js'
import { bigintToBytes, bytesToBigint, equalBytes } from '../base/bytes.js'
import { curve, type Signature } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import type { AccountView, SubmitReceipt } from '../base/ports/chain.js'
import { parseRequestKey } from '../base/request-key.js'
import { ok, type Result, refuse } from '../base/result.js'
import { transactionDigest, type Unsigned } from '../base/transaction.js'
import { multiply, zeroCiphertext } from '../chain-adapter/contract/ciphertext.js'
import { systemEntropy } from '../wire/environment.js'
import { Mutex } from './mutex.js'
import { type Opening, openingRow, readOpening, staleOpenings } from './openings.js'
import type { Built, Mintable, Spendable, WalletParts } from './parts.js'
import { Submissions } from './submissions.js'
import { SupplyBook } from './supply.js'
import { buildMint, buildRedeem, buildTransfer } from './transactions.js'
import { encodeFor, freshRandomness } from './withdrawal.js'

/** In minor units. `pending` is what two rollovers make available. */
export interface Balance {
  readonly available: Amount
  readonly pendingOpen: Amount
  readonly pendingFrozen: Amount
}

/** Rollovers until every credit is in `available`: one for an unknown opening, two for the two pending stages. */
const ROLLOVERS_MAX = 3

export type WalletOptions = Omit<WalletParts, 'entropy'> & Partial<Pick<WalletParts, 'entropy'>>

export class Wallet {
  readonly #mutex = new Mutex()
  /** Keys whose outcome is unknown since an earlier life: nothing is built on either outcome. */
  #unfinished: readonly string[] = []
  readonly #submissions: Submissions
  readonly #supply: SupplyBook

  private constructor(readonly parts: WalletParts) {
    const { chain, store, pool, keys, seed } = parts
    this.#submissions = new Submissions(chain, store)
    this.#supply = new SupplyBook(chain, store, pool, keys.account, seed)
  }

  /** Whatever was on its way when the process ended is submitted again by `settle`, or before the next transaction. */
  static async open(parts: WalletOptions): Promise<Wallet> {
    const wallet = new Wallet({ entropy: systemEntropy, ...parts })
    wallet.#unfinished = await wallet.#submissions.unfinished()
    return wallet
  }

  get account(): AccountId {
    return this.parts.keys.account
  }

  /** Errors: `not_registered`. */
  async balance(): Promise<Result<Balance>> {
    const { chain, keys } = this.parts
    const { value: view } = await chain.account(keys.account)
    if (view === undefined) return refuse('not_registered')
    const [available, pendingOpen, pendingFrozen] = await Promise.all([
      this.#plain(view.available),
      this.#plain(view.pendingOpen),
      this.#plain(view.pendingFrozen),
    ])
    return ok({ available, pendingOpen, pendingFrozen })
  }

  /**
   * The verbs below take an idempotency key of the caller: the same key never acts twice. They refuse with
   * `not_registered`, `unknown_account`, `insufficient_funds`, `bad_amount` and the contract's codes, and throw
   * MeridianError `unavailable` where the outcome is unknown: the same key asks again.
   */
  transfer(key: string, to: AccountId, amount: Amount): Promise<Result<SubmitReceipt>> {
    return this.#once(key, async () => {
      if (equalBytes(to, this.account)) return refuse('same_account')
      const { value: payee } = await this.parts.chain.account(to)
      if (payee === undefined) return refuse('unknown_account')
      const spendable = await this.spendable(amount)
      return spendable.ok ? buildTransfer(this.parts, spendable.value, payee, amount) : spendable
    })
  }

  redeem(key: string, amount: Amount): Promise<Result<SubmitReceipt>> {
    return this.#once(key, async () => {
      const spendable = await this.spendable(amount)
      return spendable.ok ? buildRedeem(this.parts, spendable.value, amount) : spendable
    })
  }

  /** Errors: also `not_issuer`. */
  mint(key: string, to: AccountId, amount: Amount): Promise<Result<SubmitReceipt>> {
    return this.#once(key, async () => {
      if (!equalBytes(this.parts.chain.genesis.issuer.account, this.account)) return refuse('not_issuer')
      const { value: payee } = await this.parts.chain.account(to)
      if (payee === undefined) return refuse('unknown_account')
      const view = await this.#mintable(payee.n)
      return view.ok ? buildMint(this.parts, view.value, payee, amount) : view
    })
  }

  /** One rollover: frozen becomes available, open becomes frozen (L2). */
  rollover(key: string): Promise<Result<SubmitReceipt>> {
    return this.#once(key, async () => {
      const { value: view } = await this.parts.chain.account(this.account)
      return view === undefined ? refuse('not_registered') : ok(await this.#buildRollover(view))
    })
  }

  /** Anything else that must not overlap with this account's transactions: registering, a channel's opening. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#mutex.run(async () => {
      await this.#finish()
      return work()
    })
  }

  /** Resolves once the outcome of everything that an earlier life sent is known. @throws MeridianError `unavailable` */
  settle(): Promise<void> {
    return this.#mutex.run(() => this.#finish())
  }

  /** The node stops: what an answer says from now on is asked for again by the next life. */
  close(): void {
    this.#submissions.close()
  }

  async #finish(): Promise<void> {
    for (const key of this.#unfinished) {
      await this.#submissions.known(key)
      this.#unfinished = this.#unfinished.filter((other) => other !== key)
    }
  }

  /** Within `exclusive` only. */
  send(key: string, { tx, rows }: Built): Promise<Result<SubmitReceipt>> {
    return this.#submissions.send(key, tx, rows)
  }

  /** Within `exclusive` only: what became of a key that was used before, if anything did. */
  known(key: string): Promise<Result<SubmitReceipt> | undefined> {
    return this.#submissions.known(key)
  }

  /** Within `exclusive` only: rolls over until `available` covers the amount. */
  async spendable(amount: Amount): Promise<Result<Spendable>> {
    if (amount < 1n) return refuse('bad_amount', 'at least 0.01')
    for (let rollovers = 0; ; rollovers++) {
      const { value: view } = await this.parts.chain.account(this.account)
      if (view === undefined) return refuse('not_registered')
      const available = this.#opening(view)
      if (available !== undefined && available.value >= amount) return ok({ view, available })
      const balance = await this.balance()
      if (!balance.ok) return balance
      const total = plus(balance.value.available, balance.value.pendingOpen, balance.value.pendingFrozen)
      if (total < amount || rollovers === ROLLOVERS_MAX) return refuse('insufficient_funds')
      const rolled = await this.#rollNow(view)
      if (!rolled.ok) return rolled
    }
  }

  /** Within `exclusive` only: moves `available` on, so that a half given to a peer can no longer be used (L5). */
  async voidHalf(): Promise<Result<SubmitReceipt>> {
    const { value: view } = await this.parts.chain.account(this.account)
    return view === undefined ? refuse('not_registered') : this.#rollNow(view)
  }

  sign(tx: Unsigned): Signature {
    return curve.sign(transactionDigest(tx), this.parts.keys.signing)
  }

  async #once(key: string, build: () => Promise<Result<Built>>): Promise<Result<SubmitReceipt>> {
    const named = parseRequestKey(key)
    if (!named.ok) return named
    return this.exclusive(async () => {
      const known = await this.#submissions.known(key)
      if (known !== undefined) return known
      const built = await build()
      if (!built.ok) return built
      const receipt = await this.send(key, built.value)
      if (receipt.ok) await this.#forget()
      return receipt
    })
  }

  /** Openings of ciphertexts that never came into place, or no longer are. */
  async #forget(): Promise<void> {
    const { value: view } = await this.parts.chain.account(this.account)
    if (view === undefined) return
    const deletes = await staleOpenings(this.parts.store, view.available)
    if (deletes.length > 0) await this.parts.store.write({ puts: [], deletes })
  }

  #opening(view: AccountView): Opening | undefined {
    if (equalBytes(view.available, zeroCiphertext(view.n))) return { value: 0n as Amount, randomness: 0n }
    return readOpening(this.parts.store, view.available)
  }

  #rollNow(view: AccountView): Promise<Result<SubmitReceipt>> {
    return this.#buildRollover(view).then((built) => this.send(`rollover/${view.nonce}`, built))
  }

  async #buildRollover(view: AccountView): Promise<Built> {
    const { pool, keys, chain, entropy } = this.parts
    const product = bytesToBigint(multiply(view.n, view.available, view.pendingFrozen))
    const value = (await pool.decrypt(keys.paillier, product)) as Amount
    const randomness = freshRandomness(view.n, entropy)
    const fresh = await pool.encryptOwn(keys.paillier, value, randomness)
    const root = await pool.rootOfRollover(keys.paillier, product, fresh)
    const ciphertextNew = encodeFor(view.n, fresh)
    const unsigned = {
      kind: 'rollover',
      ledger: chain.ledger,
      account: this.account,
      nonce: view.nonce,
      ciphertextNew,
      root: bigintToBytes(root, view.n.length),
    } as const
    return {
      tx: { ...unsigned, signature: this.sign(unsigned) },
      rows: [openingRow(ciphertextNew, { value, randomness })],
    }
  }

  /** The issuer's account with secrets for one more mint; a rollover moves the nonce on where all are used. */
  async #mintable(payee: Uint8Array): Promise<Result<Mintable>> {
    for (;;) {
      const { value: view } = await this.parts.chain.account(this.account)
      if (view === undefined) return refuse('not_registered')
      const secrets = await this.#supply.nextSecrets(view.nonce, payee)
      if (secrets !== undefined) return ok({ view, secrets, supply: await this.#supply.current(view.nonce) })
      const rolled = await this.#rollNow(view)
      if (!rolled.ok) return rolled
    }
  }

  async #plain(ciphertext: Uint8Array): Promise<Amount> {
    return (await this.parts.pool.decrypt(this.parts.keys.paillier, bytesToBigint(ciphertext))) as Amount
  }
}
