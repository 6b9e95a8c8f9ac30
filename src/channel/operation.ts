/** Packed operations (C4): fixed layouts, because at a thousand payments a round every byte and every parse counts. */
import { AMOUNT_BYTES, amountFromBytes, amountToBytes } from '../base/amount.js'
import { concatBytes, concatUpTo, readU64, u64 } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { type Point, parsePoint, parseScalar, type Scalar } from '../base/curve/index.js'
import { unreachable } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { oncePer } from '../base/once.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { LockRef, Operation, OperationBody } from './types.js'

const KIND = { pay: 1, lock: 2, claim: 3, release: 4 } as const

const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255)
const reference = (lock: LockRef): Uint8Array[] => [Uint8Array.of(lock.from), u64(lock.id)]

function bodyParts(body: OperationBody): Uint8Array[] {
  switch (body.kind) {
    case 'pay':
      return [amountToBytes(body.amount), u16(body.reference.length), body.reference]
    case 'lock':
      return [amountToBytes(body.amount), body.point, u64(body.expiry), u16(body.payload.length), body.payload]
    case 'claim':
      return [...reference(body.lock), body.scalar]
    case 'release':
      return [...reference(body.lock), u16(body.reason.length), body.reason]
    default:
      return unreachable(body)
  }
}

/**
 * 1 kind, 8 id, body. The proposer is the sender of the message. Operations never change, so each is packed once,
 * however often a snapshot holds it.
 */
export const packOperation = oncePer(({ id, body }: Operation) =>
  concatBytes(Uint8Array.of(KIND[body.kind]), u64(id), ...bodyParts(body)),
)

export const packOperations = (operations: readonly Operation[]): Uint8Array =>
  concatBytes(...operations.map(packOperation))

/** Length of the packed form without packing it. */
export function packedBytes(body: OperationBody): number {
  switch (body.kind) {
    case 'pay':
      return 9 + AMOUNT_BYTES + 2 + body.reference.length
    case 'lock':
      return 9 + AMOUNT_BYTES + 33 + 8 + 2 + body.payload.length
    case 'claim':
      return 9 + 9 + 32
    case 'release':
      return 9 + 9 + 2 + body.reason.length
    default:
      return unreachable(body)
  }
}

/** Reads fields one after the other; the first that is short or wrong makes `failed` true and the rest empty. */
class Reader {
  at = 0
  failed = false

  constructor(private readonly bytes: Uint8Array) {}

  get done(): boolean {
    return this.failed || this.at >= this.bytes.length
  }

  take(length: number): Uint8Array {
    const part = this.bytes.slice(this.at, this.at + length)
    this.at += length
    if (part.length !== length) this.failed = true
    return part
  }

  byte(): number {
    return this.take(1)[0] ?? 0
  }

  number(): number {
    const value = readU64(this.take(8))
    if (value === undefined) this.failed = true
    return value ?? 0
  }

  variable(max: number): Uint8Array {
    const length = this.byte() * 256 + this.byte()
    if (length > max) this.failed = true
    return this.failed ? new Uint8Array() : this.take(length)
  }

  point(): Point {
    const point = parsePoint(this.take(33))
    if (!point.ok) this.failed = true
    return point.ok ? point.value : (new Uint8Array() as Point)
  }

  scalar(): Scalar {
    const scalar = parseScalar(this.take(32))
    if (!scalar.ok) this.failed = true
    return scalar.ok ? scalar.value : (new Uint8Array() as Scalar)
  }

  side(): Side {
    const side = this.byte()
    if (side > 1) this.failed = true
    return side === 1 ? 1 : 0
  }

  lock(): LockRef {
    return { from: this.side(), id: this.number() }
  }
}

function readBody(reader: Reader, kind: number): OperationBody | undefined {
  switch (kind) {
    case KIND.pay: {
      const amount = amountFromBytes(reader.take(AMOUNT_BYTES))
      return { kind: 'pay', amount, reference: reader.variable(LIMITS.pay_reference_bytes) }
    }
    case KIND.lock: {
      const amount = amountFromBytes(reader.take(AMOUNT_BYTES))
      const point = reader.point()
      const expiry = reader.number()
      return { kind: 'lock', amount, point, expiry, payload: reader.variable(LIMITS.lock_payload_bytes) }
    }
    case KIND.claim:
      return { kind: 'claim', lock: reader.lock(), scalar: reader.scalar() }
    case KIND.release:
      return { kind: 'release', lock: reader.lock(), reason: reader.variable(LIMITS.release_reason_bytes) }
    default:
      return undefined
  }
}

/** Errors: `bad_encoding`. */
export function unpackOperations(bytes: Uint8Array, from: Side): Result<Operation[]> {
  const reader = new Reader(bytes)
  const operations: Operation[] = []
  while (!reader.done) {
    const kind = reader.byte()
    const id = reader.number()
    const body = readBody(reader, kind)
    if (body === undefined || reader.failed) return refuse('bad_encoding', 'operations')
    operations.push({ id, from, body })
  }
  return ok(operations)
}

/** Splits operations into messages of at most `LIMITS.propose_bytes`. */
export const inMessages = (operations: readonly Operation[]): Uint8Array[] =>
  concatUpTo(LIMITS.propose_bytes, operations.map(packOperation))

/** Identity of an operation or a lock: its proposer and id. */
export const keyOf = (operation: LockRef): string => `${operation.from}/${operation.id}`

const RUN_BYTES = 11

/** C5: the ordered ids as runs: 1 proposer, 8 first id, 2 count. */
export function packRuns(operations: readonly Operation[]): Uint8Array {
  const runs: { from: Side; first: number; count: number }[] = []
  for (const { from, id } of operations) {
    const last = runs.at(-1)
    if (last !== undefined && last.from === from && last.first + last.count === id) last.count += 1
    else runs.push({ from, first: id, count: 1 })
  }
  return concatBytes(...runs.flatMap((run) => [Uint8Array.of(run.from), u64(run.first), u16(run.count)]))
}

/** Errors: `bad_encoding` for another than the one shortest form, or more ids than a round may have. */
export function unpackRuns(bytes: Uint8Array): Result<LockRef[]> {
  if (bytes.length % RUN_BYTES !== 0) return refuse('bad_encoding', 'runs')
  const reader = new Reader(bytes)
  const ids: LockRef[] = []
  while (!reader.done) {
    const from = reader.side()
    const first = reader.number()
    const count = reader.byte() * 256 + reader.byte()
    const last = ids.at(-1)
    const joined = last !== undefined && last.from === from && last.id + 1 === first
    if (reader.failed || count === 0 || joined || ids.length + count > LIMITS.round_operations) {
      return refuse('bad_encoding', 'runs')
    }
    for (let i = 0; i < count; i++) ids.push({ from, id: first + i })
  }
  return ok(ids)
}
