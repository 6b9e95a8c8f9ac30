import type { Brand } from './brand.js'
import { bytesToHex, type Digest, hexToBytes } from './bytes.js'
import { type Point, parsePoint } from './curve/index.js'
import { ok, type Result, refuse } from './result.js'

/** An account is its secp256k1 signing key (L2). */
export type AccountId = Point
export type LedgerId = Brand<Uint8Array, 'Digest'>
export type ChannelId = Brand<Uint8Array, 'Digest'>
/** Hexadecimal text of an id: keys of maps, JSON, URLs, logs. */
export type IdText = string

export const idText = (id: Uint8Array): IdText => bytesToHex(id)

export function parseAccountId(text: string): Result<AccountId> {
  return /^0[23][0-9a-f]{64}$/.test(text) ? parsePoint(hexToBytes(text)) : refuse('bad_point')
}

export function parseChannelId(text: string): Result<ChannelId> {
  return /^[0-9a-f]{64}$/.test(text) ? ok(hexToBytes(text) as Digest) : refuse('bad_encoding')
}
