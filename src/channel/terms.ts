/** A channel's terms as bytes, and the rules that they must meet. Stored once, beside the channel's snapshots. */
import { z } from 'zod'
import { bigintToBytes, bytesToBigint } from '../base/bytes.js'
import { decodeAs, encodeAs, zAmount, zBytes, zBytesUpTo, zCount, zDigest, zPoint } from '../base/codec.js'
import { modQ } from '../base/curve/index.js'
import type { ChannelId, LedgerId } from '../base/ids.js'
import { zChannelLimits } from '../base/message/opening.js'
import { ok, type Result } from '../base/result.js'
import type { ChannelLimits, Terms } from './types.js'

const zTerms = z.strictObject({
  ledger: zBytes(32),
  channel: zBytes(32),
  accounts: z.tuple([zPoint, zPoint]),
  channelKeys: z.tuple([zPoint, zPoint]),
  moduli: z.tuple([zBytesUpTo(512), zBytesUpTo(512)]),
  nonce: zCount,
  window: zCount,
  deposits: z.tuple([zAmount, zAmount]),
  blindings: z.tuple([zBytes(32), zBytes(32)]),
  limits: z.tuple([zChannelLimits, zChannelLimits]),
  state: zDigest,
})

export const encodeTerms = (terms: Terms): Uint8Array =>
  encodeAs(zTerms, {
    ...terms,
    accounts: [...terms.accounts],
    channelKeys: [...terms.channelKeys],
    moduli: [...terms.moduli],
    deposits: [...terms.deposits],
    blindings: [bigintToBytes(modQ(terms.blindings[0]), 32), bigintToBytes(modQ(terms.blindings[1]), 32)],
    limits: [...terms.limits],
  })

/** Errors: `bad_encoding`. */
export function decodeTerms(bytes: Uint8Array): Result<Terms> {
  const terms = decodeAs(zTerms, bytes)
  if (!terms.ok) return terms
  return ok({
    ...terms.value,
    ledger: terms.value.ledger as LedgerId,
    channel: terms.value.channel as ChannelId,
    blindings: [bytesToBigint(terms.value.blindings[0]), bytesToBigint(terms.value.blindings[1])],
  })
}

/** C9: limits that leave room for something. */
export const limitsMakeSense = (limits: ChannelLimits): boolean =>
  limits.amountMin >= 1n && limits.amountMin <= limits.amountMax && limits.expiryMin <= limits.expiryMax
