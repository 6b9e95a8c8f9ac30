/**
 * Account transactions, once each: bytes and key are durable before they leave, the outcome is durable before it is told;
 * a restart submits the same bytes again (R5's idempotency for the ledger side).
 */
import { z } from 'zod'
import { utf8 } from '../base/bytes.js'
import { encodeAs, zBytesUpTo, zCount, zDigest, zText } from '../base/codec.js'
import { invariant, MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { ChainAdapter, SubmitReceipt } from '../base/ports/chain.js'
import type { Row, Store } from '../base/ports/store.js'
import { ok, type Result, refuse } from '../base/result.js'
import { decodeTransaction, encodeTransaction, type Transaction } from '../base/transaction.js'
import { parseRow, readRow } from '../store/rows.js'
import { tableKey, tableRange } from '../store/tables.js'

const zReceipt = z.strictObject({ id: zDigest, height: zCount, time: zCount, cursor: zCount })
const zSubmission = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('sent'), transaction: zBytesUpTo(LIMITS.transaction_bytes) }),
  z.strictObject({ state: z.literal('final'), receipt: zReceipt }),
  z.strictObject({ state: z.literal('refused'), code: zText(64) }),
])
type Submission = z.output<typeof zSubmission>

const TABLE = utf8('submission')
/** Table byte, the framed table name, and the length byte of the key itself. */
const PREFIX = 1 + 1 + TABLE.length + 1
const keyOf = (key: string): Uint8Array => tableKey('wallet', TABLE, utf8(key))

export class Submissions {
  #closed = false

  constructor(
    private readonly chain: ChainAdapter,
    private readonly store: Store,
  ) {}

  /** What became of a key: undefined where it was never used, or was refused (nothing happened: it may be tried again). */
  async known(key: string): Promise<Result<SubmitReceipt> | undefined> {
    const submission = this.#read(key)
    if (submission === undefined || submission.state === 'refused') return undefined
    if (submission.state === 'final') return ok(submission.receipt)
    return this.#submit(key, submission.transaction)
  }

  /** @throws MeridianError `unavailable` where the outcome stays unknown; the row stands and `known` asks again. */
  async send(key: string, tx: Transaction, rows: readonly Row[]): Promise<Result<SubmitReceipt>> {
    const transaction = encodeTransaction(tx)
    await this.store.write({ puts: [...rows, row(key, { state: 'sent', transaction })], deletes: [] })
    return this.#submit(key, transaction)
  }

  /** Nothing is written any more: the disk may be closed. */
  close(): void {
    this.#closed = true
  }

  /** Keys whose outcome was unknown when the process ended. */
  async unfinished(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key, value } of this.store.range(tableRange('wallet', TABLE))) {
      if (parseRow(value, zSubmission).state === 'sent') keys.push(new TextDecoder().decode(key.subarray(PREFIX)))
    }
    return keys
  }

  async #submit(key: string, transaction: Uint8Array): Promise<Result<SubmitReceipt>> {
    const tx = decodeTransaction(transaction)
    invariant(tx.ok, 'K1', 'a stored transaction cannot be read')
    try {
      const { id, height, time, cursor } = await this.chain.submit(tx.value)
      await this.#write(key, { state: 'final', receipt: { id, height, time, cursor } })
      return ok({ id, height, time, cursor })
    } catch (error) {
      if (!(error instanceof MeridianError) || isOutcomeUnknown(error)) throw error
      await this.#write(key, { state: 'refused', code: error.code })
      return refuse(error.code, error.detail)
    }
  }

  #read(key: string): Submission | undefined {
    return readRow(this.store, keyOf(key), zSubmission)
  }

  #write(key: string, submission: Submission): Promise<void> {
    if (this.#closed) throw new MeridianError('unavailable', 'stopping')
    return this.store.write({ puts: [row(key, submission)], deletes: [] })
  }
}

const row = (key: string, submission: Submission): Row => ({
  key: keyOf(key),
  value: encodeAs(zSubmission, submission),
})

/** The ledger may still take it, or has not looked at it yet: nothing may be built on either outcome. */
const isOutcomeUnknown = ({ code }: MeridianError): boolean =>
  ['unavailable', 'internal', 'busy', 'ledger_full', 'ledger_rate'].includes(code)
