/** `paillier-bigint` and ours, on the same keys and ciphertexts (P9). It is installed for development only. */
import type * as paillierBigint from 'paillier-bigint'
import { bytesToBigint } from '../../base/bytes.js'
import { invariant } from '../../base/errors.js'
import { gcd, modInverse } from '../../privacy/modexp.js'
import {
  decrypt,
  encodeModulus,
  encrypt,
  encryptOwn,
  exportPrivateKey,
  type PrivateKey,
  publicKey,
} from '../../privacy/paillier.js'
import { freshRandomness } from '../../wallet/withdrawal.js'
import { systemEntropy } from '../../wire/environment.js'
import { type Actors, AMOUNT, holds, type Row } from './crypto-rows.js'

type Reference = typeof paillierBigint

/** No rows where it is not installed. */
export async function referenceRows(actors: Actors): Promise<readonly Row[]> {
  try {
    return rowsOf(await import('paillier-bigint'), actors)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return []
    throw error
  }
}

/** Their key of our primes: g = n + 1, and p and q for their faster decryption. */
function referenceOf(reference: Reference, key: PrivateKey) {
  const exported = exportPrivateKey(key)
  const p = bytesToBigint(exported.subarray(0, exported.length / 2))
  const q = bytesToBigint(exported.subarray(exported.length / 2))
  const { n } = key.publicKey
  const lambda = ((p - 1n) * (q - 1n)) / gcd(p - 1n, q - 1n)
  return new reference.PrivateKey(lambda, modInverse(lambda, n)!, new reference.PublicKey(n, n + 1n), p, q)
}

function rowsOf(reference: Reference, { payer, payee }: Actors): Row[] {
  const foreign = publicKey(encodeModulus(payee.publicKey))
  invariant(foreign.ok, 'P2', 'a key is none')
  const theirs = referenceOf(reference, payer)
  const own = encodeModulus(payer.publicKey)
  const ours = encryptOwn(payer, AMOUNT, freshRandomness(own, systemEntropy))
  return [
    {
      name: 'paillier-bigint: encrypt',
      includes: 'r^n and g^m for r below n, drawn inside: BigInt',
      run: () => theirs.publicKey.encrypt(AMOUNT),
    },
    {
      name: 'ours: encrypt, foreign key',
      includes: 'h^s for s of 256 to 384 bits',
      run: () => encrypt(foreign.value, AMOUNT, freshRandomness(own, systemEntropy)),
    },
    {
      name: 'ours: encrypt, own key',
      includes: "the same by the owner's CRT",
      run: () => encryptOwn(payer, AMOUNT, freshRandomness(own, systemEntropy)),
    },
    {
      name: 'paillier-bigint: decrypt',
      includes: 'one ciphertext, by p and q',
      run: () => holds(theirs.decrypt(ours) === AMOUNT),
    },
    {
      name: 'ours: decrypt',
      includes: 'one ciphertext, by p and q',
      run: () => holds(decrypt(payer, ours) === AMOUNT),
    },
  ]
}
