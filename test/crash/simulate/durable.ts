/** What of a channel a power cut at this moment would leave on a disk. */

import type { ChannelId } from '../../../src/base/ids.js'
import { decodeTerms } from '../../../src/channel/terms.js'
import type { Channel, Terms } from '../../../src/channel/types.js'
import { readChannelRow } from '../../../src/node/live-channel.js'
import { decodeSlot, type Mark, PAGE_BYTES, SLOT_BYTES, SLOTS_PER_PAGE } from '../../../src/store/high-water-slot.js'
import { tableKey } from '../../../src/store/tables.js'
import { type Disk, type Image, keyText } from './disk.js'
import { FILE_ID } from './store.js'

const read = new WeakMap<Uint8Array, Channel>()
const FULLY_READ = 16
let rows = 0

/** What a row that is being written says: its writer's own state. One in so many is read from its bytes all the same. */
export function written(row: Uint8Array, state: Channel): void {
  rows += 1
  if (rows % FULLY_READ !== 0) read.set(row, state)
}

/** Undefined where the disk knows no such channel. */
export function durableChannel({ rows }: Pick<Image, 'rows'>, id: ChannelId): Channel | undefined {
  const row = rows.get(keyText(tableKey('channel', id)))
  if (row === undefined) return undefined
  const known = read.get(row) ?? readChannelRow(row).state
  read.set(row, known)
  return known
}

export function durableTerms({ rows }: Pick<Image, 'rows'>, id: ChannelId): Terms | undefined {
  const row = rows.get(keyText(tableKey('terms', id)))
  const terms = row === undefined ? undefined : decodeTerms(row)
  return terms?.ok === true ? terms.value : undefined
}

/** The newest whole slot of the channel: wherever its id stands in the file. */
export function durableMark({ marks }: Pick<Disk, 'marks'>, id: ChannelId): Mark | undefined {
  const file = Buffer.from(marks.buffer, marks.byteOffset, marks.length)
  let best: { readonly sequence: number; readonly mark: Mark } | undefined
  for (let at = file.indexOf(id); at >= 0; at = file.indexOf(id, at + SLOT_BYTES)) {
    const page = Math.floor(at / PAGE_BYTES) - 1
    const position = Math.floor(page / 2) * SLOTS_PER_PAGE + (at % PAGE_BYTES) / SLOT_BYTES
    const slot = decodeSlot(FILE_ID, position, marks.subarray(at, at + SLOT_BYTES))
    if (typeof slot !== 'string' && (best === undefined || slot.sequence > best.sequence)) best = slot
  }
  return best?.mark
}
