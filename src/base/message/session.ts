import { z } from 'zod'
import { zBytesUpTo, zDigest, zText } from '../codec.js'
import { define } from './codec.js'

/** Numbers of features in `hello` (W2): all are offered by their odd bit, so a peer without one is a peer all the same. */
export const FEATURES = {
  /** R4: wants to hear of the public graph. */
  gossip: 0,
  /** R4: a hub, which tells what it knows of it. */
  relays: 1,
} as const
export const optional = (feature: number): number => 2 * feature + 1

/** First message of both sides (W2): protocol version, feature bits (BOLT 9 style), ledger. */
export const hello = define(
  16,
  'hello',
  z.strictObject({ version: z.literal(1), features: zBytesUpTo(32), ledger: zDigest }),
)
/** A stable error code; `channel` null concerns the connection. */
export const error = define(
  17,
  'error',
  z.strictObject({ channel: zDigest.nullable(), code: zText(64), detail: zText(200) }),
)
export const ping = define(18, 'ping', z.strictObject({ padding: zBytesUpTo(65_000) }))
export const pong = define(19, 'pong', z.strictObject({ padding: zBytesUpTo(65_000) }))
