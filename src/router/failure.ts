/** Why a lock was not forwarded or not claimed, and what of it the payer may learn. */
import { z } from 'zod'
import { decodeAs, encodeAs } from '../base/codec.js'
import type { ErrorCode } from '../base/errors.js'
import { type Policy, zPolicy } from './policy.js'

/**
 * The one table from a local reason to what leaves this node, readable by the payer alone. Finer reasons stay here:
 * they would tell balances, connections, or which invoices exist.
 */
export const TOLD = {
  // forwarding
  ledger_stale: 'temporary_failure',
  onion_replayed: 'onion_replayed',
  payload_invalid: 'payload_invalid',
  forwarding_off: 'forwarding_off',
  unknown_next_hop: 'unknown_next_hop',
  circular_route: 'circular_route',
  channel_offline: 'next_hop_unavailable',
  channel_closing: 'next_hop_unavailable',
  channel_disabled: 'next_hop_unavailable',
  amount_below_minimum: 'amount_below_minimum',
  amount_above_maximum: 'amount_above_maximum',
  fee_too_small: 'fee_too_small',
  expiry_delta_too_small: 'expiry_delta_too_small',
  expiry_too_near: 'expiry_too_near',
  expiry_too_far: 'expiry_too_far',
  point_zero: 'point_unusable',
  point_live: 'point_unusable',
  point_revealed: 'point_unusable',
  balance_too_low: 'no_capacity',
  slots_full: 'no_capacity',
  // after the decision
  channel_refused: 'temporary_failure',
  proposal_void: 'next_hop_unavailable',
  downstream_expired: 'lock_expired',
  downstream_malformed: 'next_hop_unavailable',
  downstream_unreadable: 'onion_unreadable',
  // receiving: one answer, or a stranger could ask which invoices exist and whether they are paid
  invoice_unknown: 'payment_details_wrong',
  invoice_expired: 'payment_details_wrong',
  invoice_paid: 'payment_details_wrong',
  secret_wrong: 'payment_details_wrong',
  amount_wrong: 'payment_details_wrong',
} as const satisfies Record<string, ErrorCode>

export type LocalReason = keyof typeof TOLD
export type FailureCode = (typeof TOLD)[LocalReason]

export const FAILURE_CODES: readonly FailureCode[] = [...new Set(Object.values(TOLD))]

/** The reason behind a refusal of the outgoing channel to take the lock (C9): it knows best how it stands. */
export function reasonOfChannel(code: ErrorCode | 'unknown'): LocalReason {
  switch (code) {
    case 'balance_too_low':
      return 'balance_too_low'
    case 'too_many_locks':
      return 'slots_full'
    case 'channel_not_open':
      return 'channel_closing'
    case 'channel_offline':
      return 'channel_offline'
    case 'point_in_use':
      return 'point_live'
    case 'proposal_void':
      return 'proposal_void'
    default:
      return 'channel_refused'
  }
}

/** These tell the hop's policy too: a payer with an old one can try again at once. */
const WITH_POLICY: ReadonlySet<LocalReason> = new Set([
  'amount_below_minimum',
  'amount_above_maximum',
  'fee_too_small',
  'expiry_delta_too_small',
])

export interface FailureMessage {
  readonly code: FailureCode
  readonly policy: Policy | null
}

export const translate = (reason: LocalReason, policy: Policy | null): FailureMessage => ({
  code: TOLD[reason],
  policy: WITH_POLICY.has(reason) ? policy : null,
})

const zFailure = z.tuple([z.enum(FAILURE_CODES), zPolicy.nullable()])

export const encodeFailure = (message: FailureMessage): Uint8Array => encodeAs(zFailure, [message.code, message.policy])

/** @returns undefined for what a hop of another version, or an ill-meaning one, wrote. */
export function decodeFailure(bytes: Uint8Array): FailureMessage | undefined {
  const decoded = decodeAs(zFailure, bytes)
  return decoded.ok ? { code: decoded.value[0], policy: decoded.value[1] } : undefined
}
