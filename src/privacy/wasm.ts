/** Enough of WebAssembly's binary format to write a few loops over numbers in memory: an assembler of the opcodes in use. */
import { utf8 } from '../base/bytes.js'

/** Bytes of code: instructions of a stack machine, one after the other. */
export type Code = readonly number[]

export const TYPE = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const
type Type = (typeof TYPE)[keyof typeof TYPE]

/** LEB128, of a whole number from 0 on. */
function unsigned(value: number): number[] {
  const low = value & 0x7f
  const rest = value >>> 7
  return rest === 0 ? [low] : [low | 0x80, ...unsigned(rest)]
}

function signed(value: number): number[] {
  const low = value & 0x7f
  const rest = value >> 7
  const last = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
  return last ? [low] : [low | 0x80, ...signed(rest)]
}

/** Any memory access: it traps nowhere for being unaligned, so the alignment is only a hint that we do not give. */
const access =
  (...opcode: Code) =>
  (address: Code, offset = 0): Code => [...address, ...opcode, 0, ...unsigned(offset)]
const store =
  (...opcode: Code) =>
  (address: Code, value: Code, offset = 0): Code => [...address, ...value, ...opcode, 0, ...unsigned(offset)]
const binary =
  (...opcode: Code) =>
  (first: Code, ...others: readonly Code[]): Code => [...first, ...others.flatMap((other) => [...other, ...opcode])]
const unary =
  (...opcode: Code) =>
  (operand: Code): Code => [...operand, ...opcode]

/** Named as the specification names them; operands come as code that leaves them on the stack. */
export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  add: binary(0x6a),
  mul: binary(0x6c),
  lessThan: binary(0x49),
  wrap: unary(0xa7),
} as const

export const i64 = {
  const: (value: number): Code => [0x42, ...signed(value)],
  load: access(0x29),
  load32: access(0x35),
  store: store(0x37),
  store32: store(0x3e),
  add: binary(0x7c),
  mul: binary(0x7e),
  and: binary(0x83),
  shiftRight: binary(0x88),
  extend: unary(0xad),
} as const

export const v128 = {
  zero: [0xfd, 0x0c, ...new Array<number>(16).fill(0)] as Code,
  load: access(0xfd, 0x00),
  store: store(0xfd, 0x0b),
  and: binary(0xfd, 0x4e),
  or: binary(0xfd, 0x50),
  /** Four copies of an i32. */
  splat: unary(0xfd, 0x11),
  /** All ones where two lanes of 32 bits are equal, else zeros. */
  equal: binary(0xfd, 0x37),
  /** Two lanes of 64 bits. */
  add: binary(0xfd, 0xce, 0x01),
  /** Products of 64 bits: of the two lower lanes of 32 bits, of the two upper ones. */
  mulLow: binary(0xfd, 0xde, 0x01),
  mulHigh: binary(0xfd, 0xdf, 0x01),
} as const

/** Sets `length` bytes from `address` on to zero. */
export const clear = (address: Code, length: Code): Code => [...address, ...i32.const(0), ...length, 0xfc, 0x0b, 0]

/** Runs the body, then again as long as `condition`, which comes last in it, holds. */
export const loop = (condition: Code, ...body: readonly Code[]): Code => [
  ...[0x03, 0x40],
  ...body.flat(),
  ...condition,
  ...[0x0d, 0, 0x0b],
]

export interface Local {
  readonly get: Code
  set(value: Code): Code
}

/** A function's parameters, which are all i32, in their order, and its variables. */
export class Locals<Name extends string = string> {
  readonly parameters: Readonly<Record<Name, Local>>
  readonly #count: number
  readonly #types: Type[] = []

  constructor(...names: readonly Name[]) {
    this.#count = names.length
    this.parameters = Object.fromEntries(names.map((name, index) => [name, localAt(index)])) as Record<Name, Local>
  }

  variable(type: Type): Local {
    this.#types.push(type)
    return localAt(this.#count + this.#types.length - 1)
  }

  /** The function, with its entry in the code section. */
  function(name: string, code: Code): WasmFunction {
    const declared = this.#types.flatMap((type) => [1, type])
    const body = sized([...unsigned(this.#types.length), ...declared, ...code, 0x0b])
    return { name, parameters: this.#count, body }
  }
}

const localAt = (index: number): Local => ({
  get: [0x20, ...unsigned(index)],
  set: (value) => [...value, 0x21, ...unsigned(index)],
})

const sized = (code: Code): Code => [...unsigned(code.length), ...code]
const section = (id: number, entries: readonly Code[]): Code => [
  id,
  ...sized([...unsigned(entries.length), ...entries.flat()]),
]

export interface WasmFunction {
  readonly name: string
  readonly parameters: number
  readonly body: Code
}

/** A module that exports its `memory` of so many pages of 64 KiB at first, and functions that return nothing. */
export function moduleOf(pages: number, functions: readonly WasmFunction[]): Uint8Array {
  const exported = (name: string, kind: number, index: number): Code => [...sized([...utf8(name)]), kind, index]
  return Uint8Array.from([
    ...[0, ...utf8('asm'), 1, 0, 0, 0],
    ...section(
      1,
      functions.map(({ parameters }) => [0x60, ...sized(new Array<number>(parameters).fill(TYPE.i32)), 0]),
    ),
    ...section(
      3,
      functions.map((_, index) => unsigned(index)),
    ),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, [exported('memory', 2, 0), ...functions.map(({ name }, index) => exported(name, 0, index))]),
    ...section(
      10,
      functions.map(({ body }) => body),
    ),
  ])
}
