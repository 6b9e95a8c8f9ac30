import { idText } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import type { LedgerTime } from '../../base/ports/chain.js'
import type { Refusal } from '../../base/result.js'
import type { Transaction } from '../../base/transaction.js'
import type { ProofCheck } from '../../privacy/statement.js'
import { type BlockBody, sortedWrites } from '../block.js'
import type { Applied } from '../contract/apply.js'
import type { StateView } from '../contract/state.js'
import type { Entry } from './mempool.js'

/** The contract as the ledger calls it: what `apply` asks of `verify`, and no more. */
export type Execute = (
  view: StateView,
  tx: Transaction,
  at: LedgerTime,
  verify: (check: ProofCheck) => boolean,
) => Applied

export interface Missing {
  /** checkDigest, as text. */
  readonly digest: string
  readonly check: ProofCheck
}

/** The block that transactions are executed into, one after the other, until it is sealed. Nothing of it is durable. */
export class OpenBlock {
  readonly #writes = new Map<string, Uint8Array>()
  readonly accepted: Entry[] = []
  readonly refused: { readonly entry: Entry; readonly error: Refusal }[] = []
  #bytes = 0

  constructor(
    readonly at: LedgerTime,
    private readonly before: StateView,
    private readonly execute: Execute,
    private readonly digestOf: (check: ProofCheck) => Uint8Array,
  ) {}

  get full(): boolean {
    return (
      this.accepted.length >= LIMITS.block_transactions ||
      this.refused.length >= LIMITS.block_transactions ||
      this.#bytes >= LIMITS.block_bytes
    )
  }

  get empty(): boolean {
    return this.accepted.length + this.refused.length === 0
  }

  /**
   * Executes the entry with the verdicts it has. Where the state asks for others (at first, and again where it moved
   * since) nothing happens and they are returned: unknown proofs count as valid until then only to learn what else is
   * asked. The outcome counts only when nothing was missing.
   */
  attempt(entry: Entry): readonly Missing[] {
    const missing: Missing[] = []
    const view = { get: (key: string) => this.#writes.get(key) ?? this.before.get(key) }
    const applied = this.execute(view, entry.tx, this.at, (check) => {
      const digest = idText(this.digestOf(check))
      const verdict = entry.verdicts.get(digest)
      if (verdict === undefined) missing.push({ digest, check })
      return verdict ?? true
    })
    if (missing.length > 0) return missing
    if (applied.ok) {
      for (const [key, value] of applied.writes) this.#writes.set(key, value)
      this.accepted.push(entry)
      this.#bytes += entry.bytes.length
    } else {
      this.refused.push({ entry, error: applied.error })
    }
    return missing
  }

  body(): BlockBody {
    return {
      transactions: this.accepted.map(({ bytes }) => bytes),
      refusals: this.refused.map(({ entry, error }) => ({ id: entry.id, code: error.code })),
      writes: sortedWrites(this.#writes),
    }
  }
}
