/**
 * Proposals of one channel that leave in one turn are one message (C4): each offer and each claim is a step of its own,
 * and its proposal a message; a frame, its cipher and a step of the peer for each of them cost more than what they say.
 * Only what is durable comes here (C6), so what is joined is too; whatever else the channel says keeps its place.
 */
import { concatBytes } from '../base/bytes.js'
import { LIMITS } from '../base/limits.js'
import type { ChannelMessage, ChannelMessageOf } from '../base/message/channel.js'
import type { Timers } from '../wire/environment.js'
import type { LiveChannel } from './live-channel.js'
import type { Transport } from './peers.js'
import type { Towers } from './towers.js'

interface Way {
  readonly towers: Pick<Towers, 'gate'>
  readonly peers: Pick<Transport, 'send'>
}

interface Joining {
  readonly channel: LiveChannel
  readonly parts: Uint8Array[]
  bytes: number
}

export class Proposals {
  readonly #joining = new Map<string, Joining>()

  constructor(
    private readonly way: Way,
    private readonly timers: Pick<Timers, 'soon'>,
  ) {}

  /** Messages of one channel leave in the order of the calls. */
  readonly pass = (channel: LiveChannel, message: ChannelMessage): undefined => {
    if (message.name === 'propose') return this.#join(channel, message.body)
    // C8: what was proposed on the connection before is void.
    if (message.name === 'reestablish' || message.name === 'recovering') this.#joining.delete(channel.text)
    this.#leave(channel.text)
    this.#send(channel, message)
  }

  #join(channel: LiveChannel, { operations }: ChannelMessageOf<'propose'>): undefined {
    const joined = this.#joining.get(channel.text)
    if (joined !== undefined && joined.bytes + operations.length > LIMITS.propose_bytes) this.#leave(channel.text)
    const joining = this.#joining.get(channel.text) ?? { channel, parts: [], bytes: 0 }
    joining.parts.push(operations)
    joining.bytes += operations.length
    if (joining.parts.length > 1) return
    this.#joining.set(channel.text, joining)
    this.timers.soon(() => {
      if (this.#joining.get(channel.text) === joining) this.#leave(channel.text)
    })
  }

  #leave(name: string): void {
    const joining = this.#joining.get(name)
    if (joining === undefined) return
    this.#joining.delete(name)
    const { channel, parts } = joining
    const operations = concatBytes(...parts)
    this.#send(channel, { name: 'propose', body: { channel: channel.context.terms.channel, operations } })
  }

  #send(channel: LiveChannel, message: ChannelMessage): void {
    this.way.towers.gate(channel, message, () => void this.way.peers.send(channel.peer, message))
  }
}
