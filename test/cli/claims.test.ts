import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { formatDecimal } from '../../src/base/amount.js'
import { utf8 } from '../../src/base/bytes.js'
import { ROOT } from '../../src/base/root.js'
import { type ClaimRow, readClaims } from '../../src/cli/demo/claims.js'

const LIMIT = 2n ** 48n - 1n
const REAL = new URL('../shared/data/synthea/encounters.csv', ROOT)
const SHIPPED = new URL('data/claims.csv', ROOT)
const HEADER = 'Id,ORGANIZATION,PAYER,TOTAL_CLAIM_COST,PAYER_COVERAGE'

const read = (text: string | Uint8Array, limitMinor = LIMIT): readonly ClaimRow[] => {
  const rows = readClaims(typeof text === 'string' ? utf8(text) : text, { limitMinor })
  if (!rows.ok) throw new Error(rows.error.code)
  return rows.value
}
const covered = (rows: readonly ClaimRow[]) => rows.flatMap((row) => (row.kind === 'covered' ? [row] : []))
const count = (rows: readonly ClaimRow[], kind: ClaimRow['kind']) => rows.filter((row) => row.kind === kind).length
/** `2 covered 12.00`, `3 duplicate_claim`: what a test says of a row. */
const brief = (rows: readonly ClaimRow[]) =>
  rows.map((row) =>
    row.kind === 'refused' ? `${row.line} ${row.error.code}` : `${row.line} ${row.kind} ${formatDecimal(row.coverage)}`,
  )
const one = (row: string) => brief(read(`${HEADER}\n${row}\n`)).join()

t.test('the shipped claims are what the script generates, and what the demo needs', async (t) => {
  const script = new URL('scripts/generate-claims.mjs', ROOT).href
  const { generateClaims } = (await import(script)) as { generateClaims: () => string }
  const shipped = readFileSync(SHIPPED, 'utf8')
  t.ok(generateClaims() === shipped, 'data/claims.csv is stale: node scripts/generate-claims.mjs')
  const rows = read(shipped)
  const paid = covered(rows)
  t.ok(rows.length >= 400)
  t.ok(paid.length >= 120)
  t.equal(count(rows, 'refused'), 0)
  const claims = rows.flatMap((row) => (row.kind === 'refused' ? [] : [row]))
  t.equal(new Set(claims.map(({ payer }) => payer)).size, 3)
  t.equal(new Set(paid.map(({ payer }) => payer)).size, 3)
  t.equal(new Set(paid.map(({ organization }) => organization)).size, 12)
  t.equal(new Set(claims.map(({ organization }) => organization)).size, 12)
  t.ok(paid.some(({ coverage }) => coverage === 1n))
  t.ok(paid.some(({ coverage }) => coverage > 10_000_000n))
  t.notOk(claims.some(({ aboveCost }) => aboveCost))
  t.match(shipped, /"[^"\n]*,[^"\n]*"/, 'with quoted commas')
})

t.test(
  'encounters.csv: 2590 claims',
  { skip: existsSync(REAL) ? false : 'no ../shared/data/synthea/encounters.csv' },
  async (t) => {
    const bytes = readFileSync(REAL)
    const rows = read(bytes)
    t.strictSame(
      [rows.length, ...(['covered', 'nothing_covered', 'refused'] as const).map((kind) => count(rows, kind))],
      [2590, 541, 2049, 0],
    )
    t.equal(
      covered(rows).reduce((sum, { coverage }) => sum + coverage, 0n),
      198_723_013n,
    )
    t.equal(rows.at(-1)?.line, 2591)
    const columns = (file: URL) => readFileSync(file, 'utf8').split(/\r?\n/, 1)[0]
    t.equal(columns(SHIPPED), columns(REAL), 'the shipped file has the same columns')
  },
)

t.test('amounts are exact, and refused with the reason', async (t) => {
  const expected = [
    ['0.01', '2 covered 0.01'],
    ['0.00', '2 nothing_covered 0.00'],
    ['90071992547409.93', '2 claim_above_limit'],
    ['2814749767106.55', '2 covered 2814749767106.55'],
    ['2814749767106.56', '2 claim_above_limit'],
    [`1${'0'.repeat(5000)}.00`, '2 claim_above_limit'],
    ['1.005', '2 claim_bad_decimals'],
    ['0.000', '2 claim_bad_decimals'],
    ['1241', '2 claim_bad_decimals'],
    ['5.3', '2 claim_bad_decimals'],
    ['-1.00', '2 claim_negative'],
    ['-0.00', '2 claim_negative'],
    ['-0.001', '2 claim_negative'],
    ['', '2 claim_missing_column'],
    ['  ', '2 claim_missing_column'],
    ...[
      'abc',
      'NaN',
      '1e3',
      '+1.00',
      '1,00',
      '1.',
      '.50',
      '01.00',
      '0x10',
      '$5.00',
      '1.0O',
      '--1.00',
      '１.00',
      'Infinity',
    ].map((text) => [text, '2 claim_not_a_number']),
    ['1,241.22', '2 claim_not_a_number'],
  ]
  for (const [text, result] of expected) t.equal(one(`a,h,p,9.99,"${text}"`), result, `amount ${text?.slice(0, 30)}`)
  t.equal(one('a,h,p,-9.99,1.00'), '2 claim_negative', 'the cost too')
  t.equal(one('a,h,p,?,1.00'), '2 claim_not_a_number')
  t.strictSame(brief(read(`${HEADER}\na,h,p,9.00,5.00\nb,h,p,9.00,5.01`, 500n)), [
    '2 covered 5.00',
    '3 claim_above_limit',
  ])
  t.equal(covered(read(`${HEADER}\na,h,p,9.98,9.99`))[0]?.aboveCost, true, 'paid, and marked')
})

t.test('a claim is never paid twice', async (t) => {
  const rows = read(
    [
      HEADER,
      'a,h,p,9.00,1.00',
      'a,h,p,9.00,1.00',
      'b,h,p,9.00,0.00',
      'b,h,p,9.00,1.00',
      'c,h,p,9.00,-1.00',
      'c,h,p,9.00,1.00',
      ' a ,h,p,9.00,1.00',
      'A,h,p,9.00,1.00',
      'a,h,p,9.00,x',
      ',h,p,9.00,1.00',
      ',h,p,9.00,1.00',
      'Ä-Q,h,p,9.00,1.00',
      'ä-q,h,p,9.00,1.00',
    ].join('\n'),
  )
  t.strictSame(brief(rows), [
    '2 covered 1.00',
    '3 duplicate_claim',
    '4 nothing_covered 0.00',
    '5 duplicate_claim',
    '6 claim_negative',
    '7 duplicate_claim',
    '8 duplicate_claim',
    '9 duplicate_claim',
    '10 duplicate_claim',
    '11 claim_missing_column',
    '12 claim_missing_column',
    '13 covered 1.00',
    '14 duplicate_claim',
  ])
})

t.test('missing and surplus columns, broken quotes: the row is refused, the others are read', async (t) => {
  t.equal(one('a,h,p,9.00'), '2 claim_missing_column')
  t.equal(one('a,h,,9.00,1.00'), '2 claim_missing_column')
  t.equal(one('a,,p,9.00,1.00'), '2 claim_missing_column')
  t.equal(one('a,h,p,,1.00'), '2 claim_missing_column')
  t.equal(one('a,h,p,9.00,1.00,'), '2 claim_surplus_column')
  t.equal(one(`${'x'.repeat(257)},h,p,9.00,1.00`), '2 too_long')
  const broken = [
    'a,h,p,9.00,1.00',
    'b,"h,p,9.00,1.00',
    'c,h,p,9.00,1.00',
    'd,h"q,p,9.00,1.00',
    'e,"h"x,p,9.00,1.00',
    'f,h,p,9.00,1.00',
  ]
  const expected = [
    '2 covered 1.00',
    '3 claim_bad_quoting',
    '4 covered 1.00',
    '5 claim_bad_quoting',
    '6 claim_bad_quoting',
    '7 covered 1.00',
  ]
  for (const end of ['\n', '\r\n', '\r'])
    t.strictSame(brief(read([HEADER, ...broken, ''].join(end))), expected, JSON.stringify(end))
  t.strictSame(brief(read(`${HEADER}\na,"h,p,9.00,1.00\n${'b,h,p,9.00,1.00\n'.repeat(9000)}`)).slice(0, 3), [
    '2 claim_bad_quoting',
    '3 covered 1.00',
    '4 duplicate_claim',
  ])
})

t.test('columns by name, BOM, CRLF, blank lines, quoted commas, quotes and line ends', async (t) => {
  const text = [
    '\ufeffPAYER_COVERAGE,NOTE, Id ,TOTAL_CLAIM_COST,ORGANIZATION,PAYER',
    '',
    '1.00,"Müller, ""the"" payer",a,2.00,"Hospital, North","p ""1"""',
    '',
    '   ',
    '2.00,"two',
    'lines",b,2.00,h,p',
    '3.00,é,c,3.00,h,p',
  ]
  for (const end of ['\n', '\r\n']) {
    const rows = read(text.join(end))
    t.strictSame(brief(rows), ['3 covered 1.00', '6 covered 2.00', '8 covered 3.00'], JSON.stringify(end))
    t.match(rows[0], { id: 'a', organization: 'Hospital, North', payer: 'p "1"', cost: 200n, coverage: 100n })
  }
  t.strictSame(read(HEADER), [], 'no claims')
  const refused = (text: string) => {
    const rows = readClaims(utf8(text), { limitMinor: LIMIT })
    return rows.ok ? 'read' : rows.error.code
  }
  t.equal(refused(''), 'claims_header')
  t.equal(refused('Id,ORGANIZATION,PAYER,TOTAL_CLAIM_COST\na,h,p,1.00'), 'claims_header')
  t.equal(refused(`${HEADER},PAYER_COVERAGE\na,h,p,1.00,1.00,2.00`), 'claims_header', 'twice: which one is due?')
  t.equal(refused('"Id,ORGANIZATION'), 'claims_header')
})

t.test('whatever the bytes, every line is accounted for and nothing throws', async () => {
  const cell = fc.constantFrom('a', 'b', '"', '""', '"x,y"', '1.00', '-2.00', '', ' ', 'é')
  const piece = fc.oneof(cell, fc.constantFrom(',', ',', ',', '\n', '\r\n', '\r'), fc.constant('c,h,p,1.00,1.00\n'))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const text = `${HEADER}\n${pieces.join('')}`
      const rows = read(text)
      const lines = text.split(/\r\n|\n|\r/)
      const rising = rows.every(({ line }, i) => line >= 2 && line <= lines.length && line > (rows[i - 1]?.line ?? 1))
      const paid = covered(rows).map(({ id }) => id.toLowerCase())
      return rising && new Set(paid).size === paid.length && rows.every(({ line }) => lines[line - 1]?.trim() !== '')
    }),
    { numRuns: 1000 },
  )
})
