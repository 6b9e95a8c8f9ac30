/**
 * The ledger's rules (section 3): a pure, synchronous, deterministic function of a keyed view, genesis, one transaction
 * and ledger time. Every ledger runs this or replays it.
 */
import { equalBytes } from '../../base/bytes.js'
import { curve } from '../../base/curve/index.js'
import { unreachable } from '../../base/errors.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import type { LedgerTime } from '../../base/ports/chain.js'
import { ok, type Refusal, type Result, refuse } from '../../base/result.js'
import type { Transaction } from '../../base/transaction.js'
import type { ProofCheck } from '../../privacy/statement.js'
import { register, rollover } from './accounts.js'
import { closeChannel } from './channel-close.js'
import { openChannel } from './channel-open.js'
import { ledgerTime, tick } from './clock.js'
import { exit, punish, supersede } from './dispute.js'
import { reveal } from './reveal.js'
import type { Admitted, Env } from './rule.js'
import { settle } from './settle.js'
import { Draft, type StateView } from './state.js'
import { mint, redeem } from './supply.js'
import { transfer } from './transfer.js'

export type { StateView }

/** The records to write, or why nothing changes (L10). */
export type Applied =
  | { readonly ok: true; readonly writes: ReadonlyMap<string, Uint8Array> }
  | { readonly ok: false; readonly error: Refusal }

/**
 * Applies one decoded transaction.
 * @param at height of the block it is in, and its time in seconds (unused where genesis names a clock)
 * @param verify the verdict on a proof; pure, so it may have been computed ahead; the engine learns what is asked by applying with all proofs assumed
 */
export function apply(
  view: StateView,
  genesis: Genesis,
  tx: Transaction,
  at: LedgerTime,
  verify: (check: ProofCheck) => boolean,
): Applied {
  const prepared = prepare(view, genesis, tx, at)
  if (!prepared.ok) return prepared
  const { checks, writes } = prepared.value
  return checks.every(verify) ? { ok: true, writes } : refuse('bad_proof')
}

interface Prepared {
  readonly checks: readonly ProofCheck[]
  readonly writes: ReadonlyMap<string, Uint8Array>
}

/** L3: cheap checks come before signatures, signatures before Paillier, Paillier before proofs. */
function prepare(view: StateView, genesis: Genesis, tx: Transaction, at: LedgerTime): Result<Prepared> {
  const ledger = ledgerIdOf(genesis)
  if (!equalBytes(tx.ledger, ledger)) return refuse('wrong_ledger')
  const admitted = admit({ view, genesis, ledger, now: ledgerTime(view, genesis, at), height: at.height }, tx)
  if (!admitted.ok) return admitted
  for (const { key, digest, signature, code } of admitted.value.signed) {
    if (!curve.verify(digest, signature, key)) return refuse(code ?? 'bad_signature')
  }
  const draft = new Draft(view)
  const checks = admitted.value.effect(draft)
  return checks.ok ? ok({ checks: checks.value, writes: draft.writes }) : checks
}

function admit(env: Env, tx: Transaction): Result<Admitted> {
  switch (tx.kind) {
    case 'register':
      return register(env, tx)
    case 'mint':
      return mint(env, tx)
    case 'redeem':
      return redeem(env, tx)
    case 'transfer':
      return transfer(env, tx)
    case 'rollover':
      return rollover(env, tx)
    case 'openChannel':
      return openChannel(env, tx)
    case 'closeChannel':
      return closeChannel(env, tx)
    case 'exit':
      return exit(env, tx)
    case 'supersede':
      return supersede(env, tx)
    case 'punish':
      return punish(env, tx)
    case 'reveal':
      return reveal(env, tx)
    case 'settle':
      return settle(env, tx)
    case 'tick':
      return tick(env, tx)
    default:
      return unreachable(tx)
  }
}
