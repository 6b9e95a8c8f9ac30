/**
 * The ledger: the real contract in memory. Transactions wait, stand in a block that a reorganisation can take apart, and
 * are final then; the port shows final blocks only, so a reorganisation is seen as another order, a later time, or an
 * outcome that stays unknown. Each node hears of a block when its turn comes, and its answers come late.
 */
import { MeridianError } from '../../../src/base/errors.js'
import { type Genesis, ledgerIdOf } from '../../../src/base/genesis.js'
import { type AccountId, type ChannelId, idText } from '../../../src/base/ids.js'
import type { ChainAdapter, LedgerEvent, LedgerTime, SubmitReceipt, View } from '../../../src/base/ports/chain.js'
import { decodeTransaction, encodeTransaction, type Transaction, transactionId } from '../../../src/base/transaction.js'
import { apply } from '../../../src/chain-adapter/contract/apply.js'
import { genesisWrites } from '../../../src/chain-adapter/contract/genesis.js'
import { readAccount, readChannel, readRevealed } from '../../../src/chain-adapter/contract/state.js'
import type { Schedule } from './clock.js'
import { never } from './disk.js'
import type { Life } from './life.js'
import type { Proofs } from './proofs.js'
import type { Random } from './random.js'

interface Entry {
  readonly id: string
  readonly bytes: Uint8Array
  readonly tx: Transaction
  /** Blocks for which it is left out. */
  withheld: number
  readonly told: ((outcome: SubmitReceipt | MeridianError) => void)[]
}

interface Listener {
  readonly life: Life
  height: number
  waking: (() => void)[]
}

/** After a lost answer a sender waits before it asks again. */
const LOST_BLOCKS = 4

type Head = LedgerTime & { readonly cursor: number }

export interface LedgerImage {
  readonly records: ReadonlyMap<string, Uint8Array>
  readonly heads: readonly Head[]
  readonly events: readonly LedgerEvent[]
  readonly receipts: ReadonlyMap<string, SubmitReceipt>
}

export class SimulatedLedger {
  readonly ledger
  readonly records: Map<string, Uint8Array>
  readonly view = { get: (key: string) => this.records.get(key) }
  #heads: Head[]
  #events: LedgerEvent[]
  #receipts: Map<string, SubmitReceipt>
  readonly #waiting = new Map<string, Entry>()
  /** The block that is not final yet. */
  #tentative: Entry[] | undefined
  readonly #listeners = new Map<Life, Listener>()
  /** Calls that will be answered with `unavailable`, whatever becomes of them. */
  lost = 0
  refusals = 0
  /** An accepted transaction, at once: before anybody hears of it. */
  onAccepted: (event: LedgerEvent) => void = () => undefined
  /** A block is final; likewise. */
  onBlock: (at: LedgerTime) => void = () => undefined
  #troubledUntil = 0

  constructor(
    readonly genesis: Genesis,
    private readonly proofs: Proofs,
    private readonly schedule: Schedule,
    private readonly random: Random,
    image?: LedgerImage,
  ) {
    this.ledger = ledgerIdOf(genesis)
    this.records = new Map(image?.records ?? genesisWrites(genesis))
    this.#heads = [...(image?.heads ?? [{ height: 0, time: genesis.time, cursor: 0 }])]
    this.#events = [...(image?.events ?? [])]
    this.#receipts = new Map(image?.receipts)
  }

  image(): LedgerImage {
    return {
      records: new Map(this.records),
      heads: [...this.#heads],
      events: [...this.#events],
      receipts: new Map(this.#receipts),
    }
  }

  get head(): Head {
    return this.#heads[this.#heads.length - 1]!
  }

  get waiting(): number {
    return this.#waiting.size + (this.#tentative?.length ?? 0)
  }

  /** Transactions come late, or their senders do not hear of them. */
  get troubled(): boolean {
    return this.head.height <= this.#troubledUntil
  }

  #trouble(blocks: number): void {
    this.#troubledUntil = Math.max(this.#troubledUntil, this.head.height + blocks)
  }

  // ---- blocks

  /** Puts what waits into a block, which becomes final when its event runs. */
  propose(): void {
    if (this.#tentative !== undefined) return
    const taken: Entry[] = []
    for (const entry of [...this.#waiting.values()]) {
      if (entry.withheld > 0) entry.withheld -= 1
      else {
        taken.push(entry)
        this.#waiting.delete(entry.id)
      }
    }
    this.#tentative = taken
    this.schedule.add({ kind: 'block', life: undefined, run: () => this.#finalise() })
  }

  /** The block that was not final is taken apart: some of it comes in another order, some in a later block. */
  reorganise(): boolean {
    const block = this.#tentative
    if (block === undefined || block.length === 0) return false
    this.#trouble(2)
    this.#tentative = []
    for (const entry of block) {
      if (this.random.oneIn(2)) this.#waiting.set(entry.id, entry)
      else this.#tentative.splice(this.random.below(this.#tentative.length + 1), 0, entry)
    }
    return true
  }

  /** The next block leaves out one transaction, for some blocks. */
  withhold(blocks: number): void {
    const entry = this.random.pick([...this.#waiting.values()])
    if (entry === undefined) return
    entry.withheld = blocks
    this.#trouble(blocks + 2)
  }

  #finalise(): void {
    const block = this.#tentative ?? []
    this.#tentative = undefined
    const { height, time, cursor } = this.head
    const now = Math.max(time, this.genesis.time + Math.floor(this.schedule.now / 1_000))
    const at = { height: height + 1, time: now }
    let last = cursor
    for (const entry of block) {
      const applied = apply(this.view, this.genesis, entry.tx, at, this.proofs.holds)
      if (!applied.ok) {
        this.refusals += 1
        this.#tell(entry, new MeridianError(applied.error.code, applied.error.detail))
        continue
      }
      for (const [key, value] of applied.writes) this.records.set(key, value)
      last += 1
      const id = transactionId(entry.bytes)
      const event = { cursor: last, ...at, id, transaction: entry.tx }
      this.#events.push(event)
      const receipt = { id, ...at, cursor: last }
      this.#receipts.set(entry.id, receipt)
      this.onAccepted(event)
      this.#tell(entry, receipt)
    }
    this.#heads.push({ ...at, cursor: last })
    this.onBlock(at)
    for (const listener of this.#listeners.values()) this.#announce(listener)
  }

  #tell(entry: Entry, outcome: SubmitReceipt | MeridianError): void {
    for (const told of entry.told) told(outcome)
  }

  #announce(listener: Listener): void {
    const { height } = this.head
    const run = (): void => {
      listener.height = Math.max(listener.height, height)
      for (const wake of listener.waking.splice(0)) wake()
    }
    this.schedule.add({ kind: 'block', life: listener.life, run })
  }

  // ---- transactions

  /** Into the waiting ones, or the first outcome again. */
  #enter(bytes: Uint8Array, told: (outcome: SubmitReceipt | MeridianError) => void): void {
    const id = idText(transactionId(bytes))
    const known = this.#waiting.get(id) ?? this.#tentative?.find((entry) => entry.id === id)
    const receipt = this.#receipts.get(id)
    if (receipt !== undefined) told(receipt)
    else if (known !== undefined) known.told.push(told)
    else {
      const tx = decodeTransaction(bytes)
      if (tx.ok) this.#waiting.set(id, { id, bytes, tx: tx.value, withheld: 0, told: [told] })
      else told(new MeridianError(tx.error.code, tx.error.detail))
    }
  }

  /** Anybody's transaction: of a cheater without a node. */
  post(tx: Transaction): void {
    this.#enter(encodeTransaction(tx), () => undefined)
  }

  // ---- a node's connection

  forget(life: Life): void {
    this.#listeners.delete(life)
  }

  adapter(life: Life): ChainAdapter {
    const listener: Listener = { life, height: -1, waking: [] }
    this.#listeners.set(life, listener)
    this.#announce(listener)
    const answer = <T>(value: () => T): Promise<View<T>> =>
      this.#call(life, () => ({ ...this.#time(), value: value() }))
    return {
      genesis: this.genesis,
      ledger: this.ledger,
      submit: (tx) => this.#submit(life, encodeTransaction(tx)),
      account: (id: AccountId) => answer(() => readAccount(this.view, id)),
      channel: (id: ChannelId) => answer(() => readChannel(this.view, id)),
      revealed: (point) => answer(() => readRevealed(this.view, point)),
      now: () => this.#call(life, () => this.#time()),
      events: (cursor) => this.#follow(listener, cursor),
      heads: () => this.#followHeads(listener),
      close: () => Promise.resolve(),
    }
  }

  #time(): LedgerTime {
    const { height, time } = this.head
    return { height, time }
  }

  #call<T>(life: Life, value: () => T): Promise<T> {
    if (!life.acts()) return never()
    return new Promise((resolve) => this.schedule.add({ kind: 'chain', life, run: () => resolve(value()) }))
  }

  #submit(life: Life, bytes: Uint8Array): Promise<SubmitReceipt> {
    if (!life.acts()) return never()
    return new Promise((resolve, reject) => {
      const answer = (outcome: SubmitReceipt | MeridianError): void => {
        const run = (): void => (outcome instanceof MeridianError ? reject(outcome) : resolve(outcome))
        this.schedule.add({ kind: 'chain', life, run })
      }
      const lost = this.lost > 0
      if (lost) {
        this.lost -= 1
        this.#trouble(LOST_BLOCKS)
      }
      const arrive = (): void => {
        if (!lost || this.random.oneIn(2)) this.#enter(bytes, lost ? () => undefined : answer)
        if (lost) answer(new MeridianError('unavailable', 'lost'))
      }
      this.schedule.add({ kind: 'chain', life: undefined, run: arrive })
    })
  }

  async *#follow(listener: Listener, after: number): AsyncGenerator<LedgerEvent> {
    for (let cursor = after; ; ) {
      const event = this.#events[cursor]
      if (event !== undefined && event.height <= listener.height) {
        cursor = event.cursor
        yield event
      } else await new Promise<void>((resolve) => listener.waking.push(resolve))
    }
  }

  async *#followHeads(listener: Listener): AsyncGenerator<Head> {
    for (let height = -1; ; ) {
      if (listener.height > height) {
        height = listener.height
        yield this.#heads[height]!
      } else await new Promise<void>((resolve) => listener.waking.push(resolve))
    }
  }
}
