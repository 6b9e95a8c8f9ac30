/** A machine that runs a watchtower: the real one, over its own simulated disk and its own view of the ledger. */
import { curve, type Scalar } from '../../../src/base/curve/index.js'
import type { AccountId } from '../../../src/base/ids.js'
import { Secrets } from '../../../src/store/keystore.js'
import { TOWER_DEFAULTS } from '../../../src/watchtower/config.js'
import { Tower } from '../../../src/watchtower/tower.js'
import { silent } from '../../../src/wire/environment.js'
import { timersOf } from './clock.js'
import type { Life } from './life.js'
import { Machine, type Site } from './machine.js'
import { openStore } from './store.js'

/** Blocks for which it remembers an ended channel: few, so that forgetting is met too. */
const DEPTH = 8

export class TowerHost extends Machine {
  /** Once it serves clients. */
  tower: Tower | undefined
  readonly key: Scalar
  readonly account: AccountId

  constructor(name: string, seed: Uint8Array, site: Site) {
    super(name, site)
    this.key = new Secrets(seed).signingKey
    this.account = curve.multiplyBase(this.key)
    site.towers.add(this)
  }

  /** The life in which it serves, if it does. */
  get serving(): Life | undefined {
    return this.up && this.tower !== undefined ? this.life : undefined
  }

  protected override gone(): void {
    this.tower = undefined
    this.site.towers.gone(this.name)
  }

  protected override async run(life: Life): Promise<void> {
    this.tower = undefined
    const { schedule, ledger } = this.site
    const tower = await Tower.open({
      store: openStore(life, this.disk),
      key: this.key,
      chain: ledger.adapter(life),
      timers: timersOf(schedule, life, 0, ledger.genesis.time),
      logger: silent,
      config: { ...TOWER_DEFAULTS, settlementDepth: DEPTH },
    })
    await tower.start()
    this.tower = tower
  }
}
