import type { z } from 'zod'
import { decodeAs } from '../base/codec.js'
import { InvariantError } from '../base/errors.js'
import type { Store } from '../base/ports/store.js'

/** A row that this program wrote. @throws InvariantError S1 where it cannot be read. */
export function readRow<S extends z.ZodType>(store: Store, key: Uint8Array, schema: S): z.output<S> | undefined {
  const bytes = store.get(key)
  return bytes === undefined ? undefined : parseRow(bytes, schema)
}

export function parseRow<S extends z.ZodType>(bytes: Uint8Array, schema: S): z.output<S> {
  const row = decodeAs(schema, bytes)
  if (!row.ok) throw new InvariantError('S1', `a stored row cannot be read (${row.error.detail})`)
  return row.value
}
