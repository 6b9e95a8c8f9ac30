/**
 * The public graph (R4): channels that two hubs have announced and what each asks for forwarding. Pure: time and what
 * the ledger says come in. It holds one announcement per channel and one policy per direction of it.
 */
import { equalBytes } from '../base/bytes.js'
import type { ErrorCode } from '../base/errors.js'
import { type AccountId, type ChannelId, type IdText, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { Authentic, ChannelAnnouncement, PolicyAnnouncement } from './announcement.js'
import { Digests } from './gossip.js'
import type { Direction, ItemName } from './item.js'
import type { GraphEdge, GraphView } from './pathfind.js'

/** What the ledger says of a channel. */
export interface KnownChannel {
  readonly accounts: readonly [AccountId, AccountId]
  readonly open: boolean
}

export interface ApplyContext {
  /** Ledger time, seconds. */
  readonly now: number
  /** Undefined: the ledger has no such channel. Asked for announcements of channels alone. */
  readonly channelKnown: (channel: ChannelId) => KnownChannel | undefined
}

/** None of them is the sender's fault alone: it may have heard less than we, or later. */
export type GraphRefusal = Extract<
  ErrorCode,
  'announcement_unknown_channel' | 'announcement_stale' | 'announcement_future' | 'announcement_quota'
>

interface GraphChannel {
  readonly id: ChannelId
  readonly announced: Authentic<ChannelAnnouncement>
  /** idText of its accounts; one string per account in the whole graph, which makes a search's comparisons cheap. */
  readonly names: readonly [IdText, IdText]
  /** Ledger time when it was heard: a channel that no policy follows is not kept for ever. */
  readonly heard: number
  readonly policies: [Authentic<PolicyAnnouncement> | undefined, Authentic<PolicyAnnouncement> | undefined]
}

/** A hub. */
interface Member {
  readonly name: IdText
  readonly channels: Set<GraphChannel>
}

const DIRECTIONS: readonly Direction[] = [0, 1]
const NO_EDGES: readonly GraphEdge[] = []

/** Who forwards in this direction, and to whom. */
const ends = ({ announced }: GraphChannel, direction: Direction): readonly [AccountId, AccountId] => {
  const [first, second] = announced.announcement.accounts
  return direction === 0 ? [first, second] : [second, first]
}

const directionOf = (known: GraphChannel, from: AccountId): Direction | undefined =>
  DIRECTIONS.find((direction) => equalBytes(ends(known, direction)[0], from))

export class Graph implements GraphView {
  readonly #channels = new Map<IdText, GraphChannel>()
  readonly #byAccount = new Map<IdText, Member>()
  /** By the account that the edges lead to; made when asked for. */
  readonly #into = new Map<IdText, readonly GraphEdge[]>()
  readonly digests = new Digests()

  into(to: IdText): readonly GraphEdge[] {
    const made = this.#into.get(to)
    if (made !== undefined) return made
    const channels = this.#byAccount.get(to)?.channels
    if (channels === undefined) return NO_EDGES
    const edges: GraphEdge[] = []
    for (const known of channels) {
      const direction = known.names[1] === to ? 0 : 1
      const policy = known.policies[direction]?.announcement.policy
      if (policy !== undefined) edges.push({ from: ends(known, direction)[0], name: known.names[direction], policy })
    }
    this.#into.set(to, edges)
    return edges
  }

  /** Channels. */
  get size(): number {
    return this.#channels.size
  }

  has(channel: ChannelId): boolean {
    return this.#channels.has(idText(channel))
  }

  /** The bytes that were signed. */
  get({ channel, part }: ItemName): Uint8Array | undefined {
    const known = this.#channels.get(idText(channel))
    return part === 'channel' ? known?.announced.bytes : known?.policies[part]?.bytes
  }

  policy(channel: ChannelId, from: AccountId): PolicyAnnouncement | undefined {
    const known = this.#channels.get(idText(channel))
    const direction = known === undefined ? undefined : directionOf(known, from)
    return direction === undefined ? undefined : known?.policies[direction]?.announcement
  }

  /** Everything, a channel before its policies. */
  *items(): Generator<ItemName> {
    for (const known of this.#channels.values()) yield* partsOf(known)
  }

  /** These very bytes are held already. */
  holds({ announcement, bytes }: Authentic): boolean {
    const known = this.#channels.get(idText(announcement.channel))
    if (known === undefined) return false
    const held =
      announcement.kind === 'channel'
        ? known.announced
        : known.policies.find((policy) => policy !== undefined && equalBytes(policy.bytes, bytes))
    return held !== undefined && equalBytes(held.bytes, bytes)
  }

  /** @returns what is new: to be stored and passed on. Errors: GraphRefusal. */
  apply(item: Authentic, context: ApplyContext): Result<ItemName> {
    const { announcement } = item
    const refusal =
      announcement.kind === 'channel'
        ? this.#channelRefusal(announcement, context)
        : this.#policyRefusal(announcement, context.now)
    if (refusal !== undefined) return refuse(refusal)
    return ok(this.#put(item, context.now))
  }

  /**
   * What this node stored before, a channel before its policies.
   * @param now ledger time
   * @returns false for a policy without its channel.
   */
  restore(item: Authentic, now: number): boolean {
    const { kind, channel } = item.announcement
    if (kind === 'policy' && !this.has(channel)) return false
    this.#put(item, now)
    return true
  }

  /** The channel has ended, or nobody renews it. @returns what is no longer held. */
  remove(channel: ChannelId): readonly ItemName[] {
    const known = this.#channels.get(idText(channel))
    if (known === undefined) return []
    this.#channels.delete(idText(channel))
    for (const name of known.names) {
      const channels = this.#byAccount.get(name)?.channels
      channels?.delete(known)
      if (channels?.size === 0) this.#byAccount.delete(name)
      this.#into.delete(name)
    }
    for (const item of [known.announced, ...known.policies]) if (item !== undefined) this.digests.toggle(item)
    return partsOf(known)
  }

  /** What nobody has renewed for announcement_kept_s. @returns what is no longer held. */
  expire(now: number): readonly ItemName[] {
    const before = now - LIMITS.announcement_kept_s
    return [...this.#channels.values()].flatMap((known) => {
      const newest = Math.max(known.heard, ...known.policies.map((policy) => policy?.announcement.at ?? 0))
      if (newest < before) return this.remove(known.id)
      return DIRECTIONS.filter((direction) => {
        const policy = known.policies[direction]
        const old = policy !== undefined && policy.announcement.at < before
        if (old) this.#setPolicy(known, direction, undefined)
        return old
      }).map((part) => ({ channel: known.id, part }))
    })
  }

  #channelRefusal(announcement: ChannelAnnouncement, { channelKnown }: ApplyContext): GraphRefusal | undefined {
    const { channel } = announcement
    if (this.has(channel)) return 'announcement_stale'
    const { accounts } = announcement
    const most = Math.max(...accounts.map((account) => this.#byAccount.get(idText(account))?.channels.size ?? 0))
    if (most >= LIMITS.graph_channels_per_account || this.size >= LIMITS.graph_channels) return 'announcement_quota'
    const known = channelKnown(channel)
    const same =
      known?.open === true && accounts.every((account) => known.accounts.some((each) => equalBytes(each, account)))
    return same ? undefined : 'announcement_unknown_channel'
  }

  #policyRefusal({ channel, from, at }: PolicyAnnouncement, now: number): GraphRefusal | undefined {
    const known = this.#channels.get(idText(channel))
    const direction = known === undefined ? undefined : directionOf(known, from)
    if (known === undefined || direction === undefined) return 'announcement_unknown_channel'
    // Far ahead of time, it would stand where no later one could replace it.
    if (at > now + LIMITS.announcement_future_s) return 'announcement_future'
    const held = known.policies[direction]?.announcement.at ?? -1
    return at <= held || at < now - LIMITS.announcement_kept_s ? 'announcement_stale' : undefined
  }

  #put({ announcement, bytes }: Authentic, now: number): ItemName {
    const { channel } = announcement
    if (announcement.kind === 'policy') {
      const known = this.#channels.get(idText(channel))!
      const part = directionOf(known, announcement.from)!
      this.#setPolicy(known, part, { announcement, bytes })
      return { channel, part }
    }
    const announced = { announcement, bytes }
    const [first, second] = announcement.accounts.map((account) => this.#member(account)) as [Member, Member]
    const names = [first.name, second.name] as const
    const known: GraphChannel = { id: channel, announced, names, heard: now, policies: [undefined, undefined] }
    this.#channels.set(idText(channel), known)
    for (const { name, channels } of [first, second]) {
      channels.add(known)
      this.#into.delete(name)
    }
    this.digests.toggle(announced)
    return { channel, part: 'channel' }
  }

  #member(account: AccountId): Member {
    const name = idText(account)
    const member = this.#byAccount.get(name) ?? { name, channels: new Set() }
    this.#byAccount.set(name, member)
    return member
  }

  #setPolicy(known: GraphChannel, direction: Direction, policy: Authentic<PolicyAnnouncement> | undefined): void {
    for (const item of [known.policies[direction], policy]) if (item !== undefined) this.digests.toggle(item)
    known.policies[direction] = policy
    this.#into.delete(known.names[1 - direction]!)
  }
}

function partsOf({ id: channel, policies }: GraphChannel): ItemName[] {
  const directions = DIRECTIONS.filter((direction) => policies[direction] !== undefined)
  return [{ channel, part: 'channel' }, ...directions.map((part) => ({ channel, part }))]
}
