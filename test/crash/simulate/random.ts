/** The one source of chance: everything that a run draws follows from its seed. */
import { createHash } from 'node:crypto'

/** xoshiro128**, seeded by a hash of its name. */
export class Random {
  readonly #state: Uint32Array

  constructor(seed: string) {
    const hash = createHash('sha256').update(seed).digest()
    this.#state = new Uint32Array([0, 4, 8, 12].map((at) => hash.readUInt32LE(at)))
  }

  /** Goes on from here as a source seeded with these bytes would. */
  reseed(bytes: Uint8Array): void {
    let word = 0x9e3779b9
    for (const byte of bytes) word = Math.imul(word ^ byte, 0x85ebca6b) ^ (word >>> 13)
    for (let i = 0; i < 4; i++) {
      word = (word + 0x9e3779b9) | 0
      const mixed = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
      this.#state[i] = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97) | 1
    }
  }

  next(): number {
    const state = this.#state
    const [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!]
    const product = Math.imul(b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    state[2] = c ^ a
    state[3] = d ^ b
    state[1] = b ^ state[2]!
    state[0] = a ^ state[3]!
    state[2] = state[2]! ^ (b << 9)
    const last = state[3]!
    state[3] = (last << 11) | (last >>> 21)
    return result
  }

  /** In [0, bound). */
  below(bound: number): number {
    return this.next() % bound
  }

  /** Once in `of` times. */
  oneIn(of: number): boolean {
    return this.below(of) === 0
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length)
    for (let at = 0; at < length; at += 4) {
      const word = this.next()
      for (let i = at; i < Math.min(at + 4, length); i++) out[i] = word >>> (8 * (i - at))
    }
    return out
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.below(items.length)]
  }
}

/** What a run did, as one number: two runs of one seed that differ anywhere differ here. */
export class Trace {
  #low = 0xdeadbeef
  #high = 0x41c6ce57
  /** The newest lines, for a report. */
  readonly tail: string[] = []

  note(line: string): void {
    this.tail.push(line)
    if (this.tail.length > 400) this.tail.splice(0, 200)
    for (let i = 0; i < line.length; i++) this.#mix(line.charCodeAt(i))
  }

  bytes(bytes: Uint8Array): void {
    for (const byte of bytes) this.#mix(byte)
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  #mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 2_654_435_761)
    this.#high = Math.imul(this.#high ^ value, 1_597_334_677)
    this.#low ^= this.#high >>> 15
  }
}
