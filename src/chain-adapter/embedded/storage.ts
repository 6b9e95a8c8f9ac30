/**
 * The embedded ledger's rows in a Store. One byte of prefix each:
 *   g               genesis; v  version of this layout
 *   b height        block: head, transactions, refusals, write set
 *   h height        its head alone
 *   i id            height and cursor of an accepted transaction: the receipt (idempotent submit)
 *   s key           keyed state of the contract as of the head
 */
import { concatBytes, type Digest, equalBytes, readU64, u64, utf8 } from '../../base/bytes.js'
import { cbor, decodeAs } from '../../base/codec.js'
import { invariant } from '../../base/errors.js'
import { encodeGenesis, type Genesis, ledgerIdOf } from '../../base/genesis.js'
import type { LedgerHead, SubmitReceipt } from '../../base/ports/chain.js'
import type { Row, Store } from '../../base/ports/store.js'
import { ok, type Result, refuse } from '../../base/result.js'
import { transactionId } from '../../base/transaction.js'
import { type Block, beforeGenesis, checkBlock, decodeBlock, digestBlock, encodeBlock, zHead } from '../block.js'
import type { HeadFile } from './head-file.js'

/** Version of this layout; a higher one on disk is refused (`store_newer`). */
const LAYOUT = 1
/** Blocks whose hashes, signatures and state rows are checked at every start. */
const CHECKED_AT_START = 64

const prefixed = (prefix: string, key: Uint8Array = new Uint8Array()) => concatBytes(utf8(prefix), key)
const GENESIS = prefixed('g')
const VERSION = prefixed('v')
const blockKey = (height: number) => prefixed('b', u64(height))
const headKey = (height: number) => prefixed('h', u64(height))
const receiptKey = (id: Digest) => prefixed('i', id)
const stateKey = (key: string) => prefixed('s', utf8(key))

/** State under way to the disk: what it was, so that readers see whole blocks only, and what it becomes. */
interface Committing {
  readonly before: ReadonlyMap<string, Uint8Array | undefined>
  readonly after: ReadonlyMap<string, Uint8Array>
}

export class LedgerStorage {
  #head: LedgerHead
  #committing: Committing | undefined

  private constructor(
    private readonly store: Store,
    private readonly mark: HeadFile | undefined,
    head: LedgerHead,
  ) {
    this.#head = head
  }

  /** `mark` is absent only for a ledger in memory. */
  static async create(store: Store, genesis: Genesis, first: Block, mark?: HeadFile): Promise<LedgerStorage> {
    const meta = [
      { key: GENESIS, value: encodeGenesis(genesis) },
      { key: VERSION, value: u64(LAYOUT) },
    ]
    await store.write({ puts: [...meta, ...rowsOf(first)], deletes: [] })
    await mark?.write(first.head)
    return new LedgerStorage(store, mark, first.head)
  }

  /** Refuses with `ledger_other`, `store_newer`, `store_corrupt`, `ledger_behind` or `ledger_block`. */
  static async open(store: Store, genesis: Genesis, mark?: HeadFile): Promise<Result<LedgerStorage>> {
    const version = store.get(VERSION)
    const layout = version === undefined ? undefined : readU64(version)
    if (layout === undefined) return refuse('store_corrupt', 'layout row')
    if (layout > LAYOUT) return refuse('store_newer', `ledger layout ${layout}`)
    if (!equalBytes(store.get(GENESIS) ?? new Uint8Array(), encodeGenesis(genesis))) return refuse('ledger_other')
    const head = await lastHead(store)
    if (head === undefined) return refuse('store_corrupt', 'head row')
    const storage = new LedgerStorage(store, mark, head)
    const marked = mark?.mark
    if (marked !== undefined) {
      const known = storage.headAt(marked.height)
      if (known === undefined || !equalBytes(known.stateHash, marked.stateHash)) {
        return refuse('ledger_behind', `block ${marked.height} was acknowledged, the database ends at ${head.height}`)
      }
    }
    const checked = storage.#check(genesis)
    return checked.ok ? ok(storage) : checked
  }

  /** The last final block. */
  get head(): LedgerHead {
    return this.#head
  }

  /** Keyed state as of the head. */
  state(key: string): Uint8Array | undefined {
    return this.#committing?.before.has(key) ? this.#committing.before.get(key) : this.store.get(stateKey(key))
  }

  /** Keyed state with the block that is on its way to the disk: what the next block builds on. */
  stateAhead(key: string): Uint8Array | undefined {
    return this.#committing?.after.get(key) ?? this.store.get(stateKey(key))
  }

  /** Canonical bytes of a final block. */
  blockBytes(height: number): Uint8Array | undefined {
    return this.#isFinal(height) ? this.store.get(blockKey(height)) : undefined
  }

  /** cbor of the block's zBlockDigest: what subscribers get. */
  digestBytes(height: number): Uint8Array | undefined {
    const bytes = this.blockBytes(height)
    return bytes === undefined ? undefined : cbor(digestBlock(mustDecode(decodeBlock(bytes))))
  }

  headAt(height: number): LedgerHead | undefined {
    const row = this.#isFinal(height) ? this.store.get(headKey(height)) : undefined
    return row === undefined ? undefined : mustDecode(decodeAs(zHead, row))
  }

  receipt(id: Digest): SubmitReceipt | undefined {
    const row = this.store.get(receiptKey(id))
    if (row === undefined) return undefined
    const [height, cursor] = [readU64(row, 0), readU64(row, 8)]
    invariant(height !== undefined && cursor !== undefined, 'A2', 'a receipt row is whole')
    const head = this.headAt(height)
    return head === undefined ? undefined : { id, height, cursor, time: head.time }
  }

  /** Height of the block that holds the first event after `cursor`; the next height where there is none yet. */
  heightAfter(cursor: number): number {
    let [low, high] = [0, this.#head.height + 1]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.headAt(middle)!.cursor > cursor) high = middle
      else low = middle + 1
    }
    return low
  }

  /** The whole block in one synced batch, then the head file; only then is it the head. */
  async commit(block: Block): Promise<void> {
    invariant(this.#committing === undefined && block.head.height === this.#head.height + 1, 'A2', 'blocks in order')
    const after = new Map(block.writes)
    this.#committing = { after, before: new Map([...after.keys()].map((key) => [key, this.state(key)])) }
    await this.store.write({ puts: rowsOf(block), deletes: [] })
    await this.mark?.write(block.head)
    this.#head = block.head
    this.#committing = undefined
  }

  async close(): Promise<void> {
    await this.store.close()
    await this.mark?.close()
  }

  #isFinal(height: number): boolean {
    return Number.isSafeInteger(height) && height >= 0 && height <= this.#head.height
  }

  /** Hash chain and signatures of the last blocks, and that the state rows are what these blocks wrote. */
  #check(genesis: Genesis): Result<null> {
    const ledger = ledgerIdOf(genesis)
    const lowest = Math.max(0, this.#head.height - CHECKED_AT_START)
    const written = new Map<string, Uint8Array>()
    for (let height = lowest; height <= this.#head.height; height++) {
      const decoded = decodeBlock(this.blockBytes(height) ?? new Uint8Array())
      if (!decoded.ok) return refuse('ledger_block', `block ${height} cannot be read`)
      const previous = height === 0 ? beforeGenesis(genesis, ledger) : this.headAt(height - 1)
      const checked = checkBlock(genesis, ledger, previous, digestBlock(decoded.value))
      if (!checked.ok) return checked
      for (const [key, value] of decoded.value.writes) written.set(key, value)
    }
    for (const [key, value] of written) {
      if (!equalBytes(this.state(key) ?? new Uint8Array(), value)) return refuse('ledger_block', 'state rows differ')
    }
    return ok(null)
  }
}

function rowsOf(block: Block): Row[] {
  const { head, transactions, writes } = block
  const first = head.cursor - transactions.length + 1
  return [
    { key: blockKey(head.height), value: encodeBlock(block) },
    { key: headKey(head.height), value: cbor(head) },
    ...transactions.map((bytes, i) => ({
      key: receiptKey(transactionId(bytes)),
      value: concatBytes(u64(head.height), u64(first + i)),
    })),
    ...writes.map(([key, value]) => ({ key: stateKey(key), value })),
  ]
}

async function lastHead(store: Store): Promise<LedgerHead | undefined> {
  for await (const row of store.range({ from: prefixed('h'), to: prefixed('i'), reverse: true, limit: 1 })) {
    return mustDecode(decodeAs(zHead, row.value))
  }
  return undefined
}

/** Rows that we wrote ourselves: anything else is damage that the store did not notice. */
function mustDecode<T>(result: Result<T>): T {
  invariant(result.ok, 'A2', 'a row of the ledger cannot be read')
  return result.value
}
