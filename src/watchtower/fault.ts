/**
 * Whether a tower that signed a receipt did what it promised (T2): judged from the receipt and the ledger's blocks alone,
 * by anybody, offline. The blocks are checked as a chain from genesis with its head signatures; what the contract
 * refused is not in them.
 */
import { equalBytes } from '../base/bytes.js'
import { decodeChannelState, type Side } from '../base/channel-state.js'
import { MeridianError } from '../base/errors.js'
import { ledgerIdOf } from '../base/genesis.js'
import { idText } from '../base/ids.js'
import type { LedgerTime } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { decodeTransaction, type Transaction, type TransactionOf } from '../base/transaction.js'
import type { AuditSource } from '../chain-adapter/audit/audit.js'
import { beforeGenesis, checkBlock, digestBlock, type Previous } from '../chain-adapter/block.js'
import { need } from '../chain-adapter/need.js'
import type { TowerReceipt } from './tower-receipt.js'

/** What the ledger did with one channel. */
export interface ChannelHistory {
  readonly accounts: TransactionOf<'openChannel'>['accounts']
  readonly window: number
  readonly exit?: { readonly poster: Side; readonly version: number; readonly at: LedgerTime }
  /** Highest version posted. */
  readonly standing?: number
  readonly end?: { readonly kind: 'closeChannel' | 'settle' | 'punish'; readonly at: LedgerTime }
}

export interface Verdict {
  readonly verdict: 'guilty' | 'not_guilty' | 'undecided'
  readonly reason:
    | 'no_exit'
    | 'own_exit'
    | 'exit_not_older'
    | 'exit_before_receipt'
    | 'punished'
    | 'agreed'
    | 'superseded'
    | 'dispute_running'
    | 'punish_missing'
    | 'supersede_missing'
  readonly exit?: { readonly version: number; readonly at: LedgerTime }
  /** Ledger time by which it should have superseded; a punishment was possible until `end`. */
  readonly deadline?: number
  readonly end?: ChannelHistory['end']
}

/** Pure. Errors: `tower_receipt_foreign` where the client is no party of the channel. */
export function judge({ parties, body }: TowerReceipt, history: ChannelHistory): Result<Verdict> {
  const { accounts, window, exit, standing, end } = history
  const side = accounts.findIndex((account) => equalBytes(account, parties.client))
  if (side === -1) return refuse('tower_receipt_foreign', 'the client is no party of the channel')
  if (exit === undefined) return ok({ verdict: 'not_guilty', reason: 'no_exit' })
  const facts = {
    exit: { version: exit.version, at: exit.at },
    deadline: exit.at.time + window,
    ...(end === undefined ? {} : { end }),
  }
  const innocent = (reason: Verdict['reason']) => ok({ verdict: 'not_guilty' as const, reason, ...facts })
  const undecided = (reason: Verdict['reason']) => ok({ verdict: 'undecided' as const, reason, ...facts })
  if (exit.poster === side) return innocent('own_exit')
  if (exit.version >= body.version) return innocent('exit_not_older')
  if (end?.kind === 'punish') return innocent('punished')
  if (end?.kind === 'closeChannel') return innocent('agreed') // the client signed that close
  if ((standing ?? 0) >= body.version) return innocent('superseded')
  if (exit.at.height <= body.height) return undecided('exit_before_receipt')
  if (end === undefined) return undecided('dispute_running')
  const reason = exit.version < body.secrets ? 'punish_missing' : 'supersede_missing'
  return ok({ verdict: 'guilty', reason, ...facts })
}

/**
 * What became of these channels, by their ids in hexadecimal, up to the head that the source shows when asked first.
 * @throws MeridianError `ledger_head` where the blocks are no chain, `audit_withheld` where some are missing
 */
export async function historiesOf(
  source: AuditSource,
  channels: ReadonlySet<string>,
): Promise<ReadonlyMap<string, ChannelHistory>> {
  const { genesis } = source
  const ledger = ledgerIdOf(genesis)
  const target = await source.head()
  const histories = new Map<string, ChannelHistory>()
  let previous: Previous = beforeGenesis(genesis, ledger)
  while (previous.height < target.height) {
    const page = await source.blocks(previous.height + 1)
    if (page.length === 0) throw new MeridianError('audit_withheld', `block ${previous.height + 1}`)
    for (const block of page) {
      const { height, time } = need(checkBlock(genesis, ledger, previous, digestBlock(block)))
      previous = block.head
      for (const bytes of block.transactions)
        note(histories, channels, need(decodeTransaction(bytes)), { height, time })
    }
  }
  return histories
}

function note(
  histories: Map<string, ChannelHistory>,
  channels: ReadonlySet<string>,
  tx: Transaction,
  at: LedgerTime,
): void {
  if (!('channel' in tx) || !channels.has(idText(tx.channel))) return
  const name = idText(tx.channel)
  const known = histories.get(name)
  if (tx.kind === 'openChannel') histories.set(name, { accounts: tx.accounts, window: tx.window })
  else if (known !== undefined) histories.set(name, { ...known, ...change(tx, at) })
}

function change(
  tx: TransactionOf<'closeChannel' | 'settle' | 'punish' | 'exit' | 'supersede'>,
  at: LedgerTime,
): Partial<ChannelHistory> {
  switch (tx.kind) {
    case 'exit': {
      const { version } = need(decodeChannelState(tx.state))
      return { exit: { poster: tx.poster, version, at }, standing: version }
    }
    case 'supersede':
      return { standing: need(decodeChannelState(tx.state)).version }
    default:
      return { end: { kind: tx.kind, at } }
  }
}
