/** Bodies and queries of the operator API: strict, parsed once into the types of the inside. */
import { z } from 'zod'
import { type Amount, amount, ZERO } from '../base/amount.js'
import { parseAccountId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { PPM_MAX } from '../router/policy.js'
import { zRegistrationRequest } from '../wallet/registration.js'
import { parsePeerAddress } from '../wire/address.js'

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

const zAddress = z
  .string()
  .max(LIMITS.address_characters)
  .transform((text, context) => {
    const address = parsePeerAddress(text)
    if (address.ok) return address.value
    context.addIssue({ code: 'custom', message: '<account>@ws://host:port' })
    return z.NEVER
  })

/** Amounts are digit strings: a JSON number would pass through a float. */
const zMinor = (bits: number) =>
  z
    .string('a string of digits, minor units')
    .regex(/^(0|[1-9][0-9]{0,19})$/, 'a string of digits, minor units')
    .transform((digits, context): Amount => {
      const value = amount(BigInt(digits), bits)
      if (value.ok) return value.value
      context.addIssue({ code: 'custom', message: `below 2^${bits}` })
      return z.NEVER
    })

/** @param bits L of the node's ledger. */
export function bodies(bits: number) {
  const minor = zMinor(bits)
  return {
    register: z.strictObject({ admission: z.string().regex(/^[0-9a-f]{128}$/, '128 hexadecimal digits') }),
    admit: zRegistrationRequest,
    mint: z.strictObject({ to: zAccount, amount_minor: minor }),
    transfer: z.strictObject({ to: zAccount, amount_minor: minor }),
    redeem: z.strictObject({ amount_minor: minor }),
    none: z.strictObject({}),
    /** `force`: without the peer, by an exit (L7). */
    close: z.strictObject({ force: z.boolean().default(false) }),
    peer: z.strictObject({ address: zAddress }),
    channel: z.strictObject({
      /** `<account>@ws://host:port`: connected first, and kept. */
      peer: zAddress,
      deposit_minor: minor,
      /** R7: the peer's own deposit. */
      inbound_minor: minor.default(ZERO),
      window_s: zSeconds.optional(),
    }),
    policy: z.strictObject({
      base_minor: minor,
      ppm: z.int().min(0).max(PPM_MAX),
      expiry_delta_s: zSeconds,
      min_minor: minor,
      max_minor: minor,
      enabled: z.boolean(),
    }),
    invoice: z.strictObject({
      amount_minor: minor,
      /** The payer's claim number (R6). */
      reference: z.string().max(LIMITS.reference_bytes),
      expires_in_s: zSeconds.min(1).default(86_400),
    }),
    payment: z.strictObject({
      invoice: z.string().max(LIMITS.invoice_characters),
      fee_max_minor: minor,
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

/** After an entry's number, at most so many. */
export const zPageQuery = z.strictObject({
  after: zDigits.optional(),
  limit: zDigits.pipe(z.int().min(1).max(LIMITS.api_page)).optional(),
})
