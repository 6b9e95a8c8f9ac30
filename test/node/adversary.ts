/** What a party may do to the other who has its disk and its keys: post any state that both signed; time that leaps. */

import type { Digest } from '../../src/base/bytes.js'
import { equalBytes } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import type { ChannelId } from '../../src/base/ids.js'
import {
  encodeTransaction,
  type Transaction,
  type TransactionOf,
  transactionDigest,
} from '../../src/base/transaction.js'
import type { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { channelKeys } from '../../src/channel/keys.js'
import { decodeTerms } from '../../src/channel/terms.js'
import { readChannelRow } from '../../src/node/live-channel.js'
import type { DataDirectory } from '../../src/store/directory.js'
import { tableKey } from '../../src/store/tables.js'
import { systemTimers, type Timers } from '../../src/wire/environment.js'
import { must } from '../chain-adapter/fixtures.js'

/** An exit with the newest state that the disk holds now: kept, it is an old one later. */
export function exitFrom({ store, secrets }: DataDirectory, id: ChannelId): TransactionOf<'exit'> {
  const terms = must(decodeTerms(store.get(tableKey('terms', id))!))
  const { encoded, signatures } = readChannelRow(store.get(tableKey('channel', id))!).state.current
  const { signing } = channelKeys(secrets.channelSeed, terms)
  const unsigned = {
    kind: 'exit' as const,
    ledger: terms.ledger as Uint8Array as Digest,
    channel: id as Uint8Array as Digest,
    poster: equalBytes(curve.multiplyBase(signing), terms.channelKeys[0]) ? (0 as const) : (1 as const),
    state: encoded,
    stateSignatures: [signatures[0], signatures[1]] as TransactionOf<'exit'>['stateSignatures'],
  }
  return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), signing) }
}

export const post = (ledger: Ledger, transaction: Transaction) => ledger.submit(encodeTransaction(transaction))

/** The machine's own time, and as much more as a test says. */
export class LeapingTimers implements Timers {
  #leapt = 0
  now = (): number => systemTimers.now() + this.#leapt
  after = systemTimers.after
  soon = systemTimers.soon
  seconds = systemTimers.seconds

  leap(seconds: number): void {
    this.#leapt += seconds * 1_000
  }
}
