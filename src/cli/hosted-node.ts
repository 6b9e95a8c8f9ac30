/** One node of a `start`: its directory, ledger connection, log and API, opened in order and closed in the reverse one. */
import { availableParallelism } from 'node:os'
import { type Api, startApi } from '../api/server.js'
import { type Amount, parseDecimal } from '../base/amount.js'
import type { Genesis } from '../base/genesis.js'
import { parseAccountId } from '../base/ids.js'
import { need } from '../chain-adapter/need.js'
import { defaultConfig, type NodeConfig } from '../node/config.js'
import { Node } from '../node/node.js'
import type { ProofPool } from '../privacy/pool.js'
import { type DataDirectory, openDirectory } from '../store/directory.js'
import type { PassphraseSource } from '../store/keystore.js'
import { parsePeerAddress } from '../wire/address.js'
import { readConfig } from './config.js'
import type { Config, ConfigFile } from './config-table.js'
import { genesisOf } from './directory.js'
import { UsageError } from './exit.js'
import { openNodeLog } from './node-log.js'
import type { Output } from './output.js'
import { connected, listenOf } from './reach.js'

export interface HostOptions {
  readonly dir: string
  readonly passphrase: PassphraseSource
  readonly flags: ConfigFile
  readonly genesis: string | undefined
  /** `hub`: whatever the role says. */
  readonly forwarding: boolean
  readonly pool: ProofPool
  readonly out: Output
  /** Where the caller has opened it already; closed with the node. */
  readonly directory?: DataDirectory
}

export interface HostedNode {
  readonly dir: string
  readonly node: Node
  readonly api: Api
  /** Nothing new; what is under way ends, or `drain_s` does. Says what it waits for. */
  drain(): Promise<void>
  close(): Promise<void>
}

/** Proofs of all nodes of a process; one core stays with the event loop. */
export const proofThreads = (): number => Math.max(1, Math.min(availableParallelism() - 1, 8))

/** @throws MeridianError, UsageError; nothing stays open then. */
export async function hostNode(options: HostOptions): Promise<HostedNode> {
  const { dir, passphrase, flags, pool, out } = options
  const config = await readConfig(dir, flags)
  if (config.role === 'tower') throw new UsageError(`${dir} is a tower's: meridian tower --dir ${dir}`)
  const genesis = await genesisOf(dir, options.genesis)
  const closers: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    const log = openNodeLog(dir, config)
    closers.push(() => log.close())
    const directory = options.directory ?? need(await openDirectory(dir, passphrase))
    closers.push(() => directory.close())
    for (const suspicion of directory.suspicions) out.note(`${dir}: ${suspicion}`)
    const chain = await connected(config.ledger, genesis, out)
    closers.push(() => chain.close())
    const nodeConfig = configOf(config, genesis, options.forwarding)
    const node = await Node.open({ directory, chain, pool, config: nodeConfig, logger: log })
    closers.push(() => node.stop())
    need(await node.start())
    const { api_host: host, api_port: port, api_requests_per_s: requests_per_s } = config
    const api = await startApi({ node, dir, logger: log, host, port, requests_per_s })
    closers.push(() => api.close())
    return { dir, node, api, drain: () => drain(options, config, node), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function drain({ dir, out }: HostOptions, { drain_s }: Config, node: Node): Promise<void> {
  const wordsOf = ({ locks, channelsWithLocks, ledgerWaiting }: ReturnType<Node['load']>): string =>
    `${locks} locks in ${channelsWithLocks} channels, ${ledgerWaiting} transactions`
  const before = node.load()
  if (before.locks + before.ledgerWaiting > 0) out.note(`${dir}: waiting for ${wordsOf(before)}, at most ${drain_s} s`)
  const left = await node.drain(drain_s * 1_000)
  if (left.locks + left.ledgerWaiting > 0)
    out.note(`${dir}: ${wordsOf(left)} are left: safe on disk, the next start takes them up`)
}

const money = (text: string): Amount => need(parseDecimal(text))

/** R7. A key that is absent is no rule. */
function openPolicyOf(config: Config): NodeConfig['open'] {
  const { inbound_percent, inbound_budget, inbound_kept, open_peers } = config
  return {
    enabled: true,
    depositMin: money(config.open_deposit_min),
    shareMax: money(config.inbound_max),
    ...(inbound_percent === undefined ? {} : { sharePercent: inbound_percent }),
    ...(inbound_budget === undefined ? {} : { shareBudget: money(inbound_budget) }),
    ...(inbound_kept === undefined ? {} : { fundsKept: money(inbound_kept) }),
    ...(open_peers === undefined ? {} : { peers: open_peers.map((text) => need(parseAccountId(text))) }),
  }
}

export function configOf(config: Config, genesis: Pick<Genesis, 'amountBits'>, hub: boolean): NodeConfig {
  const forwarding = hub || config.role === 'hub'
  const base = defaultConfig(genesis.amountBits)
  return {
    ...base,
    forwarding,
    listen: listenOf(config.listen),
    announce: config.announce ?? null,
    announceChannels: config.announce_channels,
    ledgerAgeMax: config.ledger_age_max_s,
    absent: config.absent_s,
    stall: config.stall_s,
    eventsKept: config.events_kept_days * 86_400,
    policy: { ...base.policy, base: money(config.fee_base), ppm: config.fee_ppm },
    knownPeers: config.known_peers.map((text) => need(parseAccountId(text))),
    open: openPolicyOf(config),
    towers: config.towers.map((text) => need(parsePeerAddress(text))),
    towerReceiptsRequired: config.tower_receipts_required,
    towerDerivedJobs: config.tower_derived_jobs,
  }
}
