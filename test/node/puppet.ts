/** One side of a real channel, played by hand: the honest state machine over a stranger's session. */
import { equalBytes } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import type { ChannelId } from '../../src/base/ids.js'
import type { ChannelMessage } from '../../src/base/message/channel.js'
import type { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { channelKeys, createContext, randomnessOf } from '../../src/channel/keys.js'
import { step } from '../../src/channel/step.js'
import { decodeTerms } from '../../src/channel/terms.js'
import type { Channel, Context, Effect, Input } from '../../src/channel/types.js'
import { readChannelRow } from '../../src/node/live-channel.js'
import { isGossip, isOpening } from '../../src/node/messages.js'
import { encodeCiphertext, type PrivateKey, privateKeyFromSeed, randomizerOwn } from '../../src/privacy/paillier.js'
import type { RouteOffer } from '../../src/router/route.js'
import type { DataDirectory } from '../../src/store/directory.js'
import { tableKey } from '../../src/store/tables.js'
import { must } from '../wire/people.js'
import type { Stranger } from './stranger.js'

export class Puppet {
  readonly effects: Effect[] = []
  /** Every message of the node about this channel. */
  readonly heard: ChannelMessage[] = []
  #seen = 0

  constructor(
    readonly id: ChannelId,
    readonly context: Context,
    public state: Channel,
    private readonly key: PrivateKey,
    private readonly ledger: Ledger,
    public stranger: Stranger,
  ) {}

  /** From the directory of a node that is stopped. */
  static of(directory: DataDirectory, id: ChannelId, ledger: Ledger, stranger: Stranger): Puppet {
    const { store, secrets } = directory
    const terms = must(decodeTerms(store.get(tableKey('terms', id))!))
    const { state } = readChannelRow(store.get(tableKey('channel', id))!)
    const key = privateKeyFromSeed(secrets.paillierSeed, ledger.genesis.keyBits)
    const keys = channelKeys(secrets.channelSeed, terms)
    const side = equalBytes(curve.multiplyBase(keys.signing), terms.channelKeys[0]) ? 0 : 1
    const context = must(createContext(terms, side, keys, { margin: 1_800, closeValid: 3_600 }))
    return new Puppet(id, context, state, key, ledger, stranger)
  }

  input(input: Input): readonly Effect[] {
    const { head } = this.ledger
    const view = { height: head.height, time: head.time }
    const env = { context: this.context, view, now: 0, revealed: () => undefined }
    const made = step(this.state, input, env)
    this.state = made.state
    for (const effect of made.effects) {
      if (effect.type === 'send') this.stranger.send(effect.message)
      else if (effect.type === 'prepareRandomizer') this.#prepare(effect.version)
      else this.effects.push(effect)
    }
    return made.effects
  }

  /** Takes in what the node said meanwhile. @returns whether there was anything. @throws where it never will be */
  async pump(): Promise<boolean> {
    const connected = await this.stranger.read()
    const fresh = this.stranger.heard.slice(this.#seen)
    if (!connected && fresh.length === 0) throw new Error('the node ended the connection')
    this.#seen = this.stranger.heard.length
    let moved = false
    for (const message of fresh) {
      if (isOpening(message) || isGossip(message) || message.name === 'forwardingPolicy') continue
      if (Buffer.compare(message.body.channel, this.id) !== 0) continue
      this.heard.push(message)
      this.input({ type: 'received', message })
      moved = true
    }
    return moved
  }

  /** Offers a lock and plays on until its end. */
  async untilEnd(offer: RouteOffer): Promise<Effect> {
    const { amount, point, expiry, onion } = offer
    this.effects.length = 0
    this.input({ type: 'offer', operations: [{ kind: 'lock', amount, point, expiry, payload: onion }] })
    const isEnd = ({ type }: Effect) => type === 'lockReturned' || type === 'lockSettled' || type === 'offerRefused'
    while (!this.effects.some(isEnd)) await this.pump()
    return this.effects.find(isEnd)!
  }

  /** A new session: what was heard on the last one is past. */
  onto(stranger: Stranger): void {
    this.input({ type: 'disconnected' })
    this.stranger = stranger
    this.#seen = 0
    this.input({ type: 'connected' })
  }

  #prepare(version: number): void {
    const s = randomnessOf(this.context.keys, this.key.publicKey.bits, version)
    const randomizer = encodeCiphertext(this.key.publicKey, randomizerOwn(this.key, s))
    this.input({ type: 'randomizerReady', version, randomizer })
  }
}
