/** A test ledger with the named roles of test/contract/world.ts. */
import type { Result } from '../../src/base/result.js'
import { Ledger, type LedgerOptions } from '../../src/chain-adapter/embedded/ledger.js'
import { role, testGenesis } from '../contract/world.js'

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`unexpected refusal ${result.error.code} ${result.error.detail ?? ''}`)
  return result.value
}

/** Time by call, blocks as transactions come, unless told otherwise. */
export const testOptions = (changes: Partial<LedgerOptions> = {}): LedgerOptions => ({
  genesis: testGenesis(),
  headKey: role('issuer').key,
  clock: { kind: 'manual', held: false },
  ...changes,
})

export const createLedger = async (changes: Partial<LedgerOptions> = {}): Promise<Ledger> =>
  must(await Ledger.create(testOptions(changes)))

export const openLedger = async (changes: Partial<LedgerOptions> = {}): Promise<Ledger> =>
  must(await Ledger.open(testOptions(changes)))
