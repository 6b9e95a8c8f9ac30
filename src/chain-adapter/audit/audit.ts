/**
 * The regulator's audit: follows the chain from genesis, re-executes every transaction with every proof, compares what
 * the ledger wrote, reads every amount with the regulator's key and checks that money is conserved. It believes nothing
 * but genesis. Memory grows with accounts, channels and revealed points, never with blocks.
 */
import { type Amount, amount } from '../../base/amount.js'
import { bytesToBigint, type Digest, equalBytes } from '../../base/bytes.js'
import { type ErrorCode, MeridianError } from '../../base/errors.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import type { LedgerId } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import type { LedgerHead } from '../../base/ports/chain.js'
import type { Transaction, TransactionKind } from '../../base/transaction.js'
import type { KeyHandle, ProofPool } from '../../privacy/pool.js'
import type { ProofCheck } from '../../privacy/statement.js'
import type { Block } from '../block.js'
import { checkGenesis } from '../contract/genesis.js'
import { examineBlock } from '../replay.js'
import { type AccountFlows, Books, type ChannelFlows, type Movement, sealedAmounts, type Totals } from './books.js'

/** Where blocks come from; a RemoteLedger is one. What it says is checked, not believed. */
export interface AuditSource {
  readonly genesis: Genesis
  head(): Promise<LedgerHead>
  /** Consecutive blocks from a height on, a bounded page, empty above the head. */
  blocks(from: number): Promise<readonly Block[]>
}

/** A movement with the place of its transaction. */
export interface PlacedMovement extends Movement {
  readonly block: number
  /** Ledger time, seconds. */
  readonly time: number
  readonly transaction: number
}

export interface AuditOptions {
  readonly source: AuditSource
  /** The regulator's Paillier key, open in `pool`. */
  readonly regulator: KeyHandle
  readonly pool: ProofPool
  /** State hash of a head that the auditor knows from before: it must be in the chain. */
  readonly head?: Digest
  /** Every movement in ledger order; the audit waits for it. */
  readonly onMovement?: (movement: PlacedMovement) => void | Promise<void>
  readonly onProgress?: (progress: { readonly height: number; readonly of: number }) => void
}

export interface Finding {
  /** Null where the whole chain is meant. */
  readonly block: number | null
  /** Place in the block; null where the block's head or write set is meant. */
  readonly transaction: number | null
  readonly kind: TransactionKind | null
  readonly code: ErrorCode
  readonly detail: string | null
}

export interface AuditReport {
  readonly verdict: 'CONSISTENT' | 'INCONSISTENT'
  readonly ledger: LedgerId
  /** The last block that was examined: what to pin next time. Null where there was none. */
  readonly head: LedgerHead | null
  readonly blocks: number
  readonly transactions: number
  readonly proofs: number
  /** The first LIMITS.audit_findings of them, in ledger order; the first of all may be the cause of the others. */
  readonly findings: readonly Finding[]
  readonly findingsLeftOut: number
  readonly accounts: readonly AccountFlows[]
  readonly channels: readonly ChannelFlows[]
  readonly totals: Totals
}

/** Refusals with which a source shows that it hands out what is no chain of signed blocks. */
const UNREADABLE: ReadonlySet<ErrorCode> = new Set(['bad_encoding', 'bad_point', 'ledger_head', 'too_long'])

/**
 * Examines every block up to the head that the source shows when asked first.
 * @throws MeridianError `not_regulator` where the key is not the one of genesis; `unavailable` where nobody answers
 */
export async function auditLedger(options: AuditOptions): Promise<AuditReport> {
  if (!equalBytes(options.regulator.n, options.source.genesis.regulator.n)) throw new MeridianError('not_regulator')
  const audit = new Audit(options)
  await audit.run()
  return audit.report()
}

/** Proofs and amounts of one transaction, under way in the pool. Settled, so that nothing rejects unseen. */
interface Pending {
  readonly height: number
  readonly time: number
  readonly index: number
  readonly tx: Transaction
  readonly work: Promise<[PromiseSettledResult<boolean[]>, PromiseSettledResult<bigint[]>]>
}

class Audit {
  readonly #books = new Books()
  readonly #state = new Map<string, Uint8Array>()
  readonly #pending: Pending[] = []
  readonly #findings: Finding[] = []
  #findingsLeftOut = 0
  #head: LedgerHead | undefined
  #pinnedSeen = false
  #blocks = 0
  #transactions = 0
  #proofs = 0

  constructor(private readonly options: AuditOptions) {}

  async run(): Promise<void> {
    const { genesis } = this.options.source
    await this.#checkGenesis(genesis)
    this.#books.open(genesis.issuer.account)
    this.#books.open(genesis.regulator.account)
    await this.#chain()
    while (this.#pending.length > 0) await this.#takeOldest()
    if (this.options.head !== undefined && !this.#pinnedSeen) this.#find(null, null, 'audit_pinned')
    const { minted, held, locked, redeemed } = this.#books.totals()
    if (minted !== held + locked + redeemed) this.#find(null, null, 'audit_conservation')
  }

  report(): AuditReport {
    const place = ({ block, transaction }: Finding) => [block ?? Number.MAX_SAFE_INTEGER, transaction ?? -1] as const
    const findings = this.#findings.sort((a, b) => {
      const [[blockA, indexA], [blockB, indexB]] = [place(a), place(b)]
      return blockA - blockB || indexA - indexB
    })
    return {
      verdict: findings.length === 0 ? 'CONSISTENT' : 'INCONSISTENT',
      ledger: ledgerIdOf(this.options.source.genesis),
      head: this.#head ?? null,
      blocks: this.#blocks,
      transactions: this.#transactions,
      proofs: this.#proofs,
      findings,
      findingsLeftOut: this.#findingsLeftOut,
      accounts: this.#books.accounts(),
      channels: this.#books.channels(),
      totals: this.#books.totals(),
    }
  }

  async #checkGenesis(genesis: Genesis): Promise<void> {
    const checks: ProofCheck[] = []
    const sound = checkGenesis(genesis, (check) => checks.push(check) > 0)
    const verdicts = await Promise.all(checks.map((check) => this.options.pool.verify(check)))
    this.#proofs += checks.length
    if (!sound.ok || verdicts.includes(false)) this.#find(null, null, 'bad_genesis', sound.ok ? 'keyProof' : undefined)
  }

  /** Block after block until the head; ends early where the source no longer hands out readable blocks. */
  async #chain(): Promise<void> {
    const { source } = this.options
    const target = await this.#readable(() => source.head())
    if (target === undefined) return
    let next = 0
    while (next <= target.height) {
      const page = await this.#readable(() => source.blocks(next))
      if (page === undefined) return
      if (page.length === 0) return this.#find(next, null, 'audit_withheld')
      for (const block of page.slice(0, target.height + 1 - next)) {
        await this.#examine(next, block)
        this.options.onProgress?.({ height: next, of: target.height })
        next += 1
      }
    }
    if (this.#head !== undefined && !equalBytes(this.#head.stateHash, target.stateHash)) {
      this.#find(target.height, null, 'ledger_head', 'the chain does not end in the head that the ledger shows')
    }
  }

  async #examine(height: number, block: Block): Promise<void> {
    const checks = new Map<number, ProofCheck[]>()
    const { faults, accepted, writes } = examineBlock(
      { get: (key) => this.#state.get(key) },
      this.options.source.genesis,
      this.#head,
      block,
      (check, index) => checks.set(index, [...(checks.get(index) ?? []), check]).size > 0,
    )
    for (const { transaction, kind, error } of faults) {
      this.#find(height, transaction ?? null, error.code, error.detail, kind)
    }
    for (const [key, value] of writes) this.#state.set(key, value)
    this.#head = block.head
    this.#blocks += 1
    this.#transactions += block.transactions.length
    const { head } = this.options
    if (head !== undefined && equalBytes(block.head.stateHash, head)) this.#pinnedSeen = true
    for (const { index, tx } of accepted) {
      if (this.#pending.length >= LIMITS.audit_ahead) await this.#takeOldest()
      this.#start({ height, time: block.head.time, index, tx }, checks.get(index) ?? [])
    }
  }

  #start(place: Omit<Pending, 'work'>, checks: readonly ProofCheck[]): void {
    const { pool, regulator } = this.options
    this.#proofs += checks.length
    const verdicts = checks.map((check) => pool.verify(check))
    const amounts = sealedAmounts(place.tx).map((sealed) => pool.decrypt(regulator, bytesToBigint(sealed)))
    this.#pending.push({ ...place, work: Promise.allSettled([Promise.all(verdicts), Promise.all(amounts)]) })
  }

  async #takeOldest(): Promise<void> {
    const { height, time, index, tx, work } = this.#pending.shift()!
    const [verdicts, sums] = await work
    if (verdicts.status === 'rejected') throw verdicts.reason
    if (sums.status === 'rejected') throw sums.reason
    const found = (code: ErrorCode, detail?: string) => this.#find(height, index, code, detail, tx.kind)
    // The flows count what the ledger applied, also where a proof is false: the finding says that it is nobody's word.
    if (verdicts.value.includes(false)) found('bad_proof')
    const amounts = sums.value.map((value): Amount => {
      const inRange = amount(value, this.options.source.genesis.amountBits)
      if (inRange.ok) return inRange.value
      found('audit_amount')
      return 0n as Amount
    })
    for (const movement of this.#books.record(tx, amounts, found)) {
      await this.options.onMovement?.({ ...movement, block: height, time, transaction: index })
    }
  }

  /** Undefined, and a finding, where the source answers with something that is no signed chain. */
  async #readable<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof MeridianError) || !UNREADABLE.has(error.code)) throw error
      this.#find(this.#blocks, null, error.code, error.detail)
      return undefined
    }
  }

  #find(
    block: number | null,
    transaction: number | null,
    code: ErrorCode,
    detail?: string,
    kind: TransactionKind | null = null,
  ): void {
    if (this.#findings.length >= LIMITS.audit_findings) this.#findingsLeftOut += 1
    else this.#findings.push({ block, transaction, kind, code, detail: detail ?? null })
  }
}
