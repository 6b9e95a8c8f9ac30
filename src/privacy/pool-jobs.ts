/** What a worker thread can be asked to do: plain data in, plain data out. */
import type { MessagePort } from 'node:worker_threads'
import type { Share } from './shares.js'
import type { ProofCheck, Statement, Witness } from './statement.js'

interface Define<Input, Output> {
  readonly input: Input
  readonly output: Output
}

/** A private key that every worker of the pool has opened under this number. */
interface WithKey {
  readonly key: number
}

interface WithModulus {
  /** Big-endian, exact length, registered (P3). */
  readonly n: Uint8Array
}

/** Two threads have the same job, each a share of its work, and a port between them. */
interface Shared {
  readonly share: Share
  readonly port: MessagePort
}

interface Proving {
  readonly statement: Statement
  readonly witness: Witness
  /** 32 fresh random bytes, the same for both threads of a shared job. */
  readonly entropy: Uint8Array
  /** The prover's own key, where it is open. */
  readonly key: number | undefined
}

export interface Jobs {
  readonly verify: Define<{ readonly check: ProofCheck }, boolean>
  readonly verifyShared: Define<{ readonly check: Extract<ProofCheck, { type: 'statement' }> } & Shared, boolean>
  readonly prove: Define<Proving, Uint8Array>
  readonly proveShared: Define<Proving & Shared, Uint8Array>
  readonly encrypt: Define<WithModulus & { readonly value: bigint; readonly s: bigint }, bigint>
  readonly randomizer: Define<WithModulus & { readonly s: bigint }, bigint>
  readonly privateKeyFromSeed: Define<{ readonly seed: Uint8Array; readonly bits: number }, Uint8Array>
  readonly openKey: Define<WithKey & { readonly exported: Uint8Array }, Uint8Array>
  readonly closeKey: Define<WithKey, null>
  readonly encryptOwn: Define<WithKey & { readonly value: bigint; readonly s: bigint }, bigint>
  readonly randomizerOwn: Define<WithKey & { readonly s: bigint }, bigint>
  readonly decrypt: Define<WithKey & { readonly ciphertext: bigint }, bigint>
  readonly rootOfRollover: Define<WithKey & { readonly product: bigint; readonly fresh: bigint }, bigint>
  readonly proveKey: Define<WithKey & { readonly account: Uint8Array }, Uint8Array>
}

export type JobName = keyof Jobs

export interface Request<Name extends JobName = JobName> {
  readonly id: number
  readonly name: Name
  readonly input: Jobs[Name]['input']
}

/** `failed` names what broke in words of the program; it holds no input. `abandoned`: the other thread of a shared job is gone. */
export type Reply =
  | { readonly id: number; readonly value: Jobs[JobName]['output'] }
  | { readonly id: number; readonly failed: string }
  | { readonly id: number; readonly abandoned: true }
