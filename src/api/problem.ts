/** Errors as RFC 9457 problem+json: one table from code to status, one door for whatever was thrown. */
import { z } from 'zod'
import { ACTIONS, type Action, ERRORS, type ErrorCode, isErrorCode, MeridianError } from '../base/errors.js'

export const PROBLEM_TYPE = 'application/problem+json'

/** Where a code stands for no other status, its action decides. */
const BY_ACTION: Record<Action, number> = {
  fix_request: 422,
  retry_same_key: 409,
  wait: 503,
  add_capacity: 409,
  call_operator: 500,
}
const BY_CODE: Partial<Record<ErrorCode, number>> = {
  api_rate: 429,
  bad_address: 400,
  bad_amount: 400,
  bad_encoding: 400,
  bad_point: 400,
  bad_request: 400,
  channel_offline: 409,
  cursor_pruned: 410,
  exit_not_yet: 409,
  exit_unlicensed: 409,
  not_found: 404,
  request_key_missing: 400,
  request_key_reused: 422,
  request_running: 409,
  scope_missing: 403,
  too_long: 413,
  unauthorized: 401,
  unknown_channel: 404,
}

export const statusOf = (code: ErrorCode): number => BY_CODE[code] ?? BY_ACTION[ERRORS[code].action]

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ErrorCode
  readonly action: Action
  readonly detail?: string
}

export const problemOf = ({
  code,
  detail,
}: {
  readonly code: ErrorCode
  readonly detail?: string | undefined
}): Problem => ({
  type: `urn:meridian:error:${code}`,
  title: ERRORS[code].text,
  status: statusOf(code),
  code,
  action: ERRORS[code].action,
  ...(detail === undefined ? {} : { detail }),
})

/** The HTTP library's own refusals; whatever else was thrown is a defect, of which nothing is told. */
export function asMeridianError(error: unknown): MeridianError {
  if (error instanceof MeridianError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new MeridianError('too_long', 'body')
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new MeridianError('bad_request', 'content-type: application/json')
  if (typeof code === 'string' && /^FST_ERR_(CTP|BAD_URL|ASYNC_CONSTRAINT)/.test(code))
    return new MeridianError('bad_request')
  return new MeridianError('internal')
}

/** As sent. */
export const zProblem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string().describe('Stable: docs/reference/errors.md.'),
  action: z.enum(ACTIONS),
  detail: z.string().optional(),
})
const zRead = z.object({ code: z.string().refine(isErrorCode), detail: z.string().optional() })

/** A problem as a client reads it; undefined where the answer is of another make. */
export function readProblem(body: unknown): MeridianError | undefined {
  const problem = zRead.safeParse(body)
  return problem.success ? new MeridianError(problem.data.code as ErrorCode, problem.data.detail) : undefined
}
