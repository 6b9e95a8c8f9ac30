/** A machine that runs a node: its disk outlives every life of the process on it. */
import { curve } from '../../../src/base/curve/index.js'
import { MeridianError } from '../../../src/base/errors.js'
import type { AccountId } from '../../../src/base/ids.js'
import type { OfferBody } from '../../../src/channel/types.js'
import type { NodeParts } from '../../../src/node/assemble.js'
import { defaultConfig, type NodeConfig } from '../../../src/node/config.js'
import type { LiveChannel } from '../../../src/node/live-channel.js'
import { Node } from '../../../src/node/node.js'
import { Secrets } from '../../../src/store/keystore.js'
import { silent } from '../../../src/wire/environment.js'
import { type Schedule, timersOf } from './clock.js'
import { Disk } from './disk.js'
import type { SimulatedLedger } from './ledger.js'
import { Life } from './life.js'
import type { Network } from './network.js'
import type { Proofs } from './proofs.js'
import { Random } from './random.js'
import { openDirectory } from './store.js'

export interface Site {
  readonly seed: string
  readonly random: Random
  readonly schedule: Schedule
  readonly ledger: SimulatedLedger
  readonly network: Network
  readonly proofs: Proofs
}

/** The node's insides, for the oracle and for what no operator's call does. */
type Parts = Pick<NodeParts, 'channels' | 'engine'>

export class Host {
  readonly disk: Disk
  life: Life | undefined
  /** Once it has opened its directory. */
  node: Node | undefined
  lives = 0
  /** How its next death takes the page cache with it. */
  powerFails = false
  /** Seconds by which its wall clock is wrong. */
  skew_s = 0
  /** Why it could not start, last. */
  failure: string | undefined
  readonly secrets: Secrets
  readonly account: AccountId

  constructor(
    readonly name: string,
    seed: Uint8Array,
    private readonly site: Site,
    private readonly config: Partial<NodeConfig>,
  ) {
    this.disk = new Disk(site.schedule)
    this.secrets = new Secrets(seed)
    this.account = curve.multiplyBase(this.secrets.signingKey)
  }

  get up(): boolean {
    return this.life?.alive === true
  }

  /** Every channel as the node has it in memory; none while it is down. */
  channels(): readonly LiveChannel[] {
    if (!this.up || this.node === undefined) return []
    return this.#parts(this.node).channels.all()
  }

  /** What no call of a node does: an operation for one of its channels. */
  offer(channel: LiveChannel, body: OfferBody): void {
    if (!this.up || this.node === undefined) return
    const { channels, engine } = this.#parts(this.node)
    engine.do((tx) => channels.offer(tx, channel, body, () => undefined))
  }

  #parts(node: Node): Parts {
    return (node as unknown as { readonly parts: Parts }).parts
  }

  start(): void {
    if (this.up) return
    const { schedule, ledger, network } = this.site
    this.lives += 1
    const life = new Life(this.name, (dead) => {
      schedule.forget(dead)
      ledger.forget(dead)
      network.gone(this.name)
      this.node = undefined
      if (this.powerFails) this.disk.powerCut(this.site.random)
      else this.disk.killed()
      this.powerFails = false
    })
    this.life = life
    this.node = undefined
    this.failure = undefined
    this.#run(life).catch((error: unknown) => {
      if (!life.alive) return
      // The ledger did not say what became of a transaction: its operator starts it again.
      if (error instanceof MeridianError && error.code === 'unavailable') return life.end()
      this.failure = error instanceof Error ? error.message : String(error)
      life.end()
    })
  }

  async #run(life: Life): Promise<void> {
    const { schedule, ledger, network, proofs, seed } = this.site
    const random = new Random(`${seed}/${this.name}/${this.lives}`)
    const node = await Node.open({
      directory: openDirectory(life, this.disk, this.secrets),
      chain: ledger.adapter(life),
      pool: proofs.pool(schedule, life),
      config: { ...defaultConfig(ledger.genesis.amountBits), ...this.config },
      logger: silent,
      timers: timersOf(schedule, life, this.skew_s, ledger.genesis.time),
      entropy: (length) => random.bytes(length),
      transport: network.transport(this.name, life),
    })
    this.node = node
    const started = await node.start()
    if (!started.ok) throw new Error(`${started.error.code} ${started.error.detail ?? ''}`)
  }
}
