/** Return packets (R2, BOLT 4 "Returning Errors"): every hop adds a layer, only the payer can read and attribute one. */
import { equalBytes as equalInConstantTime } from '@noble/ciphers/utils.js'
import { concatBytes, equalBytes } from '../../base/bytes.js'
import { hmac } from '../../base/digest.js'
import { invariant } from '../../base/errors.js'
import { generateKey, type SharedSecret, stream, xorInto } from './crypto.js'

const HMAC_BYTES = 32
/** BOLT 4: failure_len plus pad_len. */
export const FAILURE_MESSAGE_BYTES = 256
/** One length for every failure of every hop. */
export const FAILURE_BYTES = HMAC_BYTES + 2 + FAILURE_MESSAGE_BYTES + 2

/**
 * What a node returns that could not open the onion and so shares no secret with the payer. The hop before it, which
 * does, reports in its place.
 */
export const UNREADABLE: Uint8Array = new Uint8Array(FAILURE_BYTES)

export const isUnreadable = (packet: Uint8Array): boolean => equalBytes(packet, UNREADABLE)

const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255)

/** BOLT 4 "Erring node", already with this node's own layer. */
export function createFailure(secret: SharedSecret, message: Uint8Array): Uint8Array {
  const pad = FAILURE_MESSAGE_BYTES - message.length
  invariant(pad >= 0, 'R2', 'a failure message fits its packet')
  const content = concatBytes(u16(message.length), message, u16(pad), new Uint8Array(pad))
  return wrapFailure(secret, concatBytes(hmac(generateKey('um', secret), content), content))
}

/** BOLT 4 "Intermediate nodes": one more layer on what came from downstream. */
export function wrapFailure(secret: SharedSecret, packet: Uint8Array): Uint8Array {
  const wrapped = packet.slice()
  xorInto(wrapped, stream(generateKey('ammag', secret), packet.length))
  return wrapped
}

export interface AttributedFailure {
  /** Index in the route of the hop that failed. */
  readonly hop: number
  readonly message: Uint8Array
}

/** Length and zero padding were authenticated with the message, by the hop that made them: wrong ones are its doing. */
function messageOf(packet: Uint8Array): Uint8Array {
  const length = packet[HMAC_BYTES]! * 256 + packet[HMAC_BYTES + 1]!
  return length <= FAILURE_MESSAGE_BYTES ? packet.slice(HMAC_BYTES + 2, HMAC_BYTES + 2 + length) : new Uint8Array(0)
}

/**
 * BOLT 4 "Origin node": takes the layers off until a hop's HMAC fits. It goes on to `rounds` layers whatever it finds,
 * so that the time taken does not tell the failing hop its place.
 * @returns undefined where no hop of the route made this packet, or one of them altered it.
 */
export function readFailure(
  secrets: readonly SharedSecret[],
  packet: Uint8Array,
  rounds: number,
): AttributedFailure | undefined {
  if (packet.length !== FAILURE_BYTES) return undefined
  let found: AttributedFailure | undefined
  let unwrapped = packet
  for (let hop = 0; hop < Math.max(rounds, secrets.length); hop++) {
    const secret = secrets[hop] ?? secrets[0]!
    unwrapped = wrapFailure(secret, unwrapped)
    const mac = hmac(generateKey('um', secret), unwrapped.subarray(HMAC_BYTES))
    const fits = equalInConstantTime(mac, unwrapped.slice(0, HMAC_BYTES))
    if (fits && hop < secrets.length && found === undefined) found = { hop, message: messageOf(unwrapped) }
  }
  return found
}
