/** P7: takes an amount T out of `available`: the fields that every withdrawal has, and the witness of its proof. */
import type { Amount } from '../base/amount.js'
import { bigintToBytes, bytesToBigint } from '../base/bytes.js'
import { type Point, type Scalar, scalarToBigint } from '../base/curve/index.js'
import { prfScalar } from '../base/digest.js'
import { invariant } from '../base/errors.js'
import { commit } from '../privacy/commitment.js'
import { randomnessBits } from '../privacy/paillier.js'
import type { ProofPool } from '../privacy/pool.js'
import type { Witness } from '../privacy/statement.js'
import type { Entropy } from '../wire/environment.js'
import type { AccountKeys } from './keys.js'
import type { Opening } from './openings.js'

export interface Withdrawal {
  readonly fields: {
    readonly commitment: Point
    readonly rest: Point
    readonly ciphertextRest: Uint8Array
    readonly ciphertextRegulator: Uint8Array
  }
  /** T under the receiver's key. */
  readonly ciphertextReceiver: Uint8Array
  /** Of `ciphertextRest`: what `available` will be. */
  readonly opening: Opening
  /** Aligned with withdrawalStatement's lists. */
  readonly witness: Witness
}

export interface WithdrawalInput {
  readonly keys: AccountKeys
  readonly available: Opening
  /** 1 <= amount <= available. */
  readonly amount: Amount
  readonly receiver: Uint8Array
  readonly regulator: Uint8Array
  /** Of the commitment to T; fresh where absent. */
  readonly blinding?: Scalar
}

export const freshScalar = (entropy: Entropy): Scalar => prfScalar(entropy(32), 'fresh-scalar')

/** s for a modulus of this length (P2). */
export const freshRandomness = (n: Uint8Array, entropy: Entropy): bigint =>
  bytesToBigint(entropy(randomnessBits(n.length * 8) / 8))

/** A ciphertext as the ledger has it. */
export const encodeFor = (n: Uint8Array, ciphertext: bigint): Uint8Array => bigintToBytes(ciphertext, 2 * n.length)

/** A commitment with a non-zero blinding is finite unless somebody knows H's logarithm (P1). */
export function finiteCommitment(value: bigint, blinding: Scalar): Point {
  const commitment = commit(value, scalarToBigint(blinding))
  invariant(commitment !== null, 'P1', 'a blinded commitment is infinite')
  return commitment
}

export async function withdraw(pool: ProofPool, entropy: Entropy, input: WithdrawalInput): Promise<Withdrawal> {
  const { keys, available, amount, receiver, regulator } = input
  const rest = (available.value - amount) as Amount
  invariant(amount >= 1n && rest >= 0n, 'P7', 'a withdrawal exceeds the balance')
  const own = keys.paillier.n
  const [blinding, blindingRest] = [input.blinding ?? freshScalar(entropy), freshScalar(entropy)]
  const fresh = (n: Uint8Array) => freshRandomness(n, entropy)
  const [sRest, sReceiver, sRegulator] = [fresh(own), fresh(receiver), fresh(regulator)]
  const encrypting = Promise.all([
    pool.encryptOwn(keys.paillier, rest, sRest),
    pool.encrypt(receiver, amount, sReceiver),
    pool.encrypt(regulator, amount, sRegulator),
  ])
  // Beside the workers, not after them.
  const [commitment, commitmentRest] = [finiteCommitment(amount, blinding), finiteCommitment(rest, blindingRest)]
  const [cRest, cReceiver, cRegulator] = await encrypting
  return {
    fields: {
      commitment,
      rest: commitmentRest,
      ciphertextRest: encodeFor(own, cRest),
      ciphertextRegulator: encodeFor(regulator, cRegulator),
    },
    ciphertextReceiver: encodeFor(receiver, cReceiver),
    opening: { value: rest, randomness: sRest },
    witness: {
      openings: [
        { value: amount, blinding: scalarToBigint(blinding) },
        { value: rest, blinding: scalarToBigint(blindingRest) },
      ],
      // P7: s_T = s_A - s_A', an integer of either sign.
      randomness: [available.randomness - sRest, sRest, sReceiver, sRegulator],
    },
  }
}
