/**
 * Montgomery multiplication in WebAssembly, over numbers of 27-bit limbs in its memory: no branch and no address depends on
 * a value, only on lengths. A product takes a fifth of what BigInt needs for one and its remainder.
 *
 * With R = 2^(27*limbs) >= 4N, `multiply` takes a, b < 2N to a*b/R mod N below 2N, so nothing is ever subtracted. Columns
 * are summed in 64 bits without carrying: each of at most 2*limbs products of 54 bits, hence at most 511 limbs.
 */
import { bigintToBytes, bytesToBigint } from '../base/bytes.js'
import { invariant } from '../base/errors.js'
import {
  type Code,
  clear,
  i32,
  i64,
  type Local,
  Locals,
  loop,
  moduleOf,
  TYPE,
  v128,
  type WasmFunction,
} from './wasm.js'

const LIMB_BITS = 27
const LIMB_MASK = 2 ** LIMB_BITS - 1
const LIMBS_MAX = 508

const times = (operand: Local, factor: number): Code => i32.mul(operand.get, i32.const(factor))
const plus = (operand: Local, bytes: number): Code => i32.add(operand.get, i32.const(bytes))
const product = (a: Local, address: Local, offset: number): Code => i64.mul(a.get, i64.load32(address.get, offset))

/** `multiply(out, a, b, n, limbs, inverse, columns)`: addresses, N's length, -1/N mod 2^27, room for 2*limbs + 4 sums. */
function multiplyFunction(): WasmFunction {
  const locals = new Locals('out', 'a', 'b', 'n', 'limbs', 'inverse', 'columns')
  const { out, a, b, n, limbs, inverse, columns } = locals.parameters
  const end = locals.variable(TYPE.i32)
  const sum = locals.variable(TYPE.i64)
  const carry = locals.variable(TYPE.i64)
  // Two limbs of a at a time, so that the sums move on by whole vectors; N's multiples make their columns vanish.
  const limbPairs = loop(
    i32.lessThan(a.get, end.get),
    twoLimbs(locals, { a, b, n, limbs, inverse, columns, sum, carry }),
    columns.set(plus(columns, 16)),
    a.set(plus(a, 8)),
  )
  const carries = loop(
    i32.lessThan(out.get, end.get),
    sum.set(i64.add(i64.load(columns.get), carry.get)),
    i64.store32(out.get, i64.and(sum.get, i64.const(LIMB_MASK))),
    carry.set(i64.shiftRight(sum.get, i64.const(LIMB_BITS))),
    columns.set(plus(columns, 8)),
    out.set(plus(out, 4)),
  )
  const code = [
    ...clear(columns.get, i32.add(times(limbs, 16), i32.const(32))),
    ...end.set(i32.add(a.get, times(limbs, 4))),
    ...limbPairs,
    ...end.set(i32.add(out.get, times(limbs, 4))),
    ...carry.set(i64.const(0)),
    ...carries,
  ]
  return locals.function('multiply', code)
}

interface Operands {
  readonly a: Local
  readonly b: Local
  readonly n: Local
  readonly limbs: Local
  readonly inverse: Local
  readonly columns: Local
  readonly sum: Local
  readonly carry: Local
}

/** Adds a0*B + m0*N and, one column further, a1*B + m1*N, m0 and m1 such that the lowest two columns vanish. */
function twoLimbs(locals: Locals, { a, b, n, limbs, inverse, columns, sum, carry }: Operands): Code {
  const [a0, a1, m0, m1] = [1, 2, 3, 4].map(() => locals.variable(TYPE.i64)) as [Local, Local, Local, Local]
  const [va0, va1, vm0, vm1] = [1, 2, 3, 4].map(() => locals.variable(TYPE.v128)) as [Local, Local, Local, Local]
  const [at, stop, atB, atN] = [1, 2, 3, 4].map(() => locals.variable(TYPE.i32)) as [Local, Local, Local, Local]
  const vanishing = i64.and(i64.mul(sum.get, i64.extend(inverse.get)), i64.const(LIMB_MASK))
  const carried = (m: Local): Code => i64.shiftRight(i64.add(sum.get, product(m, n, 0)), i64.const(LIMB_BITS))
  const second = i64.add(carry.get, i64.load(columns.get, 8), product(a0, b, 4), product(a1, b, 0), product(m0, n, 4))
  return [
    ...a0.set(i64.load32(a.get)),
    ...a1.set(i64.load32(a.get, 4)),
    ...sum.set(i64.add(i64.load(columns.get), product(a0, b, 0))),
    ...m0.set(vanishing),
    ...carry.set(carried(m0)),
    ...sum.set(second),
    ...m1.set(vanishing),
    ...i64.store(columns.get, i64.add(i64.load(columns.get, 16), carried(m1)), 16),
    ...[va0.set(v128.splat(i32.wrap(a0.get))), va1.set(v128.splat(i32.wrap(a1.get)))].flat(),
    ...[vm0.set(v128.splat(i32.wrap(m0.get))), vm1.set(v128.splat(i32.wrap(m1.get)))].flat(),
    ...[at.set(columns.get), atB.set(b.get), atN.set(n.get)].flat(),
    ...stop.set(i32.add(columns.get, times(limbs, 8))),
    ...loop(
      i32.lessThan(at.get, stop.get),
      fourColumns(locals, at, [
        [va0, atB, 8],
        [va1, atB, 4],
        [vm0, atN, 8],
        [vm1, atN, 4],
      ]),
      atB.set(plus(atB, 16)),
      atN.set(plus(atN, 16)),
      at.set(plus(at, 32)),
    ),
  ]
}

/** The columns from the third on: adds each factor times the four limbs that stand `offset` bytes behind an address. */
function fourColumns(locals: Locals, at: Local, terms: readonly (readonly [Local, Local, number])[]): Code {
  const loaded = terms.map(([factor, address, offset]) => ({
    factor,
    address,
    offset,
    four: locals.variable(TYPE.v128),
  }))
  const add = (multiply: typeof v128.mulLow, offset: number): Code =>
    v128.store(
      at.get,
      v128.add(v128.load(at.get, offset), ...loaded.map(({ factor, four }) => multiply(four.get, factor.get))),
      offset,
    )
  return [
    ...loaded.flatMap(({ four, address, offset }) => four.set(v128.load(address.get, offset))),
    ...add(v128.mulLow, 16),
    ...add(v128.mulHigh, 32),
  ]
}

/** `select(out, table, stride, entries, index, limbs)`: copies one entry of a table, reading all of them. */
function selectFunction(): WasmFunction {
  const locals = new Locals('out', 'table', 'stride', 'entries', 'index', 'limbs')
  const { out, table, stride, entries, index, limbs } = locals.parameters
  const [end, entry, from] = [1, 2, 3].map(() => locals.variable(TYPE.i32)) as [Local, Local, Local]
  const [wanted, four] = [1, 2].map(() => locals.variable(TYPE.v128)) as [Local, Local]
  const masked = v128.and(v128.load(from.get), v128.equal(v128.splat(entry.get), wanted.get))
  const code = [
    ...wanted.set(v128.splat(index.get)),
    ...end.set(i32.add(out.get, times(limbs, 4))),
    ...loop(
      i32.lessThan(out.get, end.get),
      four.set(v128.zero),
      entry.set(i32.const(0)),
      from.set(table.get),
      loop(
        i32.lessThan(entry.get, entries.get),
        four.set(v128.or(four.get, masked)),
        from.set(i32.add(from.get, stride.get)),
        entry.set(plus(entry, 1)),
      ),
      v128.store(out.get, four.get),
      table.set(plus(table, 16)),
      out.set(plus(out, 16)),
    ),
  ]
  return locals.function('select', code)
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  multiply(out: number, a: number, b: number, n: number, limbs: number, inverse: number, columns: number): void
  select(out: number, table: number, stride: number, entries: number, index: number, limbs: number): void
}

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

const PAGE = 65_536

/** An instance with room for numbers of one length, in bytes from the start of its memory. */
export class Montgomery {
  readonly limbs: number
  /** Bytes of a number: zeros behind it, which a product reads. */
  readonly stride: number
  readonly #exports: Exports
  /** Where the sums of columns stand, and the first byte that nobody has. */
  readonly #columns = 0
  #end: number

  /** @throws where the engine has no WebAssembly, no vectors in it or no memory. */
  constructor(bits: number) {
    this.limbs = Math.ceil((bits + 2) / LIMB_BITS / 4) * 4
    invariant(this.limbs <= LIMBS_MAX, 'P8', 'the modulus is too long for sums of 64 bits')
    this.stride = 4 * (this.limbs + 4)
    const module = new WebAssembly.Module(moduleOf(1, [multiplyFunction(), selectFunction()]))
    this.#exports = new WebAssembly.Instance(module).exports as Exports
    this.#end = 16 * this.limbs + 32
  }

  /** Room for so many numbers, zeros. @throws RangeError where there is no memory. */
  reserve(numbers: number): number {
    const start = this.#end
    this.#end += numbers * this.stride
    const missing = this.#end - this.#exports.memory.buffer.byteLength
    if (missing > 0) this.#exports.memory.grow(Math.ceil(missing / PAGE))
    return start
  }

  #limbsAt(address: number): Uint32Array {
    return new Uint32Array(this.#exports.memory.buffer, address, this.limbs)
  }

  /** Below 2^(27*limbs). */
  write(address: number, value: bigint): void {
    const limbs = this.#limbsAt(address)
    const bytes = bigintToBytes(value, Math.ceil((this.limbs * LIMB_BITS) / 8)).reverse()
    const byte = (at: number): number => bytes[at] ?? 0
    for (let i = 0; i < limbs.length; i++) {
      const [at, shift] = [(i * LIMB_BITS) >> 3, (i * LIMB_BITS) & 7]
      const low = byte(at) | (byte(at + 1) << 8) | (byte(at + 2) << 16) | (byte(at + 3) << 24)
      limbs[i] = ((low >>> shift) | ((byte(at + 4) << (31 - shift)) << 1)) & LIMB_MASK
    }
  }

  read(address: number): bigint {
    const limbs = this.#limbsAt(address)
    const bytes = new Uint8Array(Math.ceil((this.limbs * LIMB_BITS) / 8))
    for (let k = 0; k < bytes.length; k++) {
      const [i, shift] = [Math.floor((8 * k) / LIMB_BITS), (8 * k) % LIMB_BITS]
      bytes[bytes.length - 1 - k] = (limbs[i]! >>> shift) | ((limbs[i + 1] ?? 0) << (LIMB_BITS - shift))
    }
    return bytesToBigint(bytes)
  }

  clear(address: number): void {
    this.#limbsAt(address).fill(0)
  }

  /** The sums that the last product left: secret where its factors were. */
  clearColumns(): void {
    new Uint8Array(this.#exports.memory.buffer, this.#columns, 16 * this.limbs + 32).fill(0)
  }

  /** a*b/R mod N, with `inverse` = -1/N mod 2^27; `out` may be a or b. */
  multiply(out: number, a: number, b: number, modulus: number, inverse: number): void {
    this.#exports.multiply(out, a, b, modulus, this.limbs, inverse, this.#columns)
  }

  /** Copies the `index`th of `entries` numbers in a row, reading all of them. */
  select(out: number, table: number, entries: number, index: number): void {
    this.#exports.select(out, table, this.stride, entries, index, this.limbs)
  }

  /** R mod N: one, as products have it. */
  form(value: bigint, modulus: bigint): bigint {
    return (value << BigInt(LIMB_BITS * this.limbs)) % modulus
  }
}

/** -1/N mod 2^27, of an odd N. */
export function negatedInverse(modulus: bigint): number {
  const low = Number(modulus & BigInt(LIMB_MASK))
  let inverse = 1
  for (let bits = 1; bits < LIMB_BITS; bits *= 2) inverse = Math.imul(inverse, 2 - Math.imul(low, inverse))
  return -inverse & LIMB_MASK
}
