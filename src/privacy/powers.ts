/**
 * Powers of a key's h (P2, P8) from a table of them, for keys that this thread meets often: a comb of 96 bits' reach for
 * each 96 bits of the exponent, six teeth 16 bits apart, so that 15 squarings and a product for each six bits are all.
 * Exponents are secret: every entry of a table is read to take one, and no branch depends on a digit (record 29).
 */
import { bigintToBytes } from '../base/bytes.js'
import { count } from '../base/counters.js'
import { invariant } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { modexpBackend, modPowNative } from './modexp.js'
import { Montgomery, negatedInverse } from './montgomery.js'
import { maskBits, type PublicKey, randomnessBits } from './paillier-key.js'

const TEETH = 6
/** Distance of two teeth in bits: the exponent is read as words of as many. */
const GAP = 16
const REACH_BYTES = (TEETH * GAP) / 8
/** Numbers of one comb: a power of h for each digit, 0 included. */
const ENTRIES = 2 ** TEETH
/** A table costs three exponentiations and repays a half with each use. */
const USES_BEFORE_TABLE = 6

const combsFor = (bits: number): number => Math.ceil(bits / (TEETH * GAP))

interface Table {
  /** Of the modulus n², followed by its combs. */
  readonly address: number
  readonly inverse: number
}

/** The tables of the keys of one length, in one memory; the least used makes room. */
class Tables {
  readonly #bits: number
  readonly #combs: number
  readonly #arithmetic: Montgomery
  readonly #power: number
  readonly #entry: number
  readonly #one: number
  readonly #tables = new Map<PublicKey, Table>()

  constructor(bits: number) {
    this.#bits = bits
    this.#combs = combsFor(maskBits(bits))
    this.#arithmetic = new Montgomery(2 * bits)
    this.#power = this.#arithmetic.reserve(3)
    this.#entry = this.#power + this.#arithmetic.stride
    this.#one = this.#entry + this.#arithmetic.stride
    this.#arithmetic.write(this.#one, 1n)
  }

  /** Undefined where the key has none. */
  of(key: PublicKey): Table | undefined {
    const table = this.#tables.get(key)
    if (table !== undefined) {
      this.#tables.delete(key)
      this.#tables.set(key, table)
    }
    return table
  }

  /** @throws RangeError where there is no memory for it. */
  make(key: PublicKey): Table {
    const table = { address: this.#place(), inverse: negatedInverse(key.nn) }
    const { stride } = this.#arithmetic
    this.#arithmetic.write(table.address, key.nn)
    this.#arithmetic.write(this.#power, this.#arithmetic.form(key.h, key.nn))
    for (let comb = 0; comb < this.#combs; comb++) {
      const first = this.#combAt(table, comb)
      this.#arithmetic.write(first, this.#arithmetic.form(1n, key.nn))
      for (let tooth = 0; tooth < TEETH; tooth++) {
        // The entries with this tooth and any below it: h^(2^(16*tooth)) times those without.
        for (let below = 0; below < 2 ** tooth; below++) {
          const without = first + below * stride
          this.#multiply(table, without + 2 ** tooth * stride, without, this.#power)
        }
        for (let squarings = 0; squarings < GAP; squarings++)
          this.#multiply(table, this.#power, this.#power, this.#power)
      }
    }
    this.#tables.set(key, table)
    const probe = key.n % (1n << BigInt(maskBits(this.#bits)))
    invariant(this.power(key, table, probe) === modPowNative(key.h, probe, key.nn), 'P8', 'a table is wrong')
    return table
  }

  #place(): number {
    if (this.#tables.size < LIMITS.power_tables) return this.#arithmetic.reserve(1 + this.#combs * ENTRIES)
    const [oldest, { address }] = this.#tables.entries().next().value!
    this.#tables.delete(oldest)
    uses.delete(oldest)
    return address
  }

  #combAt(table: Table, comb: number): number {
    return table.address + (1 + comb * ENTRIES) * this.#arithmetic.stride
  }

  #multiply({ address, inverse }: Table, out: number, a: number, b: number): void {
    this.#arithmetic.multiply(out, a, b, address, inverse)
  }

  /** h^exponent, which is not negative and at most a mask long. */
  power(key: PublicKey, table: Table, exponent: bigint): bigint {
    // An s has the time of an s, a mask that of a mask, but for one in 2^184.
    const short = exponent >> BigInt(randomnessBits(this.#bits)) === 0n
    const combs = short ? combsFor(randomnessBits(this.#bits)) : this.#combs
    const bytes = bigintToBytes(exponent, combs * REACH_BYTES)
    for (let column = GAP - 1; column >= 0; column--) {
      if (column < GAP - 1) this.#multiply(table, this.#power, this.#power, this.#power)
      for (let comb = 0; comb < combs; comb++) {
        const digit = digitOf(bytes, comb, column)
        const first = column === GAP - 1 && comb === 0
        this.#arithmetic.select(first ? this.#power : this.#entry, this.#combAt(table, comb), ENTRIES, digit)
        if (!first) this.#multiply(table, this.#power, this.#power, this.#entry)
      }
    }
    this.#multiply(table, this.#power, this.#power, this.#one)
    const result = this.#arithmetic.read(this.#power) % key.nn
    bytes.fill(0)
    for (const secret of [this.#power, this.#entry]) this.#arithmetic.clear(secret)
    this.#arithmetic.clearColumns()
    return result
  }
}

/** Bit `column` of each of a comb's six words, the exponent being big-endian. */
function digitOf(bytes: Uint8Array, comb: number, column: number): number {
  let digit = 0
  for (let tooth = 0; tooth < TEETH; tooth++) {
    const low = bytes.length - 1 - 2 * (comb * TEETH + tooth)
    const word = bytes[low]! | (bytes[low - 1]! << 8)
    digit |= ((word >>> column) & 1) << tooth
  }
  return digit
}

const uses = new WeakMap<PublicKey, number>()
/** By bits of n; null where this engine cannot have any. */
const tables = new Map<number, Tables | null>()

function tablesOf(bits: number): Tables | null {
  const known = tables.get(bits)
  if (known !== undefined) return known
  const made = modexpBackend === 'pure' ? null : available(() => new Tables(bits))
  tables.set(bits, made)
  return made
}

/** No WebAssembly, no vectors in it, no memory: then OpenSSL computes all powers. Anything else is a defect. */
function available<T>(make: () => T): T | null {
  try {
    return make()
  } catch (error) {
    if (error instanceof ReferenceError || error instanceof RangeError) return null
    if (error instanceof Error && error.name === 'CompileError') return null
    throw error
  }
}

/** `h^exponent mod n²` where the key has a table or is worth one by now; undefined where modPow has to do it. */
export function tabledPower(key: PublicKey, exponent: bigint): bigint | undefined {
  if (exponent < 0n || exponent >> BigInt(maskBits(key.bits)) !== 0n) return undefined
  const used = (uses.get(key) ?? 0) + 1
  uses.set(key, used)
  if (used <= USES_BEFORE_TABLE) return undefined
  const all = tablesOf(key.bits)
  if (all === null) return undefined
  const table = all.of(key) ?? available(() => all.make(key))
  if (table === null) {
    tables.set(key.bits, null)
    return undefined
  }
  count('exponentiations')
  return all.power(key, table, exponent)
}

/** Benchmarks print it. */
export const powersBackend = (): 'wasm' | 'none' => (tablesOf(2048) === null ? 'none' : 'wasm')
