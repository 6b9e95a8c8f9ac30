/** A watchtower's process: what `meridian tower` runs, with the quotas of one that thousands of channels pay for. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeGenesis, ledgerIdOf } from '../../base/genesis.js'
import { need } from '../../chain-adapter/need.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { createDirectory, openDirectory } from '../../store/directory.js'
import { TOWER_DEFAULTS } from '../../watchtower/config.js'
import { listenForClients } from '../../watchtower/listener.js'
import { Tower } from '../../watchtower/tower.js'
import { silent, systemEntropy, systemTimers } from '../../wire/environment.js'
import type { Handlers, OutputOf, TowerCalls, TowerSetup } from './calls.js'
import { attend } from './child.js'

class Host {
  readonly #closers: (() => Promise<unknown>)[] = []
  #tower: Tower | undefined

  readonly handlers: Handlers<TowerCalls> = {
    open: (setup) => this.#open(setup),
    submitted: async () => this.#tower?.status().submitted ?? { punish: 0, supersede: 0, reveal: 0 },
  }

  async close(): Promise<void> {
    for (const closer of this.#closers.splice(0).reverse()) await closer()
  }

  async #open({ dir, ledgerUrl, genesis, create, port }: TowerSetup): Promise<OutputOf<TowerCalls, 'open'>> {
    const passphrase = join(dir, 'passphrase')
    const data = join(dir, 'data')
    if (create) {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      await writeFile(passphrase, 'a bench keeps nothing', { mode: 0o600 })
      await need(await createDirectory(data, passphrase)).close()
    }
    const directory = need(await openDirectory(data, passphrase))
    this.#closers.push(() => directory.close())
    const chain = await connectLedger(ledgerUrl, ledgerIdOf(need(decodeGenesis(genesis))))
    this.#closers.push(() => chain.close())
    const { store } = directory
    const key = directory.secrets.signingKey
    const common = { key, timers: systemTimers, logger: silent }
    const tower = await Tower.open({ ...common, store, chain, config: TOWER_DEFAULTS })
    this.#tower = tower
    this.#closers.push(() => tower.stop())
    await tower.start()
    const where = { host: '127.0.0.1', port, ledger: chain.ledger, entropy: systemEntropy }
    const listener = need(await listenForClients({ ...common, ...where, tower }))
    this.#closers.push(() => tower.stop().then(() => listener.close()))
    const { account, channels } = tower.status()
    return { account, url: listener.url, channels }
  }
}

const host = new Host()
attend<TowerCalls>(host.handlers, () => host.close())
