/** A payer, one hub or two, a payee: the simulation's ledger, disks and network, in which nothing fails by itself. */
import type { ChannelId } from '../../../src/base/ids.js'
import { configOf, connect, fund, genesisOf, openIssuer, seedOf, until } from '../simulate/base.js'
import { Schedule } from '../simulate/clock.js'
import type { Image } from '../simulate/disk.js'
import { Host } from '../simulate/host.js'
import { type LedgerImage, SimulatedLedger } from '../simulate/ledger.js'
import type { Site } from '../simulate/machine.js'
import { rememberCurve } from '../simulate/memo.js'
import { Network } from '../simulate/network.js'
import { Proofs } from '../simulate/proofs.js'
import { Random, Trace } from '../simulate/random.js'
import { TowerNetwork } from '../simulate/tower-network.js'

export interface Scene {
  readonly name: string
  /** Those that forward, and everybody else: the payer and the payee among them. */
  readonly hubs: readonly string[]
  readonly people: readonly string[]
  /** Opener and peer, with what each deposits. */
  readonly channels: readonly (readonly [string, string, bigint, bigint])[]
  readonly amount: bigint
}

/** What the other side of a channel has: enough for its reserve. */
const SHARE = 10_000n

/** Everybody but the payee, who is the last, can send so much to each hub, and each hub as much as it `carries` to the payee. */
export function between(
  people: readonly string[],
  hubs: readonly string[],
  { sends, carries, amount }: { readonly sends: bigint; readonly carries: bigint; readonly amount: bigint },
): Omit<Scene, 'name'> {
  const channels = hubs.flatMap((hub) =>
    people.map((name) =>
      name === 'payee' ? ([name, hub, SHARE, carries] as const) : ([name, hub, sends, SHARE] as const),
    ),
  )
  return { hubs, people, channels, amount }
}

/** Files and ledger once all channels stand. */
export interface Founded {
  readonly scene: Scene
  readonly ledger: LedgerImage
  readonly disks: ReadonlyMap<string, Image>
  readonly now: number
  readonly channels: readonly { readonly id: ChannelId; readonly ends: readonly [string, string] }[]
}

const GENESIS = genesisOf()
const MONEY = 10_000_000n

export class Stage implements Site {
  readonly schedule = new Schedule(new Trace())
  readonly random: Random
  readonly proofs = new Proofs()
  readonly ledger: SimulatedLedger
  readonly network: Network
  readonly towers: TowerNetwork
  readonly hosts: ReadonlyMap<string, Host>

  constructor(
    readonly seed: string,
    readonly scene: Scene,
    founded?: Founded,
  ) {
    rememberCurve()
    this.random = new Random(seed)
    this.ledger = new SimulatedLedger(GENESIS, this.proofs, this.schedule, this.random, founded?.ledger)
    this.schedule.now = founded?.now ?? 0
    this.network = new Network(this.schedule, this.random, () => undefined)
    this.towers = new TowerNetwork(this.schedule)
    const hosts = new Map<string, Host>()
    for (const name of [...scene.people, ...scene.hubs]) {
      const host = new Host(name, seedOf(name), this, configOf(scene.hubs.includes(name) ? 'hub' : 'payer', 0, ['hub']))
      const disk = founded?.disks.get(name)
      if (disk !== undefined) host.disk.restore(disk)
      hosts.set(name, host)
    }
    this.hosts = hosts
  }

  host(name: string): Host {
    const host = this.hosts.get(name)
    if (host === undefined) throw new Error(`nobody is called ${name}`)
    return host
  }

  /** Everything that is ready runs; connections that can stand do. */
  async settle(): Promise<void> {
    for (let again = true; again; ) {
      this.network.connect()
      again = this.schedule.ready > 0
      await this.schedule.runAll(this.random)
    }
  }

  /** Messages and answers go on until nothing moves. @param between after each of them */
  async exchange(between: () => void): Promise<void> {
    do {
      await this.settle()
      between()
    } while (this.network.deliver() !== undefined || this.schedule.ready > 0)
  }
}

export async function found(scene: Scene): Promise<Founded> {
  const stage = new Stage('founding', scene)
  const issuer = await openIssuer(stage)
  const nodeOf = (name: string) => {
    const { node } = stage.host(name)
    if (node === undefined) throw new Error(`${name} did not start`)
    return node
  }
  for (const [name, host] of stage.hosts) {
    host.start()
    while (host.node === undefined) await until(stage, Promise.resolve())
    await until(stage, fund(issuer, nodeOf(name), MONEY))
  }
  const channels: Founded['channels'][number][] = []
  for (const [from, to, deposit, share] of scene.channels) {
    const id = await until(stage, connect(nodeOf(from), nodeOf(to), deposit, share))
    channels.push({ id, ends: [from, to] })
  }
  await until(stage, Promise.resolve())
  const disks = new Map([...stage.hosts].map(([name, { disk }]) => [name, disk.image()]))
  return { scene, ledger: stage.ledger.image(), disks, now: stage.schedule.now, channels }
}
