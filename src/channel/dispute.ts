/**
 * Disputes (L7 to L9): what an exit on the ledger obliges to. Everything asked for here is once-only on the ledger, so
 * asking twice, or after somebody else, is harmless. Nothing of the peer is heard but what can raise the standing state.
 */
import { type Digest, equalBytes } from '../base/bytes.js'
import { decodeChannelState, decodeLocks, type PublicLock } from '../base/channel-state.js'
import type { Dispute, LedgerTime } from '../base/ports/chain.js'
import type { TransactionOf } from '../base/transaction.js'
import { outcomeOf } from './predicate.js'
import { takeShown } from './recovery.js'
import { revocationHash, storedSecret } from './revocation.js'
import { openOwn, settlementOf } from './settlement.js'
import { emit, enter, type Turn, update } from './turn.js'
import type { SettleProof, SubmitKind } from './types.js'

/** L7: an exit or supersede is final. Told in ledger order, possibly again after a restart. */
export function posted(
  turn: Turn,
  transaction: TransactionOf<'exit' | 'supersede'>,
  at: LedgerTime,
  recordOnly = false,
): undefined {
  const { dispute, phase } = turn.state
  const state = decodeChannelState(transaction.state)
  if (!state.ok) return // the contract took it, so it decodes
  const standing = { standing: transaction.state, standingVersion: state.value.version }
  if (transaction.kind === 'exit') {
    if (dispute !== null) return
    const { poster } = transaction
    const revocation = state.value.revocations[poster]
    const deadline = at.time + turn.context.terms.window
    update(turn, { dispute: { poster, version: state.value.version, revocation, deadline, ...standing } })
  } else {
    if (dispute === null || state.value.version <= dispute.standingVersion) return
    update(turn, { dispute: { ...dispute, ...standing } }) // L7: deadline and record stay
  }
  turn.durable = true
  if (phase !== 'recovery' && phase !== 'disputed') enter(turn, 'disputed')
  if (!recordOnly) takeShown(turn, transaction.state, transaction.stateSignatures)
}

/** Hands a transaction to the ledger once for each version that it is about, and again after a refusal. */
export function submitFor(turn: Turn, version: number, transaction: TransactionOf<SubmitKind>): undefined {
  const { submitted } = turn.state
  if (submitted.get(transaction.kind) === version) return
  update(turn, { submitted: new Map(submitted).set(transaction.kind, version) })
  emit(turn, { type: 'submit', transaction })
}

export function submitRefused(turn: Turn, kind: SubmitKind): undefined {
  const submitted = new Map(turn.state.submitted)
  if (!submitted.delete(kind)) return
  update(turn, { submitted, ...(kind === 'settle' ? { settling: null } : {}) })
  turn.durable = true
}

const named = (turn: Turn) => ({
  ledger: turn.context.terms.ledger,
  channel: turn.context.terms.channel,
})

/** L7: the peer's secret of the recorded version, if it was given up: whatever stands now. */
function punishment(turn: Turn): TransactionOf<'punish'> | undefined {
  const { dispute, secrets } = turn.state
  if (dispute === null || dispute.poster === turn.context.side) return undefined
  const secret = storedSecret(secrets, dispute.version)
  if (secret === undefined || !equalBytes(revocationHash(secret), dispute.revocation)) return undefined
  return { kind: 'punish', ...named(turn), secret: secret as Digest }
}

/** Punish before all else; supersede while there is time; then settle what stands. */
export function driveDispute(turn: Turn): undefined {
  const { dispute, current } = turn.state
  const { view } = turn.env
  if (dispute === null) return
  const punish = punishment(turn)
  if (punish !== undefined) return submitFor(turn, dispute.version, punish)
  if (view.time > dispute.deadline) return askSettlement(turn)
  const { version } = current.content
  if (version <= dispute.standingVersion) return
  const [opener, peer] = current.signatures
  const signed = { state: current.encoded, stateSignatures: [opener, peer] as [typeof opener, typeof peer] }
  submitFor(turn, version, { kind: 'supersede', ...named(turn), ...signed })
}

/** L9: the locks that the settlement waits for; undefined for a state that the contract would not have taken. */
export function standingLocks({ standing }: Dispute): readonly PublicLock[] | undefined {
  const state = decodeChannelState(standing)
  const locks = state.ok ? decodeLocks(state.value.locks) : state
  return locks.ok ? locks.value : undefined
}

/** L9: one proof, once every lock of the standing state is decided in our view. A worker that never answers is asked again. */
function askSettlement(turn: Turn): undefined {
  const { dispute, submitted, settling } = turn.state
  const { env, context } = turn
  if (dispute === null || submitted.has('settle')) return
  if (settling !== null && env.view.time <= settling + context.policy.margin) return
  const undecided = standingLocks(dispute)?.some((lock) => outcomeOf(env, lock) === 'undecided') ?? true
  if (undecided) return
  const opened = openOwn(context, dispute.standing)
  if (!opened.ok) return // nothing that we ever signed; whoever can open it settles
  const terms = settlementOf(env, opened.value.built, opened.value.blinding)
  if (terms === undefined) return
  update(turn, { settling: env.view.time })
  emit(turn, { type: 'proveSettle', terms })
}

export function settleProved(turn: Turn, standing: number, proof: SettleProof): undefined {
  const { dispute } = turn.state
  if (dispute === null || dispute.standingVersion !== standing || punishment(turn) !== undefined) return
  const { ciphertexts, ciphertextsRegulator } = proof
  const fields = { ciphertexts, ciphertextsRegulator, proof: proof.proof }
  submitFor(turn, standing, { kind: 'settle', ...named(turn), ...fields })
}
