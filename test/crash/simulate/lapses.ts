/** What the program did to whom: the only grounds for an excuse. */
import { type ChannelId, idText } from '../../../src/base/ids.js'
import type { Name } from './base.js'

const nameOf = (name: Name, channel: ChannelId): string => `${name}/${idText(channel)}`

export class Lapses {
  /** Who has published what it had revoked, with intent. It is owed nothing. */
  readonly dishonest = new Set<Name>()
  /** Whose disk was put back at some time: its own books are not whole. */
  readonly restored = new Set<Name>()
  readonly #lost = new Set<string>()
  readonly #copied = new Set<string>()
  readonly #forced = new Set<string>()

  /** The disk is put back: whatever it knew of these channels may be old. */
  restore(name: Name, channels: readonly ChannelId[], byHand: boolean): void {
    this.restored.add(name)
    for (const channel of channels) {
      this.#lost.add(nameOf(name, channel))
      if (byHand) this.#copied.add(nameOf(name, channel))
    }
  }

  /** This side's disk was put back while the channel was open. */
  lost(name: Name, channel: ChannelId): boolean {
    return this.#lost.has(nameOf(name, channel))
  }

  /** Likewise, by copying all files, the high-water file among them: nothing on the disk tells that it is old (S2). */
  copied(name: Name, channel: ChannelId): boolean {
    return this.#copied.has(nameOf(name, channel))
  }

  force(name: Name, channel: ChannelId): void {
    this.#forced.add(nameOf(name, channel))
  }

  /** Its operator has told it to exit. */
  forced(name: Name, channel: ChannelId): boolean {
    return this.#forced.has(nameOf(name, channel))
  }
}
