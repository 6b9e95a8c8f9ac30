/** Two parties, a link that delivers, delays, repeats and breaks, disks that survive crashes, and a small registry. */
import type { Amount } from '../../src/base/amount.js'
import { type Digest, equalBytes, utf8 } from '../../src/base/bytes.js'
import type { Side } from '../../src/base/channel-state.js'
import { curve, type Point, type Scalar, scalarToBigint } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { idText, type LedgerId } from '../../src/base/ids.js'
import { type ChannelMessage, channelCodec } from '../../src/base/message/channel.js'
import { openingCodec } from '../../src/base/message/opening.js'
import type { DepositHalf } from '../../src/base/transaction.js'
import { channelKeys, createContext, randomnessOf } from '../../src/channel/keys.js'
import {
  type OpeningEnv,
  type OpeningInput,
  type OpeningStep,
  receiveOpening,
  requestOpening,
  stepOpening,
} from '../../src/channel/opening.js'
import { decodeChannel, encodeChannel } from '../../src/channel/snapshot.js'
import { step } from '../../src/channel/step.js'
import { decodeTerms, encodeTerms } from '../../src/channel/terms.js'
import type { Channel, ChannelLimits, Context, Effect, Env, Input, Terms } from '../../src/channel/types.js'
import { commit } from '../../src/privacy/commitment.js'
import {
  encodeCiphertext,
  encodeModulus,
  type PrivateKey,
  privateKeyFromSeed,
  randomizerOwn,
} from '../../src/privacy/paillier.js'

const seedOf = (name: string): Uint8Array => sha256(utf8(name))

export interface Person {
  readonly name: string
  readonly seed: Uint8Array
  readonly accountKey: Scalar
  readonly account: Point
  readonly paillier: PrivateKey
  readonly n: Uint8Array
}

function person(name: string): Person {
  const seed = seedOf(name)
  const accountKey = prfScalar(seed, 'account')
  const paillier = privateKeyFromSeed(seed, 1024)
  return {
    name,
    seed,
    accountKey,
    account: curve.multiplyBase(accountKey),
    paillier,
    n: encodeModulus(paillier.publicKey),
  }
}

export const alice = person('alice')
export const bob = person('bob')
const PEOPLE = [alice, bob] as const

export const LIMITS_FOR_TESTS: ChannelLimits = {
  reserve: 10n as Amount,
  locks: 256,
  amountMin: 1n as Amount,
  amountMax: 1_000_000_000n as Amount,
  expiryMin: 20,
  expiryMax: 10_000,
}

export const POLICY = { margin: 10, closeValid: 100 }
const START = { height: 1, time: 1_000 }
export const ledger = seedOf('ledger') as LedgerId

export const openingEnv = (side: Side): OpeningEnv => ({
  ledger,
  amountBits: 48,
  windowMin: 1,
  windowMax: 1_000,
  self: { account: PEOPLE[side].account, n: PEOPLE[side].n },
  seed: PEOPLE[side].seed,
  view: START,
  policy: POLICY,
  signAccount: (digest) => curve.sign(digest as Digest, PEOPLE[side].accountKey),
})

const cache = new Map<string, Uint8Array>()

/** R of a version, as a worker would compute it; the same for every test run of the same channel. */
export function randomizerFor(side: Side, terms: Parameters<typeof channelKeys>[1], version: number): Uint8Array {
  const key = `${idText(terms.channel)}/${side}/${version}`
  const cached = cache.get(key)
  if (cached !== undefined) return cached
  const { paillier, seed } = PEOPLE[side]
  const s = randomnessOf(channelKeys(seed, terms), paillier.publicKey.bits, version)
  const value = encodeCiphertext(paillier.publicKey, randomizerOwn(paillier, s))
  cache.set(key, value)
  return value
}

export const opaqueHalf = (amount: bigint, blinding: Scalar): DepositHalf => ({
  commitment: commit(amount, scalarToBigint(blinding))!,
  rest: curve.multiplyBase(blinding),
  ciphertextRest: new Uint8Array(256),
  ciphertextPeer: new Uint8Array(256),
  ciphertextRegulator: new Uint8Array(256),
  proof: new Uint8Array(100),
})

export interface OpeningOptions {
  readonly deposit?: bigint
  readonly share?: bigint
  readonly limits?: ChannelLimits
  /** Mallory: changes a message on its way; undefined drops it. */
  readonly tamper?: (
    from: Side,
    message: ReturnType<typeof decodeOpening>,
  ) => ReturnType<typeof decodeOpening> | undefined
  /** The verdict of side's worker on the other's half. */
  readonly verdict?: (side: Side) => boolean
}

function decodeOpening(bytes: Uint8Array) {
  const message = openingCodec.decode(bytes)
  if (!message.ok || message.value === 'ignored') throw new Error('an opening message does not decode')
  return message.value
}

export interface OpeningResult {
  readonly effects: readonly [OpeningStep['effects'][number][], OpeningStep['effects'][number][]]
}

/** Runs L5 to its end, proofs replaced by verdicts. */
export function runOpening(options: OpeningOptions = {}): OpeningResult {
  const { deposit = 1_000_000n, share = 500_000n, limits = LIMITS_FOR_TESTS } = options
  const steps: [OpeningStep | undefined, OpeningStep | undefined] = [undefined, undefined]
  const seen: [OpeningStep['effects'][number][], OpeningStep['effects'][number][]] = [[], []]
  const run = (side: Side, made: OpeningStep): undefined => {
    steps[side] = made
    seen[side].push(...made.effects)
    for (const effect of made.effects) perform(side, effect)
  }
  const feed = (side: Side, input: OpeningInput): undefined => {
    const current = steps[side]
    return current === undefined ? undefined : run(side, stepOpening(current.opening, input, openingEnv(side)))
  }
  const perform = (side: Side, effect: OpeningStep['effects'][number]): undefined => {
    const other: Side = side === 0 ? 1 : 0
    switch (effect.type) {
      case 'sendOpening': {
        const arrived = decodeOpening(openingCodec.encode(effect.message))
        const message = options.tamper === undefined ? arrived : options.tamper(side, arrived)
        if (message === undefined) return
        if (message.name === 'openChannel' && steps[other] === undefined) {
          const from = { account: PEOPLE[side].account, n: PEOPLE[side].n }
          return run(other, receiveOpening(message.body, from, openingEnv(other)))
        }
        return feed(other, { type: 'openingReceived', message })
      }
      case 'openRequested':
        return feed(side, { type: 'openAllowed', limits, salt: seedOf('salt') })
      case 'prepareFirst': {
        const randomizer = randomizerFor(side, effect.terms, effect.version)
        return feed(side, { type: 'openRandomizer', version: effect.version, randomizer })
      }
      case 'proveDeposit':
        return feed(side, { type: 'depositProved', half: opaqueHalf(effect.amount, effect.blinding) })
      case 'verifyDeposit':
        return feed(side, { type: 'depositVerified', valid: options.verdict?.(side) ?? true })
      default:
        return
    }
  }
  const request = {
    peer: { account: bob.account, n: bob.n },
    attempt: seedOf('attempt'),
    nonce: 7,
    window: 100,
    validUntil: START.time + 100,
    deposit: deposit as Amount,
    share: share as Amount,
    limits,
  }
  run(0, requestOpening(request, openingEnv(0)))
  return { effects: seen }
}

export interface Opened {
  readonly terms: Terms
  readonly channels: readonly [Uint8Array, Uint8Array]
}

/** Terms and both sides' first snapshots. */
export function openPair(options: OpeningOptions = {}): Opened {
  const { effects } = runOpening(options)
  const opened = effects.map((list) => {
    const effect = list.find((candidate) => candidate.type === 'opened')
    if (effect?.type !== 'opened') throw new Error('the opening failed')
    return effect
  })
  const terms = decodeTerms(encodeTerms(opened[0]!.terms))
  if (!terms.ok) throw new Error('terms')
  if (!equalBytes(encodeTerms(opened[0]!.terms), encodeTerms(opened[1]!.terms))) throw new Error('terms differ')
  return { terms: terms.value, channels: [encodeChannel(opened[0]!.channel), encodeChannel(opened[1]!.channel)] }
}

/** Where a party dies in its next durable step. */
export type Crash = 'before the batch' | 'after the batch'

export interface Ledger {
  height: number
  time: number
  readonly revealed: Map<string, { scalar: Scalar; time: number }>
}

export class Party {
  state: Channel
  /** The last batch. Channels never change, so it is turned into bytes only when it is read. */
  disk: Channel
  readonly context: Context
  readonly told: Effect[] = []
  /** R versions that a worker has yet to compute. */
  readonly jobs: number[] = []
  outgoing: Uint8Array[] = []
  crash: Crash | undefined
  down = false
  /** C7: every signature that ever left, by version. */
  private readonly signedOut = new Map<number, Uint8Array>()
  readonly sent: ChannelMessage[] = []

  constructor(
    readonly side: Side,
    terms: Terms,
    disk: Uint8Array,
    private readonly ledger: Ledger,
  ) {
    this.state = read(disk)
    this.disk = this.state
    const context = createContext(terms, side, channelKeys(PEOPLE[side].seed, terms), POLICY)
    if (!context.ok) throw new Error('context')
    this.context = context.value
  }

  get env(): Env {
    const { height, time, revealed } = this.ledger
    return {
      context: this.context,
      view: { height, time },
      now: time,
      revealed: (point) => revealed.get(idText(point)),
    }
  }

  /** @returns the effects, also where the party died before it could run them. */
  input(input: Input): readonly Effect[] {
    if (this.down) return []
    const result = step(this.state, input, this.env)
    if (result.durable && this.crash === 'before the batch') {
      this.die()
      return []
    }
    this.state = result.state
    if (result.durable) this.disk = result.state
    const dies = result.durable && this.crash === 'after the batch'
    for (const effect of result.effects) {
      if (effect.type !== 'send') this.perform(effect)
      else if (!dies) this.send(effect.message)
    }
    if (dies) this.die()
    return result.effects
  }

  private die(): void {
    this.crash = undefined
    this.down = true
    this.outgoing = []
    this.jobs.length = 0
  }

  restart(): void {
    this.down = false
    this.state = read(encodeChannel(this.disk))
  }

  private perform(effect: Effect): void {
    if (effect.type === 'prepareRandomizer') this.jobs.push(effect.version)
    else if (effect.type === 'reveal') {
      const key = idText(effect.lock.point)
      if (!this.ledger.revealed.has(key))
        this.ledger.revealed.set(key, { scalar: effect.scalar, time: this.ledger.time })
    } else this.told.push(effect)
  }

  private send(message: ChannelMessage): void {
    if (message.name === 'commit') this.signs(message.body.version, message.body.signature)
    if (message.name === 'ack') this.signs(message.body.version, message.body.signature)
    const revocation = 'revocation' in message.body ? message.body.revocation : null
    // C11, checked from outside: what replaces the revoked version is on disk before the secret leaves.
    if (revocation !== null && this.disk.current.content.version <= revocation.version) {
      throw new Error(`secret of ${revocation.version} left too early`)
    }
    this.sent.push(message)
    this.outgoing.push(channelCodec.encode(message))
  }

  private signs(version: number, signature: Uint8Array): void {
    const before = this.signedOut.get(version)
    if (before !== undefined && !equalBytes(before, signature)) throw new Error(`two contents of version ${version}`)
    this.signedOut.set(version, signature)
  }

  receive(bytes: Uint8Array): readonly Effect[] {
    const message = channelCodec.decode(bytes)
    if (!message.ok || message.value === 'ignored') return []
    return this.input({ type: 'received', message: message.value })
  }

  work(): void {
    for (const version of this.jobs.splice(0)) {
      const randomizer = randomizerFor(this.side, this.context.terms, version)
      this.input({ type: 'randomizerReady', version, randomizer })
    }
  }

  toldOf<T extends Effect['type']>(type: T): Extract<Effect, { type: T }>[] {
    return this.told.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type)
  }
}

function read(disk: Uint8Array): Channel {
  const channel = decodeChannel(disk)
  if (!channel.ok) throw new Error(`snapshot: ${channel.error.detail}`)
  if (!equalBytes(encodeChannel(channel.value), disk)) throw new Error('a snapshot changes when read and written')
  return channel.value
}

export class World {
  readonly ledger: Ledger = { height: 2, time: 1_010, revealed: new Map() }
  readonly parties: readonly [Party, Party]
  linked = false

  constructor(opened: Opened) {
    const make = (side: Side): Party => new Party(side, opened.terms, opened.channels[side], this.ledger)
    this.parties = [make(0), make(1)]
    for (const party of this.parties) party.input({ type: 'funded' })
  }

  get alice(): Party {
    return this.parties[0]
  }

  get bob(): Party {
    return this.parties[1]
  }

  connect(): void {
    if (this.linked) return
    for (const party of this.parties) if (party.down) party.restart()
    this.linked = true
    for (const party of this.parties) party.input({ type: 'connected' })
    this.afterCrash()
  }

  cut(): void {
    if (!this.linked) return
    this.linked = false
    for (const party of this.parties) {
      party.outgoing = []
      party.input({ type: 'disconnected' })
    }
  }

  /** A party that died takes the connection with it. */
  private afterCrash(): void {
    if (this.linked && this.parties.some((party) => party.down)) this.cut()
  }

  /** Delivers the oldest message of a side. */
  deliver(from: Side, repeat = false): boolean {
    if (!this.linked) return false
    const bytes = repeat ? this.parties[from].outgoing[0] : this.parties[from].outgoing.shift()
    if (bytes === undefined) return false
    this.parties[from === 0 ? 1 : 0].receive(bytes)
    this.afterCrash()
    return true
  }

  input(side: Side, input: Input): readonly Effect[] {
    const effects = this.parties[side].input(input)
    this.afterCrash()
    return effects
  }

  work(): void {
    for (const party of this.parties) party.work()
    this.afterCrash()
  }

  tick(seconds: number): void {
    this.ledger.time += seconds
    this.ledger.height += 1
    for (const side of [0, 1] as const) this.input(side, { type: 'tick' })
  }

  /** Until nothing moves. */
  settle(): void {
    for (let moved = true; moved; ) {
      this.work()
      moved = this.deliver(0) || this.deliver(1)
    }
    if (this.parties.some((party) => party.jobs.length > 0)) this.settle()
  }

  /** Both back, connected, everything delivered. */
  heal(): void {
    this.cut()
    this.connect()
    this.settle()
  }
}
