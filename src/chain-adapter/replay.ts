import { equalBytes } from '../base/bytes.js'
import { type Genesis, ledgerIdOf } from '../base/genesis.js'
import { ok, type Refusal, type Result, refuse } from '../base/result.js'
import { decodeTransaction, type Transaction, type TransactionKind } from '../base/transaction.js'
import type { ProofCheck } from '../privacy/statement.js'
import { type Block, beforeGenesis, checkBlock, digestBlock, type Previous, sortedWrites } from './block.js'
import { apply } from './contract/apply.js'
import { genesisWrites } from './contract/genesis.js'
import type { StateView } from './contract/state.js'

/** What is wrong with a block: with its nth transaction, or (undefined) with its head or write set. */
export interface Fault {
  readonly transaction: number | undefined
  /** Undefined where the transaction cannot be read. */
  readonly kind: TransactionKind | undefined
  readonly error: Refusal
}

export interface Examined {
  /** In order of the block; the first may be the cause of those after it. */
  readonly faults: readonly Fault[]
  /** The transactions that the contract accepts, with their place in the block. */
  readonly accepted: readonly { readonly index: number; readonly tx: Transaction }[]
  /** What the contract writes for them: a refused transaction leaves nothing. */
  readonly writes: ReadonlyMap<string, Uint8Array>
}

/**
 * Re-executes one block on the state before it (an auditor's step, pure): hash chain, head signature, every accepted
 * transaction, and that the recorded write set is exactly what the contract writes. Refusals changed nothing (L10):
 * they are bound by the hash and not repeated. Goes on after a fault, to name them all.
 * @param previous the head before, undefined for block 0
 * @param verify verdict on a proof of the block's nth transaction. To check proofs in parallel, collect them here,
 *   answer true, and refuse the block when one of them turns out false: nothing else depends on the answers.
 */
export function examineBlock(
  view: StateView,
  genesis: Genesis,
  previous: Previous | undefined,
  block: Block,
  verify: (check: ProofCheck, transaction: number) => boolean,
): Examined {
  const ledger = ledgerIdOf(genesis)
  const faults: Fault[] = []
  const accepted: { readonly index: number; readonly tx: Transaction }[] = []
  const head = checkBlock(genesis, ledger, previous ?? beforeGenesis(genesis, ledger), digestBlock(block))
  if (!head.ok) faults.push({ transaction: undefined, kind: undefined, error: head.error })
  const writes = new Map<string, Uint8Array>(previous === undefined ? genesisWrites(genesis) : [])
  const draft = { get: (key: string) => writes.get(key) ?? view.get(key) }
  for (const [index, bytes] of block.transactions.entries()) {
    const tx = decodeTransaction(bytes)
    if (!tx.ok) {
      faults.push({ transaction: index, kind: undefined, error: tx.error })
      continue
    }
    const applied = apply(draft, genesis, tx.value, block.head, (check) => verify(check, index))
    if (!applied.ok) {
      faults.push({ transaction: index, kind: tx.value.kind, error: applied.error })
      continue
    }
    for (const [key, value] of applied.writes) writes.set(key, value)
    accepted.push({ index, tx: tx.value })
  }
  if (!sameWrites(writes, block)) {
    const { error } = refuse(
      'ledger_block',
      `block ${block.head.height}: the write set is not what its transactions write`,
    )
    faults.push({ transaction: undefined, kind: undefined, error })
  }
  return { faults, accepted, writes }
}

function sameWrites(writes: ReadonlyMap<string, Uint8Array>, block: Block): boolean {
  const expected = sortedWrites(writes)
  return (
    expected.length === block.writes.length &&
    expected.every(([key, value], i) => key === block.writes[i]![0] && equalBytes(value, block.writes[i]![1]))
  )
}

/** The write set of a block without faults; refuses with `ledger_head` or `ledger_block`, naming block and transaction. */
export function replayBlock(
  ...[view, genesis, previous, block, verify]: Parameters<typeof examineBlock>
): Result<ReadonlyMap<string, Uint8Array>> {
  const { faults, writes } = examineBlock(view, genesis, previous, block, verify)
  const [first] = faults
  if (first === undefined) return ok(writes)
  const { transaction, error } = first
  if (transaction === undefined) return { ok: false, error }
  return refuse('ledger_block', `block ${block.head.height}: transaction ${transaction}: ${error.code}`)
}
