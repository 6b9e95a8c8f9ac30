/**
 * Every movement of a node's money as one CSV: what the ledger moved (read with the account's own key) and what payments
 * moved inside of channels (the node's own log), in the order of ledger time, with running balances. It is checked to the
 * unit against what the ledger and the channels hold.
 */
import type { KnownEvent } from '../api/event-types.js'
import { type Amount, formatDecimal } from '../base/amount.js'
import { unreachable } from '../base/errors.js'
import type { CarriedOver } from '../node/event-archive.js'
import type { Holdings, LedgerMovement } from '../wallet/movements.js'

export interface Line {
  readonly time: number
  readonly kind: string
  /** Changes, minor units. */
  readonly ledger: bigint
  readonly channels: bigint
  readonly counterparty: string
  readonly channel: string
  /** Claim number, idempotency key or block. */
  readonly reference: string
}

/** Events that have left the node's log. */
type Carried = Pick<CarriedOver, 'time' | 'channels'>

/** A channel as the node holds it: what is in it, or was in it last. */
export interface ChannelBalance {
  readonly channel: string
  readonly phase: string
  readonly balance: bigint
  readonly locks: number
}

export interface Statement {
  readonly lines: readonly Line[]
  readonly ledger: bigint
  readonly channels: bigint
}

/**
 * Money of the account and of its channels; only what crosses both columns leaves their sum. Where events have left the log,
 * everything before the newest of them is one line, with what both columns had then.
 */
export function statementOf(
  movements: readonly LedgerMovement[],
  events: readonly KnownEvent[],
  channels: readonly ChannelBalance[],
  carried?: Carried,
): Statement {
  const last = new Map(channels.map(({ channel, balance }) => [channel, balance]))
  const onLedger = movements.map((movement) => ledgerLine(movement, last))
  const isOld = ({ time }: Line): boolean => carried !== undefined && time < carried.time
  const opening = carried === undefined ? [] : [openingLine(onLedger.filter(isOld), carried)]
  const lines = [...onLedger.filter((line) => !isOld(line)), ...events.flatMap((event) => channelLine(event))]
  lines.sort((a, b) => a.time - b.time)
  const all = [...opening, ...lines]
  return { lines: all, ...sumOf(all) }
}

const sumOf = (lines: readonly Line[]): { readonly ledger: bigint; readonly channels: bigint } => ({
  ledger: lines.reduce((total, { ledger }) => total + ledger, 0n),
  channels: lines.reduce((total, { channels }) => total + channels, 0n),
})

/** @param old what the ledger moved before the newest event that has left: it stands in the export that archived those */
function openingLine(old: readonly Line[], { time, channels }: Carried): Line {
  const { ledger, channels: crossed } = sumOf(old)
  const names = { counterparty: '', channel: '', reference: '' }
  return { time, kind: 'carried over', ledger, channels: crossed + channels, ...names }
}

function ledgerLine(
  { block, time, kind, change, counterparty, channel }: LedgerMovement,
  last: ReadonlyMap<string, bigint>,
): Line {
  const line = { time, kind, ledger: change, counterparty: counterparty ?? '', channel: channel ?? '' }
  return { ...line, channels: channelSide(kind, change, last.get(channel ?? '') ?? 0n), reference: `block ${block}` }
}

/** A deposit goes into the channel, a payout comes out of it; a punishment takes or gives more than was in it. */
function channelSide(kind: LedgerMovement['kind'], change: bigint, last: bigint): bigint {
  switch (kind) {
    case 'deposit':
    case 'close':
    case 'settle':
      return -change
    case 'punish':
      return -last
    case 'mint':
    case 'transfer':
    case 'redeem':
      return 0n
    default:
      return unreachable(kind)
  }
}

function channelLine(event: KnownEvent): Line[] {
  const line = (channels: bigint, reference: string, channel = ''): Line[] => [
    { time: event.time, kind: event.type, ledger: 0n, channels, counterparty: '', channel, reference },
  ]
  switch (event.type) {
    case 'invoice.paid':
      return line(event.amount_minor, event.reference, event.channel)
    case 'payment.returned': // a part of a payment, its fee with it
      return line(event.amount_minor + event.fee_minor, event.reference)
    case 'payment.succeeded': {
      const paid = line(-event.amount_minor, event.reference)
      const fee = { ...paid[0]!, kind: 'payment.fee', channels: -event.fee_minor }
      return event.fee_minor === 0n ? paid : [...paid, fee]
    }
    case 'forward.claimed':
      return line(event.fee_minor, '', event.channel)
    case 'pay.sent':
      return line(-event.amount_minor, event.reference, event.channel)
    case 'pay.received':
      return line(event.amount_minor, event.reference, event.channel)
    default:
      return []
  }
}

export interface Check {
  readonly what: string
  readonly counted: bigint
  readonly held: bigint
}

/** Both have to agree to the unit. */
export function checksOf(
  statement: Statement,
  holdings: Holdings,
  held: Holdings,
  channels: readonly ChannelBalance[],
): Check[] {
  const inChannels = channels
    .filter(({ phase }) => phase !== 'closed' && phase !== 'funding')
    .reduce((total, { balance }) => total + balance, 0n)
  return [
    { what: 'movements of the ledger account', counted: statement.ledger, held: totalOf(held) },
    { what: 'the ledger account, stage by stage', counted: totalOf(holdings), held: totalOf(held) },
    { what: 'movements in channels', counted: statement.channels, held: inChannels },
  ]
}

const totalOf = ({ available, pendingOpen, pendingFrozen }: Holdings): bigint => available + pendingOpen + pendingFrozen

const HEADER =
  'time,kind,amount,ledger_change,channels_change,ledger_balance,channels_balance,balance,counterparty,channel,reference'

export function* csvOf({ lines }: Statement): Generator<string> {
  yield `${HEADER}\n`
  let [ledger, channels] = [0n, 0n]
  for (const line of lines) {
    ledger += line.ledger
    channels += line.channels
    const amounts = [line.ledger + line.channels, line.ledger, line.channels, ledger, channels, ledger + channels]
    const time = new Date(line.time * 1_000).toISOString()
    const texts = [line.counterparty, line.channel, line.reference].map(cell)
    yield `${[time, line.kind, ...amounts.map(signed), ...texts].join(',')}\n`
  }
}

const signed = (value: bigint): string =>
  value < 0n ? `-${formatDecimal(-value as Amount)}` : formatDecimal(value as Amount)

/** Others choose references: what a spreadsheet would run as a formula begins with an apostrophe. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
