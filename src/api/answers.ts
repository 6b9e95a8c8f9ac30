/** Answers of the API as its client reads them: further fields are allowed, a newer node may have them. */
import { z } from 'zod'
import { zRegistrationRequest } from '../wallet/registration.js'
import { SCOPES } from './bodies.js'
import { zCode, zFailedAt, zMinor, zMinorChange } from './fields.js'

export const zTowerJson = z.object({
  account: z.string(),
  url: z.string(),
  connected: z.boolean(),
  channels: z
    .int()
    .describe('Channels that it watches for this node, and those whose newest state it has not signed for yet.'),
  behind: z.int(),
  jobs: z.int().describe('Reveal jobs that it holds (T3).'),
  code: z.string().nullable().describe('Why it refuses, where it does.'),
})

export const zNodeJson = z.object({
  account: z.string(),
  ledger: z.string(),
  height: z.int().describe('Of the newest ledger block that was followed.'),
  time: z.int(),
  ledger_age_s: z.int().describe('Since the ledger was last heard.'),
  forwarding: z.boolean(),
  listening: z.string().nullable(),
  announce: z.string().nullable(),
  channels: z.int(),
  channels_ready: z.int(),
  channels_stopped: z.int().describe('By a defect of this program: call an operator.'),
  channels_recovering: z.int().describe('Frozen until they close with their peers (C8).'),
  graph_channels: z.int().describe('Of the public graph (R4): between hubs that announced them.'),
  restored: z.boolean().describe('Made from a backup.'),
  fees_earned_minor: zMinor,
  towers: z.array(zTowerJson),
  tower_receipts_required: z.int(),
  ready: z.boolean(),
})
export const zHealthJson = z.object({ ok: z.literal(true) })
export const zReadyJson = z.object({ ready: z.literal(true) })
/** `cursor` of a set is the last entry's id, of a list its number: what the next page begins after. */
export const zTowersJson = z.object({
  towers: z.array(zTowerJson),
  receipts_required: z
    .int()
    .describe('So many must have signed for a state before the secret of the one before leaves (T2).'),
  cursor: z.string(),
})
export const zPeersJson = z.object({
  peers: z.array(z.object({ account: z.string(), url: z.string().nullable(), connected: z.boolean() })),
  cursor: z.string(),
})
export const zConnectedJson = z.object({ peer: z.string(), connected: z.boolean() })
export const zAccountJson = z.object({
  account: z.string(),
  registered: z.boolean(),
  available_minor: zMinor,
  pending_open_minor: zMinor,
  pending_frozen_minor: zMinor,
})
export const zRegistrationJson = zRegistrationRequest
export const zRegisteredJson = z.object({ account: z.string(), registered: z.boolean() })
export const zAdmissionJson = z.object({ account: z.string(), admission: z.string() })
export const zReceiptJson = z.object({ transaction: z.string(), height: z.int(), time: z.int(), cursor: z.int() })

export const zPolicyJson = z.object({
  base_minor: zMinor,
  ppm: z.int(),
  expiry_delta_s: z.int(),
  min_minor: zMinor,
  max_minor: zMinor,
  enabled: z.boolean(),
})
export const zTowerReceiptsJson = z.object({ receipts: z.array(z.string()) })
export const zChannelJson = z.object({
  channel: z.string(),
  peer: z.string(),
  side: z.string(),
  phase: z.string(),
  ready: z.boolean(),
  connected: z.boolean(),
  stopped: z.string().nullable().describe('Clause that a defect of this program broke; it only defends itself.'),
  version: z.int(),
  can_send_minor: zMinor,
  can_receive_minor: zMinor,
  balance_minor: zMinor.describe('Ours, locks left out.'),
  locks: z.int().describe('Payments under way in it.'),
  waiting: z.string().nullable().describe('What is waited for, in words.'),
  deadline: z.int().nullable().describe('Ledger time until which a dispute can be answered.'),
  window_s: z.int(),
  back_at: z
    .int()
    .nullable()
    .describe('Ledger time at which the balance is back at the latest: now, by an exit, or by the one that stands.'),
  exit: z.object({ allowed: z.boolean(), missing: z.string().nullable(), in_s: z.int().nullable() }),
  tower_lag: z.int().nullable().describe('Versions that the towers have yet to sign for.'),
  tower_waiting: z.int().describe('Messages that wait for towers.'),
  policy: zPolicyJson,
})
export const zChannelsJson = z.object({ channels: z.array(zChannelJson), cursor: z.string() })
export const zChannelOpenedJson = z.object({ channel: z.string(), peer: z.string() })
export const zClosedJson = z.object({ channel: z.string(), closed: z.boolean() })
export const zForcedJson = z.object({
  channel: z.string(),
  closed: z.boolean(),
  deadline: z.int().nullable(),
  back_at: z.int().nullable(),
})

export const zInvoiceJson = z.object({
  id: z.string(),
  invoice: z.string(),
  amount_minor: zMinor,
  reference: z.string(),
  refund_of: z.string().nullable().default(null),
  created: z.int(),
  expires: z.int(),
  paid: z.boolean(),
  receipt: z.string().nullable().describe('Once paid: what the payer holds too.'),
  can_receive_minor: zMinor
    .nullable()
    .default(null)
    .describe('While it is not paid: what the channels of this node can receive together, in parts.'),
  warning: zCode
    .nullable()
    .default(null)
    .describe('`no_capacity_to_payee`: it asks for more than that, and no payer can pay it as things stand (R7).'),
})
export const zInvoicesJson = z.object({ invoices: z.array(zInvoiceJson), cursor: z.int() })
export const zQuoteJson = z.object({
  amount_minor: zMinor,
  fee_minor: zMinor,
  hops: z.int(),
  parts: z.int().default(1),
  can_send_minor: zMinor
    .nullable()
    .default(null)
    .describe('What the channels of this node can send together now, fees included; in one of them:'),
  can_send_at_once_minor: zMinor.nullable().default(null).describe('What goes without parts.'),
})
export const zPaymentJson = z.object({
  key: z.string(),
  status: z.enum(['pending', 'succeeded', 'failed']).describe('Pending is neither of the others.'),
  invoice: z.string(),
  reference: z.string(),
  payee: z.string(),
  refund_of: z.string().nullable().default(null),
  amount_minor: zMinor,
  sent_minor: zMinor.nullable().default(null),
  fee_minor: zMinor.nullable(),
  hops: z.int().nullable(),
  parts: z.int().default(1).describe('Paths by which it went.'),
  code: zCode.nullable().describe('Why it failed.'),
  failed_at: zFailedAt,
  attempts: z.int(),
  receipt: z.string().nullable().describe('Proof of payment, a JSON text: verify it offline.'),
})
export const zPaymentsJson = z.object({ payments: z.array(zPaymentJson), cursor: z.int() })

/** A token as it is kept: never the token itself. */
export const zTokenJson = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  created: z.int().describe('Ledger time.'),
})
export const zTokensJson = z.object({ tokens: z.array(zTokenJson), cursor: z.string() })
export const zRevokedJson = z.object({ id: z.string(), revoked: z.literal(true) })

/** Any event, of a newer node too. The event's own fields stay as they are; amounts are digit strings in `*_minor`. */
export const zEventJson = z.looseObject({ cursor: z.int(), type: z.string(), time: z.int() })
export const zEventsJson = z.object({ events: z.array(zEventJson), cursor: z.int() })

/** What may leave the event log, and what has left it. */
export const zEventArchiveJson = z.object({
  last: z.int().describe('Cursor of the newest event.'),
  archived: z.int().describe('Cursor up to which you have said that you have everything elsewhere.'),
  pruned: z
    .object({
      cursor: z.int().describe('Of the newest event that has left; 0: none.'),
      time: z.int().describe('Its ledger time.'),
      channels_minor: zMinorChange.describe(
        'What all that left moved in channels together: received less sent, with fees.',
      ),
    })
    .describe('What has left the log: archived, and older than `events_kept_days`.'),
})

export type InvoiceAnswer = z.output<typeof zInvoiceJson>
export type PaymentAnswer = z.output<typeof zPaymentJson>
export type ChannelAnswer = z.output<typeof zChannelJson>
export type PolicyAnswer = z.output<typeof zPolicyJson>
