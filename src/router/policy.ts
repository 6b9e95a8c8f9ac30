/** A hop's price and terms for one outgoing channel (R3). */
import { z } from 'zod'
import { type Amount, amountToBytes } from '../base/amount.js'
import { zAmount, zCount } from '../base/codec.js'
import { ok, type Result, refuse } from '../base/result.js'

/** Ten times the amount: beyond it a number was mistyped. */
export const PPM_MAX = 10_000_000

export const zPolicy = z.strictObject({
  /** Minor units for every forward. */
  base: zAmount,
  /** Millionths of the amount forwarded, rounded up. */
  ppm: z.int().min(0).max(PPM_MAX),
  /** Seconds between the expiry of the outgoing lock and that of the incoming one. */
  expiryDelta: zCount,
  /** Bounds of the amount forwarded. */
  minAmount: zAmount,
  maxAmount: zAmount,
  enabled: z.boolean(),
})
export type Policy = z.output<typeof zPolicy>

/** As CBOR has it. */
export const plainPolicy = (policy: Policy) => ({
  ...policy,
  base: amountToBytes(policy.base),
  minAmount: amountToBytes(policy.minAmount),
  maxAmount: amountToBytes(policy.maxAmount),
})

/** What it can take until a fact is final on the ledger, seconds. */
export interface LedgerDelays {
  readonly finality: number
  /** From submitting a transaction to its inclusion, at worst. */
  readonly inclusion: number
}

/** R3: delta >= finality + 2 inclusion bounds + allowed downtime. */
export const expiryDeltaMin = (delays: LedgerDelays, downtime: number): number =>
  delays.finality + 2 * delays.inclusion + downtime

/** An operator's own policy; `detail` names the field. */
export function checkPolicy(policy: Policy, expiryDeltaAtLeast: number): Result<Policy> {
  if (policy.expiryDelta < expiryDeltaAtLeast)
    return refuse('policy_invalid', `expiryDelta below ${expiryDeltaAtLeast}`)
  if (policy.minAmount < 1n) return refuse('policy_invalid', 'minAmount below 1')
  if (policy.minAmount > policy.maxAmount) return refuse('policy_invalid', 'minAmount above maxAmount')
  return ok(policy)
}

/** The one question about amounts that payer and forwarder ask alike. */
export function amountRefusal(
  policy: Policy,
  forwarded: Amount,
): 'amount_below_minimum' | 'amount_above_maximum' | undefined {
  if (forwarded < policy.minAmount) return 'amount_below_minimum'
  if (forwarded > policy.maxAmount) return 'amount_above_maximum'
  return undefined
}
