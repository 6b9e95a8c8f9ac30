import { MeridianError } from '../base/errors.js'
import type { Result } from '../base/result.js'

/** A refusal that has to cross a promise boundary. @throws MeridianError with the refusal's code. */
export function need<T>(result: Result<T>): T {
  if (!result.ok) throw new MeridianError(result.error.code, result.error.detail)
  return result.value
}
