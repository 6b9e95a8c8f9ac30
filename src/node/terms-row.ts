/** What never changes of a channel, as a row beside its state: read once at the start. */
import { z } from 'zod'
import { bigintToBytes, bytesToBigint } from '../base/bytes.js'
import { encodeAs, zAmount, zBytes, zBytesUpTo, zCount, zDigest, zPoint } from '../base/codec.js'
import type { ChannelId, LedgerId } from '../base/ids.js'
import { zChannelLimits } from '../base/message/opening.js'
import type { Row } from '../base/ports/store.js'
import type { Terms } from '../channel/types.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'

const zPair = <S extends z.ZodType>(schema: S) => z.tuple([schema, schema])
const zBlinding = z.codec(zBytes(32), z.bigint(), {
  decode: bytesToBigint,
  encode: (value) => bigintToBytes(value, 32),
})

const zTerms = z.strictObject({
  ledger: zDigest,
  channel: zDigest,
  accounts: zPair(zPoint),
  channelKeys: zPair(zPoint),
  moduli: zPair(zBytesUpTo(512)),
  nonce: zCount,
  window: zCount,
  deposits: zPair(zAmount),
  blindings: zPair(zBlinding),
  limits: zPair(zChannelLimits),
  state: zDigest,
})

const mutable = (terms: Terms): z.output<typeof zTerms> => ({
  ...terms,
  accounts: [...terms.accounts],
  channelKeys: [...terms.channelKeys],
  moduli: [...terms.moduli],
  deposits: [...terms.deposits],
  blindings: [...terms.blindings],
  limits: [...terms.limits],
})

export const termsRow = (terms: Terms): Row => ({
  key: tableKey('terms', terms.channel),
  value: encodeAs(zTerms, mutable(terms)),
})

export function readTerms(bytes: Uint8Array): Terms {
  const terms = parseRow(bytes, zTerms)
  return { ...terms, ledger: terms.ledger as LedgerId, channel: terms.channel as ChannelId }
}
