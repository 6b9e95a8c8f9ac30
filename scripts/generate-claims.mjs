/**
 * Writes data/claims.csv, the claims of the demo: invented encounters in the columns of Synthea's encounters.csv.
 * Seeded: the same bytes whenever and wherever it runs. `node scripts/generate-claims.mjs`
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const SEED = 'meridian demo claims, version 1'
const ROWS = 420
const HOSPITALS = 12
const PAYERS = 3
const PATIENTS = 60
const FIRST_START = Date.UTC(2024, 0, 8, 7, 30)

const COLUMNS = [
  'Id',
  'START',
  'STOP',
  'PATIENT',
  'ORGANIZATION',
  'PROVIDER',
  'PAYER',
  'ENCOUNTERCLASS',
  'CODE',
  'DESCRIPTION',
  'BASE_ENCOUNTER_COST',
  'TOTAL_CLAIM_COST',
  'PAYER_COVERAGE',
  'REASONCODE',
  'REASONDESCRIPTION',
]

/** class, code, description, base cost in minor units, reason. Texts carry commas and quotes on purpose. */
const VISITS = [
  ['checkup', '9001', 'Yearly talk with the family doctor', 9_800n, ''],
  ['checkup', '9002', 'Hearing and eyesight, both sides', 7_450n, ''],
  ['dayclinic', '9010', 'Small wound closed, dressed and rechecked', 21_300n, 'Cut by kitchen knife'],
  ['dayclinic', '9011', 'Cast taken off the "good" arm', 18_725n, 'Fall from a bicycle'],
  ['dayclinic', '9012', 'Blood sugar plan, first hour', 13_333n, 'High sugar, known for years'],
  ['night', '9020', 'Breathing trouble watched overnight', 64_210n, 'Asthma, pollen season'],
  ['night', '9021', 'Fever of a small child, cause found', 39_999n, 'Ear infection'],
  ['ward', '9030', 'Hip joint replaced, seven days', 1_820_050n, 'Worn hip'],
  ['ward', '9031', 'Heart valve mended, long stay', 7_415_075n, 'Leaking valve'],
  ['home', '9040', 'Nurse comes by, bandage and pills', 5_505n, 'After "minor" surgery'],
]

/** Coverages that every run shows: the smallest amount, round ones, and some above 100,000.00. Minor units. */
const FIXED_COVERAGES = [1n, 10n, 99n, 100n, 10_000_000n, 10_000_001n, 12_345_678n, 27_182_818n]

/** Numbers in [0, bound): SHA-256 of seed and counter; the bias of the modulus is below 2^-40. */
function numbers(seed) {
  let counter = 0
  return (bound) => {
    const digest = createHash('sha256').update(`${seed}/${counter++}`).digest()
    return digest.readBigUInt64BE(0) % BigInt(bound)
  }
}

function uuid(label) {
  const hex = createHash('sha256').update(`${SEED}/${label}`).digest('hex')
  const variant = '89ab'[Number.parseInt(hex[16], 16) & 3]
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-')
}

const decimal = (minor) => `${minor / 100n}.${String(minor % 100n).padStart(2, '0')}`
const timestamp = (milliseconds) => new Date(milliseconds).toISOString().replace('.000Z', 'Z')
const field = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

/** Every third claim is covered; the fixed coverages come evenly spread among them. */
function coverageOf(row, cost, next) {
  if (row % 3 !== 0) return 0n
  const covered = row / 3
  const fixed = covered % 16 === 5 ? FIXED_COVERAGES[(covered - 5) / 16] : undefined
  if (fixed !== undefined) return fixed
  const share = [50n, 75n, 80n, 95n, 100n][Number(next(5))]
  return (cost * share) / 100n
}

function claim(row, next) {
  const patient = Number(next(PATIENTS))
  const [kind, code, description, base, reason] = VISITS[Number(next(VISITS.length))]
  const hospital = (Math.floor(row / 3) + 5 * (row % 3)) % HOSPITALS // covered claims spread evenly too
  const listed = base + next(base * 2n) + 1n
  const coverage = coverageOf(row, listed, next)
  const cost = coverage > listed ? coverage + next(5_000) : listed
  const start = FIRST_START + row * 5_400_000 + Number(next(3_600)) * 1_000
  return [
    uuid(`claim/${row}`),
    timestamp(start),
    timestamp(start + (15 + Number(next(90))) * 60_000),
    uuid(`patient/${patient}`),
    uuid(`hospital/${hospital}`),
    uuid(`provider/${hospital}/${next(3)}`),
    uuid(`payer/${patient % PAYERS}`),
    kind,
    code,
    description,
    decimal(base),
    decimal(cost),
    decimal(coverage),
    reason === '' ? '' : `${code}1`,
    reason,
  ]
}

export function generateClaims() {
  const next = numbers(SEED)
  const rows = [COLUMNS]
  for (let row = 0; row < ROWS; row++) rows.push(claim(row, next))
  return `${rows.map((fields) => fields.map(field).join(',')).join('\n')}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('../data/claims.csv', import.meta.url), generateClaims())
}
