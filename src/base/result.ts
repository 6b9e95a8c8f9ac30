import type { ErrorCode } from './errors.js'

/** An expected "no": a value, never an exception. `detail` holds no amount, no secret and no peer bytes. */
export interface Refusal {
  readonly code: ErrorCode
  readonly detail?: string
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Refusal }

export const ok = <T>(value: T): Result<T> => ({ ok: true, value })

export const refuse = (code: ErrorCode, detail?: string): { readonly ok: false; readonly error: Refusal } => ({
  ok: false,
  error: detail === undefined ? { code } : { code, detail },
})
