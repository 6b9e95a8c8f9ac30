/**
 * What this node says in public of its own channels (R4): a channel once both of its hubs have agreed, and what this one
 * asks for forwarding over it. A node that does not announce agrees to nothing, so its channels stay unknown.
 */
import { equalBytes } from '../base/bytes.js'
import { encodeAs } from '../base/codec.js'
import type { Scalar, Signature } from '../base/curve/index.js'
import type { AccountId, ChannelId, LedgerId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { GossipMessage } from '../base/message/gossip.js'
import {
  type Authentic,
  agrees,
  announceChannel,
  announcePolicy,
  type ChannelTerms,
  channelTermsOf,
  signChannel,
} from '../router/announcement.js'
import type { Graph } from '../router/graph.js'
import { type Policy, zPolicy } from '../router/policy.js'
import { capacityOf } from './capacity.js'
import type { Channels } from './channels.js'
import type { LiveChannel } from './live-channel.js'

export interface OwnParts {
  readonly ledger: LedgerId
  readonly account: AccountId
  /** The account's. */
  readonly key: Scalar
  readonly channels: Channels
  readonly graph: Graph
  /** The operator wants it, and this node forwards. */
  readonly announces: boolean
  readonly policyOf: (channel: LiveChannel) => Policy
}

const samePolicy = (a: Policy, b: Policy): boolean => equalBytes(encodeAs(zPolicy, a), encodeAs(zPolicy, b))

export class OwnAnnouncements {
  constructor(private readonly parts: OwnParts) {}

  /** A channel of ours. */
  has(channel: ChannelId): boolean {
    return this.parts.channels.get(channel) !== undefined
  }

  /** Our half of a channel's announcement, where it is to be made public and is not yet. */
  agreement(channel: LiveChannel): GossipMessage | undefined {
    const { announces, graph, key } = this.parts
    if (!announces || channel.state.phase !== 'open' || capacityOf(channel).closing || graph.has(channel.id)) {
      return undefined
    }
    const terms = this.#terms(channel)
    return { name: 'channelAgreement', body: { channel: terms.channel, signature: signChannel(terms, key) } }
  }

  /**
   * The peer agrees. @returns the announcement to publish; null where this node wants none or the channel is none of
   * theirs; `forged` for a signature that is not the peer's.
   */
  agreed(peer: AccountId, id: ChannelId, signature: Signature): Authentic | null | 'forged' {
    const { announces, channels, graph, account, key } = this.parts
    const channel = channels.get(id)
    if (channel === undefined || !equalBytes(channel.peer, peer)) return null
    const terms = this.#terms(channel)
    if (!agrees(terms, signature, peer)) return 'forged'
    if (!announces || graph.has(id)) return null
    const ours = { account, signature: signChannel(terms, key) }
    return announceChannel(terms, [ours, { account: peer, signature }]) ?? null
  }

  /** Policies that the graph has not, has otherwise, or has had for so long that others would forget them. */
  policies(now: number): Authentic[] {
    const { announces, channels, graph, account, key, ledger, policyOf } = this.parts
    const due: Authentic[] = []
    for (const channel of channels.all()) {
      if (!graph.has(channel.id)) continue
      const held = graph.policy(channel.id, account)
      const policy = announces ? policyOf(channel) : { ...policyOf(channel), enabled: false }
      const old = held !== undefined && now - held.at > LIMITS.announcement_renewed_s
      if (held !== undefined && !old && samePolicy(held.policy, policy)) continue
      // Two changes within one second of the ledger are still two.
      const at = Math.max(now, (held?.at ?? 0) + 1)
      due.push(announcePolicy({ kind: 'policy', ledger, channel: channel.id, from: account, at, policy }, key))
    }
    return due
  }

  #terms({ id, peer }: LiveChannel): ChannelTerms {
    const { ledger, account } = this.parts
    return channelTermsOf(ledger, id, [account, peer])
  }
}
