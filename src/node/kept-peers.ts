/** Peers that are dialed after every start, and where the peers of channels are. */
import { equalBytes, utf8 } from '../base/bytes.js'
import { type AccountId, idText } from '../base/ids.js'
import type { Batch, Store } from '../base/ports/store.js'
import { decodeTerms } from '../channel/terms.js'
import type { BackupPeer } from '../store/backup.js'
import { parseRow } from '../store/rows.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'
import { toldKey, zTold } from './policies.js'

const NAME = utf8('peer')
/** A public key is 33 bytes: it ends the key. */
const ACCOUNT_BYTES = 33

const keptRow = (account: AccountId, url: string) => ({ key: tableKey('node', NAME, account), value: utf8(url) })

export const keepPeer = (tx: Tx, account: AccountId, url: string): void => tx.put(keptRow(account, url))

export async function keptPeers(
  store: Pick<Store, 'range'>,
): Promise<{ readonly account: AccountId; readonly url: string }[]> {
  const peers: { readonly account: AccountId; readonly url: string }[] = []
  for await (const { key, value } of store.range(tableRange('node', NAME))) {
    peers.push({ account: key.slice(-ACCOUNT_BYTES) as AccountId, url: new TextDecoder().decode(value) })
  }
  return peers
}

/**
 * What a backup names: the kept peers, and every channel's peer with the address that it told of itself, if it did. A
 * peer without one dials us.
 */
export async function knownPeers(store: Pick<Store, 'get' | 'range'>, own: AccountId): Promise<BackupPeer[]> {
  const known = new Map<string, BackupPeer>()
  for await (const { value } of store.range(tableRange('terms'))) {
    const terms = decodeTerms(value)
    if (!terms.ok) continue // its channel is found on the ledger again
    const { accounts, channel } = terms.value
    const account = equalBytes(accounts[0], own) ? accounts[1] : accounts[0]
    const told = store.get(toldKey(channel))
    const url = told === undefined ? null : parseRow(told, zTold).url
    if (url !== null || !known.has(idText(account))) known.set(idText(account), { account, url })
  }
  for (const { account, url } of await keptPeers(store)) known.set(idText(account), { account, url })
  return [...known.values()]
}

/** The first rows of a restored directory: the mark, and the peers that a node dials from its start on. */
export const restoredRows = (peers: readonly BackupPeer[]): Batch => ({
  puts: [RESTORED, ...peers.flatMap(({ account, url }) => (url === null ? [] : [keptRow(account, url)]))],
  deletes: [],
})

const RESTORED = { key: tableKey('node', utf8('restored')), value: Uint8Array.of(1) }

/** C8: made by `backup restore`. What its account had on the ledger before is in RECOVERY, for ever. */
export const isRestored = (store: Pick<Store, 'get'>): boolean => store.get(RESTORED.key) !== undefined
