/** An authenticated peer that says whatever it likes: a real Noise session under a real account, our own codec. */
import type { Amount } from '../../src/base/amount.js'
import type { Digest } from '../../src/base/bytes.js'
import { curve, type Point, type Scalar, type Signature } from '../../src/base/curve/index.js'
import type { AccountId, LedgerId } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import { messageCodec } from '../../src/base/message/codec.js'
import { error, hello, ping, pong } from '../../src/base/message/session.js'
import { type NodeMessage, nodeCodec } from '../../src/node/messages.js'
import { connect } from '../../src/wire/connect.js'
import { encodeFeatures } from '../../src/wire/peer.js'
import type { Session } from '../../src/wire/session.js'
import type { Rng } from '../wire/mutate.js'
import { must } from '../wire/people.js'

const wireCodec = messageCodec([hello, error, ping, pong])
const WIRE_TYPES = new Set([16, 17, 18, 19])
const PADDING = new Uint8Array(0)

export interface Address {
  readonly url: string
  readonly account: AccountId
  readonly ledger: LedgerId
}

export class Stranger {
  readonly heard: NodeMessage[] = []
  ended = false
  #pongs = 0
  #wake: () => void = () => undefined

  private constructor(readonly session: Session) {
    session.onClose(() => {
      this.ended = true
      this.#wake()
    })
    session.onMessage((bytes) => this.#receive(bytes))
  }

  /** Connected, authenticated, greeted. */
  static async meet(key: Scalar, { url, account, ledger }: Address, bits: readonly number[] = []): Promise<Stranger> {
    const stranger = new Stranger(must(await connect({ url, key, remote: account })))
    const features = encodeFeatures(bits)
    stranger.sendBytes(wireCodec.encode({ name: 'hello', body: { version: 1, features, ledger } }))
    return stranger
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.ended) this.session.send(bytes)
  }

  send(message: NodeMessage): void {
    this.sendBytes(nodeCodec.encode(message))
  }

  /** Resolves once the node has read everything that was sent: true, or false where it ended the connection. */
  async read(): Promise<boolean> {
    const wanted = this.#pongs + 1
    this.sendBytes(wireCodec.encode({ name: 'ping', body: { padding: PADDING } }))
    while (this.#pongs < wanted && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return !this.ended
  }

  close(): void {
    this.session.close()
  }

  #receive(bytes: Uint8Array): void {
    if (WIRE_TYPES.has(bytes[0]! * 256 + bytes[1]!)) {
      const message = wireCodec.decode(bytes)
      if (message.ok && message.value !== 'ignored' && message.value.name === 'pong') this.#pongs += 1
    } else {
      const message = must(nodeCodec.decode(bytes))
      if (message !== 'ignored') this.heard.push(message)
    }
    this.#wake()
  }
}

const COUNTS = [0, 1, 2, 3, 7, 255, 1_000, 2_000, 65_536, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER] as const
const AMOUNTS = [0n, 1n, 2n, 1_000n, 100_000n, (1n << 48n) - 1n] as const

/** Values of the right shape and no truth. */
class Fiction {
  constructor(private readonly rng: Rng) {}

  count = (): number => this.rng.pick(COUNTS)
  amount = (): Amount => this.rng.pick(AMOUNTS) as Amount
  digest = (): Digest => this.rng.bytes(32) as Digest
  flag = (): boolean => this.rng.below(2) === 0
  scalar = (): Scalar => Uint8Array.from([0, ...this.rng.bytes(30), 1]) as Scalar
  point = (): Point => curve.multiplyBase(this.scalar())
  signature = (): Signature => curve.sign(this.digest(), this.scalar())
  bytes = (max: number): Uint8Array =>
    this.rng.bytes(this.rng.pick([0, 1, 16, Math.min(max, 256), this.rng.below(max)]))
  keys = () => ({ hash: this.digest(), randomizer: this.bytes(1_024) })
  revocation = () => ({ version: this.count(), secret: this.rng.bytes(32), next: this.keys() })
  limits = () => ({
    reserve: this.amount(),
    locks: this.rng.below(LIMITS.locks_per_direction + 1),
    amountMin: this.amount(),
    amountMax: this.amount(),
    expiryMin: this.count(),
    expiryMax: this.count(),
  })
  half = () => ({
    commitment: this.point(),
    rest: this.point(),
    ciphertextRest: this.bytes(1_024),
    ciphertextPeer: this.bytes(1_024),
    ciphertextRegulator: this.bytes(1_024),
    proof: this.bytes(4_000),
  })
  deposit = () => ({ amount: this.amount(), blinding: this.scalar() })
}

export type Subject = { readonly channel: Digest; readonly attempt: Uint8Array }

/** One well-formed message of every type about a channel or an attempt, all of it made up. */
export function fictions(rng: Rng, { channel, attempt }: Subject): NodeMessage[] {
  const f = new Fiction(rng)
  const ciphertexts = (): [Uint8Array, Uint8Array] => [f.bytes(1_024), f.bytes(1_024)]
  const { count: validUntil, count: nonce, count: window, point: channelKey } = f
  const policy = {
    base: f.amount(),
    ppm: rng.below(10_000_001),
    expiryDelta: f.count(),
    minAmount: f.amount(),
    maxAmount: f.amount(),
    enabled: f.flag(),
  }
  const opening = { nonce: nonce(), window: window(), validUntil: validUntil(), channelKey: channelKey() }
  return [
    { name: 'openChannel', body: { attempt, ...opening, limits: f.limits(), deposit: f.deposit(), share: f.amount() } },
    {
      name: 'acceptChannel',
      body: { attempt, channelKey: f.point(), limits: f.limits(), deposit: f.deposit(), keys: [f.keys(), f.keys()] },
    },
    { name: 'channelHalf', body: { attempt, keys: [f.keys(), f.keys()], signature: f.signature(), half: f.half() } },
    {
      name: 'channelSigned',
      body: { attempt, signature: f.signature(), half: f.flag() ? f.half() : null, accountSignature: f.signature() },
    },
    { name: 'openRefused', body: { attempt, code: 'open_terms', limit: f.flag() ? null : ['share_max', f.amount()] } },
    { name: 'propose', body: { channel, operations: f.bytes(2_000) } },
    {
      name: 'commit',
      body: {
        channel,
        version: f.count(),
        at: { height: f.count(), time: f.count() },
        operations: f.bytes(200),
        digest: f.digest(),
        signature: f.signature(),
        revocation: f.flag() ? f.revocation() : null,
      },
    },
    { name: 'ack', body: { channel, version: f.count(), signature: f.signature(), revocation: f.revocation() } },
    { name: 'revoke', body: { channel, revocation: f.revocation() } },
    { name: 'drop', body: { channel, from: f.flag() ? 0 : 1, id: f.count(), code: 'lock_unknown' } },
    {
      name: 'reestablish',
      body: { channel, version: f.count(), outstanding: f.flag(), received: f.count(), secret: rng.bytes(32) },
    },
    { name: 'newest', body: { channel, state: f.bytes(4_000), signatures: [f.signature(), f.signature()] } },
    { name: 'shutdown', body: { channel } },
    {
      name: 'closeOffer',
      body: {
        channel,
        validUntil: f.count(),
        commitment: f.point(),
        ciphertexts: ciphertexts(),
        ciphertextsRegulator: ciphertexts(),
        proof: f.bytes(4_000),
        signature: f.signature(),
      },
    },
    { name: 'closeAccept', body: { channel, validUntil: f.count(), signature: f.signature() } },
    { name: 'forwardingPolicy', body: { channel, policy, url: f.flag() ? 'ws://[::1]:1' : 'javascript:alert(1)' } },
  ]
}
