/**
 * The counterparty's revocation secrets as they travel and rest: `count` and the slots in their order (C3, BOLT 3). Slot
 * p holds the secret of the newest version below `count` whose index ends in p zero bits, so indices need no bytes.
 */
import { equalBytes } from '../base/bytes.js'
import type { SecretStore } from '../base/message/tower.js'
import { type RevocationStore, storedSecret } from '../channel/revocation.js'

const LAST_INDEX = (1n << 48n) - 1n
const PLACES = 48

/** Versions run up to the index 0. */
const COUNT_MAX = 2 ** PLACES

/** How many slots a store of so many secrets has: places fill from 0 on without holes. */
const slotsOf = (count: number): number => (count === 0 ? 0 : count.toString(2).length)

/** The smallest index not below `LAST_INDEX + 1 - count` that ends in exactly `place` zero bits. */
function indexAt(count: number, place: number): bigint {
  const lowest = LAST_INDEX + 1n - BigInt(count)
  if (place === PLACES) return 0n
  const unit = 1n << BigInt(place)
  const multiple = (lowest + unit - 1n) / unit
  return (multiple % 2n === 1n ? multiple : multiple + 1n) * unit
}

/** @returns undefined where the slots are not those of `count`. It does not say that they belong together. */
export function unpackSecrets({ count, slots }: SecretStore): RevocationStore | undefined {
  if (count > COUNT_MAX || slots.length !== slotsOf(count)) return undefined
  return { count, slots: slots.map((secret, place) => ({ index: indexAt(count, place), secret })) }
}

export const packSecrets = ({ count, slots }: RevocationStore): SecretStore => ({
  count,
  slots: slots.flatMap((slot) => (slot === undefined ? [] : [slot.secret])),
})

const versionOf = (index: bigint): number => Number(LAST_INDEX - index)

/** Whether `store` gives every secret that `older` holds: BOLT 3's check, for a whole store at once. */
export const derivesAll = (store: RevocationStore, older: RevocationStore): boolean =>
  older.slots.every(
    (slot) =>
      slot === undefined || equalBytes(storedSecret(store, versionOf(slot.index)) ?? new Uint8Array(), slot.secret),
  )

/**
 * Whether the slots belong to one tree: each derives those below it that came before it. Nothing else can be said of
 * secrets whose hashes were never seen.
 */
export function isOneTree(store: RevocationStore): boolean {
  return store.slots.every((slot, place) => {
    if (slot === undefined) return false
    const alone: RevocationStore = { count: store.count, slots: [...Array(place).fill(undefined), slot] }
    return store.slots
      .slice(0, place)
      .every(
        (lower) =>
          lower === undefined ||
          lower.index < slot.index ||
          equalBytes(storedSecret(alone, versionOf(lower.index)) ?? new Uint8Array(), lower.secret),
      )
  })
}
