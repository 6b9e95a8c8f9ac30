import { type Amount, parseDecimal } from '../../base/amount.js'
import { utf8 } from '../../base/bytes.js'
import { LIMITS } from '../../base/limits.js'
import { ok, type Refusal, type Result, refuse } from '../../base/result.js'
import { csvRecords } from './csv-records.js'

/** One encounter of the file. Identities are opaque texts. */
export interface Claim {
  /** Physical line in the file, counted from 1; the header is line 1. */
  readonly line: number
  readonly id: string
  /** The hospital, to be paid. */
  readonly organization: string
  readonly payer: string
  readonly cost: Amount
  /** What the payer owes the hospital. */
  readonly coverage: Amount
  /** Worth a look, and paid: what an insurer covers is its own word, the cost is not part of the payment. */
  readonly aboveCost: boolean
}

export type ClaimRow =
  | ({ readonly kind: 'covered' | 'nothing_covered' } & Claim)
  | { readonly kind: 'refused'; readonly line: number; readonly error: Refusal }

export interface ClaimLimits {
  /** The largest coverage that is paid, minor units. */
  readonly limitMinor: bigint
}

const COLUMNS = ['Id', 'ORGANIZATION', 'PAYER', 'TOTAL_CLAIM_COST', 'PAYER_COVERAGE'] as const
type Column = (typeof COLUMNS)[number]
/** Where each required column stands, and how many fields a row has. */
type Header = { readonly at: ReadonlyMap<Column, number>; readonly width: number }

/**
 * Every row of a CSV file (RFC 4180; LF, CRLF, blank lines, BOM), in its order: covered, with nothing covered, or
 * refused with its line and code. Columns are found by name, others are ignored. Refuses the whole file with
 * `claims_header` where it does not name the required columns once each, and with `too_long`.
 */
export function readClaims(bytes: Uint8Array, limits: ClaimLimits): Result<readonly ClaimRow[]> {
  if (bytes.length > LIMITS.claims_bytes) return refuse('too_long', 'claims file')
  const [first, ...rest] = csvRecords(bytes)
  const header = readHeader(first?.fields ?? [])
  if (!header.ok) return header
  const seen = new Set<string>()
  const rows: ClaimRow[] = []
  for (const { line, fields } of rest) {
    if (fields?.length === 1 && fields[0]?.trim() === '') continue // a line of blanks is a blank line
    const claim =
      fields === undefined ? refuse('claim_bad_quoting') : readClaim(line, fields, header.value, seen, limits)
    if (!claim.ok) rows.push({ kind: 'refused', line, error: claim.error })
    else rows.push({ kind: claim.value.coverage === 0n ? 'nothing_covered' : 'covered', ...claim.value })
  }
  return ok(rows)
}

function readHeader(fields: readonly string[]): Result<Header> {
  const names = fields.map((name) => name.trim())
  const at = new Map<Column, number>()
  for (const column of COLUMNS) {
    const index = names.indexOf(column)
    if (index === -1 || names.lastIndexOf(column) !== index) return refuse('claims_header', column)
    at.set(column, index)
  }
  return ok({ at, width: fields.length })
}

/** Checks in the order in which they make the next ones meaningful; details name columns, never contents. */
function readClaim(
  line: number,
  fields: readonly string[],
  { at, width }: Header,
  seen: Set<string>,
  { limitMinor }: ClaimLimits,
): Result<Claim> {
  // a row of another width may have its columns shifted: none of its fields can be trusted
  if (fields.length < width) return refuse('claim_missing_column', `${fields.length} of ${width} fields`)
  if (fields.length > width) return refuse('claim_surplus_column', `${fields.length} of ${width} fields`)
  const cell = (column: Column): string => fields[at.get(column)!]!.trim()
  const id = cell('Id')
  if (utf8(id).length > LIMITS.reference_bytes) return refuse('too_long', 'Id')
  if (id !== '') {
    // seen is seen, whatever became of the first: a claim mended further down belongs into a new file
    if (seen.has(id.toLowerCase())) return refuse('duplicate_claim')
    seen.add(id.toLowerCase())
  }
  const empty = COLUMNS.find((column) => cell(column) === '')
  if (empty !== undefined) return refuse('claim_missing_column', empty)
  const coverage = readAmount('PAYER_COVERAGE', cell('PAYER_COVERAGE'))
  if (!coverage.ok) return coverage
  if (coverage.value > limitMinor) return refuse('claim_above_limit')
  const cost = readAmount('TOTAL_CLAIM_COST', cell('TOTAL_CLAIM_COST'))
  if (!cost.ok) return cost
  return ok({
    line,
    id,
    organization: cell('ORGANIZATION'),
    payer: cell('PAYER'),
    cost: cost.value,
    coverage: coverage.value,
    aboveCost: coverage.value > cost.value,
  })
}

/**
 * Exactly two decimals, as in PRODUCT.md and as every row of Synthea has them: `1241` may be minor units or not, so it is
 * asked for rather than guessed.
 */
function readAmount(column: Column, text: string): Result<Amount> {
  if (/^-[0-9]+(\.[0-9]+)?$/.test(text)) return refuse('claim_negative', column)
  if (!/^(0|[1-9][0-9]*)(\.[0-9]+)?$/.test(text)) return refuse('claim_not_a_number', column)
  if (!/\.[0-9]{2}$/.test(text)) return refuse('claim_bad_decimals', column)
  const parsed = parseDecimal(text)
  return parsed.ok ? parsed : refuse('claim_above_limit', column)
}
