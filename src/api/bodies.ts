/** Bodies and queries of the operator API: strict, parsed once into the types of the inside. */
import { z } from 'zod'
import { ZERO } from '../base/amount.js'
import { parseAccountId, parseChannelId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { PPM_MAX } from '../router/policy.js'
import { zRegistrationRequest } from '../wallet/registration.js'
import { parsePeerAddress } from '../wire/address.js'
import { zMinorOf } from './fields.js'
import { parseDigest } from './parse.js'

/** What a bearer token may be for; admin includes the others. */
export const SCOPES = ['read', 'invoice', 'pay', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

const SECONDS_MAX = LIMITS.window_s
const zSeconds = z.int().min(0).max(SECONDS_MAX)

const zAccount = z
  .string()
  .max(66)
  .transform((text, context) => {
    const account = parseAccountId(text)
    if (account.ok) return account.value
    context.addIssue({ code: 'custom', message: 'an account: 66 hexadecimal digits' })
    return z.NEVER
  })

const zChannel = z
  .string()
  .max(64)
  .transform((text, context) => {
    const channel = parseChannelId(text)
    if (channel.ok) return channel.value
    context.addIssue({ code: 'custom', message: 'a channel id: 64 hexadecimal digits' })
    return z.NEVER
  })

const zAddress = z
  .string()
  .max(LIMITS.address_characters)
  .transform((text, context) => {
    const address = parsePeerAddress(text)
    if (address.ok) return address.value
    context.addIssue({ code: 'custom', message: '<account>@ws://host:port' })
    return z.NEVER
  })

const zInvoiceId = z.string().transform((text, context) => {
  const id = parseDigest(text)
  if (id !== undefined) return id
  context.addIssue({ code: 'custom', message: 'an invoice id: 64 hexadecimal digits' })
  return z.NEVER
})

export const zArchive = z.strictObject({
  cursor: z.int().min(0).describe('Of the newest event that you have elsewhere.'),
})

/** @param bits L of the node's ledger. */
export function bodies(bits: number) {
  const minor = zMinorOf(bits)
  return {
    register: z.strictObject({ admission: z.string().regex(/^[0-9a-f]{128}$/, '128 hexadecimal digits') }),
    admit: zRegistrationRequest,
    mint: z.strictObject({ to: zAccount, amount_minor: minor }),
    transfer: z.strictObject({ to: zAccount, amount_minor: minor }),
    redeem: z.strictObject({ amount_minor: minor }),
    none: z.strictObject({}),
    close: z
      .strictObject({ force: z.boolean().default(false) })
      .describe('`force`: without the peer, by an exit (L7).'),
    peer: z.strictObject({ address: zAddress }),
    channel: z.strictObject({
      peer: zAddress.describe('`<account>@ws://host:port`: connected first, and kept.'),
      deposit_minor: minor,
      /** R7: the peer's own deposit. */
      inbound_minor: minor.default(ZERO),
      window_s: zSeconds.optional(),
    }),
    /** R7: out of one own channel and back by another. */
    rebalance: z.strictObject({
      from: zChannel,
      to: zChannel,
      amount_minor: minor,
      /** Most that hubs may take. */
      fee_max_minor: minor,
    }),
    policy: z.strictObject({
      base_minor: minor,
      ppm: z.int().min(0).max(PPM_MAX),
      expiry_delta_s: zSeconds,
      min_minor: minor,
      max_minor: minor,
      enabled: z.boolean(),
    }),
    invoice: z
      .strictObject({
        amount_minor: minor.refine((amount) => amount > ZERO, 'at least 1'),
        reference: z
          .string()
          .max(LIMITS.reference_bytes)
          .optional()
          .describe("The payer's claim number (R6); a refund has that of the payment which it gives back."),
        refund_of: zInvoiceId
          .optional()
          .describe('A refund: id of the invoice of a payment of this node that succeeded.'),
        expires_in_s: zSeconds.min(1).default(86_400),
      })
      .refine(({ reference, refund_of }) => reference !== undefined || refund_of !== undefined, {
        path: ['reference'],
        message: 'needed, but for a refund',
      }),
    payment: z.strictObject({
      invoice: z.string().max(LIMITS.invoice_characters),
      /** Most that hubs may take. */
      fee_max_minor: minor,
    }),
    /** The token stays with its maker: the node learns its hash. */
    token: z.strictObject({
      name: z.string().regex(/^[\x20-\x7e]{1,64}$/, '1 to 64 printable ASCII characters'),
      scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
      hash: z
        .string()
        .regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits')
        .describe('SHA-256 of the token, hexadecimal.'),
    }),
  }
}
export type Bodies = ReturnType<typeof bodies>
export type BodyOf<Name extends keyof Bodies> = z.output<Bodies[Name]>

/** Query strings are texts; a repeated one is an array and refused. */
const zDigits = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,14})$/, 'a whole number')
  .transform(Number)

const zLimit = zDigits.pipe(z.int().min(1).max(LIMITS.api_page)).optional()

/** A list: after an entry's number, at most so many. */
export const zPageQuery = z.strictObject({
  after: zDigits.optional(),
  limit: zLimit,
})

/** A set, in the order of its ids: after an id, at most so many. */
export const zSetQuery = z.strictObject({
  after: z
    .string()
    .regex(/^[0-9a-f]{0,66}$/, 'an id')
    .optional(),
  limit: zLimit,
})
export const zNoQuery = z.strictObject({})
