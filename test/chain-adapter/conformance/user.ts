import { MeridianError } from '../../../src/base/errors.js'
import type { ChainAdapter, LedgerEvent, SubmitReceipt } from '../../../src/base/ports/chain.js'
import type { Transaction } from '../../../src/base/transaction.js'
import { World } from '../../contract/world.js'

/** A World that repeats what the ledger accepted, so that it can make the next valid transaction. */
export class User {
  readonly world = new World()
  /** Of the last accepted transaction. */
  cursor = 0

  /** The chain may change: after a restart, a new client. */
  constructor(public chain: ChainAdapter) {}

  async submit(tx: Transaction): Promise<SubmitReceipt> {
    const receipt = await this.chain.submit(tx)
    this.repeat(tx, receipt)
    return receipt
  }

  repeat(tx: Transaction, { height, time, cursor }: SubmitReceipt): void {
    this.cursor = Math.max(this.cursor, cursor)
    this.world.at = { height, time }
    this.world.accept(tx, () => true) // the ledger has checked its proofs
  }
}

/** The code of a rejection. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'resolved'
  } catch (error) {
    if (error instanceof MeridianError) return error.code
    throw error
  }
}

/** The next `count` items, then the iteration is left. */
export async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = []
  if (count === 0) return taken
  for await (const item of items) {
    taken.push(item)
    if (taken.length === count) break
  }
  return taken
}

export const eventsAfter = (chain: ChainAdapter, cursor: number, count: number): Promise<LedgerEvent[]> =>
  take(chain.events(cursor), count)
