import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { type Command, InvalidArgumentError } from 'commander'
import type { Genesis } from '../../base/genesis.js'
import { KEY_BITS } from '../../privacy/paillier.js'
import { type PeerAddress, parsePeerAddress } from '../../wire/address.js'
import { CHANNEL_DRIVEN, channelSuite } from '../bench/channel-suite.js'
import { type Bits, timesHeld } from '../bench/crypto-rows.js'
import { CRYPTO_DRIVEN, cryptoSuite } from '../bench/crypto-suite.js'
import { environmentOf, environmentText } from '../bench/environment.js'
import { type Run, summaryOf } from '../bench/figures.js'
import { growthSuite } from '../bench/growth-suite.js'
import { htmlReport } from '../bench/html.js'
import { IDLE_DRIVEN, idleSuite } from '../bench/idle-suite.js'
import { LEDGER_DRIVEN, type LedgerOptions, ledgerSuite } from '../bench/ledger-suite.js'
import type { Shape } from '../bench/load.js'
import { type Plan, told } from '../bench/measure.js'
import { Progress } from '../bench/progress.js'
import { RESTART_AMOUNT_BITS, RESTART_DRIVEN, restartSuite } from '../bench/restart-suite.js'
import { ROUTE_DRIVEN, routeSuite } from '../bench/route-suite.js'
import type { SpreadOptions } from '../bench/spread.js'
import { TOWER_DRIVEN, type TowerOptions, towerSuite } from '../bench/tower-suite.js'
import { TOWER_AMOUNT_BITS } from '../bench/tower-yard.js'
import { type Abroad, Town } from '../bench/town.js'
import { readGenesis, readSecrets } from '../directory.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import { passphraseFor } from '../passphrase.js'
import { untilStopped } from '../signals.js'
import { type CommonOptions, group, httpUrl, integer, outputOf, verb } from '../verb.js'
import { benchPeers, DEFAULTS as PEERS_DEFAULTS, peersVerb } from './bench-peers.js'

interface AbroadOptions {
  readonly url?: PeerAddress
  readonly ledger?: string
  readonly genesis?: string
  readonly issuer?: string
  readonly passphraseFile?: string
}

interface LoadOptions extends CommonOptions, AbroadOptions {
  readonly window?: readonly number[]
  readonly rate?: number
  readonly seconds: number
  readonly warmUp: number
  readonly keyBits: Genesis['keyBits']
  readonly dir?: string
  readonly html?: string
  readonly profile?: string
}

/** A suite of loads; `More` are the options that it alone has. */
interface Suite<More> {
  readonly name: string
  readonly about: string
  /** What happens when a run counts one, for the header. */
  readonly driven: (options: More) => string
  readonly windows: readonly number[]
  /** L of the ledger that is founded, where it is not the town's own. */
  readonly amountBits?: (options: More) => number | undefined
  readonly more: (command: Command) => Command
  readonly run: (town: Town, plan: Plan, options: More) => AsyncGenerator<Run>
}

interface ChannelOptions extends SpreadOptions {
  readonly payments?: readonly number[]
}

interface RouteOptions extends SpreadOptions {
  readonly idle?: number
  readonly restart?: true
}

/** Options of loads that can be spread, and driven elsewhere. */
const spread = (command: Command): Command =>
  command
    .option('--url <account@url>', 'a hub elsewhere, on a ledger flagged as a test ledger', hubAddress)
    .option('--ledger <url>', 'with --url: address of its ledger', httpUrl)
    .option('--genesis <file>', "with --url: its ledger's genesis.cbor")
    .option(
      '--issuer <directory>',
      "with --url: the ledger's issuer, who admits the bench's accounts and mints for them",
    )
    .option('--passphrase-file <file>', 'with --url: of the issuer (or MERIDIAN_PASSPHRASE_FILE)')
    .option(
      '--channels <counts>',
      'the load is spread over so many with one hub; several, rising: 1,10,100',
      (text) => rising(text),
      [1],
    )
    .option('--parties <count>', 'nodes on each side whose channels they are, in one process', integer(1, 64), 1)

const CHANNEL: Suite<ChannelOptions> = {
  name: 'channel',
  about: 'direct pays over one channel between two processes',
  driven: () => CHANNEL_DRIVEN,
  windows: [1, 100, 1_000],
  more: (command) =>
    spread(command).option(
      '--payments <counts>',
      'no time but so many payments; databases and restart after each: 10000,100000,1000000',
      (text) => rising(text, 100_000_000),
    ),
  run: (town, plan, options) =>
    options.payments === undefined ? channelSuite(town, plan, options) : growthSuite(town, plan, options.payments),
}

const ROUTE: Suite<RouteOptions> = {
  name: 'route',
  about: 'payments of invoices through one hub, three processes',
  driven: ({ idle, restart }) => (restart ? RESTART_DRIVEN : idle === undefined ? ROUTE_DRIVEN : IDLE_DRIVEN),
  amountBits: ({ restart }) => (restart ? RESTART_AMOUNT_BITS : undefined),
  windows: [200],
  more: (command) =>
    spread(command)
      .option('--idle <count>', 'no payments: so many connections to the hub, and what they cost', integer(1, 16_000))
      .option('--restart', 'the hub with its --channels is killed: until it watches them, until rounds run in them'),
  run: (town, plan, options) => {
    if (options.restart) return restartSuite(town, plan, options)
    return options.idle === undefined ? routeSuite(town, plan, options) : idleSuite(town, plan, options.idle)
  },
}

const TOWER: Suite<TowerOptions> = {
  name: 'tower',
  about: 'a watchtower: appointments, restart, memory and disk per channel, revoked exits answered',
  driven: () => TOWER_DRIVEN,
  windows: [64],
  amountBits: () => TOWER_AMOUNT_BITS,
  more: (command) =>
    command
      .option('--channels <counts>', 'watched; several, rising: 1000,10000', (text) => rising(text), [10_000])
      .option(
        '--breaches <count>',
        'exits with revoked states, posted at once, at most one of each channel',
        integer(1, 4_000),
        1_000,
      )
      .option('--clients <count>', 'accounts whose channels they are', integer(1, 64), 8),
  run: towerSuite,
}

const LEDGER: Suite<LedgerOptions> = {
  name: 'ledger',
  about: 'the embedded ledger: transfers, openings, closes and reveals a second, block times, restart',
  driven: () => LEDGER_DRIVEN,
  windows: [1, 32],
  more: (command) =>
    command
      .option('--transactions <count>', 'of each kind and load', integer(1, 100_000), 64)
      .option('--reveals <count>', 'of each load', integer(1, 1_000_000), 1_000)
      .option('--accounts <count>', 'whose transactions wait for each other', integer(1, 256), 8),
  run: ledgerSuite,
}

export const benchVerb = (): Command =>
  group('bench', 'measure this machine: rates, latencies, CPU, bytes and syncs per payment', [
    cryptoVerb,
    loadVerb(CHANNEL),
    loadVerb(ROUTE),
    loadVerb(LEDGER),
    loadVerb(TOWER),
    peersVerb,
  ])
    .option('--peers', 'the same as `bench peers`')
    .action(async ({ peers }: { peers?: true }, command: Command) => {
      if (peers === true) await benchPeers(PEERS_DEFAULTS)
      else command.help({ error: true })
    })

const loadVerb =
  <More>(suite: Suite<More>) =>
  (): Command =>
    suite
      .more(verb(suite.name, suite.about))
      .option(
        '--window <counts>',
        `closed loop: so many outstanding; several: 1,100,1000 (default: ${suite.windows})`,
        (text) => counts(text),
      )
      .option(
        '--rate <per-second>',
        'open loop: so many started a second, latency from the intended start',
        integer(1, 1_000_000),
      )
      .option('--seconds <seconds>', 'of each load', integer(1, 86_400), 10)
      .option('--warm-up <seconds>', 'before each load, not measured', integer(0, 3_600), 3)
      .option('--key-bits <bits>', 'Paillier keys: 2048, 3072, or 1024 for a quick look', keyBits, 2048)
      .option('--dir <directory>', 'where the run keeps its data, removed at the end (default: for temporary files)')
      .option('--html <file>', 'write a report with plots')
      .option('--profile <directory>', "write every process's CPU profile there")
      .action((options: LoadOptions & More) => bench(suite, options))

interface CryptoVerbOptions extends CommonOptions {
  readonly keyBits: readonly Bits[]
  readonly rows: string
  readonly seconds: number
  readonly warmUp: number
  readonly html?: string
}

const cryptoVerb = (): Command =>
  verb(
    'crypto',
    'times of proofs and ciphers: a fee, a transfer, a record; paillier-bigint beside them where installed',
  )
    .option('--key-bits <sizes>', 'of 1024, 2048, 3072 and 4096', keySizes, [1024, 2048, 4096])
    .option('--rows <name>', 'only rows with this in their name', '')
    .option('--seconds <seconds>', 'for each row', integer(1, 600), 2)
    .option('--warm-up <seconds>', 'before each row, not measured', integer(0, 600), 1)
    .option('--html <file>', 'write a report with plots')
    .action(benchCrypto)

async function benchCrypto(options: CryptoVerbOptions): Promise<void> {
  const { keyBits: bits, rows, seconds, warmUp } = options
  const out = outputOf(options)
  const progress = new Progress(out.json ? process.stderr : process.stdout)
  const environment = environmentOf(tmpdir())
  const header = `bench crypto: ${CRYPTO_DRIVEN}\n${environmentText(environment, undefined)}`
  progress.say(header)
  let stopped = false
  void untilStopped().then(() => {
    stopped = true
  })
  const before = timesHeld()
  const runs = await told(
    cryptoSuite({ bits, rows }, { seconds, warmUp, progress }, () => stopped),
    progress,
  )
  if (stopped) throw new VerbExit(EXIT.checkFailed, 'interrupted: the table is not whole')
  if (runs.length === 0) throw new UsageError(`no row has "${rows}" in its name`)
  if (options.html !== undefined) await writeFile(options.html, await htmlReport(header, runs))
  // No money moves: there is no balance. What was checked instead: proofs verified, ciphertexts decrypted to their amount.
  if (out.json) out.print('', { ...summaryOf(runs), checked: timesHeld() - before, environment })
}

async function bench<More>(suite: Suite<More>, options: LoadOptions & More): Promise<void> {
  if (options.window !== undefined && options.rate !== undefined)
    throw new UsageError('--window is a closed loop, --rate an open one: one of them')
  const out = outputOf(options)
  const progress = new Progress(out.json ? process.stderr : process.stdout)
  const interrupted = untilStopped().then(() => 'interrupted' as const)
  const execArgv = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]
  const amountBits = suite.amountBits?.(options)
  const town = await Town.create({
    dir: options.dir,
    keyBits: options.keyBits,
    execArgv,
    ...(amountBits === undefined ? {} : { amountBits }),
  })
  try {
    const abroad = await abroadOf(options)
    if (abroad !== undefined) await town.join(abroad)
    const environment = environmentOf(town.dir)
    const header = `bench ${suite.name}: ${suite.driven(options)}\n${environmentText(environment, options.keyBits)}`
    progress.say(header)
    const measured = measureAll(suite, town, options, progress)
    measured.catch(() => undefined) // where the interrupt wins, what it broke is no news
    const runs = await Promise.race([measured, interrupted])
    if (runs === 'interrupted') throw new VerbExit(EXIT.checkFailed, 'interrupted: nothing is told')
    if (options.html !== undefined) await writeFile(options.html, await htmlReport(header, runs))
    if (out.json) out.print('', { ...summaryOf(runs), key_bits: options.keyBits, environment })
  } finally {
    await town.raze()
  }
}

/** Where `--url` is given: what is needed to drive that hub. @throws UsageError */
async function abroadOf(options: AbroadOptions): Promise<Abroad | undefined> {
  const { url: hub, ledger, genesis, issuer, passphraseFile } = options
  if (hub === undefined) return undefined
  if (ledger === undefined || genesis === undefined || issuer === undefined)
    throw new UsageError('--url needs --ledger, --genesis and --issuer')
  const terms = await readGenesis(genesis)
  const source = await passphraseFor({ dir: issuer, ...(passphraseFile === undefined ? {} : { passphraseFile }) })
  return { hub, ledgerUrl: ledger, genesis: terms, issuer: await readSecrets(issuer, source) }
}

function measureAll<More>(
  suite: Suite<More>,
  town: Town,
  options: LoadOptions & More,
  progress: Progress,
): Promise<Run[]> {
  const shapes: readonly Shape[] =
    options.rate === undefined
      ? (options.window ?? suite.windows).map((window) => ({ window }))
      : [{ rate: options.rate }]
  const { seconds, warmUp } = options
  return told(suite.run(town, { suite: suite.name, shapes, seconds, warmUp, progress }, options), progress)
}

function counts(text: string, most = 100_000): readonly number[] {
  const parsed = text.split(',').map((part) => integer(1, most)(part))
  if (parsed.length <= 32) return parsed
  throw new InvalidArgumentError('at most 32 windows')
}

function rising(text: string, most = 100_000): readonly number[] {
  const parsed = counts(text, most)
  if (parsed.every((count, at) => at === 0 || count > parsed[at - 1]!)) return parsed
  throw new InvalidArgumentError('rising, such as 1000,10000')
}

function hubAddress(text: string): PeerAddress {
  const address = parsePeerAddress(text)
  if (address.ok) return address.value
  throw new InvalidArgumentError('an address such as 02…@ws://host:9735')
}

function keyBits(text: string): number {
  const bits = Number(text)
  if ([1024, 2048, 3072].includes(bits)) return bits
  throw new InvalidArgumentError('2048 or 3072, or 1024 to try it out')
}

function keySizes(text: string): readonly Bits[] {
  return text.split(',').map((part) => {
    const size = KEY_BITS.find((bits) => String(bits) === part)
    if (size === undefined) throw new InvalidArgumentError('of 1024, 2048, 3072 and 4096, such as 1024,2048')
    return size
  })
}
