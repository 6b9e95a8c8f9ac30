/**
 * How two graphs become one (R4): digests over ranges of channels say where they differ, and what differs or is new
 * waits for a peer until a batch of it leaves. Pure; the shell has the timers and the peers.
 */

import { equalBytes } from '../base/bytes.js'
import { taggedHash } from '../base/digest.js'
import type { IdText } from '../base/ids.js'
import type { Authentic } from './announcement.js'
import { type ItemName, itemText } from './item.js'

/** Ranges: the first byte of a channel's id, which is a hash. */
export const RANGES = 256
const RANGE_BYTES = 16
export const DIGESTS_BYTES = RANGES * RANGE_BYTES

/** Per range the sum (exclusive or) of the digests of its announcements: it does not depend on their order. */
export class Digests {
  readonly #sums = new Uint8Array(DIGESTS_BYTES)

  /** Adds what was not in, takes out what was. */
  toggle({ announcement, bytes }: Authentic): void {
    const digest = taggedHash('announcement', bytes)
    const at = announcement.channel[0]! * RANGE_BYTES
    for (let i = 0; i < RANGE_BYTES; i++) this.#sums[at + i]! ^= digest[i]!
  }

  get bytes(): Uint8Array {
    return this.#sums.slice()
  }

  /** Whether two graphs differ in the range that this channel is in. @param theirs DIGESTS_BYTES of them. */
  differs(theirs: Uint8Array, channel: Uint8Array): boolean {
    const at = channel[0]! * RANGE_BYTES
    return !equalBytes(this.#sums.subarray(at, at + RANGE_BYTES), theirs.subarray(at, at + RANGE_BYTES))
  }
}

/** What one peer is still to be told: each thing once, as it is when it leaves, in the order in which it was heard. */
export class Pending {
  readonly #waiting = new Map<IdText, ItemName>()

  add(name: ItemName): void {
    this.#waiting.set(itemText(name), name)
  }

  /** The peer has it: it said so itself. */
  drop(name: ItemName): void {
    this.#waiting.delete(itemText(name))
  }

  get size(): number {
    return this.#waiting.size
  }

  /** As much as fits. What is no longer held is passed over. */
  take(bytesOf: (name: ItemName) => Uint8Array | undefined, bytesMax: number): Uint8Array[] {
    const batch: Uint8Array[] = []
    let room = bytesMax
    for (const [text, name] of this.#waiting) {
      const bytes = bytesOf(name)
      if (bytes !== undefined && bytes.length > room) break
      this.#waiting.delete(text)
      if (bytes === undefined) continue
      room -= bytes.length
      batch.push(bytes)
    }
    return batch
  }
}
