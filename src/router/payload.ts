/** What the onion tells one hop (R2): canonical CBOR, positional, so that a route of many hops fits 1300 bytes. */
import { z } from 'zod'
import type { Amount } from '../base/amount.js'
import { decodeAs, encodeAs, zAmount, zBytes, zCount, zPoint } from '../base/codec.js'
import type { AccountId } from '../base/ids.js'
import { ok, type Result, refuse } from '../base/result.js'

/**
 * For a forwarder. It may use whichever of its channels to `next` it likes (BOLT 4 "Non-strict Forwarding"). y is no
 * field: hop and payer derive it from their shared secret (hopScalar).
 */
export interface ForwardPayload {
  readonly kind: 'forward'
  readonly next: AccountId
  /** Of the outgoing lock. */
  readonly amount: Amount
  readonly expiry: number
}

/** For the payee. */
export interface FinalPayload {
  readonly kind: 'final'
  /** Least that the incoming lock must be: a hop before cannot take more fee or shorten the time unnoticed. */
  readonly amount: Amount
  readonly expiry: number
  /** The invoice's payment secret: only who has the invoice knows it. */
  readonly secret: Uint8Array
  /** Sum of all parts (R1): the amount of the invoice. */
  readonly total: Amount
  /** Names the payment: parts of two payers of one invoice never make up one sum (R1). */
  readonly set: Uint8Array
}

export const SET_BYTES = 16

export type HopPayload = ForwardPayload | FinalPayload

const zForward = z.tuple([z.literal(0), zPoint, zAmount, zCount])
const zFinal = z.tuple([z.literal(1), zAmount, zCount, zBytes(32), zAmount, zBytes(SET_BYTES)])
const zHopPayload = z.union([zForward, zFinal])

export const encodePayload = (payload: HopPayload): Uint8Array =>
  payload.kind === 'forward'
    ? encodeAs(zForward, [0, payload.next, payload.amount, payload.expiry])
    : encodeAs(zFinal, [1, payload.amount, payload.expiry, payload.secret, payload.total, payload.set])

/** Whether this hop's place in the onion fits the kind is checked here too: the last hop, and only it, is the payee. */
export function decodePayload(bytes: Uint8Array, last: boolean): Result<HopPayload> {
  const decoded = decodeAs(zHopPayload, bytes)
  if (!decoded.ok) return refuse('payload_invalid', decoded.error.detail)
  const fields = decoded.value
  if ((fields[0] === 1) !== last) return refuse('payload_invalid', 'kind')
  if (fields[0] === 0) return ok({ kind: 'forward', next: fields[1], amount: fields[2], expiry: fields[3] })
  const [, amount, expiry, secret, total, set] = fields
  return ok({ kind: 'final', amount, expiry, secret, total, set })
}
