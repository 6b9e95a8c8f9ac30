/** Answers of the API as its client reads them: further fields are allowed, a newer node may have them. */
import { z } from 'zod'
import { type Amount, amount } from '../base/amount.js'
import { isErrorCode } from '../base/errors.js'
import { zRegistrationRequest } from '../wallet/registration.js'

const zMinor = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,19})$/)
  .transform((digits, context): Amount => {
    const value = amount(BigInt(digits))
    if (value.ok) return value.value
    context.addIssue({ code: 'custom', message: 'an amount' })
    return z.NEVER
  })
const zCode = z.string().refine(isErrorCode)

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
  towers: z.array(
    z.object({
      account: z.string(),
      url: z.string(),
      connected: z.boolean(),
      channels: z.int(),
      behind: z.int(),
      jobs: z.int(),
      code: z.string().nullable(),
    }),
  ),
  tower_receipts_required: z.int(),
  ready: z.boolean(),
})
export const zPeersJson = z.object({
  peers: z.array(z.object({ account: z.string(), url: z.string().nullable(), connected: z.boolean() })),
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
export const zChannelsJson = z.object({ channels: z.array(zChannelJson) })
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

/** The event's own fields stay as they are; amounts are digit strings in `*_minor`. */
export const zEventJson = z.looseObject({ cursor: z.int(), type: z.string(), time: z.int() })
export const zEventsJson = z.object({ events: z.array(zEventJson), cursor: z.int() })

export type PaymentAnswer = z.output<typeof zPaymentJson>
export type ChannelAnswer = z.output<typeof zChannelJson>
export type PolicyAnswer = z.output<typeof zPolicyJson>
