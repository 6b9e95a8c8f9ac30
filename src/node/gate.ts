/**
 * T2: a message that gives up our secret of a version waits here until enough towers hold the next one; a message that
 * acknowledges a claim, until they have the job that saves what we get for it upstream (T3). It stands behind the sync,
 * at the door to the peer: one channel that waits holds up no other and no batch, and what its machine decided later
 * waits behind it. What waits belongs to its connection: a new one begins with reestablish, which makes up for it (C8).
 */
import { LIMITS } from '../base/limits.js'
import type { ChannelMessage } from '../base/message/channel.js'
import { roundsRun } from '../channel/recovery.js'
import type { LiveChannel } from './live-channel.js'

export interface GateParts {
  /** Enough towers have signed for a state of at least this version. */
  readonly covered: (channel: LiveChannel, version: number) => boolean
  /** Every job that must precede an acknowledgement on this channel is receipted. */
  readonly secured: (channel: LiveChannel) => boolean
  /** Too much waits: the connection must begin anew. */
  readonly cut: (channel: LiveChannel) => void
}

interface Waiting {
  readonly message: ChannelMessage
  readonly send: () => void
}

export class Gate {
  readonly #waiting = new Map<string, Waiting[]>()

  constructor(private readonly parts: GateParts) {}

  /** Sends now, or once the towers have answered: messages of one channel in the order of the calls. */
  pass(channel: LiveChannel, message: ChannelMessage, send: () => void): void {
    if (message.name === 'reestablish' || message.name === 'recovering') this.drop(channel)
    const waiting = this.#waiting.get(channel.text)
    if (waiting === undefined && this.#mayLeave(channel, message)) {
      send()
    } else if (waiting === undefined) {
      this.#waiting.set(channel.text, [{ message, send }])
    } else if (waiting.length < LIMITS.gated_messages) {
      waiting.push({ message, send })
    } else {
      this.drop(channel)
      this.parts.cut(channel)
    }
  }

  /** Towers have answered. */
  release(channel: LiveChannel): void {
    const waiting = this.#waiting.get(channel.text)
    if (waiting === undefined) return
    const stays = waiting.findIndex(({ message }) => !this.#mayLeave(channel, message))
    const leaving = stays === -1 ? waiting.splice(0) : waiting.splice(0, stays)
    if (waiting.length === 0) this.#waiting.delete(channel.text)
    for (const { message, send } of leaving) {
      // C8, C10: the channel may have ended while this waited, or either side frozen: no round and no secret leaves then.
      if (roundsRun(channel.state) || !isOfRound(message)) send()
    }
  }

  drop(channel: LiveChannel): void {
    this.#waiting.delete(channel.text)
  }

  /** How many messages of this channel wait. */
  waiting(channel: LiveChannel): number {
    return this.#waiting.get(channel.text)?.length ?? 0
  }

  #mayLeave(channel: LiveChannel, message: ChannelMessage): boolean {
    const revoked = revokedBy(message)
    if (revoked !== undefined && !this.parts.covered(channel, revoked + 1)) return false
    return !isOfRound(message) || this.parts.secured(channel)
  }
}

/** The version whose secret a message gives up. */
function revokedBy(message: ChannelMessage): number | undefined {
  switch (message.name) {
    case 'ack':
    case 'revoke':
      return message.body.revocation.version
    case 'commit':
      return message.body.revocation?.version
    default:
      return undefined
  }
}

/** A follower acknowledges a claim with its ack, a leader with its commit and revocation. */
const isOfRound = ({ name }: ChannelMessage): boolean => name === 'commit' || name === 'ack' || name === 'revoke'
