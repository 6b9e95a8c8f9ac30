/**
 * The issuer's side (L3): it must know the opening of C_minted to prove that the supply stays below 2^L. Each mint's
 * blinding and randomness are PRFs of the seed, so the whole total is rebuilt from the ledger's mints and the seed alone
 * (K1): with s known, `c * (h^s)^-1 = 1 + v*n` gives v back.
 */
import { z } from 'zod'
import type { Amount } from '../base/amount.js'
import { bigintToBytes, bytesToBigint, equalBytes, u64, utf8 } from '../base/bytes.js'
import { encodeAs, zBytes, zCount } from '../base/codec.js'
import { type Element, modQ, type Scalar, scalarToBigint } from '../base/curve/index.js'
import { prfBytes, prfScalar } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import type { AccountId } from '../base/ids.js'
import type { ChainAdapter, LedgerEvent } from '../base/ports/chain.js'
import type { Store } from '../base/ports/store.js'
import type { TransactionOf } from '../base/transaction.js'
import { divide } from '../chain-adapter/contract/ciphertext.js'
import { commit } from '../privacy/commitment.js'
import { randomnessBits } from '../privacy/paillier.js'
import type { ProofPool } from '../privacy/pool.js'
import { readRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import { encodeFor, finiteCommitment } from './withdrawal.js'

/** Mints that may be tried with one nonce: each has secrets of its own, and a rebuild tries them all. */
export const MINT_ATTEMPTS = 16

const zSupply = z.strictObject({
  /** Everything minted by transactions below this nonce of the issuer is in the total. */
  nonce: zCount,
  cursor: zCount,
  total: zBytes(16),
  blinding: zBytes(32),
})
const zAttempt = z.strictObject({ nonce: zCount, attempt: zCount })

const SUPPLY = tableKey('wallet', utf8('supply'))
const ATTEMPT = tableKey('wallet', utf8('mint-attempt'))

export interface Supply {
  readonly total: bigint
  readonly blinding: bigint
  /** C_minted; infinite before the first mint. */
  readonly commitment: Element
}

export interface MintSecrets {
  readonly blinding: Scalar
  /** Of the ciphertext under the payee's key. */
  readonly randomness: bigint
}

export class SupplyBook {
  constructor(
    private readonly chain: ChainAdapter,
    private readonly store: Store,
    private readonly pool: ProofPool,
    private readonly issuer: AccountId,
    private readonly seed: Uint8Array,
  ) {}

  /** The opening of C_minted as of the issuer's nonce: follows the ledger from where it last stood. */
  async current(nonce: number): Promise<Supply> {
    const row = readRow(this.store, SUPPLY, zSupply)
    let total = row === undefined ? 0n : bytesToBigint(row.total)
    let blinding = row === undefined ? 0n : bytesToBigint(row.blinding)
    let seen = row?.nonce ?? 0
    let cursor = row?.cursor ?? 0
    if (seen < nonce) {
      for await (const event of this.chain.events(cursor)) {
        cursor = event.cursor
        const spent = nonceSpent(event, this.issuer)
        if (spent === undefined) continue
        if (event.transaction.kind === 'mint') {
          const mint = await this.#open(event.transaction)
          total += mint.value
          blinding = modQ(blinding + mint.blinding)
        }
        seen = spent + 1
        if (seen >= nonce) break
      }
      await this.#save({ nonce: seen, cursor, total: bigintToBytes(total, 16), blinding: bigintToBytes(blinding, 32) })
    }
    return { total, blinding, commitment: commit(total, blinding) }
  }

  /**
   * Secrets for the next attempt with this nonce. Undefined where the nonce must move on first (by a rollover): all are
   * used, or this disk does not know what was tried before it (two amounts under one randomness tell their difference).
   */
  async nextSecrets(nonce: number, n: Uint8Array): Promise<MintSecrets | undefined> {
    const row = readRow(this.store, ATTEMPT, zAttempt)
    const attempt = row?.nonce === nonce ? row.attempt : 0
    const usable = row !== undefined && attempt < MINT_ATTEMPTS
    const next = usable ? { nonce, attempt: attempt + 1 } : { nonce: nonce + 1, attempt: 0 }
    await this.store.write({ puts: [{ key: ATTEMPT, value: encodeAs(zAttempt, next) }], deletes: [] })
    return usable ? this.#secrets(nonce, attempt, n) : undefined
  }

  #secrets(nonce: number, attempt: number, n: Uint8Array): MintSecrets {
    const parts = [u64(nonce), u64(attempt)]
    return {
      blinding: prfScalar(this.seed, 'mint-blinding', ...parts),
      randomness: bytesToBigint(prfBytes(this.seed, randomnessBits(n.length * 8) / 8, 'mint-randomness', ...parts)),
    }
  }

  async #open(mint: TransactionOf<'mint'>): Promise<{ readonly value: bigint; readonly blinding: bigint }> {
    const payee = await this.chain.account(mint.to)
    invariant(payee.value !== undefined, 'L2', 'the payee of a mint has no account')
    const { n } = payee.value
    for (let attempt = 0; attempt < MINT_ATTEMPTS; attempt++) {
      const secrets = this.#secrets(mint.nonce, attempt, n)
      const value = await this.#plain(n, mint.ciphertextTo, secrets.randomness)
      if (value === undefined) continue
      if (equalBytes(finiteCommitment(value, secrets.blinding), mint.commitment)) {
        return { value, blinding: scalarToBigint(secrets.blinding) }
      }
    }
    invariant(false, 'K1', 'a mint on the ledger was not made from this seed')
  }

  /** v of `c = (1 + v*n) * h^s`, undefined where s is another. */
  async #plain(n: Uint8Array, ciphertext: Uint8Array, s: bigint): Promise<Amount | undefined> {
    const quotient = divide(n, ciphertext, encodeFor(n, await this.pool.randomizer(n, s)))
    if (quotient === undefined) return undefined
    const [modulus, opened] = [bytesToBigint(n), bytesToBigint(quotient) - 1n]
    return opened % modulus === 0n ? ((opened / modulus) as Amount) : undefined
  }

  #save(supply: z.output<typeof zSupply>): Promise<void> {
    return this.store.write({ puts: [{ key: SUPPLY, value: encodeAs(zSupply, supply) }], deletes: [] })
  }
}

/** The nonce of this account that a transaction consumed. */
function nonceSpent({ transaction: tx }: LedgerEvent, account: AccountId): number | undefined {
  if (tx.kind === 'openChannel') return equalBytes(tx.accounts[0], account) ? tx.nonce : undefined
  return 'nonce' in tx && equalBytes(tx.account, account) ? tx.nonce : undefined
}
