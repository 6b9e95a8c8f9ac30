import { setMaxListeners } from 'node:events'
import { decodeAs } from '../../base/codec.js'
import { MeridianError } from '../../base/errors.js'
import type { ChainAdapter, LedgerEvent, LedgerTime } from '../../base/ports/chain.js'
import { encodeTransaction, type Transaction } from '../../base/transaction.js'
import { zBlockDigest } from '../block.js'
import { eventsOf } from '../events.js'
import type { Ledger } from './ledger.js'

/** A ledger of this very process as a ChainAdapter; closing it leaves the ledger open. */
export function inProcessAdapter(ledger: Ledger): ChainAdapter {
  const closing = new AbortController()
  setMaxListeners(0, closing.signal) // one per call under way, each taken off again
  const ending = (signal?: AbortSignal) =>
    signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])
  const closed = () => new MeridianError('unavailable', 'the adapter is closed')
  const whileOpen = <T>(work: () => Promise<T>): Promise<T> => {
    if (closing.signal.aborted) return Promise.reject(closed())
    return new Promise((resolve, reject) => {
      const abort = () => reject(closed())
      closing.signal.addEventListener('abort', abort, { once: true })
      work()
        .then(resolve, reject)
        .finally(() => closing.signal.removeEventListener('abort', abort))
    })
  }

  async function* events(cursor: number, signal?: AbortSignal): AsyncGenerator<LedgerEvent> {
    for await (const bytes of ledger.follow({ cursor }, ending(signal))) {
      const block = decodeAs(zBlockDigest, bytes)
      if (!block.ok) throw new MeridianError('ledger_block')
      yield* eventsOf(block.value, cursor)
    }
  }

  async function* heads(signal?: AbortSignal): AsyncGenerator<LedgerTime & { readonly cursor: number }> {
    for await (const { height, time, cursor } of ledger.heads(ending(signal))) yield { height, time, cursor }
  }

  return {
    genesis: ledger.genesis,
    ledger: ledger.ledger,
    submit: (tx: Transaction) => whileOpen(() => ledger.submit(encodeTransaction(tx))),
    account: (id) => whileOpen(() => ledger.account(id)),
    channel: (id) => whileOpen(() => ledger.channel(id)),
    revealed: (point) => whileOpen(() => ledger.revealed(point)),
    now: () => whileOpen(async () => ({ height: ledger.head.height, time: ledger.head.time })),
    events,
    heads,
    close: async () => closing.abort(),
  }
}
