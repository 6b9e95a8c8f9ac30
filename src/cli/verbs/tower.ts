import { type Command, Option } from 'commander'
import { idText } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { openDirectory } from '../../store/directory.js'
import { TOWER_DEFAULTS, type TowerConfig } from '../../watchtower/config.js'
import { listenForClients } from '../../watchtower/listener.js'
import { Tower } from '../../watchtower/tower.js'
import { systemEntropy, systemTimers } from '../../wire/environment.js'
import { moreSettings, readConfig } from '../config.js'
import type { Config, ConfigFile } from '../config-table.js'
import { genesisOf } from '../directory.js'
import { UsageError } from '../exit.js'
import { LOG_LEVELS, type LogLevel } from '../log-levels.js'
import { openNodeLog } from '../node-log.js'
import type { Output } from '../output.js'
import { passphraseFor } from '../passphrase.js'
import { connected, listenOf } from '../reach.js'
import { untilStopped } from '../signals.js'
import { type DirectoryVerbOptions, directoryVerb, httpUrl, outputOf } from '../verb.js'

interface TowerVerbOptions extends DirectoryVerbOptions {
  readonly genesis?: string
  readonly ledger?: string
  readonly listen?: string
  readonly logLevel?: LogLevel
  readonly set?: ConfigFile
}

export const towerVerb = (): Command =>
  directoryVerb('tower', 'watch the ledger for clients and answer stale exits until a signal comes')
    .option('--genesis <file>', 'genesis.cbor, where the directory holds none')
    .option('--ledger <url>', 'address of the ledger', httpUrl)
    .option('--listen <host:port>', 'where clients connect; port 0 takes a free one')
    .addOption(new Option('--log-level <level>', 'of the log').choices(LOG_LEVELS))
    .option('--set <key=value>', 'any key of config.json, for this start; again for each further one', moreSettings)
    .action(serve)

async function serve(options: TowerVerbOptions): Promise<void> {
  const { dir, ledger, listen, logLevel, set } = options
  const out = outputOf(options)
  const config = await readConfig(dir, { ledger, listen, log_level: logLevel, ...set })
  if (config.role !== 'tower') throw new UsageError(`${dir} is a ${config.role}'s: init --role tower makes a tower's`)
  const stopped = untilStopped()
  const closers: (() => Promise<unknown>)[] = []
  try {
    const serving = await Promise.race([host(options, config, closers, out).then(() => true), stopped])
    if (serving === true) await stopped
    out.note('stopping: what was asked is answered first')
  } finally {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  out.note('stopped')
}

/** Opened in order; `closers` close it in the reverse one. */
async function host(
  options: TowerVerbOptions,
  config: Config,
  closers: (() => Promise<unknown>)[],
  out: Output,
): Promise<void> {
  const { dir } = options
  const genesis = await genesisOf(dir, options.genesis)
  const logger = openNodeLog(dir, config)
  closers.push(() => logger.close())
  const directory = need(await openDirectory(dir, await passphraseFor(options)))
  closers.push(() => directory.close())
  for (const suspicion of directory.suspicions) out.note(`${dir}: ${suspicion}`)
  const chain = await connected(config.ledger, genesis, out)
  closers.push(() => chain.close())
  const key = directory.secrets.signingKey
  const { store } = directory
  const tower = await Tower.open({ store, key, chain, timers: systemTimers, logger, config: quotasOf(config) })
  closers.push(() => tower.stop())
  await tower.start()
  const { host, port } = listenOf(config.listen)
  const { ledger } = chain
  const common = { tower, host, port, key, ledger, logger, timers: systemTimers, entropy: systemEntropy }
  const listener = need(await listenForClients(common))
  closers.push(() => tower.stop().then(() => listener.close())) // answers leave before their connections end
  ready(tower, listener.url, out)
  const telling = tellChanges(tower, out)
  closers.push(async () => clearInterval(telling))
}

const CHANGES_MS = 5_000

const watches = (tower: Tower): string => {
  const { channels, clients, attention } = tower.status()
  return `watches   ${channels} channels of ${clients} clients; ${attention} under attention`
}

/** A tower begins with nothing to watch, and fills while it runs. */
function tellChanges(tower: Tower, out: Output): NodeJS.Timeout {
  let told = watches(tower)
  const tell = (): void => {
    const now = watches(tower)
    if (now !== told) out.note(now)
    told = now
  }
  return setInterval(tell, CHANGES_MS).unref()
}

function ready(tower: Tower, url: string, out: Output): void {
  const { account, channels, clients, jobs, attention, view } = tower.status()
  const address = `${idText(account)}@${url}`
  out.print(
    [
      `tower     ${address}`,
      `${watches(tower)}, ${jobs} reveal jobs`,
      `ledger    block ${view?.height ?? 0}`,
      'READY',
    ].join('\n'),
    { ready: true, account: idText(account), address, channels, clients, jobs, attention, block: view?.height ?? 0 },
  )
}

const quotasOf = (config: Config): TowerConfig => ({
  ...TOWER_DEFAULTS,
  channelsPerClient: config.quota_channels,
  bytesPerClient: config.quota_bytes,
  jobsPerClient: config.quota_jobs,
  requestsPerSecond: config.quota_requests_per_s,
})
