/**
 * What travels between the embedded ledger and its clients: canonical CBOR over HTTP, one message per WebSocket frame.
 * Errors are problem+json (RFC 9457) with a stable `code`.
 *
 *   GET  /v1/genesis                   canonical genesis
 *   GET  /v1/now                       zHead
 *   POST /v1/transactions              canonical transaction -> zReceipt, once final
 *   GET  /v1/accounts/{hex}, /v1/channels/{hex}, /v1/revealed/{hex}   zAnswer
 *   GET  /v1/blocks?from={height}      zBlockPage, for audits
 *   WS   /v1/events?cursor={n}         zBlockDigest per block, from the one that holds event n+1 on
 *   WS   /v1/events?height={n}         the same from a height on: how a client resumes
 *   WS   /v1/heads                     zHead
 *   POST /v1/test/advance, /v1/test/hold   zAdvance -> zHead, zHold -> nothing: only where genesis is flagged `test`
 *   GET  /healthz
 */
import { z } from 'zod'
import { zBytesUpTo, zCount, zDigest } from '../base/codec.js'
import { isErrorCode } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import { zAccount, zChannel, zRevealed } from './contract/state.js'

export const CBOR_TYPE = 'application/cbor'
export const PROBLEM_TYPE = 'application/problem+json'

export const zReceipt = z.strictObject({ id: zDigest, height: zCount, time: zCount, cursor: zCount })

const answer = <S extends z.ZodType>(value: S) =>
  z.strictObject({ height: zCount, time: zCount, value: value.nullable() })
export const zAccountAnswer = answer(zAccount)
export const zChannelAnswer = answer(zChannel)
export const zRevealedAnswer = answer(zRevealed)

/** Canonical bytes of consecutive blocks. */
export const zBlockPage = z.array(zBytesUpTo(LIMITS.block_page_bytes)).max(LIMITS.block_page)

export const zAdvance = z.strictObject({
  seconds: zCount,
  include: z.boolean(),
  expect: z.int().min(0).max(LIMITS.mempool_transactions),
})
export const zHold = z.strictObject({ held: z.boolean() })

export const zProblem = z.object({
  code: z.string().refine(isErrorCode),
  detail: z.string().max(200).optional(),
})

/** WebSocket close codes of our own: the reason names an error code; the subscriber was too slow and may resume. */
export const CLOSED_WITH_CODE = 4_000
export const CLOSED_SLOW = 4_001
