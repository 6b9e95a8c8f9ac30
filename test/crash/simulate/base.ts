/** The world before anything goes wrong: accounts with money, channels open. Made once in a process, copied for every run. */
import type { Amount } from '../../../src/base/amount.js'
import { utf8 } from '../../../src/base/bytes.js'
import { curve } from '../../../src/base/curve/index.js'
import { sha256, taggedHash } from '../../../src/base/digest.js'
import type { Genesis } from '../../../src/base/genesis.js'
import { type ChannelId, idText } from '../../../src/base/ids.js'
import type { Result } from '../../../src/base/result.js'
import type { NodeConfig } from '../../../src/node/config.js'
import type { Node } from '../../../src/node/node.js'
import { encodeModulus } from '../../../src/privacy/paillier.js'
import { Secrets } from '../../../src/store/keystore.js'
import { openAccountKeys } from '../../../src/wallet/keys.js'
import { admit, register, registrationRequest } from '../../../src/wallet/registration.js'
import { Wallet } from '../../../src/wallet/wallet.js'
import { Schedule } from './clock.js'
import type { Image } from './disk.js'
import { Disk } from './disk.js'
import { Host } from './host.js'
import { type LedgerImage, SimulatedLedger } from './ledger.js'
import { Life } from './life.js'
import type { Site } from './machine.js'
import { rememberCurve } from './memo.js'
import { Network } from './network.js'
import { keyOfSeed, Proofs } from './proofs.js'
import { Random, Trace } from './random.js'
import { openDirectory } from './store.js'
import { TowerNetwork } from './tower-network.js'

export const NAMES = ['payer', 'hub', 'hospital', 'mallory'] as const
export type Name = (typeof NAMES)[number]
export const TOWERS = ['north', 'south'] as const
export type TowerName = (typeof TOWERS)[number]

export const MARGIN_S = 300
/** Time goes by in these: a reveal at the margin is in time, two withheld blocks and a lost call later. */
export const SLICE_S = 50
/** C10: how long a peer may be away, and how long it may owe an answer. */
export const ABSENT_S = 1_500
export const STALL_S = 1_000
export const WINDOW_S = 2_000
const KEY_BITS = 1024
const open = { enabled: true, depositMin: 1n as Amount, shareMax: (1n << 40n) as Amount }
const policy = {
  base: 10n as Amount,
  ppm: 1_000,
  expiryDelta: 1_200,
  minAmount: 1n as Amount,
  maxAmount: (1n << 40n) as Amount,
  enabled: true,
}

const CONFIG: Partial<NodeConfig> = {
  listen: { host: 'sim', port: 0 },
  open,
  policy,
  window: WINDOW_S,
  ledgerAgeMax: 900,
  bounds: { near: 600, far: 30_000 },
  finalDelta: 1_200,
  margin: MARGIN_S,
  absent: ABSENT_S,
  stall: STALL_S,
}

export const seedOf = (name: string): Uint8Array => sha256(utf8(`meridian simulation ${name}`))

const towers = TOWERS.map((name) => ({
  account: curve.multiplyBase(new Secrets(seedOf(name)).signingKey),
  url: `sim://${name}`,
}))

const told = { towers, towerReceiptsRequired: 0 }
const required = { towers, towerReceiptsRequired: 1 }
/** T2, by the kind of world: some let no secret leave before one of two towers holds the next state, some only tell them. */
const WATCHED: readonly Readonly<Partial<Record<Name, Partial<NodeConfig>>>>[] = [
  {},
  { hub: { ...required, towerDerivedJobs: true } },
  { payer: told, hub: { ...told, towerDerivedJobs: true }, hospital: required },
]
export const KINDS = WATCHED.length

/** R4: who forwards, announces its channels and passes on what others announce. */
export type Hubs = readonly ['hub'] | readonly ['hub', 'hospital']

export const configOf = (name: Name, kind: number, hubs: Hubs): Partial<NodeConfig> => ({
  ...CONFIG,
  forwarding: hubs.some((hub) => hub === name),
  ...WATCHED[kind]?.[name],
})

/** Who may have channels with each other, the one that dials and opens first. With two hubs some routes have a choice. */
export function pairsOf(hubs: Hubs): readonly (readonly [Name, Name])[] {
  const alone = [
    ['payer', 'hub'],
    ['hospital', 'hub'],
    ['mallory', 'hub'],
  ] as const
  return hubs.length === 1 ? alone : [...alone, ['mallory', 'hospital']]
}

export function genesisOf(): Genesis {
  const account = (name: string) => {
    const secrets = new Secrets(seedOf(name))
    const n = encodeModulus(keyOfSeed(secrets.paillierSeed, KEY_BITS).publicKey)
    const id = curve.multiplyBase(secrets.signingKey)
    return { account: id, n, keyProof: taggedHash('simulated-key-proof', n, id) }
  }
  return {
    version: 1,
    amountBits: 48,
    keyBits: KEY_BITS,
    issuer: account('issuer'),
    regulator: account('regulator'),
    headKey: account('issuer').account,
    windowMin: 10,
    windowMax: 100_000,
    time: 1_000_000,
    clock: null,
    salt: utf8('simulation'),
    test: true,
  }
}

/** [opener, peer, deposit of the opener, share of the peer]. */
const CHANNELS: readonly (readonly [Name, Name, bigint, bigint])[] = [
  ['payer', 'hub', 2_000_000n, 100_000n],
  ['hospital', 'hub', 100_000n, 2_000_000n],
  ['mallory', 'hub', 1_000_000n, 1_000_000n],
]

export interface Base {
  readonly genesis: Genesis
  readonly ledger: LedgerImage
  readonly disks: Readonly<Record<Name, Image>>
  readonly now: number
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`unexpected refusal ${result.error.code} ${result.error.detail ?? ''}`)
  return result.value
}

/** Everything runs, nothing fails, until this is settled. */
export async function until<T>(site: Site, wanted: Promise<T>): Promise<T> {
  let settled = false
  const done = wanted.finally(() => {
    settled = true
  })
  done.catch(() => undefined)
  for (let turns = 0; ; turns++) {
    await site.schedule.runAll(site.random)
    if (settled) return done
    site.network.connect()
    if (site.network.deliver() !== undefined) continue
    if (site.ledger.waiting > 0) site.ledger.propose()
    else await site.schedule.advance(1_000)
    if (turns > 100_000) throw new Error('the world stands still')
  }
}

async function build(): Promise<Base> {
  rememberCurve()
  const schedule = new Schedule(new Trace())
  const random = new Random('base')
  const proofs = new Proofs()
  const genesis = genesisOf()
  const ledger = new SimulatedLedger(genesis, proofs, schedule, random)
  const network = new Network(schedule, random, () => undefined)
  const site: Site = { seed: 'base', random, schedule, ledger, network, towers: new TowerNetwork(schedule), proofs }
  const issuer = await openIssuer(site)
  const hosts = {} as Record<Name, Host>
  const nodes = {} as Record<Name, Node>
  for (const name of NAMES) {
    const host = new Host(name, seedOf(name), site, { ...CONFIG, forwarding: name === 'hub' })
    host.start()
    while (host.node === undefined) await until(site, Promise.resolve())
    hosts[name] = host
    nodes[name] = host.node
    await until(site, fund(issuer, host.node, 10_000_000n))
  }
  for (const [from, to, deposit, share] of CHANNELS) {
    await until(site, connect(nodes[from], nodes[to], deposit, share))
  }
  await until(site, Promise.resolve())
  const disks = Object.fromEntries(NAMES.map((name) => [name, hosts[name].disk.image()])) as Record<Name, Image>
  return { genesis, ledger: ledger.image(), disks, now: schedule.now }
}

/** Of the ledger of this site, on a disk of its own. */
export async function openIssuer(site: Site): Promise<Wallet> {
  const { schedule, ledger, random, proofs } = site
  const life = new Life('issuer', () => undefined)
  const pool = proofs.pool(schedule, life)
  const secrets = new Secrets(seedOf('issuer'))
  const keys = await until(site, openAccountKeys(secrets, KEY_BITS, pool))
  const { store } = openDirectory(life, new Disk(schedule), secrets)
  const entropy = (length: number): Uint8Array => random.bytes(length)
  const parts = { chain: ledger.adapter(life), pool, store, keys, seed: secrets.walletSeed, entropy }
  return until(site, Wallet.open(parts))
}

export async function fund(issuer: Wallet, node: Node, amount: bigint): Promise<void> {
  must(await register(node.wallet, must(await admit(issuer, await registrationRequest(node.wallet)))))
  must(await issuer.mint(`fund ${idText(node.account)}`, node.account, amount as Amount))
}

export async function connect(from: Node, to: Node, deposit: bigint, share: bigint): Promise<ChannelId> {
  const { listening } = to.status()
  must(await from.connect({ account: to.account, url: listening ?? '' }))
  const wish = { peer: to.account, deposit: deposit as Amount, share: share as Amount }
  return must(await from.openChannel(`${idText(to.account)}-first`, wish))
}

let made: Promise<Base> | undefined
export function base(): Promise<Base> {
  made ??= build()
  return made
}
