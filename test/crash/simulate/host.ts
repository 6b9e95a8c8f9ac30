/** A machine that runs a node. */
import { curve } from '../../../src/base/curve/index.js'
import { MeridianError } from '../../../src/base/errors.js'
import type { AccountId, ChannelId } from '../../../src/base/ids.js'
import type { Batch } from '../../../src/base/ports/store.js'
import type { OfferBody } from '../../../src/channel/types.js'
import type { NodeParts } from '../../../src/node/assemble.js'
import { defaultConfig, type NodeConfig } from '../../../src/node/config.js'
import type { LiveChannel } from '../../../src/node/live-channel.js'
import { Node } from '../../../src/node/node.js'
import { Secrets } from '../../../src/store/keystore.js'
import { tableKey } from '../../../src/store/tables.js'
import { silent } from '../../../src/wire/environment.js'
import { timersOf } from './clock.js'
import { written } from './durable.js'
import type { Life } from './life.js'
import { Machine, type Site } from './machine.js'
import { Random } from './random.js'
import { openDirectory } from './store.js'

const CHANNEL_TABLE = tableKey('channel')[0]

/** The node's insides, for the oracle and for what no operator's call does. */
type Parts = Pick<NodeParts, 'channels' | 'engine'>

export class Host extends Machine {
  /** Once it has opened its directory. */
  node: Node | undefined
  /** Seconds by which its wall clock is wrong. */
  skew_s = 0
  readonly secrets: Secrets
  readonly account: AccountId

  constructor(
    name: string,
    seed: Uint8Array,
    site: Site,
    readonly config: Partial<NodeConfig>,
  ) {
    super(name, site)
    this.secrets = new Secrets(seed)
    this.account = curve.multiplyBase(this.secrets.signingKey)
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

  /** A batch is written in the call that encodes it: each channel's row is its state now. */
  #wrote({ puts }: Batch): void {
    if (this.node === undefined) return
    for (const { key, value } of puts) {
      if (key[0] !== CHANNEL_TABLE) continue
      const channel = this.#parts(this.node).channels.get(key.slice(-32) as ChannelId)
      if (channel !== undefined) written(value, channel.state)
    }
  }

  protected override gone(): void {
    this.site.network.gone(this.name)
    this.node = undefined
  }

  protected override async run(life: Life): Promise<void> {
    this.node = undefined
    const { schedule, ledger, network, towers, proofs, seed } = this.site
    const random = new Random(`${seed}/${this.name}/${this.lives}`)
    const node = await Node.open({
      directory: openDirectory(life, this.disk, this.secrets, (batch) => this.#wrote(batch)),
      chain: ledger.adapter(life),
      pool: proofs.pool(schedule, life),
      config: { ...defaultConfig(ledger.genesis.amountBits), ...this.config },
      logger: silent,
      timers: timersOf(schedule, life, this.skew_s, ledger.genesis.time),
      entropy: (length) => random.bytes(length),
      transport: network.transport(this.name, life),
      towers: towers.transport(this.name, life),
    })
    this.node = node
    const started = await node.start()
    if (!started.ok) throw new MeridianError(started.error.code, started.error.detail)
  }
}
