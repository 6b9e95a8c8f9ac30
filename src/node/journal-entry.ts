import { z } from 'zod'
import { concatUpTo } from '../base/bytes.js'
import { cbor, zBytesUpTo, zCount, zDigest } from '../base/codec.js'
import type { JournalEntry } from '../channel/types.js'

const zBlob = zBytesUpTo(16_777_216)

/** What a channel's hash-chained journal holds (S2): what its steps promised, those of one batch one after the other. */
export const zJournalEntry = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('proposed'), operations: zBlob }),
  z.strictObject({ type: z.literal('committed'), version: zCount, digest: zDigest, operations: zBlob }),
  z.strictObject({ type: z.literal('cosigned'), version: zCount, digest: zDigest, operations: zBlob }),
  z.strictObject({ type: z.literal('revoked'), version: zCount }),
  z.strictObject({ type: z.literal('phase'), phase: z.string().max(16) }),
])

export const encodeJournalEntry = (entry: JournalEntry): Uint8Array => cbor(entry)

/** A batch of a hundred onions is several rows: a restart reads the newest of them, whatever they hold. */
const JOINED_BYTES = 16_384

/**
 * S1: the entries of one batch are on disk together or not at all, so they may share rows; a row is sealed, hashed and
 * later deleted by itself. @returns CBOR items one after the other, in the order of the entries.
 */
export const joinEntries = (entries: readonly Uint8Array[]): Uint8Array[] => concatUpTo(JOINED_BYTES, entries)
