/**
 * What disputes are tested with: a party that posts any state which both signed, a power cut, time that leaps, a ledger
 * that takes its time, and what the honest look at.
 */
import { cpSync, renameSync, rmSync } from 'node:fs'

import type { Digest } from '../../src/base/bytes.js'
import { equalBytes } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import type { ChannelId } from '../../src/base/ids.js'
import type { ChainAdapter } from '../../src/base/ports/chain.js'
import {
  encodeTransaction,
  type Transaction,
  type TransactionOf,
  transactionDigest,
} from '../../src/base/transaction.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import type { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { channelKeys } from '../../src/channel/keys.js'
import { decodeTerms } from '../../src/channel/terms.js'
import type { NumberedEvent } from '../../src/node/event-log.js'
import { readChannelRow } from '../../src/node/live-channel.js'
import { openDirectory } from '../../src/store/directory.js'
import { tableKey } from '../../src/store/tables.js'
import { systemTimers, type Timers } from '../../src/wire/environment.js'
import { must } from '../chain-adapter/fixtures.js'
import { Puppet } from './puppet.js'
import { Stranger } from './stranger.js'
import type { Village, Villager } from './village.js'

/** An exit with the newest state that both signed: kept, it is an old one later. What a node shows is ahead of its disk. */
export async function exitFrom({ node, directory }: Villager, id: ChannelId): Promise<TransactionOf<'exit'>> {
  await node.engine.run(() => undefined).durable
  const { store, secrets } = directory
  const terms = must(decodeTerms(store.get(tableKey('terms', id))!))
  const { encoded, signatures } = readChannelRow(store.get(tableKey('channel', id))!).state.current
  const { signing } = channelKeys(secrets.channelSeed, terms)
  const unsigned = {
    kind: 'exit' as const,
    ledger: terms.ledger as Uint8Array as Digest,
    channel: id as Uint8Array as Digest,
    poster: equalBytes(curve.multiplyBase(signing), terms.channelKeys[0]) ? (0 as const) : (1 as const),
    state: encoded,
    stateSignatures: [signatures[0], signatures[1]] as TransactionOf<'exit'>['stateSignatures'],
  }
  return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), signing) }
}

export const post = (ledger: Ledger, transaction: Transaction) => ledger.submit(encodeTransaction(transaction))

/** The machine's own time, and as much more as a test says. */
export class LeapingTimers implements Timers {
  #leapt = 0
  now = (): number => systemTimers.now() + this.#leapt
  after = systemTimers.after
  soon = systemTimers.soon
  seconds = systemTimers.seconds

  leap(seconds: number): void {
    this.#leapt += seconds * 1_000
  }
}

/** A connection on which transactions of some kinds never come to an answer: sent, perhaps, and nothing heard. */
export function unanswered(ledger: Ledger, ...kinds: readonly string[]) {
  const asked: string[] = []
  const inner = inProcessAdapter(ledger)
  const chain: ChainAdapter = {
    ...inner,
    submit: (tx) => {
      asked.push(tx.kind)
      return kinds.includes(tx.kind) ? new Promise(() => undefined) : inner.submit(tx)
    },
  }
  return { chain, asked }
}

/** The power goes: the directory is what it was at that moment, whatever the process did afterwards. */
export async function cutPower(village: Village, villager: Villager): Promise<void> {
  const dir = `${village.root}/${villager.name}`
  await villager.node.engine.run(() => undefined).durable
  cpSync(dir, `${dir}.image`, { recursive: true })
  await village.stop(villager)
  rmSync(dir, { recursive: true })
  renameSync(`${dir}.image`, dir)
}

/** The node of this villager is down; its disk and keys speak to the other by hand. */
export async function byHand(village: Village, self: Villager, other: Villager, id: ChannelId): Promise<Puppet> {
  await village.stop(self)
  const { ledger, root } = village
  const diary = must(await openDirectory(`${root}/${self.name}`, `${root}/passphrase`))
  const at = { url: other.url, account: other.node.account, ledger: ledger.ledger }
  const puppet = Puppet.of(diary, id, ledger, await Stranger.meet(diary.secrets.signingKey, at))
  await diary.close()
  puppet.input({ type: 'connected' })
  while (puppet.state.link !== 'live') await puppet.pump()
  return puppet
}

export function exitOf({ effects }: Puppet): TransactionOf<'exit'> {
  for (const effect of effects) {
    if (effect.type === 'submit' && effect.transaction.kind === 'exit') return effect.transaction
  }
  throw new Error('no exit was submitted')
}

/** Entries of the node's log about a channel. */
export async function about({ node }: Villager, channel: ChannelId): Promise<NumberedEvent[]> {
  const name = Buffer.from(channel).toString('hex')
  return (await node.events.page(0, 1_000)).filter((event) => 'channel' in event && event.channel === name)
}

export const types = (events: readonly NumberedEvent[]): string[] => events.map(({ type }) => type)

/** The log says so: all that led to it is durable. */
export const isClosed = async (villager: Villager, id: ChannelId): Promise<boolean> =>
  types(await about(villager, id)).includes('channel.closed')
