/** Transactions that end a channel, and what the ledger did with one, for the event log. */
import type { Transaction, TransactionOf } from '../base/transaction.js'
import type { SubmitKind } from '../channel/types.js'
import type { Tx } from './engine.js'
import type { EventLog } from './event-log.js'
import type { LiveChannel } from './live-channel.js'

export type Ending = TransactionOf<SubmitKind>

const KINDS: ReadonlySet<string> = new Set<SubmitKind>(['exit', 'supersede', 'punish', 'settle', 'closeChannel'])
export const isEnding = (transaction: Transaction): transaction is Ending => KINDS.has(transaction.kind)

interface At {
  readonly time: number
  readonly channel: string
  readonly peer: string
}

/** After the channel's own step. */
export function logEnding(tx: Tx, events: EventLog, channel: LiveChannel, transaction: Ending, at: At): void {
  const { side } = channel.context
  const { dispute } = channel.state
  switch (transaction.kind) {
    case 'exit':
    case 'supersede': {
      if (dispute === null) return
      const { standingVersion: version, deadline, poster } = dispute
      const by = poster === side ? 'us' : 'peer'
      events.append(tx, { type: 'channel.disputed', ...at, by, version, deadline })
      return
    }
    case 'punish':
      events.append(tx, { type: 'channel.punished', ...at, winner: dispute?.poster === side ? 'peer' : 'us' })
      break
    case 'settle':
    case 'closeChannel':
      break
  }
  events.append(tx, { type: 'channel.closed', ...at, how: transaction.kind })
}
