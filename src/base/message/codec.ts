/**
 * Messages between peers (W2): a two-byte type, then deterministic CBOR of one schema. Odd types may be ignored by who
 * does not know them, even ones may not.
 */
import type { z } from 'zod'
import { concatBytes } from '../bytes.js'
import { decodeAs, encodeAs } from '../codec.js'
import { LIMITS } from '../limits.js'
import { ok, type Result, refuse } from '../result.js'

export interface MessageDefinition<Name extends string = string, Schema extends z.ZodType = z.ZodType> {
  readonly type: number
  readonly name: Name
  readonly schema: Schema
}

export const define = <Name extends string, Schema extends z.ZodType>(
  type: number,
  name: Name,
  schema: Schema,
): MessageDefinition<Name, Schema> => ({ type, name, schema })

/** A message in memory: its name and its body. */
export type MessageOf<D> =
  D extends MessageDefinition<infer Name, infer Schema>
    ? { readonly name: Name; readonly body: z.output<Schema> }
    : never

/** A codec over one table of definitions. */
export function messageCodec<const Table extends readonly MessageDefinition[]>(table: Table) {
  type Message = MessageOf<Table[number]>
  const byType = new Map<number, MessageDefinition>(table.map((definition) => [definition.type, definition]))
  const byName = new Map<string, MessageDefinition>(table.map((definition) => [definition.name, definition]))
  return {
    definitions: table as readonly MessageDefinition[],
    /** @throws RangeError above the frame's plaintext bound: a defect of the sender. */
    encode(message: Message): Uint8Array {
      const definition = byName.get(message.name)!
      const body = encodeAs(definition.schema, message.body as never)
      const bytes = concatBytes(Uint8Array.of(definition.type >> 8, definition.type & 255), body)
      if (bytes.length > LIMITS.message_bytes) throw new RangeError(`message ${message.name} is too long`)
      return bytes
    },
    /** `ignored` for an unknown odd type. */
    decode(bytes: Uint8Array): Result<Message | 'ignored'> {
      if (bytes.length < 2) return refuse('bad_encoding', 'message type')
      const type = bytes[0]! * 256 + bytes[1]!
      const definition = byType.get(type)
      if (definition === undefined) return type % 2 === 1 ? ok('ignored') : refuse('bad_encoding', 'unknown message')
      const body = decodeAs(definition.schema, bytes.subarray(2))
      return body.ok ? ok({ name: definition.name, body: body.value } as Message) : body
    },
  }
}
