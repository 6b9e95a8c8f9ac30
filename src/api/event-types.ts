/** Every event of a node's log as the API shows it: what happened, and the fields that say it. */
import { z } from 'zod'
import type { NodeEvent } from '../node/event-log.js'
import { zFailedAt, zMinor } from './fields.js'

/** `cursor` is the event's stable id: without gaps, the same at every delivery. `time` is ledger time, seconds. */
const event = <T extends NodeEvent['type'], S extends z.ZodRawShape>(type: T, fields: S) =>
  z.object({ cursor: z.int(), type: z.literal(type), time: z.int(), ...fields })

const zId = z.string()
const inChannel = { channel: zId, peer: zId }
/** `invoice` is what was paid first, `refund` the invoice by which it was given back. */
const refund = { invoice: zId, refund: zId, reference: z.string(), amount_minor: zMinor }

export const EVENT_SCHEMAS = {
  'channel.opened': event('channel.opened', inChannel),
  'channel.closed': event('channel.closed', { ...inChannel, how: z.enum(['closeChannel', 'settle', 'punish']) }),
  'channel.exited': event('channel.exited', {
    channel: zId,
    version: z.int(),
    reason: z.enum(['broken', 'absent', 'stalled', 'forced']),
  }),
  'channel.disputed': event('channel.disputed', {
    ...inChannel,
    by: z.enum(['us', 'peer']),
    version: z.int(),
    deadline: z.int(),
  }),
  'channel.punished': event('channel.punished', { ...inChannel, winner: z.enum(['us', 'peer']) }),
  'channel.broken': event('channel.broken', { ...inChannel, clause: z.string() }),
  'invoice.paid': event('invoice.paid', {
    invoice: zId,
    reference: z.string(),
    amount_minor: zMinor,
    channel: zId,
    parts: z.int(),
    receipt: z.string(),
  }),
  'invoice.refunded': event('invoice.refunded', refund),
  'payment.succeeded': event('payment.succeeded', {
    key: z.string(),
    invoice: zId,
    reference: z.string(),
    amount_minor: zMinor,
    fee_minor: zMinor,
    parts: z.int(),
  }),
  'payment.returned': event('payment.returned', {
    key: z.string(),
    invoice: zId,
    reference: z.string(),
    amount_minor: zMinor,
    fee_minor: zMinor,
  }),
  'payment.refunded': event('payment.refunded', { key: z.string(), ...refund }),
  'payment.failed': event('payment.failed', {
    key: z.string(),
    invoice: zId,
    code: z.string(),
    failed_at: zFailedAt,
  }),
  'forward.claimed': event('forward.claimed', { channel: zId, fee_minor: zMinor }),
  'pay.sent': event('pay.sent', { channel: zId, amount_minor: zMinor, reference: z.string() }),
  'pay.received': event('pay.received', { channel: zId, amount_minor: zMinor, reference: z.string() }),
} as const satisfies { readonly [T in NodeEvent['type']]: z.ZodType }

export const EVENT_TEXTS: { readonly [T in NodeEvent['type']]: string } = {
  'channel.opened': 'The ledger has the channel: payments run.',
  'channel.closed': 'The ledger paid the channel out; `how` names the transaction.',
  'channel.exited': 'This node signed an exit of its own, for good: nothing is paid in the channel again.',
  'channel.disputed': 'A state stands on the ledger: an exit, or a higher one that superseded it.',
  'channel.punished': 'A revoked state was answered: the whole pool went to `winner`.',
  'channel.broken': 'The peer broke the protocol (or a defect did): the channel ends on the ledger.',
  'invoice.paid':
    'An invoice of ours is paid, for good. `receipt` is what the payer holds too: verify with `receipt verify`.',
  'payment.succeeded': 'A payment of ours reached its payee; `fee_minor` went to hubs.',
  'invoice.refunded': 'We gave back what was paid for `invoice`; the `payment.succeeded` of `refund` is the movement.',
  'payment.returned':
    'Of a payment that succeeded, a part that its payee never took came back: so much less left than was said.',
  'payment.refunded': 'Our payment of `invoice` was given back; the `invoice.paid` of `refund` is the movement.',
  'payment.failed': 'A payment of ours ended without moving money; `code` says why, `failed_at` which hop said so.',
  'forward.claimed': 'A payment of others was forwarded; the fee is ours. `channel` is where it came in.',
  'pay.sent': 'A direct payment inside of a channel, ours to the peer.',
  'pay.received': "A direct payment inside of a channel, the peer's to us.",
}

export type EventType = keyof typeof EVENT_SCHEMAS
/** As sent. */
export type EventJson = { [T in EventType]: z.input<(typeof EVENT_SCHEMAS)[T]> }[EventType]
/** As parsed. */
export type KnownEvent = { [T in EventType]: z.output<(typeof EVENT_SCHEMAS)[T]> }[EventType]

export const isEventType = (type: string): type is EventType => Object.hasOwn(EVENT_SCHEMAS, type)

export const zKnownEvent = z.discriminatedUnion('type', [
  EVENT_SCHEMAS['channel.opened'],
  EVENT_SCHEMAS['channel.closed'],
  EVENT_SCHEMAS['channel.exited'],
  EVENT_SCHEMAS['channel.disputed'],
  EVENT_SCHEMAS['channel.punished'],
  EVENT_SCHEMAS['channel.broken'],
  EVENT_SCHEMAS['invoice.paid'],
  EVENT_SCHEMAS['payment.succeeded'],
  EVENT_SCHEMAS['invoice.refunded'],
  EVENT_SCHEMAS['payment.returned'],
  EVENT_SCHEMAS['payment.refunded'],
  EVENT_SCHEMAS['payment.failed'],
  EVENT_SCHEMAS['forward.claimed'],
  EVENT_SCHEMAS['pay.sent'],
  EVENT_SCHEMAS['pay.received'],
])
