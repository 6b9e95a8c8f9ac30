/**
 * BOLT 8 (lightning/bolts, 08-transport.md): Noise_XK over secp256k1, ChaChaPoly, SHA-256 (W1). Pure: bytes in, bytes
 * out; the ephemeral key comes from the caller. Acts are continuations, so that no act can be taken out of order or twice.
 */
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8 } from '../base/bytes.js'
import { curve, type Point, parsePoint, type Scalar } from '../base/curve/index.js'
import { sha256 } from '../base/digest.js'
import type { AccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import { open, sealInto, TAG_BYTES } from './aead.js'

const VERSION = 0
const POINT_BYTES = 33
export const ACT_ONE_BYTES = 1 + POINT_BYTES + TAG_BYTES
export const ACT_TWO_BYTES = ACT_ONE_BYTES
export const ACT_THREE_BYTES = 1 + POINT_BYTES + TAG_BYTES + TAG_BYTES
/** The encrypted length: 2 bytes and a tag. */
const HEADER_BYTES = 2 + TAG_BYTES
export const FRAME_OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES
/** BOLT 8, key rotation: a key is used 1000 times, that is for 500 messages. */
const KEY_USES = 1000

const ZERO = new Uint8Array(0)
const PROTOCOL = sha256(utf8('Noise_XK_secp256k1_ChaChaPoly_SHA256'))
const PROLOGUE = sha256(PROTOCOL, utf8('lightning'))

/** What a finished handshake gives: one direction each. `[redacted]` where printed (it holds keys). */
export interface Transport {
  readonly sender: Encryptor
  readonly receiver: Decryptor
}

interface KeyPair {
  readonly secret: Scalar
  readonly point: Point
}

const keyPair = (secret: Scalar): KeyPair => ({ secret, point: curve.multiplyBase(secret) })

function twoKeys(salt: Uint8Array, material: Uint8Array): [Uint8Array, Uint8Array] {
  const both = hkdf(nobleSha256, material, salt, undefined, 64)
  return [both.subarray(0, 32), both.subarray(32)]
}

/** 32 zero bits, then the counter in 64 bits little-endian. Counters stay below 1000. */
function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12)
  nonce[4] = counter & 255
  nonce[5] = counter >> 8
  return nonce
}

/** BOLT 8's `h`, `ck` and `temp_k`. */
class Symmetric {
  #hash: Uint8Array
  #chaining: Uint8Array = PROTOCOL
  #key: Uint8Array = ZERO

  constructor(responder: Point) {
    this.#hash = sha256(PROLOGUE, responder)
  }

  mixHash(bytes: Uint8Array): void {
    this.#hash = sha256(this.#hash, bytes)
  }

  mixKey(secret: Uint8Array): void {
    const [chaining, key] = twoKeys(this.#chaining, secret)
    this.#chaining = chaining
    this.#key = key
  }

  seal(counter: number, plain: Uint8Array): Uint8Array {
    const box = new Uint8Array(plain.length + TAG_BYTES)
    sealInto(box, 0, this.#key, nonceOf(counter), plain, this.#hash)
    this.mixHash(box)
    return box
  }

  open(counter: number, box: Uint8Array): Uint8Array | undefined {
    const plain = open(this.#key, nonceOf(counter), box, this.#hash)
    if (plain !== undefined) this.mixHash(box)
    return plain
  }

  split(initiator: boolean): Transport {
    const [first, second] = twoKeys(this.#chaining, ZERO)
    const [send, receive] = initiator ? [first, second] : [second, first]
    return { sender: new Encryptor(this.#chaining, send), receiver: new Decryptor(this.#chaining, receive) }
  }
}

/** `detail` is BOLT 8's own name of the failure. */
const fail = (detail: string) => refuse('handshake_failed', detail)

function checkAct(act: Uint8Array, length: number, name: string): Result<void> {
  if (act.length !== length) return fail(`${name}_READ_FAILED`)
  return act[0] === VERSION ? ok(undefined) : fail(`${name}_BAD_VERSION`)
}

/** Acts one and two are alike: `e, es` and `e, ee`. */
function writeEphemeralAct(symmetric: Symmetric, ephemeral: KeyPair, remote: Point): Uint8Array {
  symmetric.mixHash(ephemeral.point)
  symmetric.mixKey(curve.ecdh(remote, ephemeral.secret))
  return concatBytes(Uint8Array.of(VERSION), ephemeral.point, symmetric.seal(0, ZERO))
}

function readEphemeralAct(symmetric: Symmetric, secret: Scalar, act: Uint8Array, name: string): Result<Point> {
  const checked = checkAct(act, ACT_ONE_BYTES, name)
  if (!checked.ok) return checked
  const remote = parsePoint(act.slice(1, 1 + POINT_BYTES))
  if (!remote.ok) return fail(`${name}_BAD_PUBKEY`)
  symmetric.mixHash(remote.value)
  symmetric.mixKey(curve.ecdh(remote.value, secret))
  if (symmetric.open(0, act.subarray(1 + POINT_BYTES)) === undefined) return fail(`${name}_BAD_TAG`)
  return remote
}

export interface Initiator {
  readonly actOne: Uint8Array
  /** Takes act two, once. */
  finish(actTwo: Uint8Array): Result<{ readonly actThree: Uint8Array; readonly transport: Transport }>
}

/** @param ephemeral fresh for every handshake: a repeated one gives its keys away. */
export function startInitiator(local: Scalar, remote: AccountId, ephemeral: Scalar): Initiator {
  const symmetric = new Symmetric(remote)
  const actOne = writeEphemeralAct(symmetric, keyPair(ephemeral), remote)
  return {
    actOne,
    finish(actTwo) {
      const their = readEphemeralAct(symmetric, ephemeral, actTwo, 'ACT2')
      if (!their.ok) return their
      const sealed = symmetric.seal(1, curve.multiplyBase(local))
      symmetric.mixKey(curve.ecdh(their.value, local))
      const actThree = concatBytes(Uint8Array.of(VERSION), sealed, symmetric.seal(0, ZERO))
      return ok({ actThree, transport: symmetric.split(true) })
    },
  }
}

export interface Responder {
  readonly actTwo: Uint8Array
  /** Takes act three, once; tells who the initiator is. */
  finish(actThree: Uint8Array): Result<{ readonly remote: AccountId; readonly transport: Transport }>
}

/** @param ephemeral fresh for every handshake. */
export function startResponder(local: Scalar, ephemeral: Scalar, actOne: Uint8Array): Result<Responder> {
  const symmetric = new Symmetric(curve.multiplyBase(local))
  const their = readEphemeralAct(symmetric, local, actOne, 'ACT1')
  if (!their.ok) return their
  const actTwo = writeEphemeralAct(symmetric, keyPair(ephemeral), their.value)
  return ok({
    actTwo,
    finish(actThree) {
      const checked = checkAct(actThree, ACT_THREE_BYTES, 'ACT3')
      if (!checked.ok) return checked
      const sealed = actThree.subarray(1, 1 + POINT_BYTES + TAG_BYTES)
      const bytes = symmetric.open(1, sealed)
      if (bytes === undefined) return fail('ACT3_BAD_CIPHERTEXT')
      const remote = parsePoint(bytes)
      if (!remote.ok) return fail('ACT3_BAD_PUBKEY')
      symmetric.mixKey(curve.ecdh(remote.value, ephemeral))
      if (symmetric.open(0, actThree.subarray(1 + sealed.length)) === undefined) return fail('ACT3_BAD_TAG')
      return ok({ remote: remote.value, transport: symmetric.split(false) })
    },
  })
}

/** One direction's key, its counter and its rotation. */
class CipherKey {
  #chaining: Uint8Array
  #key: Uint8Array
  #uses = 0
  readonly #nonce = new Uint8Array(12)

  constructor(chaining: Uint8Array, key: Uint8Array) {
    this.#chaining = chaining
    this.#key = key
  }

  /** The key and the nonce of its next use; valid until the next call. */
  next(): { readonly key: Uint8Array; readonly nonce: Uint8Array } {
    if (this.#uses === KEY_USES) this.#rotate()
    this.#nonce[4] = this.#uses & 255
    this.#nonce[5] = this.#uses >> 8
    this.#uses += 1
    return { key: this.#key, nonce: this.#nonce }
  }

  #rotate(): void {
    const [chaining, key] = twoKeys(this.#chaining, this.#key)
    this.#key.fill(0)
    this.#chaining = chaining
    this.#key = key
    this.#uses = 0
  }
}

export class Encryptor {
  readonly #cipher: CipherKey

  constructor(chaining: Uint8Array, key: Uint8Array) {
    this.#cipher = new CipherKey(chaining, key.slice())
  }

  /**
   * One BOLT 8 message: encrypted length, encrypted body.
   * @throws RangeError above 65,535 bytes: a defect of the sender.
   */
  encrypt(message: Uint8Array): Uint8Array {
    if (message.length > LIMITS.message_bytes) throw new RangeError('message is longer than 65,535 bytes')
    const frame = new Uint8Array(message.length + FRAME_OVERHEAD_BYTES)
    const header = this.#cipher.next()
    sealInto(frame, 0, header.key, header.nonce, Uint8Array.of(message.length >> 8, message.length & 255))
    const body = this.#cipher.next()
    sealInto(frame, HEADER_BYTES, body.key, body.nonce, message)
    return frame
  }
}

export class Decryptor {
  readonly #cipher: CipherKey
  #failed = false

  constructor(chaining: Uint8Array, key: Uint8Array) {
    this.#cipher = new CipherKey(chaining, key.slice())
  }

  /** Exactly one BOLT 8 message (W2). After one refusal every later call is refused: the connection is over. */
  decrypt(frame: Uint8Array): Result<Uint8Array> {
    const message = this.#failed ? undefined : this.#open(frame)
    if (message !== undefined) return ok(message)
    this.#failed = true
    return refuse('bad_frame')
  }

  #open(frame: Uint8Array): Uint8Array | undefined {
    if (frame.length < FRAME_OVERHEAD_BYTES || frame.length > LIMITS.frame_bytes) return undefined
    const header = this.#cipher.next()
    const length = open(header.key, header.nonce, frame.subarray(0, HEADER_BYTES))
    if (length === undefined) return undefined
    if (length[0]! * 256 + length[1]! !== frame.length - FRAME_OVERHEAD_BYTES) return undefined
    const body = this.#cipher.next()
    return open(body.key, body.nonce, frame.subarray(HEADER_BYTES))
  }
}
