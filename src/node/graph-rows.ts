/** The public graph and what own payments taught, on disk (R4): loaded at a start, kept with every change. */
import { z } from 'zod'
import { encodeAs, zAmount, zCount, zPoint } from '../base/codec.js'
import { prf } from '../base/digest.js'
import { InvariantError } from '../base/errors.js'
import type { Store } from '../base/ports/store.js'
import { type Authentic, readAnnouncement } from '../router/announcement.js'
import type { Graph } from '../router/graph.js'
import type { ItemName } from '../router/item.js'
import type { Experience, Lesson, Success } from '../router/success.js'
import { parseRow } from '../store/rows.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'

/** A channel's rows order with its announcement first. */
const PARTS = { channel: 0, 0: 1, 1: 2 } as const

const itemKey = ({ channel, part }: ItemName): Uint8Array => tableKey('graph', channel, PARTS[part])

export const putItem = (tx: Tx, name: ItemName, { bytes }: Authentic): void =>
  tx.put({ key: itemKey(name), value: bytes })

export const dropItems = (tx: Tx, names: readonly ItemName[]): void => {
  for (const name of names) tx.delete(itemKey(name))
}

/** @param now ledger time */
export async function loadGraph(store: Pick<Store, 'range'>, graph: Graph, now: number): Promise<void> {
  for await (const { value } of store.range(tableRange('graph'))) {
    const read = readAnnouncement(value)
    if (!read.ok) throw new InvariantError('S1', 'a stored announcement cannot be read')
    graph.restore(read.value, now)
  }
}

const zSeen = z.strictObject({ amount: zAmount, at: zCount })
const zExperience = z.strictObject({ from: zPoint, to: zPoint, success: zSeen.nullable(), failure: zSeen.nullable() })

/** What own payments taught of hubs. Keys on disk are plain (S3), so they name no hub that this node has paid through. */
export class Experiences {
  constructor(
    private readonly success: Success,
    private readonly seed: Uint8Array,
  ) {}

  async load(store: Pick<Store, 'range'>): Promise<void> {
    for await (const { value } of store.range(tableRange('success'))) this.success.restore(parseRow(value, zExperience))
  }

  /** @param now ledger time */
  learn(tx: Tx, lessons: readonly Lesson[], now: number): void {
    for (const lesson of lessons) {
      const { kept, dropped } = this.success.learn(lesson, now)
      if (dropped !== undefined) tx.delete(this.#key(dropped))
      tx.put({ key: this.#key(kept), value: encodeAs(zExperience, kept) })
    }
  }

  #key({ from, to }: Pick<Experience, 'from' | 'to'>): Uint8Array {
    return tableKey('success', prf(this.seed, 'success-pair', from, to))
  }
}
