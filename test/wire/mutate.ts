/** Seeded generators of hostile input: the same seed, the same mutants. For frames, messages and plaintexts alike. */

/** A stream of numbers in [0, 2^32): xorshift128. Not for keys. */
export interface Rng {
  next(): number
  /** In [0, bound). */
  below(bound: number): number
  bytes(length: number): Uint8Array
  pick<T>(items: readonly T[]): T
}

export function rngOf(seed: number): Rng {
  let [a, b, c, d] = [seed >>> 0 || 1, 0x9e3779b9, 0x243f6a88, 0xb7e15162]
  const next = (): number => {
    const mixed = (a ^ (a << 11)) >>> 0
    a = b
    b = c
    c = d
    d = (d ^ (d >>> 19) ^ mixed ^ (mixed >>> 8)) >>> 0
    return d
  }
  for (let i = 0; i < 16; i++) next()
  const below = (bound: number): number => next() % bound
  return {
    next,
    below,
    bytes: (length) => Uint8Array.from({ length }, () => next() & 255),
    pick: (items) => items[below(items.length)]!,
  }
}

/** Bytes that parsers stumble over. */
const EDGES = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x18, 0x1b, 0x3b, 0x5b, 0x5f, 0x9b, 0x9f, 0xbf, 0xfb] as const

type Mutation = (bytes: Uint8Array, rng: Rng) => Uint8Array

const at = (bytes: Uint8Array, rng: Rng): number => (bytes.length === 0 ? 0 : rng.below(bytes.length))
const splice = (bytes: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array =>
  Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)])

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, rng) {
    const out = bytes.slice()
    const index = at(bytes, rng)
    if (out.length > 0) out[index] = out[index]! ^ (1 << rng.below(8))
    return out
  },
  function edgeByte(bytes, rng) {
    const out = bytes.slice()
    if (out.length > 0) out[at(bytes, rng)] = rng.pick(EDGES)
    return out
  },
  function overwrite(bytes, rng) {
    const from = at(bytes, rng)
    const length = Math.min(1 + rng.below(16), bytes.length - from)
    return splice(bytes, from, from + length, rng.bytes(length))
  },
  function truncate(bytes, rng) {
    return bytes.slice(0, at(bytes, rng))
  },
  function extend(bytes, rng) {
    return splice(bytes, bytes.length, bytes.length, rng.bytes(1 + rng.below(64)))
  },
  function insert(bytes, rng) {
    const from = at(bytes, rng)
    return splice(bytes, from, from, rng.bytes(1 + rng.below(16)))
  },
  function remove(bytes, rng) {
    const from = at(bytes, rng)
    return splice(bytes, from, Math.min(bytes.length, from + 1 + rng.below(16)), new Uint8Array(0))
  },
  function duplicate(bytes, rng) {
    const from = at(bytes, rng)
    return splice(bytes, from, from, bytes.slice(from, from + 1 + rng.below(32)))
  },
  function swap(bytes, rng) {
    const out = bytes.slice()
    const [i, j] = [at(bytes, rng), at(bytes, rng)]
    if (out.length > 0) [out[i], out[j]] = [out[j]!, out[i]!]
    return out
  },
  function garbage(bytes, rng) {
    return rng.bytes(rng.below(bytes.length * 2 + 2))
  },
]

/** `bytes` changed in one to three ways; never equal to `bytes`. */
export function mutate(bytes: Uint8Array, rng: Rng): Uint8Array {
  for (;;) {
    let out = bytes
    for (let count = 1 + rng.below(3); count > 0; count--) out = rng.pick(MUTATIONS)(out, rng)
    if (Buffer.compare(out, bytes) !== 0) return new Uint8Array(out)
  }
}

/** `items` with one left out, doubled, or out of order; never in the order that was given. At least two, all different. */
export function reorder<T>(items: readonly T[], rng: Rng): T[] {
  const out = [...items]
  const index = rng.below(items.length - 1)
  switch (rng.below(3)) {
    case 0:
      out.splice(index, 1)
      return out
    case 1:
      out.splice(index, 0, items[index]!)
      return out
    default:
      ;[out[index], out[index + 1]] = [items[index + 1]!, items[index]!]
      return out
  }
}
