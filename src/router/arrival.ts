/** A lock that came in with an onion: what this node is asked to do with it. */
import type { Amount } from '../base/amount.js'
import type { Digest } from '../base/bytes.js'
import type { Point, Scalar } from '../base/curve/index.js'
import type { AccountId, ChannelId, LedgerId } from '../base/ids.js'
import { hopScalar, type SharedSecret } from './onion/crypto.js'
import { onionBinding, peelOnion } from './onion/packet.js'
import { decodePayload, type FinalPayload, type ForwardPayload } from './payload.js'
import { pointAfter } from './point-lock.js'

/** A lock offered to us. `id` is the proposer's counter in `channel` (C4). */
export interface IncomingLock {
  readonly channel: ChannelId
  readonly id: number
  /** Who offered it. */
  readonly peer: AccountId
  readonly amount: Amount
  readonly point: Point
  readonly expiry: number
  readonly onion: Uint8Array
}

interface Opened {
  readonly incoming: IncomingLock
  readonly secret: SharedSecret
  readonly y: Scalar
  /** The incoming point without y: the outgoing lock's, or the invoice's T; null for infinity. */
  readonly point: Point | null
  /** For the durable replay set; it may be dropped once `payload.expiry` has passed, which refuses the packet for ever. */
  readonly replayTag: Digest
}
export interface ForwardArrival extends Opened {
  readonly kind: 'forward'
  readonly payload: ForwardPayload
  /** For the next hop. */
  readonly onion: Uint8Array
}
export interface FinalArrival extends Opened {
  readonly kind: 'final'
  readonly payload: FinalPayload
}
export interface InvalidArrival extends Opened {
  readonly kind: 'invalid'
}
/** Not made for this node and this lock: there is no secret to answer the payer with. */
export interface UnreadableArrival {
  readonly kind: 'unreadable'
  readonly incoming: IncomingLock
}

export type Arrival = ForwardArrival | FinalArrival | InvalidArrival | UnreadableArrival

/** Costs one ECDH, one blinding and one point subtraction; asks nothing but the lock itself. */
export function openArrival(incoming: IncomingLock, nodeKey: Scalar, ledger: LedgerId): Arrival {
  const peeled = peelOnion(incoming.onion, nodeKey, onionBinding(ledger, incoming.point))
  if (!peeled.ok) return { kind: 'unreadable', incoming }
  const { secret, replayTag, next } = peeled.value
  const y = hopScalar(secret)
  const opened = { incoming, secret, y, point: pointAfter(incoming.point, y), replayTag }
  const payload = decodePayload(peeled.value.payload, next === null)
  if (!payload.ok) return { kind: 'invalid', ...opened }
  if (payload.value.kind === 'final') return { kind: 'final', ...opened, payload: payload.value }
  return next === null
    ? { kind: 'invalid', ...opened }
    : { kind: 'forward', ...opened, payload: payload.value, onion: next }
}
