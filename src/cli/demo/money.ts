/**
 * Who pays whom, and what has to be minted and locked for it (R7), decided before anything runs. Pure: chance comes in
 * as `draw`.
 */
import { type Amount, plus, ZERO } from '../../base/amount.js'
import type { Refusal } from '../../base/result.js'
import { feeOf } from '../../router/fee.js'
import { isReference } from '../../router/invoice.js'
import type { Policy } from '../../router/policy.js'
import type { Claim, ClaimRow } from './claims.js'

/** The demo's ledger: amounts and supply are below 2^48 (L3). */
export const AMOUNT_BITS = 48
/** Of one claim: below 2^40, so that no claim is as large as a canary. */
export const CLAIM_MAX = ((1n << 40n) - 1n) as Amount
/** Of all claims together: minted once for the payers and twice for each hub, canaries on top, below 2^48. */
export const CLAIMS_TOTAL_MAX = 1n << 45n

/** Name of a party: of its directory, its process's log, its keys. */
export type PartyName = string

/** Every payer is with the first; the far one is reached over it. */
export const HUB = 'hub'
export const FAR_HUB = 'hub-2'
export const HUBS = [HUB, FAR_HUB] as const
export type HubName = (typeof HUBS)[number]
/** So many of the hospitals of a file, one after another, are with the far hub; the next is with the payers' own. */
const FAR_OF = 4

export interface PlannedPayment {
  /** The claim's Id. */
  readonly reference: string
  readonly payer: PartyName
  readonly hospital: PartyName
  readonly amount: Amount
  /** Of all hubs on its way. */
  readonly fee: Amount
  /** Of it, the far hub's. */
  readonly farFee: Amount
  readonly canary: boolean
}

export interface PlannedParty {
  readonly name: PartyName
  readonly kind: 'payer' | 'hospital'
  /** As the CSV calls it. */
  readonly identity: string
  /** Whom it has its channel with. */
  readonly hub: HubName
  readonly canary: boolean
  readonly mint: Amount
  /** Its own, in its channel with the hub. */
  readonly deposit: Amount
  /** Asked of the hub (R7); 0 for a payer. */
  readonly share: Amount
}

export interface Plan {
  readonly payments: readonly PlannedPayment[]
  readonly payers: readonly PlannedParty[]
  readonly hospitals: readonly PlannedParty[]
  readonly hubMints: Readonly<Record<HubName, Amount>>
  /** The first hub's deposit in its channel with the far one. */
  readonly between: Amount
  /** By the canary hospital at the end: all that it was paid. */
  readonly redeem: Amount
  /** Claims with no coverage: shown, never paid and never dropped. */
  readonly nothing: readonly Claim[]
  readonly counts: { readonly claims: number; readonly covered: number }
  /** In the order of the file. */
  readonly refused: readonly RefusedRow[]
}

export interface RefusedRow {
  readonly line: number
  readonly error: Refusal
}

/** A number in [from, to). */
export type Draw = (from: bigint, to: bigint) => bigint

/** Minor units that nobody needs, of random digits: no mint or deposit is a round number or a plain sum of claims. */
const SPARE = [100_000n, 1_000_000n] as const
/** A hospital's own deposit, minor units: the contract asks the opener for at least 1. */
const OWN_DEPOSIT = [1n, 1_000n] as const
/** A canary's size: six significant bytes, so that every kind of pattern is long enough. */
const CANARY = [1n << 41n, 1n << 42n] as const
const CANARIES = 2

type Unpriced = Omit<PlannedPayment, 'fee' | 'farFee'>

/** R3: the far hub's fee is forwarded by the first, whose own comes on top of it. */
function priced(payment: Unpriced, policy: Pick<Policy, 'base' | 'ppm'>): PlannedPayment {
  const farFee = hubOf(payment.hospital) === FAR_HUB ? feeOf(policy, payment.amount) : ZERO
  const fee = plus(farFee, feeOf(policy, plus(payment.amount, farFee)))
  return { ...payment, fee, farFee }
}

/** @param policy both hubs': their fees come on top of every claim. */
export function planMoney(rows: readonly ClaimRow[], policy: Pick<Policy, 'base' | 'ppm'>, draw: Draw): Plan {
  const { covered, refused } = admissible(rows)
  const payerOf = namer('payer')
  const hospitalOf = namer('hospital')
  const unpriced: Unpriced[] = covered.map(({ id, payer, organization, coverage }) => ({
    reference: id,
    payer: payerOf.name(payer),
    hospital: hospitalOf.name(organization),
    amount: coverage,
    canary: false,
  }))
  for (let i = 1; i <= CANARIES; i++) {
    unpriced.push({ ...CANARY_PARTIES, reference: `canary-${i}`, amount: draw(...CANARY) as Amount, canary: true })
  }
  unpriced.push({ reference: 'stolen-1', ...THEFT, amount: draw(...CANARY) as Amount, canary: true })
  const payments = unpriced.map((payment) => priced(payment, policy))
  const payers = [
    ...[...payerOf.all(), [CANARY_PARTIES.payer, 'canary'] as const].map(([name, identity]) =>
      planPayer(name, identity, payments, draw, SPARE),
    ),
    planPayer(THIEF, 'canary', payments, draw, CANARY),
  ]
  const hospitals = [...hospitalOf.all(), [CANARY_PARTIES.hospital, 'canary'] as const].map(([name, identity]) =>
    planHospital(name, identity, payments, draw),
  )
  const far = payments.filter(({ hospital }) => hubOf(hospital) === FAR_HUB)
  const carried = plus(...far.flatMap(({ amount, farFee }) => [amount, farFee]))
  const between = plus(carried, carried, draw(...SPARE) as Amount) // twice, as a hospital's share
  const shares = (hub: HubName) => plus(...hospitals.filter((each) => each.hub === hub).map(({ share }) => share))
  return {
    payments,
    payers,
    hospitals,
    between,
    hubMints: {
      [HUB]: plus(shares(HUB), between, draw(...SPARE) as Amount),
      [FAR_HUB]: plus(shares(FAR_HUB), draw(...SPARE) as Amount),
    },
    redeem: plus(...payments.filter(({ canary }) => canary).map(({ amount }) => amount)),
    nothing: rows.flatMap((row) => (row.kind === 'nothing_covered' ? [row] : [])),
    counts: { claims: rows.length, covered: covered.length },
    refused,
  }
}

export const CANARY_PARTIES = { payer: 'payer-canary', hospital: 'hospital-canary' } as const

/** Pays once, then restores an older backup and exits with that: what it had left goes to the hub (L7). */
export const THIEF = 'payer-thief'
const THEFT = { payer: THIEF, hospital: CANARY_PARTIES.hospital } as const

/** What the file says of a single row stands; here come what an invoice can name and what the ledger can hold. */
function admissible(rows: readonly ClaimRow[]) {
  const covered: Claim[] = []
  const refused: RefusedRow[] = []
  let total = 0n
  for (const row of rows) {
    if (row.kind === 'refused') refused.push({ line: row.line, error: row.error })
    if (row.kind !== 'covered') continue
    if (!isReference(row.id)) {
      refused.push({ line: row.line, error: { code: 'invoice_invalid', detail: 'Id is no printable reference' } })
    } else if (total + row.coverage > CLAIMS_TOTAL_MAX) {
      refused.push({ line: row.line, error: { code: 'claim_above_limit', detail: 'the total of the file' } })
    } else {
      total += row.coverage
      covered.push(row)
    }
  }
  return { covered, refused }
}

/** The canaries' hospital, and most others, are two hubs away from their payers. */
function hubOf(name: PartyName): HubName {
  const number = /^hospital-(\d+)$/.exec(name)?.[1]
  if (name !== CANARY_PARTIES.hospital && number === undefined) return HUB
  return number !== undefined && Number(number) % FAR_OF === 0 ? HUB : FAR_HUB
}

/** `payer-1`, `payer-2`, … in the order of their first claim: identities are opaque texts, no file names. */
function namer(kind: string) {
  const names = new Map<string, PartyName>()
  return {
    name(identity: string): PartyName {
      const name = names.get(identity) ?? `${kind}-${names.size + 1}`
      names.set(identity, name)
      return name
    },
    all: (): (readonly [PartyName, string])[] => [...names].map(([identity, name]) => [name, identity]),
  }
}

/** @param spare bounds of what is left in the channel when all is paid. */
function planPayer(
  name: PartyName,
  identity: string,
  payments: readonly PlannedPayment[],
  draw: Draw,
  spare: readonly [bigint, bigint],
): PlannedParty {
  const own = payments.filter(({ payer }) => payer === name)
  const deposit = plus(...own.flatMap(({ amount, fee }) => [amount, fee]), draw(...spare) as Amount)
  const mint = plus(deposit, draw(...SPARE) as Amount)
  return { name, kind: 'payer', identity, hub: HUB, canary: isCanary(name), mint, deposit, share: ZERO }
}

function planHospital(
  name: PartyName,
  identity: string,
  payments: readonly PlannedPayment[],
  draw: Draw,
): PlannedParty {
  const due = plus(...payments.filter(({ hospital }) => hospital === name).map(({ amount }) => amount))
  const deposit = draw(...OWN_DEPOSIT) as Amount
  const mint = plus(deposit, draw(...SPARE) as Amount)
  // Twice what is due: half of a channel is kept for peers with a record, and a payer begins without one.
  const share = plus(due, due, draw(...SPARE) as Amount)
  return { name, kind: 'hospital', identity, hub: hubOf(name), canary: isCanary(name), mint, deposit, share }
}

export const isCanary = (name: PartyName): boolean =>
  [...Object.values(CANARY_PARTIES), THIEF].some((known) => known === name)

/** Every amount that moves anywhere: what the leak search looks for, besides what was settled. */
export function plannedAmounts({ payments, payers, hospitals, hubMints, between, redeem }: Plan): Amount[] {
  const parties = [...payers, ...hospitals]
  return [
    ...Object.values(hubMints),
    between,
    redeem,
    ...payments.flatMap(({ amount, fee, farFee }) => [amount, fee, farFee, plus(amount, fee), plus(amount, farFee)]),
    ...parties.flatMap(({ mint, deposit, share }) => [mint, deposit, share]),
  ]
}
