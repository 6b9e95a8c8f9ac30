/**
 * A peer that speaks our version on our ledger (W2): `hello` on both sides, then messages of one codec. Pings, pongs and
 * errors stay in here. It knows no message of a channel: the codec is the caller's.
 */
import { bytesToHex, equalBytes } from '../base/bytes.js'
import { type ErrorCode, isErrorCode } from '../base/errors.js'
import type { AccountId, ChannelId, LedgerId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { type MessageOf, messageCodec } from '../base/message/codec.js'
import { error, hello, ping, pong } from '../base/message/session.js'
import { ok, type Refusal, type Result, refuse } from '../base/result.js'
import { systemTimers, type Timers } from './environment.js'
import type { Session } from './session.js'

const TABLE = [hello, error, ping, pong] as const
const wireCodec = messageCodec(TABLE)
const WIRE_TYPES = new Set<number>(TABLE.map((definition) => definition.type))
type WireMessage = MessageOf<(typeof TABLE)[number]>

const NOTHING = new Uint8Array(0)
/** Pings sent into a silence before the session's idle deadline ends it. */
const PINGS_PER_IDLE = 3

/** What `messageCodec` of base gives. */
export interface Codec<Message> {
  encode(message: Message): Uint8Array
  decode(bytes: Uint8Array): Result<Message | 'ignored'>
}

export interface PeerOptions<Message> {
  readonly session: Session
  readonly ledger: LedgerId
  /** Must have none of the types 16 to 19. */
  readonly codec: Codec<Message>
  /** Feature bits offered: an even one is required of the peer, an odd one is not (BOLT 9). */
  readonly features?: readonly number[]
  readonly timers?: Timers
  readonly handshake_ms?: number
  readonly idle_ms?: number
}

export interface Peer<Message> {
  readonly account: AccountId
  readonly direction: Session['direction']
  /** Feature numbers (bit / 2, rounded down) that both sides offer. */
  readonly features: ReadonlySet<number>
  /** Those that the peer offers. */
  readonly offered: ReadonlySet<number>
  readonly buffered: number
  /** As Session.send. */
  send(message: Message): boolean
  /** Bytes of the codec, for a message that must be resent byte-identical (C8). */
  sendEncoded(bytes: Uint8Array): boolean
  /** One handler; messages wait for it. */
  onMessage(handler: (message: Message) => void): void
  /** The peer's own report: a stable code, `unavailable` for one unknown here; null concerns the whole connection. */
  onError(handler: (code: ErrorCode, channel: Uint8Array | null) => void): void
  onDrain(handler: () => void): void
  onClose(handler: (reason: ErrorCode) => void): void
  pause(): void
  resume(): void
  /** Tells the peer the code, then ends. */
  fail(code: ErrorCode): void
  /** Tells the peer that something about one channel failed; the connection stays. */
  report(code: ErrorCode, channel: ChannelId): void
  close(): void
}

/** Exchanges `hello`. Ends the session and refuses where the peer cannot be talked to. */
export function negotiate<Message>(options: PeerOptions<Message>): Promise<Result<Peer<Message>>> {
  return new Promise((resolve) => {
    new HelloPeer(options, resolve)
  })
}

/** BOLT 9's bit field: big-endian, bit 0 is the lowest of the last byte. */
export function encodeFeatures(bits: readonly number[]): Uint8Array {
  const out = new Uint8Array(bits.length === 0 ? 0 : Math.floor(Math.max(...bits) / 8) + 1)
  for (const bit of bits) {
    const index = out.length - 1 - Math.floor(bit / 8)
    out[index] = out[index]! | (1 << (bit % 8))
  }
  return out
}

export function decodeFeatures(bytes: Uint8Array): number[] {
  const bits: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    if ((bytes[bytes.length - 1 - (bit >> 3)]! >> (bit & 7)) & 1) bits.push(bit)
  }
  return bits
}

const numbers = (bits: readonly number[]): ReadonlySet<number> => new Set(bits.map((bit) => bit >> 1))

/** @returns features of both, or undefined where one side requires what the other does not offer. */
function commonFeatures(ours: readonly number[], theirs: readonly number[]): ReadonlySet<number> | undefined {
  const required = (bits: readonly number[]) => bits.filter((bit) => bit % 2 === 0).map((bit) => bit >> 1)
  const [mine, other] = [numbers(ours), numbers(theirs)]
  if (required(theirs).some((feature) => !mine.has(feature))) return undefined
  if (required(ours).some((feature) => !other.has(feature))) return undefined
  return new Set([...mine].filter((feature) => other.has(feature)))
}

class HelloPeer<Message> implements Peer<Message> {
  readonly #session: Session
  readonly #options: PeerOptions<Message>
  readonly #timers: Timers
  readonly #pingMs: number
  #resolve: ((result: Result<Peer<Message>>) => void) | undefined
  #features: ReadonlySet<number> = new Set()
  #offered: ReadonlySet<number> = new Set()
  #message: ((message: Message) => void) | undefined
  #error: ((code: ErrorCode, channel: Uint8Array | null) => void) | undefined
  /** Messages between hello and onMessage: at most one socket read, since reading is paused until then. */
  #early: Message[] = []
  #heardAt: number
  #cancelTimer: () => void
  #ended = false

  constructor(options: PeerOptions<Message>, resolve: (result: Result<Peer<Message>>) => void) {
    this.#options = options
    this.#session = options.session
    this.#resolve = resolve
    this.#timers = options.timers ?? systemTimers
    this.#pingMs = (options.idle_ms ?? LIMITS.idle_ms) / (PINGS_PER_IDLE + 1)
    this.#heardAt = this.#timers.now()
    this.#cancelTimer = this.#timers.after(options.handshake_ms ?? LIMITS.handshake_ms, () => {
      this.#refuse(refuse('handshake_timeout'))
    })
    this.#session.onClose((reason) => {
      this.#ended = true
      this.#cancelTimer()
      this.#refuse(refuse(reason))
    })
    const features = encodeFeatures(options.features ?? [])
    this.#sendWire({ name: 'hello', body: { version: 1, features, ledger: options.ledger } })
    this.#session.onMessage((bytes) => this.#receive(bytes))
  }

  get account(): AccountId {
    return this.#session.peer
  }

  get direction(): Session['direction'] {
    return this.#session.direction
  }

  get offered(): ReadonlySet<number> {
    return this.#offered
  }

  get features(): ReadonlySet<number> {
    return this.#features
  }

  get buffered(): number {
    return this.#session.buffered
  }

  send(message: Message): boolean {
    return this.#session.send(this.#options.codec.encode(message))
  }

  sendEncoded(bytes: Uint8Array): boolean {
    return this.#session.send(bytes)
  }

  onMessage(handler: (message: Message) => void): void {
    this.#message = handler
    const early = this.#early
    this.#early = []
    for (const message of early) if (!this.#ended) handler(message)
    this.#session.resume()
  }

  onError(handler: (code: ErrorCode, channel: Uint8Array | null) => void): void {
    this.#error = handler
  }

  onDrain(handler: () => void): void {
    this.#session.onDrain(handler)
  }

  onClose(handler: (reason: ErrorCode) => void): void {
    this.#session.onClose(handler)
  }

  pause(): void {
    this.#session.pause()
  }

  resume(): void {
    this.#session.resume()
  }

  fail(code: ErrorCode): void {
    this.#sendWire({ name: 'error', body: { channel: null, code, detail: '' } })
    this.#session.close(code)
  }

  report(code: ErrorCode, channel: ChannelId): void {
    this.#sendWire({ name: 'error', body: { channel, code, detail: '' } })
  }

  close(): void {
    this.#session.close('connection_closed')
  }

  #sendWire(message: WireMessage): void {
    this.#session.send(wireCodec.encode(message))
  }

  #receive(bytes: Uint8Array): void {
    this.#heardAt = this.#timers.now()
    if (bytes.length >= 2 && WIRE_TYPES.has(bytes[0]! * 256 + bytes[1]!)) {
      const message = wireCodec.decode(bytes)
      if (!message.ok) this.fail(message.error.code)
      else if (message.value !== 'ignored') this.#receiveWire(message.value)
      return
    }
    const message = this.#options.codec.decode(bytes)
    // W3: what cannot be read costs its sender the connection. W2: an unknown odd type does not, at any time.
    if (!message.ok) this.fail(message.error.code)
    else if (message.value === 'ignored') return
    else if (this.#resolve !== undefined) this.#refuse(refuse('hello_refused', 'a message before hello'))
    else this.#deliver(message.value)
  }

  #deliver(message: Message): void {
    if (this.#message !== undefined) {
      this.#message(message)
      return
    }
    this.#early.push(message)
    this.#session.pause()
  }

  #receiveWire(message: WireMessage): void {
    switch (message.name) {
      case 'hello':
        this.#hello(message.body)
        return
      case 'error':
        this.#error?.(isErrorCode(message.body.code) ? message.body.code : 'unavailable', message.body.channel)
        return
      case 'ping':
        this.#sendWire({ name: 'pong', body: { padding: NOTHING } })
        return
      case 'pong':
        return
    }
  }

  #hello(body: Extract<WireMessage, { name: 'hello' }>['body']): void {
    const resolve = this.#resolve
    if (resolve === undefined) {
      this.fail('hello_refused') // a second one
      return
    }
    const theirs = decodeFeatures(body.features)
    const features = commonFeatures(this.#options.features ?? [], theirs)
    if (!equalBytes(body.ledger, this.#options.ledger)) {
      this.#refuse(refuse('hello_refused', `ledger ${bytesToHex(this.#options.ledger)}`))
    } else if (features === undefined) {
      this.#refuse(refuse('hello_refused', 'features'))
    } else {
      this.#resolve = undefined
      this.#features = features
      this.#offered = numbers(theirs)
      this.#cancelTimer()
      this.#armPing()
      resolve(ok(this))
    }
  }

  #refuse(refusal: { readonly ok: false; readonly error: Refusal }): void {
    const resolve = this.#resolve
    if (resolve === undefined) return
    this.#resolve = undefined
    if (!this.#ended) this.fail(refusal.error.code)
    resolve(refusal)
  }

  /** Silence is broken by a ping; the session itself ends what stays silent. */
  #armPing(): void {
    if (this.#ended) return
    const left = this.#heardAt + this.#pingMs - this.#timers.now()
    this.#cancelTimer = this.#timers.after(left > 0 ? left : this.#pingMs, () => {
      if (this.#timers.now() - this.#heardAt >= this.#pingMs) {
        this.#sendWire({ name: 'ping', body: { padding: NOTHING } })
      }
      this.#armPing()
    })
  }
}
