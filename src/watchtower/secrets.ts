/**
 * The counterparty's revocation secrets as they travel and rest: `count` and the slots in their order (C3, BOLT 3). Slot
 * p holds the secret of the newest version below `count` whose index ends in p zero bits, so indices need no bytes.
 */
import type { SecretStore } from '../base/message/tower.js'
import { LAST_INDEX, type RevocationStore } from '../channel/revocation.js'

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
