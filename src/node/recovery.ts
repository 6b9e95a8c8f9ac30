/**
 * RECOVERY as the node drives it (C8, S2). Whatever cannot be believed of the database is frozen before a peer is met;
 * towers are asked for every frozen channel before any close of it is signed; what the database has lost altogether is
 * found on the ledger again (lost-channels.ts). The rest is the channel's own machine.
 */
import type { Store } from '../base/ports/store.js'
import { exitTerms } from '../channel/content.js'
import type { Loaded } from './channel-book.js'
import type { WorkEffect } from './channels.js'
import type { Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'
import { LostChannels, type LostParts } from './lost-channels.js'

export interface RecoveryParts extends Omit<LostParts, 'found'> {
  /** For the node's log of events: this channel makes no round any more. */
  readonly broken: (tx: Tx, channel: LiveChannel, clause: string) => void
}

export class Recovery {
  readonly lost: LostChannels
  /** Towers, asked once per channel and start. */
  readonly #asked = new Map<string, Promise<void>>()

  constructor(
    private readonly parts: RecoveryParts,
    private readonly loaded: Loaded,
  ) {
    const found = (tx: Tx, channel: LiveChannel): void => {
      parts.broken(tx, channel, 'C8')
      if (parts.isConnected(channel.peer)) parts.channels.step(tx, channel, { type: 'connected' })
    }
    this.lost = new LostChannels({ ...parts, found })
  }

  /** Before the ledger is followed and peers are met. @param cursor how far the ledger was followed */
  async start(store: Pick<Store, 'range'>, cursor: number): Promise<void> {
    const { engine, channels } = this.parts
    engine.do((tx) => {
      for (const { channel, revoked } of this.loaded.frozen) channels.step(tx, channel, { type: 'recover', revoked })
    })
    for (const channel of channels.all()) if (channel.state.phase === 'recovery') void this.#ask(channel)
    await this.lost.start(store, this.loaded.lost, cursor)
  }

  close(): void {
    this.lost.close()
  }

  /** No close of a frozen channel is looked at before every tower was asked: one may hold a newer state than it pays. */
  work(channel: LiveChannel, effect: WorkEffect, run: () => void): void {
    const asked = channel.state.phase === 'recovery' ? this.#ask(channel) : undefined
    if (asked === undefined || effect.type !== 'verifyClose') run()
    else void asked.then(run)
  }

  #ask(channel: LiveChannel): Promise<void> {
    const known = this.#asked.get(channel.text)
    if (known !== undefined) return known
    const asked = this.parts.newest(exitTerms(channel.context)).then((shown) => {
      if (shown === undefined) return
      const { state, signatures } = shown
      this.parts.channels.input(channel, { type: 'newestShown', state, signatures })
    })
    this.#asked.set(channel.text, asked)
    return asked
  }
}
