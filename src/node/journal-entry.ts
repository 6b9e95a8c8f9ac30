import { z } from 'zod'
import { cbor, zBytesUpTo, zCount, zDigest } from '../base/codec.js'
import type { JournalEntry } from '../channel/types.js'

const zBlob = zBytesUpTo(16_777_216)

/** What a channel's hash-chained journal holds (S2), one entry per step that promised something. */
export const zJournalEntry = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('proposed'), operations: zBlob }),
  z.strictObject({ type: z.literal('committed'), version: zCount, digest: zDigest, operations: zBlob }),
  z.strictObject({ type: z.literal('cosigned'), version: zCount, digest: zDigest, operations: zBlob }),
  z.strictObject({ type: z.literal('revoked'), version: zCount }),
  z.strictObject({ type: z.literal('phase'), phase: z.string().max(16) }),
])

export const encodeJournalEntry = (entry: JournalEntry): Uint8Array => cbor(entry)
