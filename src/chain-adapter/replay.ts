import { equalBytes } from '../base/bytes.js'
import { type Genesis, ledgerIdOf } from '../base/genesis.js'
import { ok, type Result, refuse } from '../base/result.js'
import { decodeTransaction } from '../base/transaction.js'
import type { ProofCheck } from '../privacy/statement.js'
import { type Block, beforeGenesis, checkBlock, digestBlock, type Previous, sortedWrites } from './block.js'
import { apply } from './contract/apply.js'
import { genesisWrites } from './contract/genesis.js'
import type { StateView } from './contract/state.js'

/**
 * Re-executes one block on the state before it (an auditor's step, pure): hash chain, head signature, every accepted
 * transaction, and that the recorded write set is exactly what the contract writes. Refusals changed nothing (L10):
 * they are bound by the hash and not repeated.
 * @param previous the head before, undefined for block 0
 * @param verify verdict on a proof of the block's nth transaction. To check proofs in parallel, collect them here,
 *   answer true, and refuse the block when one of them turns out false: nothing else depends on the answers.
 * @returns the block's write set; refuses with `ledger_head` or `ledger_block`, naming block and transaction
 */
export function replayBlock(
  view: StateView,
  genesis: Genesis,
  previous: Previous | undefined,
  block: Block,
  verify: (check: ProofCheck, transaction: number) => boolean,
): Result<ReadonlyMap<string, Uint8Array>> {
  const ledger = ledgerIdOf(genesis)
  const head = checkBlock(genesis, ledger, previous ?? beforeGenesis(genesis, ledger), digestBlock(block))
  if (!head.ok) return head
  const wrong = (what: string) => refuse('ledger_block', `block ${block.head.height}: ${what}`)
  const writes = new Map<string, Uint8Array>(previous === undefined ? genesisWrites(genesis) : [])
  const draft = { get: (key: string) => writes.get(key) ?? view.get(key) }
  for (const [index, bytes] of block.transactions.entries()) {
    const tx = decodeTransaction(bytes)
    if (!tx.ok) return wrong(`transaction ${index}: ${tx.error.code}`)
    const applied = apply(draft, genesis, tx.value, block.head, (check) => verify(check, index))
    if (!applied.ok) return wrong(`transaction ${index} (${tx.value.kind}): ${applied.error.code}`)
    for (const [key, value] of applied.writes) writes.set(key, value)
  }
  const expected = sortedWrites(writes)
  const same =
    expected.length === block.writes.length &&
    expected.every(([key, value], i) => key === block.writes[i]![0] && equalBytes(value, block.writes[i]![1]))
  return same ? ok(writes) : wrong('the write set is not what its transactions write')
}
