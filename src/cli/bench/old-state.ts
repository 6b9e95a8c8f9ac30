/** A state that its poster has revoked, posted all the same: what a tower is measured with (T3). */
import { equalBytes } from '../../base/bytes.js'
import { curve, type Signature } from '../../base/curve/index.js'
import type { ChannelId } from '../../base/ids.js'
import type { ChainAdapter, SubmitReceipt } from '../../base/ports/chain.js'
import { type TransactionOf, transactionDigest } from '../../base/transaction.js'
import { need } from '../../chain-adapter/need.js'
import { channelKeys } from '../../channel/keys.js'
import { decodeTerms } from '../../channel/terms.js'
import { readChannelRow } from '../../node/live-channel.js'
import type { DataDirectory } from '../../store/directory.js'
import { tableKey } from '../../store/tables.js'

export class OldState {
  private constructor(private readonly exit: TransactionOf<'exit'>) {}

  /** The newest state now. */
  static read({ store, secrets }: DataDirectory, channel: ChannelId): OldState {
    const terms = need(decodeTerms(store.get(tableKey('terms', channel))!))
    const { current } = readChannelRow(store.get(tableKey('channel', channel))!).state
    const keys = channelKeys(secrets.channelSeed, terms)
    const unsigned = {
      kind: 'exit' as const,
      ledger: terms.ledger,
      channel,
      poster: equalBytes(curve.multiplyBase(keys.signing), terms.channelKeys[0]) ? (0 as const) : (1 as const),
      state: current.encoded,
      stateSignatures: [...current.signatures] as [Signature, Signature],
    }
    return new OldState({ ...unsigned, signature: curve.sign(transactionDigest(unsigned), keys.signing) })
  }

  /** Resolves when its exit is final. */
  post(chain: ChainAdapter): Promise<SubmitReceipt> {
    return chain.submit(this.exit)
  }
}
