/** A small network in one process: a real ledger with a manual clock, nodes with real directories, real WebSockets. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Amount } from '../../src/base/amount.js'
import { utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import type { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { defaultConfig, type NodeConfig } from '../../src/node/config.js'
import { Node, type NodeOptions } from '../../src/node/node.js'
import { createPool, type ProofPool } from '../../src/privacy/pool.js'
import { createDirectory, type DataDirectory, openDirectory } from '../../src/store/directory.js'
import { admit, register, registrationRequest } from '../../src/wallet/registration.js'
import type { Wallet } from '../../src/wallet/wallet.js'
import { silent } from '../../src/wire/environment.js'
import { must } from '../chain-adapter/fixtures.js'
import { scratch } from '../scratch.js'
import { People } from '../wallet/people.js'

export const cents = (value: bigint): Amount => value as Amount

/** The manual clock leaps: no view of the ledger is ever too old. */
export const PATIENT: Partial<NodeConfig> = { ledgerAgeMax: 1_000_000 }
/** Forwards, and adds whatever share it is asked for. */
export const HUB: Partial<NodeConfig> = {
  ...PATIENT,
  forwarding: true,
  open: { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 40n) },
}

export interface Villager {
  readonly name: string
  readonly node: Node
  readonly directory: DataDirectory
  /** Where it listens. */
  readonly url: string
}

export class Village {
  readonly root = scratch('village')
  readonly #running = new Map<string, Villager>()

  private constructor(
    readonly pool: ProofPool,
    readonly people: People,
    readonly ledger: Ledger,
    readonly issuer: Wallet,
  ) {
    writeFileSync(join(this.root, 'passphrase'), 'correct horse')
  }

  static async build(): Promise<Village> {
    const pool = createPool({ threads: 2 })
    const people = new People(pool)
    const ledger = await people.ledger()
    return new Village(pool, people, ledger, await people.wallet('issuer', ledger))
  }

  /** Starts a node; the same name again after `stop` is a restart on the same directory. */
  async start(name: string, config: Partial<NodeConfig> = {}, options: Partial<NodeOptions> = {}): Promise<Villager> {
    const dir = join(this.root, name)
    const passphrase = join(this.root, 'passphrase')
    const seed = sha256(utf8(`meridian test person ${name}`))
    const known = await openDirectory(dir, passphrase)
    const directory = must(known.ok ? known : await createDirectory(dir, passphrase, { test: true, seed }))
    const node = await Node.open({
      directory,
      chain: inProcessAdapter(this.ledger),
      pool: this.pool,
      config: { ...defaultConfig(48), listen: { host: '127.0.0.1', port: 0 }, ...config },
      logger: silent,
      ...options,
    })
    const { listening } = must(await node.start())
    const villager = { name, node, directory, url: listening ?? '' }
    this.#running.set(name, villager)
    return villager
  }

  async stop({ name, node, directory }: Villager): Promise<void> {
    this.#running.delete(name)
    await node.stop()
    await directory.close()
  }

  /** A node whose account is registered and has money. */
  async settle(name: string, amount: bigint, config: Partial<NodeConfig> = PATIENT): Promise<Villager> {
    const villager = await this.start(name, config)
    await this.fund(villager, amount)
    return villager
  }

  /** Registers the account and mints to it. */
  async fund({ node }: Villager, amount: bigint): Promise<void> {
    must(await register(node.wallet, must(await admit(this.issuer, await registrationRequest(node.wallet)))))
    if (amount > 0n) must(await this.issuer.mint(`fund ${node.status().account}`, node.account, cents(amount)))
  }

  /** Its directory while no node runs on it. */
  async diary(name: string): Promise<DataDirectory> {
    return must(await openDirectory(join(this.root, name), join(this.root, 'passphrase')))
  }

  async channel(from: Villager, to: Villager, deposit: bigint, share: bigint): Promise<ChannelId> {
    must(await from.node.connect({ account: to.node.account, url: to.url }))
    const id = must(
      await from.node.openChannel(`${from.name}-${to.name}`, {
        peer: to.node.account,
        deposit: cents(deposit),
        share: cents(share),
      }),
    )
    await until(() => from.node.channel(id)?.ready === true && to.node.channel(id)?.ready === true)
    return id
  }

  async close(): Promise<void> {
    for (const villager of this.#running.values()) await this.stop(villager)
    await this.ledger.close()
    await this.pool.close()
    rmSync(this.root, { recursive: true, force: true })
  }
}

/** What the account holds, pending or not. */
export async function total({ node }: Villager): Promise<bigint> {
  const { available, pendingOpen, pendingFrozen } = must(await node.wallet.balance())
  return available + pendingOpen + pendingFrozen
}

/** Waits for something that comes by itself; tap's own limit ends a test in which it does not. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}
