/** The onion packet (R2): BOLT 4's construction, one size whatever the route. */
import { equalBytes as equalInConstantTime } from '@noble/ciphers/utils.js'
import { concatBytes, type Digest } from '../../base/bytes.js'
import { curve, type Point, parsePoint, type Scalar } from '../../base/curve/index.js'
import { hmac, taggedHash } from '../../base/digest.js'
import { invariant } from '../../base/errors.js'
import { ok, type Result, refuse } from '../../base/result.js'
import {
  blindingFactor,
  generateKey,
  type HopSecret,
  type SharedSecret,
  sharedSecretOf,
  stream,
  xorInto,
} from './crypto.js'

const HMAC_BYTES = 32
const KEY_BYTES = 33
export const HOP_PAYLOADS_BYTES = 1_300
export const ONION_BYTES = 1 + KEY_BYTES + HOP_PAYLOADS_BYTES + HMAC_BYTES
/** BOLT 4 reserves the lengths 0 and 1. */
const PAYLOAD_BYTES_MIN = 2

/** What one hop gets, and what the packet is bound to at that hop besides its own bytes. */
export interface OnionHop {
  readonly payload: Uint8Array
  readonly associatedData: Uint8Array
}

export interface PeeledOnion {
  readonly payload: Uint8Array
  /** For the next hop; null at the last one. */
  readonly next: Uint8Array | null
  readonly secret: SharedSecret
  /** Names this packet at this hop for the durable replay set (R2). */
  readonly replayTag: Digest
}

const bigsize = (length: number): Uint8Array =>
  length < 0xfd ? Uint8Array.of(length) : Uint8Array.of(0xfd, length >> 8, length & 255)

/** Bytes that a payload takes from the packet. */
const hopBytes = (payload: Uint8Array): number => bigsize(payload.length).length + payload.length + HMAC_BYTES

/** BOLT 4 "Filler Generation": what the hops before the last one will have appended by unwrapping. */
function filler(secrets: readonly HopSecret[], hops: readonly OnionHop[]): Uint8Array {
  let filled = new Uint8Array(0)
  for (let i = 0; i < hops.length - 1; i++) {
    const size = hopBytes(hops[i]!.payload)
    const longer = concatBytes(filled, new Uint8Array(size))
    const bytes = stream(generateKey('rho', secrets[i]!.secret), HOP_PAYLOADS_BYTES + size)
    xorInto(longer, bytes.subarray(HOP_PAYLOADS_BYTES - filled.length))
    filled = longer as Uint8Array<ArrayBuffer>
  }
  return filled
}

/**
 * BOLT 4 "Packet Construction". Pure: the same session key, hops and payloads give the same packet.
 * @param secrets `routeSecrets(sessionKey, hops)`. The session key serves one packet.
 * @returns 1366 bytes, or `route_too_long` where the payloads do not fit 1300 bytes.
 */
export function buildOnion(
  sessionKey: Scalar,
  secrets: readonly HopSecret[],
  hops: readonly OnionHop[],
): Result<Uint8Array> {
  invariant(hops.length > 0 && hops.length === secrets.length, 'R2', 'one payload per hop')
  if (hops.reduce((sum, hop) => sum + hopBytes(hop.payload), 0) > HOP_PAYLOADS_BYTES) return refuse('route_too_long')
  let payloads = stream(generateKey('pad', sessionKey), HOP_PAYLOADS_BYTES)
  let mac: Uint8Array = new Uint8Array(HMAC_BYTES)
  for (let i = hops.length - 1; i >= 0; i--) {
    const { payload, associatedData } = hops[i]!
    const { secret } = secrets[i]!
    payloads = concatBytes(bigsize(payload.length), payload, mac, payloads).slice(0, HOP_PAYLOADS_BYTES)
    xorInto(payloads, stream(generateKey('rho', secret), HOP_PAYLOADS_BYTES))
    if (i === hops.length - 1) {
      const tail = filler(secrets, hops)
      payloads.set(tail, HOP_PAYLOADS_BYTES - tail.length)
    }
    mac = hmac(generateKey('mu', secret), concatBytes(payloads, associatedData))
  }
  return ok(concatBytes(Uint8Array.of(0), secrets[0]!.ephemeral, payloads, mac))
}

/** Length-prefixed payload and next HMAC at the front of the unwrapped bytes; undefined where malformed. */
function readHop(unwrapped: Uint8Array): { payload: Uint8Array; mac: Uint8Array; used: number } | undefined {
  const first = unwrapped[0]!
  const prefix = first < 0xfd ? 1 : 3
  if (first > 0xfd) return undefined // four- and eight-byte lengths cannot fit
  const length = prefix === 1 ? first : unwrapped[1]! * 256 + unwrapped[2]!
  if (length < PAYLOAD_BYTES_MIN || (prefix === 3 && length < 0xfd)) return undefined
  const used = prefix + length + HMAC_BYTES
  if (used > HOP_PAYLOADS_BYTES) return undefined
  return { payload: unwrapped.slice(prefix, prefix + length), mac: unwrapped.slice(prefix + length, used), used }
}

function nextPacket(ephemeral: Point, secret: SharedSecret, payloads: Uint8Array, mac: Uint8Array): Uint8Array {
  const blinded = curve.multiply(ephemeral, blindingFactor(ephemeral, secret))
  return concatBytes(Uint8Array.of(0), blinded, payloads, mac)
}

/**
 * BOLT 4 "Onion Decryption". One refusal for whatever is wrong: the sender of a bad packet learns nothing from it.
 * The caller checks `replayTag` against its durable set.
 */
export function peelOnion(packet: Uint8Array, nodeKey: Scalar, associatedData: Uint8Array): Result<PeeledOnion> {
  if (packet.length !== ONION_BYTES || packet[0] !== 0) return refuse('onion_unreadable')
  const ephemeral = parsePoint(packet.slice(1, 1 + KEY_BYTES))
  if (!ephemeral.ok) return refuse('onion_unreadable')
  const payloads = packet.subarray(1 + KEY_BYTES, ONION_BYTES - HMAC_BYTES)
  const secret = sharedSecretOf(ephemeral.value, nodeKey)
  const mac = hmac(generateKey('mu', secret), concatBytes(payloads, associatedData))
  if (!equalInConstantTime(mac, packet.slice(ONION_BYTES - HMAC_BYTES))) return refuse('onion_unreadable')
  const unwrapped = concatBytes(payloads, new Uint8Array(HOP_PAYLOADS_BYTES))
  xorInto(unwrapped, stream(generateKey('rho', secret), 2 * HOP_PAYLOADS_BYTES))
  const hop = readHop(unwrapped)
  if (hop === undefined) return refuse('onion_unreadable')
  const last = hop.mac.every((byte) => byte === 0)
  const rest = unwrapped.subarray(hop.used, hop.used + HOP_PAYLOADS_BYTES)
  return ok({
    payload: hop.payload,
    next: last ? null : nextPacket(ephemeral.value, secret, rest, hop.mac),
    secret,
    replayTag: taggedHash('onion-replay', secret),
  })
}

/**
 * What a packet is bound to at a hop: the ledger and the very lock that it came with. Points differ per hop, so each
 * hop has its own; a packet moved to another lock does not open.
 */
export const onionBinding = (ledger: Uint8Array, lockPoint: Point): Uint8Array =>
  taggedHash('onion-binding', ledger, lockPoint)
