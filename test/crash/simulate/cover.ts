/** Whether a node may stay away for long: what its towers have on their disks is all that it would need them for (T). */
import { equalBytes } from '../../../src/base/bytes.js'
import type { Point } from '../../../src/base/curve/index.js'
import type { Lock } from '../../../src/channel/types.js'
import { parseRow } from '../../../src/store/rows.js'
import { tableKey } from '../../../src/store/tables.js'
import { zJobRow, zWatched } from '../../../src/watchtower/record.js'
import { targetOf } from '../../../src/watchtower/watcher.js'
import { type Name, TOWERS } from './base.js'
import type { Book } from './books.js'
import { keyText } from './disk.js'
import { durableChannel } from './durable.js'
import type { TowerHost } from './tower-host.js'
import type { World } from './world.js'

/** No tower is taken away at present. */
export const tendsTowers = (world: World): boolean => there(world).length === TOWERS.length

const there = (world: World): TowerHost[] =>
  TOWERS.map((name) => world.towerHosts[name]).filter((tower) => !tower.away && !world.towers.isHeld(tower.name))

/** One tower that stays has the newest state and every secret of each channel, and a job for each lock that it may lose. */
export function isCovered(world: World, name: Name): boolean {
  if (world.hosts[name].config.towers === undefined) return false
  const books = world.oracle.books.all().filter(({ owners, paid }) => owners.includes(name) && paid === undefined)
  return there(world).some((tower) => {
    const targets = targetsOf(world, tower, name)
    return books.every((book) => isHeld(world, tower, name, book, targets))
  })
}

function targetsOf(world: World, tower: TowerHost, name: Name): readonly Point[] {
  const prefix = keyText(tableKey('revealJob', world.hosts[name].account))
  return [...tower.disk.rows].flatMap(([key, row]) => {
    const target = key.startsWith(prefix) ? targetOf(parseRow(row, zJobRow)) : null
    return target === null ? [] : [target]
  })
}

function isHeld(world: World, tower: TowerHost, name: Name, book: Book, targets: readonly Point[]): boolean {
  const durable = durableChannel(world.hosts[name].disk, book.id)
  if (durable === undefined || durable.phase === 'funding') return false
  if (durable.phase === 'recovery' || durable.phase === 'closed') return true
  const side = world.oracle.books.sideOf(book, name)
  const row = tower.disk.rows.get(keyText(tableKey('watched', book.id, side)))
  const held = row === undefined ? undefined : parseRow(row, zWatched)
  const { current, outstanding, secrets } = durable
  const newest = (held?.newest?.version ?? -1) >= current.content.version
  if (held === undefined || !newest || held.secrets.count < secrets.count) return false
  const locks: readonly Lock[] = [...current.content.locks, ...(outstanding?.content.locks ?? [])]
  return locks.every(({ from, point }) => from === side || targets.some((target) => equalBytes(target, point)))
}
