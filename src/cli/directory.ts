/**
 * What lies in a node's directory besides the store, and its one configuration file. Flag > environment > file > default
 * (PRODUCT.md); an unknown key is refused with the nearest known name.
 */
import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { parseDecimal } from '../base/amount.js'
import { utf8 } from '../base/bytes.js'
import { MeridianError } from '../base/errors.js'
import { decodeGenesis, type Genesis } from '../base/genesis.js'
import { LIMITS } from '../base/limits.js'
import { checkGenesis } from '../chain-adapter/contract/genesis.js'
import { need } from '../chain-adapter/need.js'
import { runCheck } from '../privacy/check.js'
import { PPM_MAX } from '../router/policy.js'
import { writeFileAtomic } from '../store/file.js'
import { openKeystore, type PassphraseSource, readPassphrase, type Secrets } from '../store/keystore.js'
import { type RegistrationRequest, zRegistrationRequest } from '../wallet/registration.js'
import { TOWER_DEFAULTS } from '../watchtower/config.js'
import { parsePeerAddress } from '../wire/address.js'
import { UsageError } from './exit.js'
import { nearestName } from './nearest.js'
import { LOG_LEVELS, type LogLevel } from './node-log.js'
import { isHttpUrl } from './verb.js'

export const ROLES = ['participant', 'hub', 'tower', 'issuer', 'regulator'] as const
export type Role = (typeof ROLES)[number]

export const filesOf = (dir: string) => ({
  keystore: join(dir, 'keystore'),
  genesis: join(dir, 'genesis.cbor'),
  config: join(dir, 'config.json'),
  /** {account, n, keyProof}: what the issuer and `genesis` ask for. Nothing in it is secret. */
  publicKey: join(dir, 'public.json'),
  /** Written at every start, removed at stop: address and token of the running node. */
  api: join(dir, 'api.json'),
})

const zPort = z.int().min(0).max(65_535)
const zPpm = z.int().min(0).max(PPM_MAX)
const zSeconds = z.int().min(1).max(LIMITS.window_s)
const zQuota = z.int().min(1).max(1_000_000_000)
const zCount = z.int().min(0).max(LIMITS.towers)
const zTowers = z.preprocess(
  (given) => (typeof given === 'string' ? given.split(',') : given), // the environment has no lists
  z
    .array(z.string().refine((text) => parsePeerAddress(text).ok, 'account@ws://host:port of every tower'))
    .max(LIMITS.towers)
    .refine((all) => new Set(all.map((one) => one.slice(0, 66))).size === all.length, 'every tower once'),
)
const zDecimal = z.string().refine((text) => parseDecimal(text).ok, 'an amount with exactly two decimals, such as 0.10')

interface ConfigKey<S extends z.ZodType> {
  readonly schema: S
  /** Undefined where the key has to be given, or may stay away. */
  readonly fallback: z.output<S> | undefined
  /** Overrides the file. */
  readonly environment: string
  /** Purpose, unit, bounds, danger: the configuration reference is made of these. */
  readonly text: string
}

const key = <S extends z.ZodType>(
  environment: string,
  schema: S,
  fallback: z.output<S> | undefined,
  text: string,
): ConfigKey<S> => ({ environment, schema, fallback, text })

/** Every key of config.json. */
export const CONFIG = {
  role: key(
    'MERIDIAN_ROLE',
    z.enum(ROLES),
    undefined,
    'What the node is: fixed by init. A hub forwards payments of others; changing the role changes no key.',
  ),
  ledger: key(
    'MERIDIAN_LEDGER',
    z.string().refine(isHttpUrl, 'an address such as http://127.0.0.1:8100'),
    undefined,
    'HTTP address of the ledger. What it says about state is believed (SECURITY.md): use one that you trust.',
  ),
  listen: key(
    'MERIDIAN_LISTEN',
    z.string().regex(/^[^\s/]+:\d{1,5}$/, 'host:port, such as 127.0.0.1:9735'),
    '127.0.0.1:0',
    'Host and port for peers; port 0 takes a free one. An address of 0.0.0.0 is reachable from everywhere.',
  ),
  api_port: key(
    'MERIDIAN_API_PORT',
    zPort,
    0,
    'Port of the operator API on loopback, 0 to 65535; 0 takes a free one. Whoever has its token moves the money.',
  ),
  announce: key(
    'MERIDIAN_ANNOUNCE',
    z.string().regex(/^wss?:\/\/[A-Za-z0-9.:[\]-]{1,250}$/, 'ws://host:port or wss://host:port'),
    undefined,
    'Where peers and payers reach this node, if not where it listens: behind a relay, a proxy, NAT. Told to peers.',
  ),
  fee_base: key(
    'MERIDIAN_FEE_BASE',
    zDecimal,
    '0.00',
    'Forwarding: fee of every payment. `channel policy` changes it for one channel.',
  ),
  fee_ppm: key(
    'MERIDIAN_FEE_PPM',
    zPpm,
    100,
    'Forwarding: proportional fee in millionths of the amount, 0 to 10000000, rounded up.',
  ),
  inbound_max: key(
    'MERIDIAN_INBOUND_MAX',
    zDecimal,
    '0.00',
    'Most that is deposited where a peer opens a channel and asks for inbound capacity. Whoever asks binds this money.',
  ),
  absent_s: key(
    'MERIDIAN_ABSENT_S',
    zSeconds,
    604_800,
    'Seconds, 1 to 31536000, for which a peer may stay away before a channel with something at stake exits alone; also what a node without a tower waits after a start before any exit. Too short closes channels over an outage, and leaves a restored old copy no time to be told so: that costs the whole channel.',
  ),
  stall_s: key(
    'MERIDIAN_STALL_S',
    zSeconds,
    600,
    'Seconds, 1 to 31536000, for which a connected peer may owe an answer before the channel exits alone.',
  ),
  quota_channels: key(
    'MERIDIAN_QUOTA_CHANNELS',
    zQuota,
    TOWER_DEFAULTS.channelsPerClient,
    'A tower: channels that it watches for one client.',
  ),
  quota_bytes: key(
    'MERIDIAN_QUOTA_BYTES',
    zQuota,
    TOWER_DEFAULTS.bytesPerClient,
    'A tower: bytes of states and secrets that it keeps for one client. A state with many locks takes up to 60 KiB.',
  ),
  quota_jobs: key(
    'MERIDIAN_QUOTA_JOBS',
    zQuota,
    TOWER_DEFAULTS.jobsPerClient,
    'A tower: reveal jobs of one client. A client that is refused one holds a payment back.',
  ),
  quota_requests_per_s: key(
    'MERIDIAN_QUOTA_REQUESTS_PER_S',
    zQuota,
    TOWER_DEFAULTS.requestsPerSecond,
    'A tower: requests of one client in a second; above it the client is read more slowly, not cut off.',
  ),
  towers: key(
    'MERIDIAN_TOWERS',
    zTowers,
    [],
    'Watchtowers, account@ws://host:port each, that answer old exits while this node is away (docs/towers.md).',
  ),
  tower_receipts_required: key(
    'MERIDIAN_TOWER_RECEIPTS_REQUIRED',
    zCount,
    0,
    'So many towers must have signed for a state before the one before is given up: a payment waits for them. 0: none.',
  ),
  tower_derived_jobs: key(
    'MERIDIAN_TOWER_DERIVED_JOBS',
    z.preprocess((given) => (given === 'true' ? true : given === 'false' ? false : given), z.boolean()),
    false,
    'A hub: towers can claim its incoming locks in its absence. They learn which two hops belong together.',
  ),
  log_level: key('MERIDIAN_LOG_LEVEL', z.enum(LOG_LEVELS), 'info', 'What goes to node.log: debug, info or warn.'),
} as const
export type ConfigName = keyof typeof CONFIG

export type ConfigFile = { readonly [K in ConfigName]?: z.output<(typeof CONFIG)[K]['schema']> | undefined }
export interface Config {
  readonly role: Role
  readonly ledger: string
  readonly listen: string
  readonly api_port: number
  readonly announce: string | undefined
  /** Decimal amounts. */
  readonly fee_base: string
  readonly fee_ppm: number
  readonly inbound_max: string
  readonly absent_s: number
  readonly stall_s: number
  readonly quota_channels: number
  readonly quota_bytes: number
  readonly quota_jobs: number
  readonly quota_requests_per_s: number
  readonly towers: readonly string[]
  readonly tower_receipts_required: number
  readonly tower_derived_jobs: boolean
  readonly log_level: LogLevel
}

const NAMES = Object.keys(CONFIG) as ConfigName[]

export async function writeConfig(dir: string, config: ConfigFile): Promise<void> {
  await writeFileAtomic(filesOf(dir).config, utf8(`${JSON.stringify(config, null, 2)}\n`))
}

/**
 * @param flags of the command line: the strongest
 * @throws UsageError naming the key and its mend; MeridianError `keystore_missing` where `dir` is no directory of a node
 */
export async function readConfig(dir: string, flags: ConfigFile = {}): Promise<Config> {
  const path = filesOf(dir).config
  if (!existsSync(path)) throw new MeridianError('keystore_missing', `${dir} was not made by init`)
  const file = parseFile(path, await readFile(path, 'utf8'))
  const given = Object.fromEntries(NAMES.map((name) => [name, chosenValue(name, flags, file, path)]))
  for (const name of ['role', 'ledger'] as const) {
    if (given[name] === undefined) throw new UsageError(`${path} has no "${name}": write it there or give --${name}`)
  }
  const config = given as unknown as Config
  if (config.tower_receipts_required > config.towers.length) {
    throw new UsageError(`${path}: "tower_receipts_required" is more than there are "towers"`)
  }
  return config
}

function parseFile(path: string, text: string): Record<string, unknown> {
  const file = z.record(z.string(), z.unknown()).safeParse(parseJson(path, text))
  if (!file.success) throw new UsageError(`${path} is no JSON object`)
  for (const name of Object.keys(file.data)) {
    if (NAMES.some((known) => known === name)) continue
    const near = nearestName(name, NAMES)
    throw new UsageError(
      `${path}: unknown key "${name}"${near === undefined ? `; known are ${NAMES.join(', ')}` : `, did you mean "${near}"?`}`,
    )
  }
  return file.data
}

/** Flag > environment > file > default. */
function chosenValue(name: ConfigName, flags: ConfigFile, file: Record<string, unknown>, path: string): unknown {
  const { schema, environment, fallback } = CONFIG[name]
  const sources = [
    { where: `--${name}`, value: flags[name] },
    { where: environment, value: fromEnvironment(name) },
    { where: `${path}: "${name}"`, value: file[name] },
  ]
  const source = sources.find(({ value }) => value !== undefined)
  if (source === undefined) return fallback
  const parsed = schema.safeParse(source.value)
  if (!parsed.success) throw new UsageError(`${source.where}: ${parsed.error.issues[0]?.message ?? 'a wrong value'}`)
  return parsed.data
}

function fromEnvironment(name: ConfigName): string | number | undefined {
  const text = process.env[CONFIG[name].environment]
  return text !== undefined && [zPort, zPpm, zSeconds, zQuota, zCount].some((schema) => schema === CONFIG[name].schema)
    ? Number(text)
    : text
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError(`${path} is no JSON`) // the parser's message quotes the file
  }
}

/** Before anything is asked or made. @throws MeridianError `store_exists` */
export function mustBeNew(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length > 0) throw new MeridianError('store_exists', dir)
}

/** Bytes of a file that the command line names. @throws UsageError where it cannot be read */
export async function readInput(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${error instanceof Error && 'code' in error ? error.code : 'failed'}`)
  }
}

/** A genesis whose rules and key proofs hold (L1): checked once, before anybody joins. @throws MeridianError, UsageError */
export async function readGenesis(path: string): Promise<Genesis> {
  const genesis = need(decodeGenesis(await readInput(path)))
  need(checkGenesis(genesis, runCheck))
  return genesis
}

/** The genesis that `--genesis` names, else the directory's own. @throws UsageError where there is neither */
export async function genesisOf(dir: string, flag: string | undefined): Promise<Genesis> {
  const own = filesOf(dir).genesis
  if (flag === undefined && !existsSync(own)) throw new UsageError(`${dir} holds no genesis.cbor: give --genesis FILE`)
  return readGenesis(flag ?? own)
}

/** @throws UsageError */
export async function readPublicKey(path: string): Promise<RegistrationRequest> {
  const text = new TextDecoder().decode(await readInput(path))
  const request = zRegistrationRequest.safeParse(parseJson(path, text))
  if (!request.success) throw new UsageError(`${path} is no public.json of an init`)
  return request.data
}

/** The secrets alone: a running node may hold the directory's lock. @throws MeridianError with openKeystore's codes */
export async function readSecrets(dir: string, source: PassphraseSource): Promise<Secrets> {
  const passphrase = need(await readPassphrase(source))
  return need(await openKeystore(filesOf(dir).keystore, passphrase))
}
