/** Revocation secrets (C3): BOLT 3's "Per-commitment Secret Requirements" and "Efficient Per-commitment Secret Storage". */
import { type Digest, equalBytes } from '../base/bytes.js'
import { sha256 } from '../base/digest.js'

const BITS = 48
export const LAST_INDEX = (1n << 48n) - 1n

/** Version 0 has the largest index: every later secret may derive earlier ones, never the reverse. */
const indexOf = (version: number): bigint => LAST_INDEX - BigInt(version)

/** BOLT 3: "flip(B) alternates the B'th least significant bit": bit b is bit b%8 of byte b/8. */
function derived(value: Uint8Array, bit: number, index: bigint): Uint8Array {
  return ((index >> BigInt(bit)) & 1n) === 0n
    ? value
    : sha256(value.with(bit >> 3, value[bit >> 3]! ^ (1 << (bit & 7))))
}

function derive(secret: Uint8Array, bits: number, index: bigint): Uint8Array {
  let value = secret
  for (let bit = bits - 1; bit >= 0; bit--) value = derived(value, bit, index)
  return value
}

/** BOLT 3's generate_from_seed. */
export const secretAt = (seed: Uint8Array, index: bigint): Uint8Array => derive(seed, BITS, index)

/** What `derive` passes through on its way from a seed to one index: `values[b]` is what bits 47 to b have made. */
interface Path {
  index: bigint
  readonly values: Uint8Array[]
}

const paths = new WeakMap<Uint8Array, Path>()

/**
 * secretAt of a version. Neighbouring versions share all but the last steps of their derivation, so a seed's newest path is
 * kept: one or two hashes a version where the whole way takes up to 48.
 */
export function revocationSecret(seed: Uint8Array, version: number): Uint8Array {
  const index = indexOf(version)
  const path = paths.get(seed) ?? { index: 0n, values: [] }
  const differing = (path.index ^ index) & LAST_INDEX
  const fresh = path.values.length === 0 ? BITS : differing === 0n ? 0 : differing.toString(2).length
  path.index = index
  path.values[BITS] = seed
  for (let bit = fresh - 1; bit >= 0; bit--) path.values[bit] = derived(path.values[bit + 1]!, bit, index)
  paths.set(seed, path)
  return Uint8Array.from(path.values[0]!)
}

export const revocationHash = (secret: Uint8Array): Digest => sha256(secret)

interface Slot {
  readonly index: bigint
  readonly secret: Uint8Array
}

/** At most 49 slots hold every secret of the counterparty. Secrets arrive for versions 0, 1, 2, … without gaps. */
export interface RevocationStore {
  /** Versions below are known. */
  readonly count: number
  readonly slots: readonly (Slot | undefined)[]
}

export const EMPTY_STORE: RevocationStore = { count: 0, slots: [] }

function trailingZeros(index: bigint): number {
  for (let bit = 0; bit < BITS; bit++) if (((index >> BigInt(bit)) & 1n) === 1n) return bit
  return BITS
}

/** The store with the secret of version `store.count`, or undefined where it does not derive what was stored before. */
export function insertSecret(store: RevocationStore, secret: Uint8Array): RevocationStore | undefined {
  const index = indexOf(store.count)
  const place = trailingZeros(index)
  const consistent = store.slots
    .slice(0, place)
    .every((slot) => slot !== undefined && equalBytes(derive(secret, place, slot.index), slot.secret))
  if (!consistent) return undefined
  const slots = store.slots.slice()
  slots[place] = { index, secret }
  return { count: store.count + 1, slots }
}

/** The counterparty's secret of any version below `count`. */
export function storedSecret(store: RevocationStore, version: number): Uint8Array | undefined {
  if (version < 0 || version >= store.count) return undefined
  const index = indexOf(version)
  for (const [place, slot] of store.slots.entries()) {
    if (slot === undefined) continue
    const prefix = (LAST_INDEX >> BigInt(place)) << BigInt(place)
    if ((index & prefix) === slot.index) return derive(slot.secret, place, index)
  }
  return undefined
}

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
