/**
 * What the ledger says of one account, read with the account's own key: every movement since genesis, and what it must
 * hold after them. The blocks' proofs are the auditor's business; a ledger that left one out is found by the balance.
 */
import { bytesToBigint, equalBytes } from '../base/bytes.js'
import { otherSide, type Side } from '../base/channel-state.js'
import { InvariantError, unreachable } from '../base/errors.js'
import { type AccountId, type IdText, idText } from '../base/ids.js'
import { type DepositHalf, decodeTransaction, type Transaction, type TransactionOf } from '../base/transaction.js'
import type { Block } from '../chain-adapter/block.js'
import type { KeyHandle, ProofPool } from '../privacy/pool.js'

export interface LedgerMovement {
  readonly block: number
  /** Ledger time, seconds. */
  readonly time: number
  readonly kind: 'mint' | 'transfer' | 'redeem' | 'deposit' | 'close' | 'settle' | 'punish'
  /** Minor units: above zero where the account received. */
  readonly change: bigint
  readonly counterparty: string | null
  readonly channel: string | null
}

export interface Holdings {
  readonly available: bigint
  readonly pendingOpen: bigint
  readonly pendingFrozen: bigint
}

export interface MovementsOptions {
  readonly source: { blocks(from: number): Promise<readonly Block[]> }
  readonly account: AccountId
  readonly key: KeyHandle
  readonly pool: ProofPool
}

interface OwnChannel {
  readonly side: Side
  readonly peer: AccountId
  readonly pool: bigint
  readonly poster: Side | null
}

type Change = Omit<LedgerMovement, 'block' | 'time'>

export class AccountMovements {
  #available = 0n
  #open = 0n
  #frozen = 0n
  readonly #channels = new Map<IdText, OwnChannel>()
  #next = 0

  constructor(private readonly options: MovementsOptions) {}

  /** What two rollovers make of the credits is in `available` (L4). */
  get holdings(): Holdings {
    return { available: this.#available, pendingOpen: this.#open, pendingFrozen: this.#frozen }
  }

  /** Movements up to the newest block, in ledger order: of all blocks the first time, then of those that came since. */
  async *more(): AsyncGenerator<LedgerMovement> {
    const { source } = this.options
    for (;;) {
      const page = await source.blocks(this.#next)
      if (page.length === 0) return
      for (const { head, transactions } of page) {
        for (const bytes of transactions) {
          const tx = decodeTransaction(bytes)
          if (!tx.ok) throw new InvariantError('A2', 'a block holds what is no transaction')
          const change = await this.#changeOf(tx.value)
          if (change !== undefined) yield { block: head.height, time: head.time, ...change }
        }
        this.#next = head.height + 1
      }
    }
  }

  async #changeOf(tx: Transaction): Promise<Change | undefined> {
    switch (tx.kind) {
      case 'mint':
        if (!this.#isOurs(tx.to)) return undefined
        return this.#credit('mint', tx.account, null, await this.#read(tx.ciphertextTo))
      case 'transfer':
        return this.#transfer(tx)
      case 'redeem':
        if (!this.#isOurs(tx.account)) return undefined
        return { kind: 'redeem', change: -(await this.#withdraw(tx)), counterparty: null, channel: null }
      case 'rollover':
        if (!this.#isOurs(tx.account)) return undefined
        this.#available += this.#frozen
        this.#frozen = this.#open
        this.#open = 0n
        return undefined
      case 'openChannel':
        return this.#deposit(tx)
      case 'exit':
        this.#update(tx.channel, { poster: tx.poster })
        return undefined
      case 'closeChannel':
        return this.#payOut('close', tx.channel, tx.ciphertexts)
      case 'settle':
        return this.#payOut('settle', tx.channel, tx.ciphertexts)
      case 'punish':
        return this.#punished(tx)
      case 'register':
      case 'supersede':
      case 'reveal':
      case 'tick':
        return undefined
      default:
        return unreachable(tx)
    }
  }

  async #transfer(tx: TransactionOf<'transfer'>): Promise<Change | undefined> {
    if (this.#isOurs(tx.account)) {
      const change = -(await this.#withdraw(tx))
      return { kind: 'transfer', change, counterparty: idText(tx.to), channel: null }
    }
    if (!this.#isOurs(tx.to)) return undefined
    return this.#credit('transfer', tx.account, null, await this.#read(tx.ciphertextTo))
  }

  async #deposit(tx: TransactionOf<'openChannel'>): Promise<Change | undefined> {
    const side = tx.accounts.findIndex((account) => this.#isOurs(account))
    if (side !== 0 && side !== 1) return undefined
    const [own, theirs] = [tx.halves[side], tx.halves[otherSide(side)]]
    const ours = own === null ? 0n : await this.#withdraw(own)
    const pool = ours + (theirs === null ? 0n : await this.#read(theirs.ciphertextPeer))
    const peer = tx.accounts[otherSide(side)]
    this.#channels.set(idText(tx.channel), { side, peer, pool, poster: null })
    if (own === null) return undefined // the peer's deposit alone
    return { kind: 'deposit', change: -ours, counterparty: idText(peer), channel: idText(tx.channel) }
  }

  async #payOut(
    kind: 'close' | 'settle',
    id: Uint8Array,
    ciphertexts: readonly [Uint8Array, Uint8Array],
  ): Promise<Change | undefined> {
    const channel = this.#channels.get(idText(id))
    if (channel === undefined) return undefined
    return this.#credit(kind, channel.peer, id, await this.#read(ciphertexts[channel.side]))
  }

  /** L7: the whole pool goes to whom the poster tried to cheat. */
  #punished({ channel: id }: TransactionOf<'punish'>): Change | undefined {
    const channel = this.#channels.get(idText(id))
    if (channel === undefined) return undefined
    const won = channel.poster !== channel.side
    return this.#credit('punish', channel.peer, id, won ? channel.pool : 0n)
  }

  #credit(kind: Change['kind'], from: AccountId, channel: Uint8Array | null, amount: bigint): Change {
    this.#open += amount
    return { kind, change: amount, counterparty: idText(from), channel: channel === null ? null : idText(channel) }
  }

  /** L4: what is left of `available` stands encrypted for its owner; the amount is what it lacks. */
  async #withdraw({ ciphertextRest }: Pick<DepositHalf, 'ciphertextRest'>): Promise<bigint> {
    const rest = await this.#read(ciphertextRest)
    const amount = this.#available - rest
    this.#available = rest
    return amount
  }

  #read(ciphertext: Uint8Array): Promise<bigint> {
    return this.options.pool.decrypt(this.options.key, bytesToBigint(ciphertext))
  }

  #isOurs(account: Uint8Array): boolean {
    return equalBytes(account, this.options.account)
  }

  #update(id: Uint8Array, change: Partial<OwnChannel>): void {
    const channel = this.#channels.get(idText(id))
    if (channel !== undefined) this.#channels.set(idText(id), { ...channel, ...change })
  }
}
