/**
 * All channels of a node, and the one door to their state machines: `step` runs a channel, puts its state into the batch
 * and hands every effect to whom it concerns. The router side (`Desk`) acts within the same batch; everything that
 * leaves the process is done after it (C6).
 */

import type { Side } from '../base/channel-state.js'
import type { Point, Scalar } from '../base/curve/index.js'
import { InvariantError } from '../base/errors.js'
import type { AccountId, ChannelId } from '../base/ids.js'
import { idText } from '../base/ids.js'
import type { ChannelMessage } from '../base/message/channel.js'
import type { LedgerTime } from '../base/ports/chain.js'
import type { Result } from '../base/result.js'
import { refuse } from '../base/result.js'
import { step } from '../channel/step.js'
import type { Channel, Effect, Env, Input, OfferBody } from '../channel/types.js'
import type { Engine, Tx } from './engine.js'
import { encodeJournalEntry } from './journal-entry.js'
import type { LiveChannel } from './live-channel.js'
import { keepStopped } from './stopped.js'

/** Effects that concern payments: handled within the batch that made them. */
export type DeskEffect = Pays | Exclude<FromChannel, { type: 'paid' }>
type FromChannel = Extract<
  Effect,
  { type: 'paid' | 'lockIn' | 'lockClaimed' | 'lockSettled' | 'lockReturned' | 'lockDead' | 'offerRefused' }
>
/** The pays of one side that a step made irrevocable, in their order: told together. */
export interface Pays {
  readonly type: 'pays'
  readonly from: Side
  readonly pays: readonly Extract<Effect, { type: 'paid' }>[]
}
/** Effects for the ledger: durable until done. */
export type LedgerEffect = Extract<Effect, { type: 'submit' | 'reveal' }>
/** Effects that a worker or the operator sees to; asked for again after a restart. */
export type WorkEffect = Extract<
  Effect,
  {
    type:
      | 'prepareRandomizer'
      | 'proveClose'
      | 'verifyClose'
      | 'proveSettle'
      | 'channelReady'
      | 'shuttingDown'
      | 'breached'
      | 'dataLost'
  }
>

/**
 * What a channel that stopped at a broken invariant of ours (C11) still hears: the ledger, what others owe it, and that
 * its database is behind. It says nothing to its peer and never exits, but it supersedes, punishes, reveals and settles.
 */
const DEFENCE: ReadonlySet<Input['type']> = new Set([
  'tick',
  'recover',
  'funded',
  'fulfill',
  'revealWanted',
  'posted',
  'settleProved',
  'submitRefused',
  'paidOut',
])

export interface Surroundings {
  /** Synchronous, within the batch: obligations, payments, invoices. */
  desk(tx: Tx, channel: LiveChannel, effect: DeskEffect): void
  /** Within the batch: writes the outbox row and runs it after. */
  ledger(tx: Tx, channel: LiveChannel, effect: LedgerEffect): void
  /** After the batch. */
  work(channel: LiveChannel, effect: WorkEffect): void
  /** After the batch; a message to a peer that is away is dropped: reestablish makes up for it. */
  send(channel: LiveChannel, message: ChannelMessage): void
  /** Within the batch, before the step's effects: the channel is no longer what it was. */
  stepped(tx: Tx, channel: LiveChannel, before: Channel): void
  /** A broken invariant of ours, this clause, stopped this channel. */
  stopped(channel: LiveChannel, clause: string): void
  /** Newest final ledger view (A1). */
  view(): LedgerTime
  revealed(tx: Tx, point: Point): { readonly scalar: Scalar; readonly time: number } | undefined
  /** Wall clock, seconds. */
  now(): number
}

export class Channels {
  readonly #byId = new Map<string, LiveChannel>()
  /** By peer: a hub of thousands of peers must not look through all of its channels for each of them. */
  readonly #byPeer = new Map<string, Set<LiveChannel>>()

  constructor(
    readonly engine: Engine,
    private readonly around: Surroundings,
  ) {}

  add(channel: LiveChannel): void {
    this.remove(channel.id)
    this.#byId.set(channel.text, channel)
    const name = idText(channel.peer)
    const others = this.#byPeer.get(name)
    if (others === undefined) this.#byPeer.set(name, new Set([channel]))
    else others.add(channel)
  }

  remove(id: ChannelId): void {
    const channel = this.get(id)
    if (channel === undefined) return
    this.#byId.delete(channel.text)
    const name = idText(channel.peer)
    const others = this.#byPeer.get(name)
    others?.delete(channel)
    if (others?.size === 0) this.#byPeer.delete(name)
  }

  get(id: ChannelId): LiveChannel | undefined {
    return this.#byId.get(idText(id))
  }

  all(): readonly LiveChannel[] {
    return [...this.#byId.values()]
  }

  /** Those with this peer, oldest first. */
  with(peer: AccountId): readonly LiveChannel[] {
    return [...(this.#byPeer.get(idText(peer)) ?? [])]
  }

  /** One input on its own. */
  input(channel: LiveChannel, input: Exclude<Input, { type: 'offer' }>): void {
    this.engine.do((tx) => this.step(tx, channel, input))
  }

  /**
   * Within a batch: `told` hears the id, or why not, before anything that follows from the offer is handled: the leader
   * may drop it in the same step.
   */
  offer(tx: Tx, channel: LiveChannel, operation: OfferBody, told: (result: Result<number>) => void): void {
    this.offerAll(tx, channel, [operation], ([result]) => told(result!))
  }

  /** As `offer`, all in one step: `told` hears one result per operation, in their order. */
  offerAll(
    tx: Tx,
    channel: LiveChannel,
    operations: readonly OfferBody[],
    told: (results: readonly Result<number>[]) => void,
  ): void {
    if (channel.stopped === undefined) this.#run(tx, channel, { type: 'offer', operations }, told)
    if (channel.stopped !== undefined) told(operations.map(() => refuse('channel_not_open')))
  }

  /** @returns whether the channel took it; false after a defect, and where a stopped one does not hear such things. */
  step(tx: Tx, channel: LiveChannel, input: Exclude<Input, { type: 'offer' }>): boolean {
    return (channel.stopped === undefined || DEFENCE.has(input.type)) && this.#run(tx, channel, input)
  }

  /**
   * A defect stops the channel, and no other. What its defence must hear it hears once more as a stopped one; an exit
   * at least in its record, or nobody would ever answer it.
   */
  #run(tx: Tx, channel: LiveChannel, input: Input, told?: (results: readonly Result<number>[]) => void): boolean {
    const { stopped } = channel
    if (this.#attempt(tx, channel, input, told)) return true
    if (!DEFENCE.has(input.type)) return false
    if (stopped === undefined && this.#attempt(tx, channel, input)) return true
    return input.type === 'posted' && this.#attempt(tx, channel, { ...input, recordOnly: true })
  }

  /** Nothing of a step that fails is kept, neither in the machine nor at the desk; nothing of it leaves. */
  #attempt(tx: Tx, channel: LiveChannel, input: Input, told?: (results: readonly Result<number>[]) => void): boolean {
    try {
      tx.attempt(() => this.#whole(tx, channel, input, told))
      return true
    } catch (error) {
      // The ledger speaks to all channels: whatever one of them throws, the others hear it.
      const clause = error instanceof InvariantError ? error.clause : DEFENCE.has(input.type) ? 'C11' : undefined
      if (clause === undefined) throw error
      if (channel.stopped === undefined) this.around.stopped(channel, clause)
      channel.stopped ??= clause
      keepStopped(tx, channel)
      return false
    }
  }

  #whole(tx: Tx, channel: LiveChannel, input: Input, told?: (results: readonly Result<number>[]) => void): void {
    const env: Env = {
      context: channel.context,
      view: this.around.view(),
      now: this.around.now(),
      revealed: (point) => this.around.revealed(tx, point),
    }
    const { state } = channel
    const made = step(channel.stopped === undefined ? state : { ...state, link: 'down' }, input, env)
    tx.undo(() => {
      channel.state = state
    })
    channel.state = made.state
    if (made.durable) tx.touch(channel, made.journal.map(encodeJournalEntry))
    if (channel.stopped !== undefined) keepStopped(tx, channel)
    this.around.stepped(tx, channel, state)
    this.#dispatch(tx, channel, made.effects, told)
  }

  /** First what leaves, in its order; then the desk, whose own steps come after (all of it is one batch). */
  #dispatch(
    tx: Tx,
    channel: LiveChannel,
    effects: readonly Effect[],
    told: ((results: readonly Result<number>[]) => void) | undefined,
  ): void {
    const forDesk: Exclude<FromChannel, { type: 'paid' }>[] = []
    const paid: [Extract<Effect, { type: 'paid' }>[], Extract<Effect, { type: 'paid' }>[]] = [[], []]
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          tx.after(() => this.around.send(channel, effect.message))
          break
        case 'proposed':
          told?.(effect.results)
          break
        case 'submit':
        case 'reveal':
          this.around.ledger(tx, channel, effect)
          break
        case 'prepareRandomizer':
        case 'proveClose':
        case 'verifyClose':
        case 'proveSettle':
        case 'channelReady':
        case 'shuttingDown':
        case 'breached':
        case 'dataLost':
          tx.after(() => this.around.work(channel, effect))
          break
        case 'paid':
          paid[effect.from].push(effect)
          break
        default:
          forDesk.push(effect)
      }
    }
    for (const from of [0, 1] as const) {
      if (paid[from].length > 0) this.#desk(tx, channel, { type: 'pays', from, pays: paid[from] })
    }
    for (const effect of forDesk) this.#desk(tx, channel, effect)
  }

  /** What the desk of a stopped channel cannot do must not take its defence with it. */
  #desk(tx: Tx, channel: LiveChannel, effect: DeskEffect): void {
    if (channel.stopped === undefined) {
      this.around.desk(tx, channel, effect)
      return
    }
    try {
      tx.attempt(() => this.around.desk(tx, channel, effect))
    } catch (error) {
      this.around.stopped(channel, error instanceof InvariantError ? error.clause : 'C11')
    }
  }
}
