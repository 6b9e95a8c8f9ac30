import type { Digest } from '../../base/bytes.js'
import { MeridianError } from '../../base/errors.js'
import { type IdText, idText } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import type { SubmitReceipt } from '../../base/ports/chain.js'
import type { Refusal } from '../../base/result.js'
import type { Transaction } from '../../base/transaction.js'

/** A transaction from its arrival until its block is final. */
export interface Entry {
  readonly id: Digest
  readonly bytes: Uint8Array
  readonly tx: Transaction
  /** Entries of one lane are executed in the order of their arrival. */
  readonly lane: string
  /** By checkDigest of statement and proof: a statement that has changed since finds no verdict (section 3). */
  readonly verdicts: Map<string, boolean>
  attempts: number
  readonly outcome: Promise<SubmitReceipt>
  readonly resolve: (receipt: SubmitReceipt) => void
  readonly reject: (error: MeridianError) => void
}

/**
 * An account's transactions wait for each other (nonces). All others are independent: nobody can delay an exit or a
 * reveal by sending something slow that names the same channel.
 */
function laneOf(tx: Transaction, id: Digest): string {
  switch (tx.kind) {
    case 'register':
    case 'mint':
    case 'transfer':
    case 'redeem':
    case 'rollover':
    case 'tick':
      return idText(tx.account)
    case 'openChannel':
      return idText(tx.accounts[0])
    case 'closeChannel':
    case 'exit':
    case 'supersede':
    case 'punish':
    case 'reveal':
    case 'settle':
      return idText(id)
  }
}

/** Bounded by count and bytes. */
export class Mempool {
  readonly #entries = new Map<IdText, Entry>()
  /** Not yet executed. Only the first of a lane is under way. */
  readonly #lanes = new Map<string, Entry[]>()
  #bytes = 0

  get size(): number {
    return this.#entries.size
  }

  get(id: Digest): Entry | undefined {
    return this.#entries.get(idText(id))
  }

  /** @throws MeridianError `ledger_full`. */
  add(id: Digest, bytes: Uint8Array, tx: Transaction): Entry {
    if (this.#entries.size >= LIMITS.mempool_transactions) throw new MeridianError('ledger_full')
    if (this.#bytes + bytes.length > LIMITS.mempool_bytes) throw new MeridianError('ledger_full')
    const entry: Entry = { id, bytes, tx, lane: laneOf(tx, id), verdicts: new Map(), attempts: 0, ...promised() }
    this.#entries.set(idText(id), entry)
    this.#bytes += bytes.length
    const lane = this.#lanes.get(entry.lane)
    if (lane === undefined) this.#lanes.set(entry.lane, [entry])
    else lane.push(entry)
    return entry
  }

  isFirst(entry: Entry): boolean {
    return this.#lanes.get(entry.lane)?.[0] === entry
  }

  /** Takes an executed entry out of its lane; returns the lane's next one. */
  leaveLane(entry: Entry): Entry | undefined {
    const lane = this.#lanes.get(entry.lane)
    lane?.shift()
    if (lane?.length === 0) this.#lanes.delete(entry.lane)
    return lane?.[0]
  }

  accept(entry: Entry, receipt: SubmitReceipt): void {
    this.#remove(entry)
    entry.resolve(receipt)
  }

  /** A refused transaction is forgotten: it may be submitted again. */
  refuse(entry: Entry, error: Refusal): void {
    this.#remove(entry)
    entry.reject(new MeridianError(error.code, error.detail))
  }

  refuseAll(error: Refusal): void {
    for (const entry of [...this.#entries.values()]) this.refuse(entry, error)
    this.#lanes.clear()
  }

  #remove(entry: Entry): void {
    if (this.#entries.delete(idText(entry.id))) this.#bytes -= entry.bytes.length
  }
}

function promised(): Pick<Entry, 'outcome' | 'resolve' | 'reject'> {
  let resolve: Entry['resolve'] = () => {}
  let reject: Entry['reject'] = () => {}
  const outcome = new Promise<SubmitReceipt>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { outcome, resolve, reject }
}
