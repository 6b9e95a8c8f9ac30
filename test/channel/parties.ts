/** Alice and bob, their keys, and an opening between them with proofs replaced by verdicts. */
import type { Amount } from '../../src/base/amount.js'
import { type Digest, equalBytes, utf8 } from '../../src/base/bytes.js'
import type { Side } from '../../src/base/channel-state.js'
import { curve, type Point, type Scalar, scalarToBigint } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { idText, type LedgerId } from '../../src/base/ids.js'
import { openingCodec } from '../../src/base/message/opening.js'
import type { DepositHalf } from '../../src/base/transaction.js'
import { channelKeys, randomnessOf } from '../../src/channel/keys.js'
import {
  type OpeningEnv,
  type OpeningInput,
  type OpeningStep,
  receiveOpening,
  requestOpening,
  stepOpening,
} from '../../src/channel/opening.js'
import { encodeChannel } from '../../src/channel/snapshot.js'
import { decodeTerms, encodeTerms } from '../../src/channel/terms.js'
import type { ChannelLimits, Terms } from '../../src/channel/types.js'
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
export const PEOPLE = [alice, bob] as const

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
