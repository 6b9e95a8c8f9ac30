import { setTimeout as pause } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { formatGrouped } from '../../base/amount.js'
import { createPool, type ProofPool } from '../../privacy/pool.js'
import type { PassphraseSource } from '../../store/keystore.js'
import { moreSettings } from '../config.js'
import type { ConfigFile } from '../config-table.js'
import { UsageError } from '../exit.js'
import { type HostedNode, hostNode, proofThreads } from '../hosted-node.js'
import { LOG_LEVELS, type LogLevel } from '../log-levels.js'
import { columns, type Output } from '../output.js'
import { passphraseFor } from '../passphrase.js'
import { untilStopped } from '../signals.js'
import { type CommonOptions, DEFAULT_DIR, httpUrl, integer, outputOf, verb } from '../verb.js'

interface StartOptions extends CommonOptions {
  readonly dir?: readonly string[]
  readonly passphraseFile?: string
  readonly genesis?: string
  readonly ledger?: string
  readonly listen?: string
  readonly announce?: string
  readonly apiPort?: number
  readonly feeBase?: string
  readonly feePpm?: number
  readonly inboundMax?: string
  readonly threads?: number
  readonly logLevel?: LogLevel
  readonly set?: ConfigFile
}

const startCommand = (name: string, description: string, forwarding: boolean): Command =>
  verb(name, description)
    .option('--dir <directory>', 'directory of a node; again for each further one (one process, one proof pool)', more)
    .option('--passphrase-file <file>', 'file with the passphrase (or MERIDIAN_PASSPHRASE_FILE; else it is asked for)')
    .option('--genesis <file>', "genesis.cbor, where the directory holds none: an issuer's or a regulator's")
    .option('--ledger <url>', 'address of the ledger', httpUrl)
    .option('--listen <host:port>', 'where peers connect; port 0 takes a free one')
    .option('--announce <ws-url>', 'what peers dial to reach this node: behind a relay, a proxy or NAT')
    .option('--api-port <port>', 'port of the operator API on loopback', integer(0, 65_535))
    .option('--fee-base <amount>', 'forwarding: fee of every payment, such as 0.01')
    .option('--fee-ppm <millionths>', 'forwarding: proportional fee', integer(0, 10_000_000))
    .option('--inbound-max <amount>', 'most that this node deposits where a peer asks for inbound capacity')
    .option('--threads <count>', 'threads that make and check proofs, for all nodes of the process', integer(1, 64))
    .addOption(new Option('--log-level <level>', 'of the log').choices(LOG_LEVELS))
    .option('--set <key=value>', 'any key of config.json, for this start; again for each further one', moreSettings)
    .action((options: StartOptions) => start(options, forwarding))

export const startVerb = (): Command => startCommand('start', 'run one node or several until a signal comes', false)
export const hubVerb = (): Command =>
  startCommand('hub', 'start with forwarding on: payments of others, for a fee', true)

const more = (dir: string, dirs: readonly string[] = []): readonly string[] => [...dirs, dir]

/** A start that is about to be done when the signal comes ends in order. */
const START_GRACE_MS = 2_000

async function start(options: StartOptions, forwarding: boolean): Promise<void> {
  const dirs = options.dir ?? [DEFAULT_DIR]
  const flags = flagsOf(options, dirs)
  const out = outputOf(options)
  const stopped = untilStopped()
  const pool = createPool({ threads: options.threads ?? proofThreads() })
  try {
    const starting = hostAll(options, { dirs, flags, forwarding, pool, out })
    const nodes = await Promise.race([starting, stopped.then(() => pause(START_GRACE_MS))])
    if (nodes === undefined) endNow(out)
    try {
      for (const node of nodes) announce(node, out)
      out.print('READY', { ready: true, nodes: nodes.length })
      await stopped
      out.note('stopping: no new payment, what is decided goes to disk; a second signal ends at once')
      await Promise.all(nodes.map((node) => node.drain()))
    } finally {
      await Promise.all(nodes.map((node) => node.close()))
    }
  } finally {
    await pool.close()
  }
  out.note('stopped')
}

/** A ledger that does not answer keeps a start waiting: nothing was promised in this life, so nothing needs an order. */
function endNow(out: Output): never {
  out.note('stopped before the start was done')
  process.exit(0)
}

function flagsOf(options: StartOptions, dirs: readonly string[]): ConfigFile {
  const { ledger, listen, announce, apiPort, feeBase, feePpm, inboundMax, logLevel, set } = options
  if (new Set(dirs).size < dirs.length) throw new UsageError('a directory is named twice')
  const single = announce !== undefined || (apiPort ?? 0) > 0 || (listen !== undefined && !listen.endsWith(':0'))
  if (dirs.length > 1 && single) {
    throw new UsageError('--announce, --api-port and a fixed port of --listen are for one node: use its config.json')
  }
  return {
    ledger,
    listen,
    announce,
    api_port: apiPort,
    fee_base: feeBase,
    fee_ppm: feePpm,
    inbound_max: inboundMax,
    log_level: logLevel,
    ...set,
  }
}

interface Hosting {
  readonly dirs: readonly string[]
  readonly flags: ConfigFile
  readonly forwarding: boolean
  readonly pool: ProofPool
  readonly out: Output
}

/** All of them, or none stays open. */
async function hostAll(options: StartOptions, hosting: Hosting): Promise<HostedNode[]> {
  const { dirs, ...common } = hosting
  const passphraseFile = options.passphraseFile === undefined ? {} : { passphraseFile: options.passphraseFile }
  const passphrases: PassphraseSource[] = []
  for (const dir of dirs) passphrases.push(await passphraseFor({ dir, ...passphraseFile }))
  const opened = await Promise.allSettled(
    dirs.map((dir, i) => hostNode({ dir, passphrase: passphrases[i]!, genesis: options.genesis, ...common })),
  )
  const nodes = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const failed = opened.find((one) => one.status === 'rejected')
  if (failed === undefined) return nodes
  await Promise.all(nodes.map((node) => node.close()))
  throw failed.reason
}

function announce({ dir, node, api }: HostedNode, out: Output): void {
  const {
    account,
    listening,
    announce,
    channels,
    channelsReady,
    recovering,
    stopped,
    forwarding,
    feesEarned,
    towers,
    towerReceiptsRequired,
  } = node.status()
  const address = announce === null ? null : `${account}@${announce}`
  out.print(
    columns([
      ['account', account],
      ['peers', `${listening ?? 'does not listen'}${address === null ? '' : ` (${address})`}`],
      ['channels', `${channels} (${channelsReady} ready)`],
      ...(recovering === 0
        ? []
        : [['RECOVERY', `${recovering} channels: each closes with its peer (docs/recovery.md)`]]),
      ...(stopped === 0 ? [] : [['STOPPED', `${stopped} channels, by a defect: meridian doctor --dir ${dir}`]]),
      ...(forwarding ? [['hub', `forwards; earned ${formatGrouped(feesEarned)}`]] : []),
      ...(towers.length === 0
        ? []
        : [['towers', `${towers.length}, ${towerReceiptsRequired} must sign before a secret leaves`]]),
      ['api', `${api.url} (token in ${dir}/api.json)`],
    ]),
    {
      dir,
      account,
      listening,
      address,
      channels,
      channels_ready: channelsReady,
      channels_recovering: recovering,
      forwarding,
      api: api.url,
    },
  )
}
