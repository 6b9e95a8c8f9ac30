/** What the demo says at its end: two columns per sampled claim, the reconciliation line by line, one JSON object. Pure. */
import { type Amount, formatGrouped } from '../../base/amount.js'
import { EXIT, type ExitCode } from '../exit.js'
import { columns } from '../output.js'
import type { Claim } from './claims.js'
import type { SearchReport } from './leak-search.js'
import { HUBS, type Plan, type RefusedRow } from './money.js'
import type { Outage } from './outage.js'
import type { Line, PaymentEnd, Reconciliation } from './reconcile.js'
import type { Sample } from './samples.js'

export interface Outcome {
  readonly plan: Plan
  readonly ends: readonly PaymentEnd[]
  readonly reconciliation: Reconciliation
  readonly verdict: string
  readonly leaks: SearchReport
  /** Media on which the planted amount was found. */
  readonly control: number
  readonly outage: Outage
  /** Exits on the ledger, and channels that were taken for one with a revoked state (L7): counted in its blocks. */
  readonly ended: { readonly breaches: number; readonly punished: number }
}

/** One amount planted on each of them. */
const CONTROL_MEDIA = 3

/** The last line of `--json`. */
export function summary({ plan, ends, reconciliation, verdict, leaks, control, outage, ended }: Outcome) {
  const { breaches, punished } = ended
  const real = ends.filter(({ payment }) => !payment.canary)
  const paid = real.filter((end) => end.paid).length
  return {
    claims: plan.counts.claims,
    paid,
    nothing_covered: plan.nothing.length,
    refused: plan.refused.length,
    refused_rows: plan.refused.map(({ line, error }) => ({ line, code: error.code })),
    failed: real.length - paid,
    due_minor: reconciliation.due,
    settled_minor: reconciliation.settled,
    fees_minor: reconciliation.fees,
    mismatches: reconciliation.mismatches,
    leaks: leaks.found,
    leaks_unread_recordings: leaks.opaque,
    leak_control_found: control,
    audit: verdict,
    kills: outage.kills,
    recovered: outage.recovered,
    breaches,
    punished,
    hubs: HUBS.length,
    hops_max: Math.max(0, ...ends.map(({ hops }) => hops)),
    retries: ends.reduce((sum, { retries }) => sum + retries, 0),
  }
}

/** 1 where anything does not hold, 6 where it holds and some rows were refused. */
export function exitOf(outcome: Outcome): ExitCode {
  const { reconciliation, verdict, leaks, control, ends, plan, outage, ended } = outcome
  const holds =
    reconciliation.mismatches === 0 &&
    ends.every(({ paid }) => paid) &&
    verdict === 'CONSISTENT' &&
    leaks.found === 0 &&
    leaks.opaque === 0 &&
    control === CONTROL_MEDIA &&
    outage.kills > 0 &&
    outage.recovered === outage.kills &&
    ended.punished === ended.breaches
  if (!holds) return EXIT.checkFailed
  return plan.refused.length > 0 ? EXIT.rowsRefused : EXIT.done
}

const money = (value: bigint): string =>
  value < 0n ? `-${formatGrouped(-value as Amount)}` : formatGrouped(value as Amount)

const short = (text: string): string => (text.length > 13 ? `${text.slice(0, 12)}…` : text)

/** Encounters with nothing covered that are shown beside the paid ones. */
const NOTHING_SHOWN = 2

export function sampleTable(samples: readonly Sample[], nothing: readonly Claim[]): string {
  const rows = samples.map(({ end, wire, wireBytes, ledger }) => {
    const { reference, payer, hospital, amount, fee } = end.payment
    const seen = `${short(reference)}  ${payer} → ${hospital}  ${money(amount)}  fee ${money(fee)}`
    return [seen, `wire ${wire}… (${wireBytes} bytes)  ledger ${ledger}…`]
  })
  const unpaid = nothing.slice(0, NOTHING_SHOWN).map(({ id }) => [`${short(id)}  nothing covered`, 'nothing'])
  return columns([['what the parties see', 'what wire and ledger see'], ...rows, ...unpaid])
}

export function refusedTable(refused: readonly RefusedRow[]): string {
  const rows = refused.map(({ line, error }) => [
    `line ${line}`,
    error.code,
    ...(error.detail === undefined ? [] : [error.detail]),
  ])
  return rows.length === 0 ? '' : columns(rows)
}

/** Every line with its sources, then what is no sum. */
export function reconciliationTable({ lines, faults }: Reconciliation): string {
  const rows = lines.map((line) => [line.ok ? 'ok' : 'MISMATCH', nameOf(line), ...line.amounts.map(cellOf)])
  return [columns(rows), ...faults.map((fault) => `MISMATCH  ${fault}`)].join('\n')
}

const nameOf = ({ subject, canary }: Line): string => (canary ? `${subject} (outside of the totals)` : subject)
const cellOf = ([source, amount]: Line['amounts'][number]): string => `${source} ${money(amount)}`

export function leakText({ found, files, bytes, opaque, findings }: SearchReport, control: number): string {
  const where = findings.map(
    ({ medium, file, view, offset, kind }) => `LEAK ${medium} ${file} ${view} ${offset} ${kind}`,
  )
  return [
    ...where,
    `amounts found in ${files} files, ${(bytes / 1e6).toFixed(1)} MB of wire, ledger, disks and logs: ${found}`,
    ...(opaque === 0 ? [] : [`recordings that could not be read: ${opaque}`]),
    `control: an amount planted on each medium was found on ${control} of ${CONTROL_MEDIA}`,
  ].join('\n')
}

export function lastWords(outcome: Outcome): string {
  const { claims, paid, nothing_covered, refused, failed, audit } = summary(outcome)
  const { due, settled, fees, mismatches } = outcome.reconciliation
  return [
    `claims ${claims} = paid ${paid} + nothing covered ${nothing_covered} + refused ${refused} + failed ${failed}`,
    `due by the CSV ${money(due)} = received by settlement ${money(settled)}; fees ${money(fees)}`,
    `mismatches ${mismatches}; audit ${audit}`,
  ].join('\n')
}
