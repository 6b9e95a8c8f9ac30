/** Fields that requests and answers share. */
import { z } from 'zod'
import { type Amount, amount } from '../base/amount.js'
import { isErrorCode } from '../base/errors.js'

const DIGITS = /^(0|[1-9][0-9]{0,19})$/

/** An amount: a JSON number would pass through a float. @param bits below 2^bits */
export const zMinorOf = (bits: number) =>
  z
    .string('a string of digits, minor units')
    .regex(DIGITS, 'a string of digits, minor units')
    .transform((digits, context): Amount => {
      const value = amount(BigInt(digits), bits)
      if (value.ok) return value.value
      context.addIssue({ code: 'custom', message: `below 2^${bits}` })
      return z.NEVER
    })

export const zMinor = zMinorOf(64)
/** What a balance changed by, or a sum of such: any size, either sign. */
export const zMinorChange = z
  .string()
  .regex(/^(0|-?[1-9][0-9]{0,63})$/, 'a string of digits, minor units, with - where it is less than nothing')
  .transform(BigInt)
export const zCode = z.string().refine(isErrorCode)

/** Of a payment that failed. */
export const zFailedAt = z
  .object({
    hop: z.int().describe('1 is the peer of the own channel; as many as the route had is the payee.'),
    account: z.string(),
  })
  .nullable()
  .default(null)
  .describe('Which hop said so; null: this node itself, or no hop that named itself.')
