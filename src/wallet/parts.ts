/** What a wallet is made of, and the shapes that its files hand to each other. */
import type { AccountView, ChainAdapter } from '../base/ports/chain.js'
import type { Row, Store } from '../base/ports/store.js'
import type { Transaction } from '../base/transaction.js'
import type { ProofPool } from '../privacy/pool.js'
import type { Entropy } from '../wire/environment.js'
import type { AccountKeys } from './keys.js'
import type { Opening } from './openings.js'
import type { MintSecrets, Supply } from './supply.js'

export interface WalletParts {
  readonly chain: ChainAdapter
  readonly pool: ProofPool
  readonly store: Store
  readonly keys: AccountKeys
  /** Secrets.walletSeed. */
  readonly seed: Uint8Array
  readonly entropy: Entropy
}

/** `available` with its opening known: what a proof starts from. */
export interface Spendable {
  readonly view: AccountView
  readonly available: Opening
}

/** A transaction ready to leave, with the rows that must be durable before it does. */
export interface Built {
  readonly tx: Transaction
  readonly rows: readonly Row[]
}

/** The issuer's account, ready for one mint. */
export interface Mintable {
  readonly view: AccountView
  readonly secrets: MintSecrets
  readonly supply: Supply
}
