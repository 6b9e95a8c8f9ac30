/**
 * A ledger for one channel that follows the contract's rules of L6 to L9 with the contract's own functions. A proof is
 * its witness: the court computes the commitments that the statement names and opens them.
 */
import type { Amount } from '../../src/base/amount.js'
import { amountFromBytes, amountToBytes } from '../../src/base/amount.js'
import { bigintToBytes, bytesToBigint, concatBytes, equalBytes } from '../../src/base/bytes.js'
import { otherSide, type Side } from '../../src/base/channel-state.js'
import { curve, type Element, modQ, type Point, subtractElements } from '../../src/base/curve/index.js'
import { sha256 } from '../../src/base/digest.js'
import type { ErrorCode } from '../../src/base/errors.js'
import { idText } from '../../src/base/ids.js'
import type { Dispute, LedgerTime } from '../../src/base/ports/chain.js'
import { type TransactionOf, transactionDigest } from '../../src/base/transaction.js'
import { postable, settledCommitments } from '../../src/chain-adapter/contract/channel-rules.js'
import { exitTerms } from '../../src/channel/content.js'
import { poolBlinding } from '../../src/channel/keys.js'
import type { Effect, Input, Settlement, SettleProof, SubmitKind } from '../../src/channel/types.js'
import { commit } from '../../src/privacy/commitment.js'
import type { Party, World } from './world.js'

type Tx = TransactionOf<SubmitKind>
export interface Accepted {
  readonly transaction: Tx
  readonly at: LedgerTime
}

export const witnessOf = ({ balances, blindings }: Pick<Settlement, 'balances' | 'blindings'>): SettleProof => ({
  ciphertexts: [new Uint8Array(256).fill(1), new Uint8Array(256).fill(2)],
  ciphertextsRegulator: [new Uint8Array(256).fill(3), new Uint8Array(256).fill(4)],
  proof: concatBytes(
    ...balances.map((balance) => amountToBytes(balance)),
    ...blindings.map((blinding) => bigintToBytes(modQ(blinding), 32)),
  ),
})

const same = (a: Element, b: Element): boolean => (a === null || b === null ? a === b : equalBytes(a, b))

export class Court {
  readonly accepted: Accepted[] = []
  readonly refused: { readonly kind: SubmitKind; readonly code: ErrorCode; readonly from: Side }[] = []
  dispute: Dispute | null = null
  payout: readonly [bigint, bigint] | undefined
  /** Whose submissions never arrive. */
  readonly censored = new Set<Side>()
  private readonly seen: [number, number] = [0, 0]
  private readonly cursor: [number, number] = [0, 0]
  private readonly pool: Point

  constructor(private readonly world: World) {
    const { context } = world.alice
    this.pool = commit(context.pool, modQ(poolBlinding(context.terms)))!
  }

  /** Everything that the parties asked for since the last time, and what follows from it, until nothing moves. */
  sit(): void {
    for (let moved = true; moved; ) {
      moved = false
      for (const side of [0, 1] as const) moved = this.serve(side) || this.tell(side) || moved
    }
  }

  /** Time passes in steps; the parties see each. */
  pass(seconds: number, step = 5): void {
    for (let left = seconds; left > 0; left -= step) {
      for (const party of this.world.parties) if (party.down) this.restart(party)
      this.world.tick(Math.min(step, left))
      this.sit()
      this.world.settle()
      this.sit()
    }
  }

  /** A1: events come at least once: after a restart all of them again. */
  restart(party: Party): void {
    party.restart()
    this.cursor[party.side] = 0
  }

  /** From whoever: a thief's, a tower's, or a party's behind its own machine. */
  submit(transaction: Tx): ErrorCode | undefined {
    const code = this.judge(transaction)
    if (code === undefined) this.accepted.push({ transaction, at: { ...this.time } })
    return code
  }

  private get time(): LedgerTime {
    return { height: this.world.ledger.height, time: this.world.ledger.time }
  }

  private serve(side: Side): boolean {
    const party = this.world.parties[side]
    let moved = false
    while (!party.down && this.seen[side] < party.told.length) {
      const effect = party.told[this.seen[side]]!
      this.seen[side] += 1
      moved = this.perform(party, effect) || moved
    }
    return moved
  }

  private perform(party: Party, effect: Effect): boolean {
    const answer = (input: Input): true => {
      this.world.input(party.side, input)
      return true
    }
    switch (effect.type) {
      case 'submit': {
        const { transaction } = effect
        if (this.censored.has(party.side)) return false
        const code = this.submit(transaction)
        if (code === undefined) return true
        this.refused.push({ kind: transaction.kind, code, from: party.side })
        return answer({ type: 'submitRefused', kind: transaction.kind, code })
      }
      case 'proveSettle':
        return answer({ type: 'settleProved', standing: effect.terms.version, proof: witnessOf(effect.terms) })
      case 'proveClose': {
        const { validUntil, commitment } = effect.terms
        return answer({ type: 'closeProved', proof: { validUntil, commitment, ...witnessOf(effect.terms) } })
      }
      case 'verifyClose': {
        const valid = equalBytes(witnessOf(effect.terms).proof, effect.proof.proof)
        return answer({ type: 'closeVerified', validUntil: effect.terms.validUntil, valid })
      }
      default:
        return false
    }
  }

  private tell(side: Side): boolean {
    const party = this.world.parties[side]
    if (party.down || this.cursor[side] === this.accepted.length) return false
    const { transaction, at } = this.accepted[this.cursor[side]]!
    this.cursor[side] += 1
    const { kind } = transaction
    const input: Input =
      kind === 'exit' || kind === 'supersede' ? { type: 'posted', transaction, at } : { type: 'paidOut', by: kind, at }
    this.world.input(side, input)
    return true
  }

  private judge(tx: Tx): ErrorCode | undefined {
    if (this.payout !== undefined) return 'channel_closed'
    const { context } = this.world.alice
    const { dispute } = this
    const { time } = this.time
    switch (tx.kind) {
      case 'exit':
      case 'supersede': {
        if (tx.kind === 'exit' && dispute !== null) return 'dispute_exists'
        if (tx.kind === 'supersede' && dispute === null) return 'no_dispute'
        if (tx.kind === 'supersede' && dispute !== null && time > dispute.deadline) return 'dispute_over'
        const state = postable(exitTerms(context), tx.state, tx.stateSignatures)
        if (!state.ok) return state.error.code
        const { version, revocations } = state.value
        const standing = { standing: tx.state, standingVersion: version }
        if (tx.kind === 'exit') {
          const { poster } = tx
          if (!curve.verify(transactionDigest(tx), tx.signature, context.terms.channelKeys[poster]))
            return 'bad_signature'
          const deadline = time + context.terms.window
          this.dispute = { poster, version, revocation: revocations[poster], deadline, ...standing }
          return undefined
        }
        if (dispute === null || version <= dispute.standingVersion) return 'not_newer'
        this.dispute = { ...dispute, ...standing }
        return undefined
      }
      case 'punish': {
        if (dispute === null) return 'no_dispute'
        if (!equalBytes(sha256(tx.secret), dispute.revocation)) return 'wrong_secret'
        this.payout = otherSide(dispute.poster) === 0 ? [context.pool, 0n] : [0n, context.pool]
        return undefined
      }
      case 'settle': {
        if (dispute === null) return 'no_dispute'
        if (time <= dispute.deadline) return 'dispute_running'
        const revealedAt = (point: Point) => this.world.ledger.revealed.get(idText(point))?.time
        const commitments = settledCommitments(this.pool, dispute.standing, revealedAt, time)
        return commitments.ok ? this.pay(tx.proof, commitments.value) : commitments.error.code
      }
      case 'closeChannel': {
        if (time > tx.validUntil) return 'expired'
        const digest = transactionDigest(tx)
        const signed = tx.signatures.every((one, side) => curve.verify(digest, one, context.terms.channelKeys[side]!))
        return signed
          ? this.pay(tx.proof, [tx.commitment, subtractElements(this.pool, tx.commitment)])
          : 'bad_signature'
      }
    }
  }

  private pay(proof: Uint8Array, commitments: readonly [Element, Element]): ErrorCode | undefined {
    const balances = [amountFromBytes(proof.subarray(0, 8)), amountFromBytes(proof.subarray(8, 16))] as [Amount, Amount]
    const blindings = [bytesToBigint(proof.subarray(16, 48)), bytesToBigint(proof.subarray(48, 80))] as const
    const holds = ([0, 1] as const).every((side) => same(commit(balances[side], blindings[side]), commitments[side]))
    if (!holds) return 'bad_proof'
    this.payout = balances
    return undefined
  }
}

/** What a party that kept an old version can still post: its own signature is its machine's business no more. */
export function exitOf(party: Party, held: Party['state']['current']): TransactionOf<'exit'> {
  const [opener, peer] = held.signatures
  const { ledger, channel } = party.context.terms
  const unsigned = {
    kind: 'exit' as const,
    ledger: ledger as Uint8Array as TransactionOf<'exit'>['ledger'],
    channel: channel as Uint8Array as TransactionOf<'exit'>['channel'],
    poster: party.side,
    state: held.encoded,
    stateSignatures: [opener, peer] as TransactionOf<'exit'>['stateSignatures'],
  }
  return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), party.context.keys.signing) }
}

export function supersedeOf(party: Party, held: Party['state']['current']): TransactionOf<'supersede'> {
  const { poster: _poster, signature: _signature, kind: _kind, ...rest } = exitOf(party, held)
  return { ...rest, kind: 'supersede' }
}
