import { utf8 } from './bytes.js'
import { LIMITS } from './limits.js'
import { ok, type Result, refuse } from './result.js'

/**
 * An idempotency key (R5) as rows are named by it. Errors: `request_key_missing`; `too_long`, counted in bytes of UTF-8;
 * `bad_request` for half a surrogate pair, which UTF-8 cannot tell from another half.
 */
export function parseRequestKey(key: string): Result<string> {
  if (key === '') return refuse('request_key_missing')
  if (utf8(key).length > LIMITS.key_characters) return refuse('too_long', 'idempotency key')
  return /\p{Surrogate}/u.test(key) ? refuse('bad_request', 'idempotency key') : ok(key)
}
