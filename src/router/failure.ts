/** Why a lock was not forwarded or not claimed, and what of it the payer may learn. */
import { z } from 'zod'
import { decodeAs, encodeAs } from '../base/codec.js'
import type { ErrorCode } from '../base/errors.js'
import { type Policy, zPolicy } from './policy.js'

/**
 * The one table from a local reason to what leaves this node, readable by the payer alone. Finer reasons stay here:
 * they would tell balances, connections, or which invoices exist. What the payer cannot mend by another onion is one
 * answer: whether a next hop is unknown, away, disabled, full or out of money, a payer who probes is not told (BOLT 4
 * has a code for each).
 */
export const TOLD = {
  // forwarding
  ledger_stale: 'temporary_failure',
  onion_replayed: 'onion_replayed',
  payload_invalid: 'payload_invalid',
  forwarding_off: 'temporary_failure',
  unknown_next_hop: 'temporary_failure',
  circular_route: 'circular_route',
  channel_offline: 'temporary_failure',
  channel_closing: 'temporary_failure',
  channel_disabled: 'temporary_failure',
  amount_below_minimum: 'amount_below_minimum',
  amount_above_maximum: 'amount_above_maximum',
  fee_too_small: 'fee_too_small',
  expiry_delta_too_small: 'expiry_delta_too_small',
  expiry_too_near: 'expiry_too_near',
  expiry_too_far: 'expiry_too_far',
  point_zero: 'point_unusable',
  point_live: 'point_unusable',
  point_revealed: 'point_unusable',
  balance_too_low: 'temporary_failure',
  slots_full: 'temporary_failure',
  kept_for_others: 'temporary_failure',
  failed_too_often: 'temporary_failure',
  // after the decision
  channel_refused: 'temporary_failure',
  proposal_void: 'temporary_failure',
  downstream_expired: 'lock_expired',
  downstream_malformed: 'temporary_failure',
  downstream_unreadable: 'onion_unreadable',
  // receiving: one answer, or a stranger could ask which invoices exist and whether they are paid
  invoice_unknown: 'payment_details_wrong',
  invoice_expired: 'payment_details_wrong',
  invoice_paid: 'payment_details_wrong',
  secret_wrong: 'payment_details_wrong',
  amount_wrong: 'payment_details_wrong',
  parts_too_many: 'payment_details_wrong',
  // only a payer with the payment secret has a part held
  parts_timeout: 'parts_timeout',
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

/** The same for a payer, about a channel of its own: nobody else hears of it. */
export function codeOfOwnChannel(code: ErrorCode | 'unknown'): ErrorCode {
  switch (reasonOfChannel(code)) {
    case 'balance_too_low':
    case 'slots_full':
      return 'no_capacity'
    case 'channel_closing':
    case 'channel_offline':
    case 'proposal_void':
      return 'next_hop_unavailable'
    case 'point_live':
      return 'point_unusable'
    default:
      return 'temporary_failure'
  }
}

/**
 * R7: which side lacks capacity, as far as one answer for everything lets the payer know it. The last hub's channel to
 * the payee is the payee's inbound capacity.
 * @param at index of the hop that reports, in a route of `hops`.
 */
export function placed(code: ErrorCode, at: number, hops: number): ErrorCode {
  if (code !== 'temporary_failure' || at === hops - 1) return code
  return at === hops - 2 ? 'no_capacity_to_payee' : 'no_capacity_on_route'
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
