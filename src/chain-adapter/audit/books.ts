/** What a regulator's audit counts: who received and gave how much, and what each channel took in and paid out. Pure. */
import { type Amount, plus, ZERO } from '../../base/amount.js'
import { otherSide, type Side } from '../../base/channel-state.js'
import { type ErrorCode, invariant, unreachable } from '../../base/errors.js'
import { type AccountId, type ChannelId, type IdText, idText } from '../../base/ids.js'
import type { Transaction, TransactionOf } from '../../base/transaction.js'

export const IN_KINDS = ['mint', 'transfer', 'close', 'settle', 'punish'] as const
export const OUT_KINDS = ['transfer', 'redeem', 'deposit'] as const
type InKind = (typeof IN_KINDS)[number]
type OutKind = (typeof OUT_KINDS)[number]

/** One amount on its way: from nowhere (a mint, a channel's pool) or to nowhere (a redeem, a pool) where null. */
export interface Movement {
  readonly kind: InKind | OutKind
  readonly from: AccountId | null
  readonly to: AccountId | null
  readonly channel: ChannelId | null
  readonly amount: Amount
}

export interface AccountFlows {
  readonly account: AccountId
  readonly received: Readonly<Record<InKind, bigint>>
  readonly given: Readonly<Record<OutKind, bigint>>
  /** Received less given; below zero only where the ledger is inconsistent. */
  readonly held: bigint
}

export interface ChannelFlows {
  readonly channel: ChannelId
  /** [opener, peer] throughout. */
  readonly accounts: readonly [AccountId, AccountId]
  readonly deposits: readonly [Amount, Amount]
  /** Null while the channel is open or disputed. */
  readonly payouts: readonly [Amount, Amount] | null
  readonly ended: 'close' | 'settle' | 'punish' | null
  /** Who posted the state of the dispute: what `punish` takes from. Null where there was none. */
  readonly poster: Side | null
}

/** minted = held + locked + redeemed, in minor units. */
export interface Totals {
  readonly minted: bigint
  readonly held: bigint
  readonly locked: bigint
  readonly redeemed: bigint
}

/** The ciphertexts under the regulator's key, in the order in which `Books.record` takes their amounts. */
export function sealedAmounts(tx: Transaction): readonly Uint8Array[] {
  switch (tx.kind) {
    case 'mint':
    case 'transfer':
    case 'redeem':
      return [tx.ciphertextRegulator]
    case 'openChannel':
      return tx.halves.flatMap((half) => (half === null ? [] : [half.ciphertextRegulator]))
    case 'closeChannel':
    case 'settle':
      return tx.ciphertextsRegulator
    case 'register':
    case 'rollover':
    case 'exit':
    case 'supersede':
    case 'punish':
    case 'reveal':
    case 'tick':
      return []
    default:
      return unreachable(tx)
  }
}

interface Account {
  readonly account: AccountId
  readonly received: Record<InKind, bigint>
  readonly given: Record<OutKind, bigint>
}

const isIn = (kind: Movement['kind']): kind is InKind => IN_KINDS.some((known) => known === kind)
const isOut = (kind: Movement['kind']): kind is OutKind => OUT_KINDS.some((known) => known === kind)
const sum = (values: Iterable<bigint>): bigint => [...values].reduce((total, value) => total + value, 0n)
const heldBy = ({ received, given }: Account): bigint => sum(Object.values(received)) - sum(Object.values(given))

/** Memory grows with accounts and channels, never with transactions. */
export class Books {
  readonly #accounts = new Map<IdText, Account>()
  readonly #channels = new Map<IdText, ChannelFlows>()

  /**
   * @param tx accepted by the contract, so that its accounts and channel are known
   * @param amounts of `sealedAmounts(tx)`
   * @param found told what does not add up
   */
  record(tx: Transaction, amounts: readonly Amount[], found: (code: ErrorCode, detail: string) => void): Movement[] {
    const movements = this.#movements(tx, amounts)
    for (const movement of movements) this.#count(movement, found)
    const ended = 'channel' in tx ? this.#channels.get(idText(tx.channel)) : undefined
    if (ended !== undefined && ended.payouts !== null && plus(...ended.payouts) !== plus(...ended.deposits)) {
      found('audit_conservation', `channel ${idText(ended.channel)}`)
    }
    return movements
  }

  accounts(): AccountFlows[] {
    return [...this.#accounts.values()].map((account) => ({ ...account, held: heldBy(account) }))
  }

  channels(): ChannelFlows[] {
    return [...this.#channels.values()]
  }

  totals(): Totals {
    const accounts = [...this.#accounts.values()]
    const open = [...this.#channels.values()].filter(({ ended }) => ended === null)
    return {
      minted: sum(accounts.map(({ received }) => received.mint)),
      held: sum(accounts.map(heldBy)),
      locked: sum(open.flatMap(({ deposits }) => deposits)),
      redeemed: sum(accounts.map(({ given }) => given.redeem)),
    }
  }

  /** An account exists from genesis or from its register on, also before it moved anything. */
  open(account: AccountId): void {
    this.#account(account)
  }

  #movements(tx: Transaction, amounts: readonly Amount[]): Movement[] {
    switch (tx.kind) {
      case 'register':
        this.open(tx.account)
        return []
      case 'mint':
        return [{ kind: 'mint', from: null, to: tx.to, channel: null, amount: amounts[0]! }]
      case 'transfer':
        return [{ kind: 'transfer', from: tx.account, to: tx.to, channel: null, amount: amounts[0]! }]
      case 'redeem':
        return [{ kind: 'redeem', from: tx.account, to: null, channel: null, amount: amounts[0]! }]
      case 'openChannel':
        return this.#deposits(tx, amounts)
      case 'exit':
        this.#update(tx.channel, { poster: tx.poster })
        return []
      case 'closeChannel':
        return this.#payOut(tx.channel, 'close', [amounts[0]!, amounts[1]!])
      case 'settle':
        return this.#payOut(tx.channel, 'settle', [amounts[0]!, amounts[1]!])
      case 'punish': {
        const { deposits, poster } = this.#channel(tx.channel)
        invariant(poster !== null, 'L7', 'a punishment without an exit')
        const pool = plus(...deposits)
        return this.#payOut(tx.channel, 'punish', otherSide(poster) === 0 ? [pool, ZERO] : [ZERO, pool])
      }
      case 'rollover':
      case 'supersede':
      case 'reveal':
      case 'tick':
        return []
      default:
        return unreachable(tx)
    }
  }

  #deposits(tx: TransactionOf<'openChannel'>, amounts: readonly Amount[]): Movement[] {
    const channel = tx.channel as ChannelId
    const deposits: [Amount, Amount] = [amounts[0]!, amounts[1] ?? ZERO]
    const { accounts } = tx
    this.#channels.set(idText(channel), { channel, accounts, deposits, payouts: null, ended: null, poster: null })
    return amounts.map((amount, side) => ({ kind: 'deposit', from: accounts[side]!, to: null, channel, amount }))
  }

  #payOut(id: Uint8Array, kind: 'close' | 'settle' | 'punish', payouts: readonly [Amount, Amount]): Movement[] {
    const { accounts, channel } = this.#channel(id)
    this.#update(id, { payouts, ended: kind })
    return payouts.map((amount, side) => ({ kind, from: null, to: accounts[side]!, channel, amount }))
  }

  #count({ kind, from, to, amount }: Movement, found: (code: ErrorCode, detail: string) => void): void {
    if (from !== null && isOut(kind)) {
      const account = this.#account(from)
      account.given[kind] += amount
      if (heldBy(account) < 0n) found('audit_overdrawn', `account ${idText(from)}`)
    }
    if (to !== null && isIn(kind)) this.#account(to).received[kind] += amount
  }

  #account(account: AccountId): Account {
    const known = this.#accounts.get(idText(account))
    if (known !== undefined) return known
    const fresh: Account = {
      account,
      received: { mint: 0n, transfer: 0n, close: 0n, settle: 0n, punish: 0n },
      given: { transfer: 0n, redeem: 0n, deposit: 0n },
    }
    this.#accounts.set(idText(account), fresh)
    return fresh
  }

  #channel(id: Uint8Array): ChannelFlows {
    const channel = this.#channels.get(idText(id))
    invariant(channel !== undefined, 'L5', 'a channel that was never opened')
    return channel
  }

  #update(id: Uint8Array, change: Partial<ChannelFlows>): void {
    this.#channels.set(idText(id), { ...this.#channel(id), ...change })
  }
}
