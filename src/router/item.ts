/** Names of what a graph holds one of each: a channel, and what either side asks over it (R4). */
import { bytesToHex } from '../base/bytes.js'
import type { ChannelId } from '../base/ids.js'

/** A policy's part is its direction. 0: the account that comes first in the announcement forwards. */
export interface ItemName {
  readonly channel: ChannelId
  readonly part: 'channel' | Direction
}
export type Direction = 0 | 1

export const itemText = ({ channel, part }: ItemName): string => `${bytesToHex(channel)}/${part}`
