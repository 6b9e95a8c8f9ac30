/**
 * The reconciliation (PRODUCT.md): what the CSV says against what the regulator decrypted from the ledger and what every
 * party's own books say, line by line. Pure.
 */

import {
  FAR_HUB,
  HUB,
  HUBS,
  type HubName,
  isCanary,
  type PartyName,
  type Plan,
  type PlannedParty,
  type PlannedPayment,
  THIEF,
} from './money.js'
import type { Finished } from './processes.js'

/** How one payment ended, as its payer's node tells it. */
export interface PaymentEnd {
  readonly payment: PlannedPayment
  readonly paid: boolean
  /** Why not. */
  readonly code: string | null
  readonly fee: bigint
  /** Channels that it went over; 0 for one that failed. */
  readonly hops: number
  /** What did not go through before it ended. */
  readonly retries: number
}

/** An `invoice.paid` event of a hospital. */
export interface BookEntry {
  readonly reference: string
  readonly amount: bigint
}

export interface AuditedAccount {
  readonly minted: bigint
  readonly deposited: bigint
  readonly paidOut: bigint
  readonly held: bigint
}

/** What the regulator's audit found; all in minor units. */
export interface AuditFacts {
  readonly verdict: string
  readonly minted: bigint
  readonly held: bigint
  readonly locked: bigint
  readonly redeemed: bigint
  readonly accounts: ReadonlyMap<string, AuditedAccount>
  /** How each channel ended; null: it did not. */
  readonly channels: readonly (string | null)[]
  /** Accounts that left a channel by an exit of their own. */
  readonly exits: readonly string[]
}

export interface Facts {
  readonly plan: Plan
  readonly ends: readonly PaymentEnd[]
  readonly books: ReadonlyMap<PartyName, readonly BookEntry[]>
  /** By each hub's own books. */
  readonly hubFees: Readonly<Record<HubName, bigint>>
  /** Every party's balance, decrypted by its own node; the hubs are among them. */
  readonly balances: ReadonlyMap<PartyName, bigint>
  /** Ledger accounts, hexadecimal. */
  readonly accounts: ReadonlyMap<PartyName, string>
  readonly audit: AuditFacts
}

/** Amounts of several sources that must be one: the first is what is expected. */
export interface Line {
  readonly subject: string
  readonly canary: boolean
  readonly amounts: readonly (readonly [source: string, amount: bigint])[]
  readonly ok: boolean
}

export interface Reconciliation {
  readonly lines: readonly Line[]
  /** What is no sum of money: a claim that failed, one that is twice in a book, a channel left open. */
  readonly faults: readonly string[]
  /** Lines that differ, and faults. */
  readonly mismatches: number
  /** Without canaries. */
  readonly due: bigint
  readonly settled: bigint
  readonly fees: bigint
}

/** Parties that exit with a revoked state. */
const THIEVES = 1

const sum = (values: Iterable<bigint>): bigint => [...values].reduce((total, value) => total + value, 0n)
const NOTHING: AuditedAccount = { minted: 0n, deposited: 0n, paidOut: 0n, held: 0n }

export function reconcile(facts: Facts): Reconciliation {
  const { plan, ends } = facts
  const lines = [
    ...plan.hospitals.map((hospital) => hospitalLine(facts, hospital)),
    ...plan.payers.map((payer) => payerLine(facts, payer)),
    feeLine(facts),
    ...HUBS.map((hub) => hubLine(facts, hub)),
    ...balanceLines(facts),
    ...supplyLines(facts),
  ]
  const faults = [...failures(facts), ...bookFaults(facts), ...ledgerFaults(facts)]
  const real = ends.filter(({ payment }) => !payment.canary)
  return {
    lines,
    faults,
    mismatches: lines.filter(({ ok }) => !ok).length + faults.length,
    due: sum(real.map(({ payment }) => payment.amount)),
    settled: sum(plan.hospitals.filter(({ canary }) => !canary).map(({ name }) => received(facts, name))),
    fees: sum(real.filter(({ paid }) => paid).map(({ fee }) => fee)),
  }
}

function line(subject: string, canary: boolean, amounts: Line['amounts']): Line {
  return { subject, canary, amounts, ok: amounts.every(([, amount]) => amount === amounts[0]![1]) }
}

const audited = ({ accounts, audit }: Facts, name: PartyName): AuditedAccount =>
  audit.accounts.get(accounts.get(name) ?? '') ?? NOTHING

/** By settlement: what the ledger paid out, less what was the party's own before. */
function received(facts: Facts, name: PartyName): bigint {
  const { paidOut, deposited } = audited(facts, name)
  return paidOut - deposited
}

function hospitalLine(facts: Facts, { name, canary }: PlannedParty): Line {
  const due = sum(facts.ends.filter(({ payment }) => payment.hospital === name).map(({ payment }) => payment.amount))
  return line(name, canary, [
    ['due by the CSV', due],
    ['received by settlement', received(facts, name)],
    ['its own books', sum((facts.books.get(name) ?? []).map(({ amount }) => amount))],
  ])
}

const spentBy = ({ ends }: Facts, name: PartyName): bigint =>
  sum(
    ends.filter(({ payment, paid }) => payment.payer === name && paid).map(({ payment, fee }) => payment.amount + fee),
  )

/** L7: what the punished party had left in its channel. */
function forfeited(facts: Facts): bigint {
  const thief = facts.plan.payers.find(({ name }) => name === THIEF)
  return thief === undefined ? 0n : thief.deposit - spentBy(facts, THIEF)
}

function payerLine(facts: Facts, { name, canary }: PlannedParty): Line {
  const thief = name === THIEF
  return line(name, canary, [
    thief
      ? ['claims, fees and what it forfeited', spentBy(facts, name) + forfeited(facts)]
      : ['claims and fees', spentBy(facts, name)],
    ['paid by settlement', -received(facts, name)],
  ])
}

function feeLine({ ends }: Facts): Line {
  const paid = ends.filter((end) => end.paid)
  return line('fees of both hubs, canaries included', false, [
    ['by plan', sum(paid.map(({ payment }) => payment.fee))],
    ['paid', sum(paid.map(({ fee }) => fee))],
  ])
}

/** What was forfeited went to the hub of the payers. */
function hubLine(facts: Facts, hub: HubName): Line {
  const payments = facts.ends.filter(({ paid }) => paid).map(({ payment }) => payment)
  const feeAt = ({ fee, farFee }: PlannedPayment): bigint => (hub === FAR_HUB ? farFee : fee - farFee)
  return line(`${hub}, canaries included`, false, [
    ['fees of all claims', sum(payments.map(feeAt))],
    ['earned by settlement, without what was forfeited', received(facts, hub) - (hub === HUB ? forfeited(facts) : 0n)],
    ['its own books', facts.hubFees[hub]],
  ])
}

function balanceLines(facts: Facts): Line[] {
  return [...facts.balances].map(([name, balance]) =>
    line(`${name} holds`, isCanary(name), [
      ['by its own key', balance],
      ["by the regulator's", audited(facts, name).held],
    ]),
  )
}

function supplyLines({ plan, audit }: Facts): Line[] {
  const planned = sum([...plan.payers, ...plan.hospitals].map(({ mint }) => mint)) + sum(Object.values(plan.hubMints))
  return [
    line('minted', false, [
      ['by plan', planned],
      ['by the ledger', audit.minted],
      ['held and redeemed', audit.held + audit.redeemed],
    ]),
    line('redeemed', false, [
      ['by plan', plan.redeem],
      ['by the ledger', audit.redeemed],
    ]),
    line('still locked', false, [
      ['after all channels closed', 0n],
      ['by the ledger', audit.locked],
    ]),
  ]
}

const failures = ({ ends }: Facts): string[] =>
  ends
    .filter(({ paid }) => !paid)
    .map(({ payment, code }) => `claim ${payment.reference} was not paid: ${code ?? 'pending'}`)

/** Every paid claim stands in its hospital's books once, with its amount, and nothing else does. */
function bookFaults({ plan, ends, books }: Facts): string[] {
  return plan.hospitals.flatMap(({ name }) => {
    const owed = new Map(
      ends
        .filter(({ payment, paid }) => payment.hospital === name && paid)
        .map(({ payment }) => [payment.reference, payment]),
    )
    const faults: string[] = []
    for (const { reference, amount } of books.get(name) ?? []) {
      const payment = owed.get(reference)
      if (payment === undefined) faults.push(`${name} booked a payment that nobody owed, or twice: ${reference}`)
      else if (payment.amount !== amount) faults.push(`${name} booked another amount for ${reference}`)
      owed.delete(reference)
    }
    return [...faults, ...[...owed.keys()].map((reference) => `${name} never booked ${reference}`)]
  })
}

function ledgerFaults({ plan, audit, accounts }: Facts): string[] {
  const open = audit.channels.filter((ended) => ended !== 'close' && ended !== 'punish').length
  const punished = audit.channels.filter((ended) => ended === 'punish').length
  const expected = plan.payers.length + plan.hospitals.length + HUBS.length - 1
  return [
    ...(audit.verdict === 'CONSISTENT' ? [] : [`the audit says ${audit.verdict}`]),
    ...(audit.channels.length === expected
      ? []
      : [`the ledger has ${audit.channels.length} channels, not ${expected}`]),
    ...(open === 0 ? [] : [`${open} channels did not end in a cooperative close`]),
    ...(punished === THIEVES ? [] : [`${punished} channels were punished, not ${THIEVES}`]),
    ...audit.exits
      .filter((account) => account !== accounts.get(THIEF))
      .map((account) => `an honest exit of ${account}`),
  ]
}

/** Reads what `meridian audit --json` printed. */
export function auditFacts(
  { code, lines }: Finished,
  parse: (line: string) => Record<string, unknown> | undefined,
): AuditFacts {
  const accounts = new Map<string, AuditedAccount>()
  const channels: (string | null)[] = []
  const exits: string[] = []
  let totals: Record<string, unknown> = {}
  for (const text of lines) {
    const value = parse(text)
    if (value?.['type'] === 'account') accounts.set(String(value['account']), accountOf(value))
    if (value?.['type'] === 'channel') channels.push(value['ended'] as string | null)
    if (typeof value?.['exited_by'] === 'string') exits.push(value['exited_by'])
    if (value?.['type'] === 'audit') totals = value
  }
  const verdict = typeof totals['verdict'] === 'string' ? totals['verdict'] : `nothing (exit code ${code})`
  const total = (name: string): bigint => minor(totals[`${name}_minor`])
  return {
    verdict,
    minted: total('minted'),
    held: total('held'),
    locked: total('locked'),
    redeemed: total('redeemed'),
    accounts,
    channels,
    exits,
  }
}

function accountOf(value: Record<string, unknown>): AuditedAccount {
  const received = value['received_minor'] as Record<string, unknown>
  const given = value['given_minor'] as Record<string, unknown>
  return {
    minted: minor(received['mint']),
    deposited: minor(given['deposit']),
    paidOut: minor(received['close']) + minor(received['settle']) + minor(received['punish']),
    held: minor(value['held_minor']),
  }
}

const minor = (digits: unknown): bigint => (typeof digits === 'string' && /^-?\d+$/.test(digits) ? BigInt(digits) : 0n)
