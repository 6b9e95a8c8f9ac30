import { concatBytes, utf8 } from '../base/bytes.js'
import { invariant } from '../base/errors.js'
import type { Batch } from '../base/ports/store.js'

/** Keys beginning with byte 0 are the store's own (its schema version): users neither write them nor meet them in a range. */
export const ownKey = (name: string): Uint8Array => concatBytes(Uint8Array.of(0), utf8(name))
export const FIRST_USER_KEY = Uint8Array.of(1)

const isUserKey = (key: Uint8Array): boolean => key.length > 0 && key[0] !== 0

export function checkBatch({ puts, deletes }: Batch): void {
  invariant(puts.every(({ key }) => isUserKey(key)) && deletes.every(isUserKey), 'S1', 'a key of the store itself')
}
