/**
 * RECOVERY as the node drives it (C8, S2). Whatever cannot be believed of the database is frozen before a peer is met;
 * towers are asked for everything that is frozen or lost, and nothing is signed before enough of them have answered;
 * what the database has lost altogether is found on the ledger again (lost-channels.ts). The rest is the channel's own
 * machine.
 */
import { type ChannelId, idText } from '../base/ids.js'
import type { Store } from '../base/ports/store.js'
import type { ExitTerms } from '../chain-adapter/contract/channel-rules.js'
import { exitTerms } from '../channel/content.js'
import type { Loaded } from './channel-book.js'
import type { WorkEffect } from './channels.js'
import type { Tx } from './engine.js'
import { serveAll } from './heads.js'
import type { HeardTime } from './heard-time.js'
import type { LiveChannel } from './live-channel.js'
import { LostChannels, type LostParts } from './lost-channels.js'
import type { TowerState } from './tower-survey.js'

export interface RecoveryParts extends Omit<LostParts, 'found' | 'ask'> {
  /** For the node's log of events: this channel makes no round any more. */
  readonly broken: (tx: Tx, channel: LiveChannel, clause: string) => void
  readonly heard: HeardTime
  /** Seconds: NodeConfig's. */
  readonly absent: number
  readonly towers: {
    /** Every tower, until it answers: `shown` and `answered` hear of it. */
    ask(terms: ExitTerms): void
    /** What they have shown already, once more: `shown` hears of it. */
    recall(channel: ChannelId): void
    surveyed(channel: ChannelId): boolean
    ahead(channel: LiveChannel): boolean
  }
}

interface Asked {
  /** Of the time in which the ledger was heard. */
  readonly since: number
  /** What would end in our signature, by kind: the newest of each. */
  readonly held: Map<WorkEffect['type'], { readonly channel: LiveChannel; readonly run: () => void }>
  /** Asked anew since an exit stands: its record tells which of their secrets are the peer's (L7). */
  disputed: boolean
}

/** Whose answers sign a close. */
const SIGNS: ReadonlySet<WorkEffect['type']> = new Set<WorkEffect['type']>(['verifyClose', 'proveClose'])

export class Recovery {
  readonly lost: LostChannels
  /** By channel: frozen or lost, its towers asked since. */
  readonly #asked = new Map<string, Asked>()

  constructor(
    private readonly parts: RecoveryParts,
    private readonly loaded: Loaded,
  ) {
    const found = (tx: Tx, channel: LiveChannel): void => {
      parts.broken(tx, channel, 'C8')
      if (parts.isConnected(channel.peer)) parts.channels.step(tx, channel, { type: 'connected' })
    }
    this.lost = new LostChannels({ ...parts, found, ask: (terms) => void this.#ask(terms) })
  }

  /** Before the ledger is followed and peers are met. @param cursor how far the ledger was followed */
  async start(store: Pick<Store, 'range'>, cursor: number): Promise<void> {
    const { engine, channels } = this.parts
    engine.do((tx) => {
      for (const { channel, revoked } of this.loaded.frozen) channels.step(tx, channel, { type: 'recover', revoked })
    })
    for (const channel of channels.all()) if (channel.state.phase === 'recovery') this.#ask(exitTerms(channel.context))
    await this.lost.start(store, this.loaded.lost, cursor)
  }

  close(): void {
    this.lost.close()
  }

  /**
   * A close of a frozen channel is neither proved nor looked at before enough towers have answered (T2), or `absent_s`
   * have passed: one of them may hold a newer state than it pays, and a signature cannot be taken back.
   */
  work(channel: LiveChannel, effect: WorkEffect, run: () => void): void {
    if (effect.type === 'dataLost') this.#ask(exitTerms(channel.context))
    const signs = SIGNS.has(effect.type) && channel.state.phase === 'recovery'
    const asked = signs ? this.#ask(exitTerms(channel.context)) : undefined
    if (asked === undefined || this.#mayBelieve(channel, asked)) run()
    else asked.held.set(effect.type, { channel, run })
  }

  /** C8: a state that a tower showed with both signatures. */
  shown(id: ChannelId, found: TowerState): void {
    const { channels, logger } = this.parts
    const channel = channels.get(id)
    if (channel === undefined) {
      this.lost.shown(id, found)
      return
    }
    const { version, state, signatures, secrets } = found
    if (version > channel.state.current.content.version) logger.warn('tower.ahead', { channel: channel.text, version })
    channels.input(channel, { type: 'newestShown', state, signatures, ...(secrets && { secrets }) })
  }

  /** A tower has answered about this channel. */
  answered(id: ChannelId): void {
    const asked = this.#asked.get(idText(id))
    if (asked !== undefined) this.#release(asked)
  }

  /** With every head. */
  advanced(): void {
    serveAll(this.#asked.values(), (asked) => this.#release(asked))
    serveAll(this.parts.channels.all(), (channel) => this.#askAgain(channel))
  }

  #askAgain({ id, text, state, context }: LiveChannel): void {
    const asked = this.#asked.get(text)
    if (state.phase !== 'recovery' || state.dispute === null || asked === undefined || asked.disputed) return
    this.parts.towers.recall(id)
    this.parts.towers.ask(exitTerms(context))
    asked.disputed = true
  }

  #ask(terms: ExitTerms): Asked {
    const name = idText(terms.channel)
    const known = this.#asked.get(name)
    if (known !== undefined) return known
    const asked: Asked = { since: this.parts.heard.seconds, held: new Map(), disputed: false }
    this.#asked.set(name, asked)
    this.parts.towers.ask(terms)
    return asked
  }

  #release({ since, held }: Asked): void {
    for (const [kind, { channel, run }] of held) {
      const over = channel.state.phase !== 'recovery'
      if (!over && !this.#mayBelieve(channel, { since })) continue
      if (!over) run()
      held.delete(kind)
    }
  }

  #mayBelieve(channel: LiveChannel, { since }: Pick<Asked, 'since'>): boolean {
    const { towers, heard, absent } = this.parts
    if (towers.ahead(channel)) return false
    return towers.surveyed(channel.id) || heard.seconds - since >= absent
  }
}
