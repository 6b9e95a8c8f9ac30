/** One node of a bench within its process: opened, registered, with its channels; killed and opened again. */
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Amount, ZERO } from '../../base/amount.js'
import { decodeGenesis, ledgerIdOf } from '../../base/genesis.js'
import { type ChannelId, idText, parseAccountId, parseChannelId } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { defaultConfig } from '../../node/config.js'
import { Node } from '../../node/node.js'
import type { ProofPool } from '../../privacy/pool.js'
import { createDirectory, type DataDirectory, openDirectory } from '../../store/directory.js'
import { TABLES } from '../../store/tables.js'
import { silent } from '../../wire/environment.js'
import type { ChannelFacts, OutputOf, PartyCalls, PartySetup, TableRows } from './calls.js'
import { bytesIn } from './disk.js'

/** Above every table's keys. */
const LAST_KEY = Uint8Array.of(255)

export const channelOf = (text: string): ChannelId => need(parseChannelId(text))

export class House {
  readonly #closers: (() => Promise<unknown>)[] = []
  #opened = 0

  private constructor(
    readonly node: Node,
    readonly url: string,
    private readonly directory: DataDirectory,
    private readonly data: string,
  ) {}

  static async open(
    { dir, ledgerUrl, genesis, forwarding, create, port }: PartySetup,
    pool: ProofPool,
  ): Promise<House> {
    const closers: (() => Promise<unknown>)[] = []
    const passphrase = join(dir, 'passphrase')
    const data = join(dir, 'data')
    if (create) {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      await writeFile(passphrase, 'a bench keeps nothing', { mode: 0o600 })
      const options = { test: true, seed: new Uint8Array(randomBytes(32)) }
      await need(await createDirectory(data, passphrase, options)).close()
    }
    const directory = need(await openDirectory(data, passphrase))
    closers.push(() => directory.close())
    const terms = need(decodeGenesis(genesis))
    const chain = await connectLedger(ledgerUrl, ledgerIdOf(terms))
    closers.push(() => chain.close())
    const base = defaultConfig(terms.amountBits)
    const config = {
      ...base,
      listen: { host: '127.0.0.1', port },
      forwarding,
      open: { ...base.open, shareMax: (1n << 46n) as Amount },
    }
    const node = await Node.open({ directory, chain, pool, config, logger: silent })
    closers.push(() => node.stop())
    const { listening } = need(await node.start())
    const house = new House(node, listening ?? '', directory, data)
    house.#closers.push(...closers)
    return house
  }

  async close(): Promise<void> {
    for (const closer of this.#closers.splice(0).reverse()) await closer()
  }

  /** Rolls over until everything is available; what it then holds. */
  async balance(): Promise<bigint> {
    for (const stage of [1, 2]) need(await this.node.wallet.rollover(`bench ${stage}`))
    const { available, pendingOpen, pendingFrozen } = need(await this.node.wallet.balance())
    return available + pendingOpen + pendingFrozen
  }

  async openChannel(peer: string, url: string, deposit: bigint, share: bigint): Promise<string> {
    const account = need(parseAccountId(peer))
    need(await this.node.connect({ account, url }))
    const wish = { peer: account, deposit: deposit as Amount, share: share as Amount }
    return idText(need(await this.node.openChannel(`open ${this.#opened++} ${peer}`, wish)))
  }

  channel(text: string): ChannelFacts {
    const { ready = false, balance = ZERO, locks = 0, version = 0 } = this.node.channel(channelOf(text)) ?? {}
    return { channel: text, ready, balance, locks, version }
  }

  channels(): OutputOf<PartyCalls, 'channels'> {
    const all = this.node.channels()
    const balance = all.reduce((sum, channel) => sum + channel.balance, 0n)
    return { all: all.length, ready: all.filter(({ ready }) => ready).length, balance }
  }

  /** What lies on disk, by table. */
  async rows(): Promise<TableRows> {
    const rows: Record<string, number> = {}
    const bytes: Record<string, number> = {}
    const names = new Map<number, string>(Object.entries(TABLES).map(([name, first]) => [first, name]))
    await this.node.engine.run(() => undefined).durable
    for await (const { key, value } of this.directory.store.range({ from: Uint8Array.of(1), to: LAST_KEY })) {
      const name = names.get(key[0]!) ?? `table ${key[0]}`
      rows[name] = (rows[name] ?? 0) + 1
      bytes[name] = (bytes[name] ?? 0) + key.length + value.length
    }
    return { rows, bytes, disk_bytes: bytesIn(this.data) }
  }
}
