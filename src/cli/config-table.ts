/** Every key of config.json: what it accepts, what it is for, what it may cost. docs/reference/configuration.md is made of it. */
import { z } from 'zod'
import { parseDecimal } from '../base/amount.js'
import { parseAccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { PPM_MAX } from '../router/policy.js'
import { TOWER_DEFAULTS } from '../watchtower/config.js'
import { parsePeerAddress } from '../wire/address.js'
import { isHttpUrl } from './http-url.js'
import { LOG_LEVELS } from './log-levels.js'

export const ROLES = ['participant', 'hub', 'tower', 'issuer', 'regulator'] as const
export type Role = (typeof ROLES)[number]

/** A type of value: how it is checked, and its bounds in words. */
interface Kind<S extends z.ZodType> {
  readonly schema: S
  readonly bounds: string
}

const kind = <S extends z.ZodType>(schema: S, bounds: string): Kind<S> => ({ schema, bounds })

/** The environment has no numbers. */
const whole = (min: number, max: number) =>
  kind(
    z.preprocess(
      (given) => (typeof given === 'string' && /^\d{1,15}$/.test(given) ? Number(given) : given),
      z.int(`a whole number from ${min} to ${max}`).min(min).max(max),
    ),
    `${min} to ${max}`,
  )
const hasPort = (given: string): boolean => Number(given.slice(given.lastIndexOf(':') + 1)) <= 65_535
const text = (accepts: (text: string) => boolean, bounds: string) => kind(z.string().refine(accepts, bounds), bounds)
const choice = <const T extends readonly string[]>(values: T) => kind(z.enum(values), values.join(', '))

const port = whole(0, 65_535)
const seconds = whole(1, LIMITS.window_s)
const quota = whole(1, 1_000_000_000)
const money = text((given) => parseDecimal(given).ok, 'an amount with exactly two decimals, such as 0.10')
const flag = kind(
  z.preprocess((given) => (given === 'true' ? true : given === 'false' ? false : given), z.boolean('true or false')),
  'true or false',
)
const towers = kind(
  z.preprocess(
    (given) => (typeof given === 'string' ? given.split(',') : given), // the environment has no lists
    z
      .array(z.string().refine((one) => parsePeerAddress(one).ok, 'account@ws://host:port of every tower'))
      .max(LIMITS.towers)
      .refine((all) => new Set(all.map((one) => one.slice(0, 66))).size === all.length, 'every tower once'),
  ),
  `up to ${LIMITS.towers} of account@ws://host:port; in the environment separated by commas`,
)
const accounts = kind(
  z.preprocess(
    (given) => (typeof given === 'string' ? given.split(',').filter((one) => one !== '') : given),
    z.array(z.string().refine((one) => parseAccountId(one).ok, 'an account: 66 hexadecimal digits')),
  ),
  'accounts, 66 hexadecimal digits each; in the environment separated by commas',
)

interface Words {
  readonly purpose: string
  /** Null: it has none. */
  readonly unit: string | null
  /** What a wrong value costs; null: nothing to speak of. */
  readonly danger: string | null
}
export interface ConfigKey<S extends z.ZodType = z.ZodType, F = unknown> extends Kind<S>, Words {
  /** Undefined: `required` has to be given, anything else may stay away. */
  readonly fallback: F
  readonly required: boolean
}

const key = <S extends z.ZodType, F extends z.output<S>>(
  of: Kind<S>,
  fallback: F,
  purpose: string,
  unit: string | null,
  danger: string | null,
): ConfigKey<S, z.output<S>> => ({ ...of, fallback, required: false, purpose, unit, danger })

const required = <S extends z.ZodType>(
  of: Kind<S>,
  purpose: string,
  danger: string | null,
): ConfigKey<S, z.output<S>> => ({
  ...of,
  fallback: undefined as z.output<S>,
  required: true,
  purpose,
  unit: null,
  danger,
})

const optional = <S extends z.ZodType>(
  of: Kind<S>,
  purpose: string,
  danger: string | null,
): ConfigKey<S, undefined> => ({
  ...of,
  fallback: undefined,
  required: false,
  purpose,
  unit: null,
  danger,
})

const SECONDS = 'seconds'

export const CONFIG = {
  role: required(
    choice(ROLES),
    'What the node is: fixed by init. A hub forwards payments of others.',
    'None: changing the role changes no key.',
  ),
  ledger: required(
    text(isHttpUrl, 'an address such as http://127.0.0.1:8100'),
    'HTTP address of the ledger.',
    'What it says about state is believed (SECURITY.md): use one that you trust.',
  ),
  listen: key(
    text((given) => /^[^\s/]+:\d{1,5}$/.test(given) && hasPort(given), 'host:port, such as 127.0.0.1:9735'),
    '127.0.0.1:0',
    'Host and port for peers; port 0 takes a free one.',
    null,
    'An address of 0.0.0.0 is reachable from everywhere.',
  ),
  announce: optional(
    text(
      (given) => /^wss?:\/\/[A-Za-z0-9.:[\]-]{1,250}$/.test(given) && URL.canParse(given),
      'ws://host:port or wss://host:port',
    ),
    'Where peers and payers reach this node, if not where it listens: behind a relay, a proxy, NAT. Told to peers.',
    'A wrong one makes invoices that nobody can pay.',
  ),
  announce_channels: key(
    flag,
    true,
    'A hub: its channels with other hubs that announce, and what it asks for forwarding there, are made public (R4).',
    null,
    'false: payers find this hub by invoices alone, and other hubs never route over its channels with them.',
  ),
  api_host: key(
    text((given) => /^[A-Za-z0-9.:-]{1,250}$/.test(given), 'an address of this machine, such as 127.0.0.1'),
    '127.0.0.1',
    'Address of the operator API.',
    null,
    'It speaks plain HTTP: off this machine put a proxy with TLS before it. The token of api.json works on this machine only.',
  ),
  api_port: key(
    port,
    0,
    'Port of the operator API; 0 takes a free one, which api.json names.',
    null,
    'Whoever has a token of scope pay or admin moves the money.',
  ),
  api_requests_per_s: key(
    quota,
    LIMITS.api_requests_per_s,
    'Requests that one token may make, and one address without a good token. Above it the answer is 429 (`api_rate`).',
    'per second',
    'Too high: a program that went wild takes the time of payments. Too low holds back your own.',
  ),
  fee_base: key(
    money,
    '0.00',
    'Forwarding: fee of every payment. `channel policy` changes it for one channel.',
    'currency',
    'Too high: payers go elsewhere.',
  ),
  fee_ppm: key(
    whole(0, PPM_MAX),
    100,
    'Forwarding: proportional fee, rounded up.',
    'millionths of the amount',
    'Too high: payers go elsewhere.',
  ),
  inbound_max: key(
    money,
    '0.00',
    'Most that is deposited where a peer opens a channel and asks for inbound capacity (R7).',
    'currency',
    'Whoever asks binds this money.',
  ),
  inbound_percent: optional(
    quota,
    'Most that is deposited on request, in percent of what the peer itself deposits; without it inbound_max alone decides.',
    'Above 100 a peer binds more of your money than of its own.',
  ),
  inbound_budget: optional(
    money,
    'Most that is deposited on request in all open channels together; without it as far as the account goes.',
    'None: enough peers bind all that the account has.',
  ),
  inbound_kept: optional(money, 'What stays in the account whatever is asked for; without it nothing.', null),
  open_deposit_min: key(
    money,
    '0.01',
    'Least that a peer deposits itself in a channel that it opens.',
    'currency',
    'Every channel costs this node a few rows for ever: too low makes that cheap for peers.',
  ),
  open_peers: optional(
    accounts,
    'Who may open channels with this node; without it anybody, an empty list is nobody.',
    'None: strangers use the general half of every channel (SECURITY.md).',
  ),
  known_peers: key(
    accounts,
    [],
    'Forwarding: peers that count as known before they have paid anything, for whom half of every channel is kept (SECURITY.md, jamming): payers and hubs by contract.',
    null,
    'Each may fill the half that is kept for all of them: name only whom you can hold to account.',
  ),
  ledger_age_max_s: key(
    seconds,
    60,
    'A view of the ledger older than this stops forwarding, receiving and opening, never defending (A1); /readyz is 503.',
    SECONDS,
    'Too long: payments are forwarded on a view that misses exits and reveals.',
  ),
  absent_s: key(
    seconds,
    604_800,
    'So long a peer may stay away before a channel with something at stake exits alone; also what a node without a tower waits after a start before any exit.',
    SECONDS,
    'Too short closes channels over an outage, and leaves a restored old copy no time to be told so: that costs the whole channel.',
  ),
  stall_s: key(
    seconds,
    600,
    'So long a connected peer may owe an answer before the channel exits alone.',
    SECONDS,
    'Too short closes channels over a slow peer.',
  ),
  drain_s: key(
    whole(0, 3_600),
    30,
    'So long a stop waits for payments under way; locks that are left then are taken up by the next start.',
    SECONDS,
    'Longer than the service manager waits: the process is killed, which costs nothing but time (meridian.service).',
  ),
  events_kept_days: key(
    whole(1, 36_525),
    3_653,
    'So long an event stays in the log although it is archived (account export --archive); what is not archived stays for ever.',
    'days',
    'Shorter than your books are audited: older movements are in your exports only.',
  ),
  quota_channels: key(
    quota,
    TOWER_DEFAULTS.channelsPerClient,
    'A tower: channels that it watches for one client.',
    'channels',
    null,
  ),
  quota_bytes: key(
    quota,
    TOWER_DEFAULTS.bytesPerClient,
    'A tower: states and secrets that it keeps for one client. A state with many locks takes up to 60 KiB.',
    'bytes',
    null,
  ),
  quota_jobs: key(
    quota,
    TOWER_DEFAULTS.jobsPerClient,
    'A tower: reveal jobs of one client.',
    'jobs',
    'A client that is refused one holds a payment back.',
  ),
  quota_requests_per_s: key(
    quota,
    TOWER_DEFAULTS.requestsPerSecond,
    'A tower: requests of one client; above it the client is read more slowly, not cut off.',
    'per second',
    null,
  ),
  towers: key(
    towers,
    [],
    'Watchtowers that answer old exits while this node is away (docs/towers.md).',
    null,
    'None: an old exit that comes while this node is away for the window costs the channel.',
  ),
  tower_receipts_required: key(
    whole(0, LIMITS.towers),
    0,
    'So many towers must have signed for a state before the one before is given up.',
    'towers',
    'A payment waits for them: with all of them away nothing is paid.',
  ),
  tower_derived_jobs: key(
    flag,
    false,
    'A hub: towers can claim its incoming locks in its absence.',
    null,
    'They learn which two hops belong together.',
  ),
  log_level: key(choice(LOG_LEVELS), 'info', 'What goes to the log.', null, null),
  log_file: optional(
    text((given) => given.length > 0 && given.length <= 4_096, 'a path; - for standard error'),
    'Where the log goes; default: node.log in the directory. It is appended to: rotate it with copytruncate.',
    null,
  ),
} as const
export type ConfigName = keyof typeof CONFIG

type Given<N extends ConfigName> = z.output<(typeof CONFIG)[N]['schema']>
/** As written, or as flags give it. */
export type ConfigFile = { readonly [N in ConfigName]?: Given<N> | undefined }
/** As read: the optional ones may be undefined. */
export type Config = {
  readonly [N in ConfigName]: (typeof CONFIG)[N] extends ConfigKey<z.ZodType, undefined>
    ? Given<N> | undefined
    : Given<N>
}

export const CONFIG_NAMES = Object.keys(CONFIG) as ConfigName[]

export const environmentOf = (name: ConfigName): string => `MERIDIAN_${name.toUpperCase()}`

/** Variables that are no configuration of a node: what they are for. */
export const OTHER_ENVIRONMENT: Readonly<Record<string, string>> = {
  MERIDIAN_PASSPHRASE_FILE: 'File with the passphrase of the directory, outside of it: an unattended start needs one.',
  MERIDIAN_URL: 'Examples: address of the API.',
  MERIDIAN_TOKEN_FILE: 'Examples: file with a token of the API.',
  MERIDIAN_CURVE: 'native or noble: which backend of the curve is used; for comparison.',
  MERIDIAN_MODEXP: 'Which backend of modular exponentiation is used; for comparison.',
}
