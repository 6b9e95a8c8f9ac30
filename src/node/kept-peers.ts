/** Peers that are dialed after every start. */
import { utf8 } from '../base/bytes.js'
import type { AccountId } from '../base/ids.js'
import type { Store } from '../base/ports/store.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'

const NAME = utf8('peer')
/** A public key is 33 bytes: it ends the key. */
const ACCOUNT_BYTES = 33

export const keepPeer = (tx: Tx, account: AccountId, url: string): void =>
  tx.put({ key: tableKey('node', NAME, account), value: utf8(url) })

export async function keptPeers(store: Store): Promise<{ readonly account: AccountId; readonly url: string }[]> {
  const peers: { readonly account: AccountId; readonly url: string }[] = []
  for await (const { key, value } of store.range(tableRange('node', NAME))) {
    peers.push({ account: key.slice(-ACCOUNT_BYTES) as AccountId, url: new TextDecoder().decode(value) })
  }
  return peers
}
