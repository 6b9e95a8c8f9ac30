/** What the ledger did with a channel, for the event log. */
import type { TransactionOf } from '../base/transaction.js'
import type { Tx } from './engine.js'
import type { EventLog } from './event-log.js'
import type { LiveChannel } from './live-channel.js'

type Ending = TransactionOf<'exit' | 'supersede' | 'punish' | 'settle' | 'closeChannel'>

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
