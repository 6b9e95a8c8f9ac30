import type { Command } from 'commander'
import type { ChannelAnswer } from '../../api/answers.js'
import type { ApiClient } from '../../api/client.js'
import { type Amount, formatGrouped, ZERO } from '../../base/amount.js'
import { utf8 } from '../../base/bytes.js'
import { ERRORS, MeridianError } from '../../base/errors.js'
import { PPM_MAX } from '../../router/policy.js'
import { writeFileAtomic } from '../../store/file.js'
import { amountOption } from '../amount-option.js'
import { confirm } from '../confirm.js'
import { mendStopped } from '../doctor/finding.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import {
  type Asked,
  ask,
  type NodeVerbOptions,
  nodeVerb,
  type WriteVerbOptions,
  write,
  writeVerb,
} from '../node-verb.js'
import { columns } from '../output.js'
import { group, integer } from '../verb.js'
import { resumeVerb } from './channel-resume.js'

export const channelVerb = (): Command =>
  group('channel', 'payment channels with peers', [
    openVerb,
    closeVerb,
    listVerb,
    showVerb,
    resumeVerb,
    policyVerb,
    rebalanceVerb,
    receiptsVerb,
  ])

interface OpenOptions extends WriteVerbOptions {
  readonly deposit: Amount
  readonly askInbound?: Amount
}

const openVerb = (): Command =>
  writeVerb('open', 'lock a deposit in a channel with a peer; resolves when the ledger has it')
    .argument('<peer>', 'account@ws://host:port, as `start` prints it')
    .requiredOption('--deposit <decimal>', 'ours, exactly two decimals', amountOption)
    .option('--ask-inbound <decimal>', "the peer's deposit, if its policy grants it", amountOption)
    .action(open)

async function open(peer: string, options: OpenOptions): Promise<void> {
  await write(options, async ({ api, out }, key) => {
    const { deposit, askInbound = ZERO } = options
    const { channel } = await api.openChannel(key, peer, deposit, askInbound)
    const inbound = askInbound > 0n ? `, inbound ${formatGrouped(askInbound)}` : ''
    out.print(`open ${channel} deposit ${formatGrouped(deposit)}${inbound}`, {
      channel,
      deposit_minor: deposit,
      inbound_minor: askInbound,
      key,
    })
  })
}

const CHANNEL = 'channel id, or its first digits'

interface CloseOptions extends WriteVerbOptions {
  readonly force?: true
  readonly yes?: true
}

const closeVerb = (): Command =>
  writeVerb('close', 'settle a channel with its peer; resolves when the ledger has paid out')
    .argument('<channel>', CHANNEL)
    .option('--force', 'without the peer: post the newest state, wait for the dispute window, settle; says it and asks')
    .option('--yes', 'do not ask')
    .action(close)

async function close(name: string, options: CloseOptions): Promise<void> {
  await write(options, async ({ api, out }, key) => {
    const named = await channelNamed(api, name)
    const { channel } = named
    if (options.force) {
      await forceClose({ api, out }, key, named, options.yes === true)
      return
    }
    await api.closeChannel(key, channel)
    out.print(`closed ${channel}`, { channel, closed: true })
  })
}

const UNDECIDED: ReadonlySet<string> = new Set(['open', 'closing', 'broken', 'recovery'])

/** L7: terminal, and slow on purpose. What it means is said before it is asked. */
async function forceClose({ api, out }: Asked, key: string, named: ChannelAnswer, yes: boolean): Promise<void> {
  const { channel, exit, window_s, balance_minor, version, back_at } = named
  if (UNDECIDED.has(named.phase)) {
    if (exit.missing !== null) throw new MeridianError('exit_unlicensed', exit.missing)
    if (exit.in_s !== null)
      throw new MeridianError('exit_not_yet', `possible from ${clock(exit.in_s)}, or when a tower confirms`)
    out.note(`version ${version} of ${channel} goes to the ledger, alone and for good: nothing is paid in it again`)
    out.note(`window ${window_s} s: so long the peer may answer with a newer state`)
    out.note(
      `${formatGrouped(balance_minor)} and what becomes of ${named.locks} locks: back by ${timeOf(back_at)} at the latest`,
    )
    await confirm('Close without the peer?', yes)
  }
  const forced = await api.forceClose(key, channel)
  const back = forced.closed ? 'paid out' : `the money is back by ${timeOf(forced.back_at)} at the latest`
  out.print(`${forced.closed ? 'closed' : 'exiting'} ${channel}: ${back}`, forced)
}

/** Ledger time, seconds since 1970. */
const timeOf = (seconds: number | null): string =>
  seconds === null ? 'an unknown time' : new Date(seconds * 1_000).toISOString()

const clock = (inSeconds: number): string => timeOf(Math.ceil(Date.now() / 1_000) + inSeconds)

const listVerb = (): Command => nodeVerb('list', 'peer, phase, what can be sent and received').action(list)

async function list(options: NodeVerbOptions): Promise<void> {
  const { api, out } = await ask(options)
  const [{ channels }, { channels_recovering }] = await Promise.all([api.channels(), api.node()])
  const lost = channels_recovering - channels.filter(({ phase }) => phase === 'recovery').length
  if (lost > 0) out.note(`${lost} more in RECOVERY, of which nobody has shown a state yet: meridian doctor`)
  if (out.json) {
    for (const channel of channels) out.print('', channel)
    return
  }
  const header = [
    'channel',
    'peer',
    'phase',
    'can send',
    'can receive',
    'balance',
    'locks',
    'version',
    'towers',
    'waits for',
  ]
  const rows = channels.map((channel) => [
    channel.channel.slice(0, 16),
    channel.peer.slice(0, 16),
    phaseOf(channel),
    formatGrouped(channel.can_send_minor),
    formatGrouped(channel.can_receive_minor),
    formatGrouped(channel.balance_minor),
    channel.locks.toString(),
    channel.version.toString(),
    towersWord(channel),
    `${channel.waiting ?? ''}${channel.deadline === null ? '' : ` (deadline ${timeOf(channel.deadline)})`}`,
  ])
  out.print(columns([header, ...rows]), {})
}

const phaseOf = ({ phase, stopped, connected }: ChannelAnswer): string =>
  `${phase}${stopped === null ? '' : `, stopped ${stopped}`}${connected || phase === 'closed' ? '' : ' (offline)'}`

const showVerb = (): Command =>
  nodeVerb('show', 'one channel, a line for each thing; what is wrong with it and the command that mends it')
    .argument('<channel>', CHANNEL)
    .action(show)

async function show(name: string, options: NodeVerbOptions): Promise<void> {
  const { api, out } = await ask(options)
  const named = await channelNamed(api, name)
  const { channel, peer, side, locks, version, waiting, deadline, stopped, phase } = named
  const rows = [
    ['channel', channel],
    ['peer', peer],
    ['opened by', side === 'opener' ? 'us' : 'the peer'],
    ['phase', phaseOf(named)],
    ['can send', formatGrouped(named.can_send_minor)],
    ['can receive', formatGrouped(named.can_receive_minor)],
    ['balance', formatGrouped(named.balance_minor)],
    ['locks', locks.toString()],
    ['version', version.toString()],
    ['towers', towersWord(named)],
    ...(waiting === null ? [] : [['waits for', waiting]]),
    ...(deadline === null ? [] : [['deadline', timeOf(deadline)]]),
    ...(stopped === null || phase === 'closed'
      ? []
      : [
          ['stopped', `at ${stopped}, a defect of this program; it only defends itself`],
          ['mend', mendStopped(options.dir, channel)],
        ]),
  ]
  out.print(columns(rows), named)
}

/** How far the watchtowers are: `behind 3` versions, and how many messages wait for them. */
function towersWord({ tower_lag, tower_waiting }: ChannelAnswer): string {
  if (tower_lag === null) return 'none'
  const waiting = tower_waiting > 0 ? `, ${tower_waiting} wait` : ''
  return tower_lag <= 0 ? `up to date${waiting}` : `behind ${tower_lag}${waiting}`
}

interface ReceiptsOptions extends NodeVerbOptions {
  readonly out: string
}

const receiptsVerb = (): Command =>
  nodeVerb('receipts', 'what watchtowers signed for this channel: evidence for `tower-fault`, one receipt a line')
    .argument('<channel>', CHANNEL)
    .requiredOption('--out <file>', 'where to write them')
    .action(receipts)

async function receipts(name: string, options: ReceiptsOptions): Promise<void> {
  const { api, out } = await ask(options)
  const { channel } = await channelNamed(api, name)
  const { receipts } = await api.towerReceipts(channel)
  if (receipts.length === 0) throw new MeridianError('not_found', 'no tower has signed for this channel')
  await writeFileAtomic(options.out, utf8(receipts.map((line) => `${line}\n`).join('')))
  out.print(`${receipts.length} receipts in ${options.out}`, { channel, receipts: receipts.length, file: options.out })
}

interface PolicyOptions extends WriteVerbOptions {
  readonly base?: Amount
  readonly ppm?: number
  readonly delta?: number
  readonly min?: Amount
  readonly max?: Amount
  readonly enable?: true
  readonly disable?: true
}

const policyVerb = (): Command =>
  writeVerb('policy', 'show or set what this node asks for forwarding into a channel, or by default')
    .argument('[channel]', `${CHANNEL}; without it: of every channel that has no policy of its own`)
    .option('--base <decimal>', 'fee of every payment', amountOption)
    .option('--ppm <millionths>', 'proportional fee', integer(0, PPM_MAX))
    .option('--delta <seconds>', 'between the expiries of incoming and outgoing lock', integer(0, 31_536_000))
    .option('--min <decimal>', 'smallest amount', amountOption)
    .option('--max <decimal>', 'largest amount', amountOption)
    .option('--enable', 'forward')
    .option('--disable', 'forward nothing')
    .action(policy)

async function policy(name: string | undefined, options: PolicyOptions): Promise<void> {
  const { base, ppm, delta, min, max, enable, disable } = options
  if (enable && disable) throw new UsageError('--enable or --disable')
  await write(options, async ({ api, out }, key) => {
    const { channel, policy: present } =
      name === undefined ? { channel: null, policy: await api.policy() } : await channelNamed(api, name)
    const wanted = {
      base_minor: (base ?? present.base_minor).toString(),
      ppm: ppm ?? present.ppm,
      expiry_delta_s: delta ?? present.expiry_delta_s,
      min_minor: (min ?? present.min_minor).toString(),
      max_minor: (max ?? present.max_minor).toString(),
      enabled: disable ? false : (enable ?? present.enabled),
    }
    const changes = [base, ppm, delta, min, max, enable, disable].some((value) => value !== undefined)
    const policy = changes ? await api.setPolicy(key, channel, wanted) : present
    const fee = `${formatGrouped(policy.base_minor)} + ${policy.ppm} ppm`
    const bounds = `${formatGrouped(policy.min_minor)} to ${formatGrouped(policy.max_minor)}`
    out.print(
      `${policy.enabled ? 'forwards' : 'forwards nothing'}: ${fee}, ${bounds}, delta ${policy.expiry_delta_s} s`,
      {
        channel,
        ...policy,
      },
    )
  })
}

interface RebalanceOptions extends WriteVerbOptions {
  readonly from: string
  readonly to: string
  readonly amount: Amount
  readonly maxFee: Amount
  readonly wait: number
}

const rebalanceVerb = (): Command =>
  writeVerb('rebalance', 'move money from one of your channels into another: a payment to yourself through their peers')
    .requiredOption('--from <channel>', `it leaves by this one; ${CHANNEL}`)
    .requiredOption('--to <channel>', 'it comes back by this one: its peer has to have a channel to the other')
    .requiredOption('--amount <decimal>', 'exactly two decimals', amountOption)
    .requiredOption('--max-fee <decimal>', 'most that the hubs between may take', amountOption)
    .option('--wait <seconds>', 'for its end', integer(0, 60), 30)
    .action(rebalance)

/** R7. Exactly once, as payments are: the same key moves the money once, however often it is asked. */
async function rebalance(options: RebalanceOptions): Promise<void> {
  await write(options, async ({ api, out }, key) => {
    const [from, to] = [await channelNamed(api, options.from), await channelNamed(api, options.to)]
    const { amount, maxFee: feeMax, wait } = options
    const moved = await api.rebalance(key, { from: from.channel, to: to.channel, amount, feeMax }, wait)
    const { status, fee_minor, code } = moved
    if (status === 'succeeded') {
      out.print(`moved ${formatGrouped(amount)} fee ${formatGrouped(fee_minor ?? ZERO)}`, moved)
    } else if (status === 'failed') {
      out.print(`failed ${code}`, moved)
      throw new VerbExit(EXIT.refused, `${code}: ${ERRORS[code ?? 'internal'].text} Nothing was moved`)
    } else {
      out.print('pending', moved)
      throw new VerbExit(EXIT.pending, `the payment is under way: the same command with --key ${key} waits on`)
    }
  })
}

/** @throws MeridianError `not_found` */
async function channelNamed(api: ApiClient, name: string) {
  const { channels } = await api.channels()
  const named = channels.filter(({ channel }) => channel.startsWith(name))
  if (named.length > 1) throw new UsageError(`${name} begins several channel ids: write more of it`)
  if (named[0] === undefined) throw new MeridianError('not_found', 'channel; meridian channel list')
  return named[0]
}
