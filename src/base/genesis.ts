import { z } from 'zod'
import { cbor, decodeAs, zBytesUpTo, zCount, zPoint } from './codec.js'
import { taggedHash } from './digest.js'
import type { LedgerId } from './ids.js'
import { LIMITS } from './limits.js'
import type { Result } from './result.js'

/** An account that exists from the start: the issuer and the regulator (L1). */
const zGenesisAccount = z.strictObject({ account: zPoint, n: zBytesUpTo(512), keyProof: zBytesUpTo(8_192) })

/** L1. The ledger's identity is the hash of all of it. */
export const zGenesis = z.strictObject({
  version: z.literal(1),
  /** L: amounts are below 2^L; even, 16..64. */
  amountBits: z.int().min(16).max(64),
  /** Bits of every account's modulus: 2048 or 3072; 1024 only where `test` is set. */
  keyBits: z.union([z.literal(1024), z.literal(2048), z.literal(3072)]),
  issuer: zGenesisAccount,
  regulator: zGenesisAccount,
  /** Signs the embedded ledger's block heads. */
  headKey: zPoint,
  /** Bounds of a channel's dispute window, seconds. */
  windowMin: z.int().min(1).max(LIMITS.window_s),
  windowMax: z.int().min(1).max(LIMITS.window_s),
  /** Ledger time of genesis, seconds. */
  time: zCount,
  /** Who advances ledger time where the ledger has none of its own (A3); null where it has. */
  clock: z
    .strictObject({
      accounts: z.array(zPoint).min(1).max(LIMITS.clock_accounts),
      /** Distinct accounts that must agree on a step. */
      quorum: z.int().min(1).max(LIMITS.clock_accounts),
      /** Seconds that one step may add. */
      stepMax: zCount,
      /** Blocks between two steps. */
      blocksMin: zCount,
    })
    .nullable(),
  /** Fresh for every ledger, so that two ledgers of the same accounts differ. */
  salt: zBytesUpTo(32),
  /** Allows short keys, manual clocks and load tests; no money of value belongs on it. */
  test: z.boolean(),
})
export type Genesis = z.output<typeof zGenesis>

export const encodeGenesis = (genesis: Genesis): Uint8Array => cbor(genesis)
export const decodeGenesis = (bytes: Uint8Array): Result<Genesis> => decodeAs(zGenesis, bytes)
export const ledgerIdOf = (genesis: Genesis): LedgerId => taggedHash('ledger-id', encodeGenesis(genesis)) as LedgerId
