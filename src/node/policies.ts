/** Forwarding policies: our own per channel (R3), and what peers told us of theirs, for our invoices' hints (R6, R7). */
import { z } from 'zod'
import { utf8 } from '../base/bytes.js'
import { encodeAs, zText } from '../base/codec.js'
import type { ChannelId } from '../base/ids.js'
import type { RouteHint } from '../router/invoice.js'
import { type Policy, zPolicy } from '../router/policy.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import { capacityOf } from './capacity.js'
import type { Channels } from './channels.js'
import type { Engine, Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'
import type { PolicyMessage } from './messages.js'

export const zTold = z.strictObject({ policy: zPolicy, url: zText(256).nullable() })

const ownKey = (channel: ChannelId | null): Uint8Array => tableKey('node', utf8('policy'), channel ?? utf8('default'))
export const toldKey = (channel: ChannelId): Uint8Array => tableKey('node', utf8('policy-of-peer'), channel)

/** Hints in one invoice: the most able hubs. */
const HINTS_MAX = 4

export class Policies {
  constructor(
    private readonly engine: Engine,
    private readonly channels: Channels,
    private readonly fallback: Policy,
  ) {}

  of(channel: LiveChannel): Policy {
    return this.#own(channel.id) ?? this.default
  }

  /** Of channels without their own. */
  get default(): Policy {
    return this.#own(null) ?? this.fallback
  }

  set(tx: Tx, channel: ChannelId | null, policy: Policy): void {
    tx.put({ key: ownKey(channel), value: encodeAs(zPolicy, policy) })
  }

  /** A peer told what it asks; believed as a price only: a payer bounds what it pays. */
  told(tx: Tx, channel: LiveChannel, { policy, url }: PolicyMessage['body']): void {
    const known = /^wss?:\/\/[A-Za-z0-9.:[\]-]+$/.test(url ?? '') ? url : null
    tx.put({ key: toldKey(channel.id), value: encodeAs(zTold, { policy, url: known }) })
  }

  /** How a payer reaches us (R6). */
  hints(): RouteHint[] {
    const hints: { readonly hint: RouteHint; readonly able: bigint }[] = []
    for (const channel of this.channels.all()) {
      const hint = channel.state.phase === 'open' ? this.hintOf(channel) : undefined
      if (hint?.policy.enabled === true) hints.push({ hint, able: capacityOf(channel).canReceive })
    }
    hints.sort((a, b) => (a.able < b.able ? 1 : a.able > b.able ? -1 : 0))
    return hints.slice(0, HINTS_MAX).map(({ hint }) => hint)
  }

  /** A peer's way to us through this channel, if it told what it asks for it. */
  hintOf(channel: LiveChannel): RouteHint | undefined {
    const row = this.engine.get(toldKey(channel.id))
    if (row === undefined) return undefined
    const { policy, url } = parseRow(row, zTold)
    return { hub: channel.peer, url, channel: channel.id, policy }
  }

  #own(channel: ChannelId | null): Policy | undefined {
    const row = this.engine.get(ownKey(channel))
    return row === undefined ? undefined : parseRow(row, zPolicy)
  }
}
