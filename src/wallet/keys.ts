/** Who the wallet is: everything follows from the keystore's seed (K1). */
import { curve, type Scalar } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import type { KeyHandle, ProofPool } from '../privacy/pool.js'
import type { Secrets } from '../store/keystore.js'

export interface AccountKeys {
  readonly account: AccountId
  readonly signing: Scalar
  /** The Paillier key, open in the pool's workers. */
  readonly paillier: KeyHandle
}

/** Derives the keys; finding the primes takes a worker a good part of a second at 2048 bits. */
export async function openAccountKeys(secrets: Secrets, keyBits: number, pool: ProofPool): Promise<AccountKeys> {
  const signing = secrets.signingKey
  const paillier = await pool.openKey(await pool.privateKeyFromSeed(secrets.paillierSeed, keyBits))
  return { account: curve.multiplyBase(signing), signing, paillier }
}
