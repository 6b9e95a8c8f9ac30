/** Answers of the API as its client reads them: further fields are allowed, a newer node may have them. */
import { z } from 'zod'
import { zRegistrationRequest } from '../wallet/registration.js'
import { SCOPES } from './bodies.js'
import { zCode, zMinor } from './fields.js'

export const zTowerJson = z.object({
  account: z.string(),
  url: z.string(),
  connected: z.boolean(),
  /** Channels that it watches for this node, and those whose newest state it has not signed for yet. */
  channels: z.int(),
  behind: z.int(),
  /** Reveal jobs that it holds (T3). */
  jobs: z.int(),
  /** Why it refuses, where it does. */
  code: z.string().nullable(),
})

export const zNodeJson = z.object({
  account: z.string(),
  ledger: z.string(),
  height: z.int(),
  time: z.int(),
  ledger_age_s: z.int(),
  forwarding: z.boolean(),
  listening: z.string().nullable(),
  announce: z.string().nullable(),
  channels: z.int(),
  channels_ready: z.int(),
  channels_stopped: z.int(),
  channels_recovering: z.int(),
  restored: z.boolean(),
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
  /** So many must have signed for a state before the secret of the one before leaves (T2). */
  receipts_required: z.int(),
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
  stopped: z.string().nullable(),
  version: z.int(),
  can_send_minor: zMinor,
  can_receive_minor: zMinor,
  balance_minor: zMinor,
  locks: z.int(),
  /** What is waited for, in words. */
  waiting: z.string().nullable(),
  /** Ledger time until which a dispute can be answered. */
  deadline: z.int().nullable(),
  window_s: z.int(),
  /** Ledger time at which the balance is back at the latest: now, by an exit, or by the one that stands. */
  back_at: z.int().nullable(),
  exit: z.object({ allowed: z.boolean(), missing: z.string().nullable(), in_s: z.int().nullable() }),
  tower_lag: z.int().nullable(),
  tower_waiting: z.int(),
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
  created: z.int(),
  expires: z.int(),
  paid: z.boolean(),
  /** Once paid: what the payer holds too. */
  receipt: z.string().nullable(),
})
export const zInvoicesJson = z.object({ invoices: z.array(zInvoiceJson), cursor: z.int() })
export const zQuoteJson = z.object({ amount_minor: zMinor, fee_minor: zMinor, hops: z.int() })
export const zPaymentJson = z.object({
  key: z.string(),
  status: z.enum(['pending', 'succeeded', 'failed']),
  invoice: z.string(),
  reference: z.string(),
  payee: z.string(),
  amount_minor: zMinor,
  fee_minor: zMinor.nullable(),
  hops: z.int().nullable(),
  code: zCode.nullable(),
  attempts: z.int(),
  receipt: z.string().nullable(),
})
export const zPaymentsJson = z.object({ payments: z.array(zPaymentJson), cursor: z.int() })

/** A token as it is kept: never the token itself. */
export const zTokenJson = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  /** Ledger time. */
  created: z.int(),
})
export const zTokensJson = z.object({ tokens: z.array(zTokenJson), cursor: z.string() })
export const zRevokedJson = z.object({ id: z.string(), revoked: z.literal(true) })

/** Any event, of a newer node too. The event's own fields stay as they are; amounts are digit strings in `*_minor`. */
export const zEventJson = z.looseObject({ cursor: z.int(), type: z.string(), time: z.int() })
export const zEventsJson = z.object({ events: z.array(zEventJson), cursor: z.int() })

export type PaymentAnswer = z.output<typeof zPaymentJson>
export type ChannelAnswer = z.output<typeof zChannelJson>
export type PolicyAnswer = z.output<typeof zPolicyJson>
