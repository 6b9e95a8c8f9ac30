/** What proofs are about: the shapes that the contract states, the wallet proves and any verifier checks. */
import type { Element } from '../base/curve/index.js'

/** One Paillier key that a statement names, with the role that it has in it (P6). */
export interface StatementKey {
  readonly role: string
  /** Modulus, big-endian, exact length; h is derived, never received (P2). */
  readonly n: Uint8Array
}

/** Ciphertext `value` under key `key` hides what commitment `commitment` hides (P4). Indices into the statement's lists. */
export interface StatementLink {
  readonly key: number
  readonly commitment: number
  /** 2 * bytes(n) long, big-endian. */
  readonly value: Uint8Array
}

/** The commitment hides a value in [minimum, minimum + 2^bits) (P5, P7: T >= 1). */
export interface StatementRange {
  readonly commitment: number
  readonly minimum: 0n | 1n
}

/**
 * One prover's whole statement (P6): the verifier builds it from ledger state and genesis, never from fields that the
 * prover chose. Every commitment that a link names must have a range, else the proof is refused (P5).
 */
export interface Statement {
  /** Kind of transaction. */
  readonly kind: string
  /** The prover's role. */
  readonly role: string
  /** L of genesis. */
  readonly bits: number
  /** Everything public that the proof is bound to, in a fixed order: ledger id, accounts, nonce or (channel, version), current input ciphertexts, other fields. */
  readonly context: readonly Uint8Array[]
  readonly keys: readonly StatementKey[]
  readonly commitments: readonly Element[]
  readonly links: readonly StatementLink[]
  readonly ranges: readonly StatementRange[]
}

/** The prover's secrets, aligned with the statement's lists. */
export interface Witness {
  /** Per commitment: value and blinding modulo q. */
  readonly openings: readonly { readonly value: bigint; readonly blinding: bigint }[]
  /** Per link: the s of the ciphertext (an integer, negative where it is a difference, P7). */
  readonly randomness: readonly bigint[]
}

/** Everything costly that the contract asks of its pure `verify` (section 3): computed ahead by a pool, keyed by its digest. */
export type ProofCheck =
  | { readonly type: 'statement'; readonly statement: Statement; readonly proof: Uint8Array }
  /** P3. */
  | { readonly type: 'key'; readonly n: Uint8Array; readonly account: Uint8Array; readonly proof: Uint8Array }
  /** L2: product * root^n = fresh mod n^2, root a unit. */
  | {
      readonly type: 'rollover'
      readonly n: Uint8Array
      readonly product: Uint8Array
      readonly fresh: Uint8Array
      readonly root: Uint8Array
    }
