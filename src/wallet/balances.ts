/** L6 and L9: the proof that two balances are in range and encrypted under their owners' keys and the regulator's. */
import type { Amount } from '../base/amount.js'
import type { Element } from '../base/curve/index.js'
import type { Genesis } from '../base/genesis.js'
import type { ChannelView } from '../base/ports/chain.js'
import { closeStatement, type Parties, settleStatement } from '../chain-adapter/contract/statements.js'
import type { ProofPool } from '../privacy/pool.js'
import type { Statement } from '../privacy/statement.js'
import type { Entropy } from '../wire/environment.js'
import { encodeFor, freshRandomness } from './withdrawal.js'

/** What a closeChannel or settle carries beside its terms. */
export interface BalancesProof {
  readonly ciphertexts: [Uint8Array, Uint8Array]
  readonly ciphertextsRegulator: [Uint8Array, Uint8Array]
  readonly proof: Uint8Array
}

/** Openings of C_A and of C_B = C_pool - C_A: [opener, peer], blindings modulo q. */
export interface BalancesOpening {
  readonly balances: readonly [Amount, Amount]
  readonly blindings: readonly [bigint, bigint]
}

interface Prover {
  readonly pool: ProofPool
  readonly entropy: Entropy
  readonly genesis: Genesis
  readonly channel: ChannelView
  readonly parties: Parties
}

type Encrypted = Pick<BalancesProof, 'ciphertexts' | 'ciphertextsRegulator'>

async function proveBalances(
  { pool, entropy, genesis, parties }: Prover,
  { balances, blindings }: BalancesOpening,
  statementOf: (encrypted: Encrypted) => Statement,
): Promise<BalancesProof> {
  const keys = [parties[0].n, parties[1].n, genesis.regulator.n, genesis.regulator.n] as const
  const values = [balances[0], balances[1], balances[0], balances[1]] as const
  const randomness = keys.map((n) => freshRandomness(n, entropy))
  const made = await Promise.all(
    keys.map(async (n, i) => encodeFor(n, await pool.encrypt(n, values[i]!, randomness[i]!, 'urgent'))),
  )
  const encrypted: Encrypted = { ciphertexts: [made[0]!, made[1]!], ciphertextsRegulator: [made[2]!, made[3]!] }
  const witness = {
    openings: [
      { value: balances[0], blinding: blindings[0] },
      { value: balances[1], blinding: blindings[1] },
    ],
    randomness,
  }
  return { ...encrypted, proof: await pool.prove(statementOf(encrypted), witness, 'urgent') }
}

/** L6: `terms` are the closeChannel transaction's own. */
export const proveClose = (
  prover: Prover,
  terms: Omit<Parameters<typeof closeStatement>[3], 'ciphertexts' | 'ciphertextsRegulator'>,
  opening: BalancesOpening,
): Promise<BalancesProof> =>
  proveBalances(prover, opening, (encrypted) =>
    closeStatement(prover.genesis, prover.channel, prover.parties, { ...terms, ...encrypted }),
  )

/** L9: `commitments` are settledCommitments' for the standing state. */
export const proveSettle = (
  prover: Prover,
  terms: Omit<Parameters<typeof settleStatement>[4], 'ciphertexts' | 'ciphertextsRegulator'>,
  commitments: readonly [Element, Element],
  opening: BalancesOpening,
): Promise<BalancesProof> =>
  proveBalances(prover, opening, (encrypted) =>
    settleStatement(prover.genesis, prover.channel, prover.parties, commitments, { ...terms, ...encrypted }),
  )
