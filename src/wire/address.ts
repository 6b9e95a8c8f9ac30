import { type AccountId, idText, parseAccountId } from '../base/ids.js'
import { ok, type Result, refuse } from '../base/result.js'

/** Where a peer listens, and who must answer there. */
export interface PeerAddress {
  readonly account: AccountId
  /** `ws://host:port` or `wss://host:port`. */
  readonly url: string
}

const FORM = /^([0-9a-f]{66})@(wss?:\/\/(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):([1-9][0-9]{0,4}))$/

/** `<account>@ws://host:port`: no path, no query, no credentials. */
export function parsePeerAddress(text: string): Result<PeerAddress> {
  const match = FORM.exec(text)
  if (match === null || Number(match[3]) > 65_535) return refuse('bad_address')
  const account = parseAccountId(match[1]!)
  const url = match[2]!
  return account.ok && URL.canParse(url) ? ok({ account: account.value, url }) : refuse('bad_address')
}

export const formatPeerAddress = (address: PeerAddress): string => `${idText(address.account)}@${address.url}`
