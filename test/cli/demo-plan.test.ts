/** The demo's pure parts: what is minted and locked, and that a reconciliation finds every difference. */
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { utf8 } from '../../src/base/bytes.js'
import { readClaims } from '../../src/cli/demo/claims.js'
import {
  CLAIM_MAX,
  CLAIMS_TOTAL_MAX,
  FAR_HUB,
  HUB,
  HUBS,
  type Plan,
  planMoney,
  plannedAmounts,
  THIEF,
} from '../../src/cli/demo/money.js'
import { castGroups, draw } from '../../src/cli/demo/orchestrate.js'
import { objectIn } from '../../src/cli/demo/processes.js'
import { type AuditedAccount, auditFacts, type Facts, reconcile } from '../../src/cli/demo/reconcile.js'
import { exitOf, lastWords, leakText, type Outcome, reconciliationTable, summary } from '../../src/cli/demo/report.js'
import { FLAWLESS } from './demo-summary.js'

const HEADER = 'Id,ORGANIZATION,PAYER,TOTAL_CLAIM_COST,PAYER_COVERAGE\n'
const POLICY = { base: 0n as Amount, ppm: 100 }

function planOf(rows: string): Plan {
  const claims = readClaims(utf8(HEADER + rows), { limitMinor: CLAIM_MAX })
  if (!claims.ok) throw new Error(claims.error.code)
  return planMoney(claims.value, POLICY, draw)
}
const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n)

const ROWS = 'a1,H1,P1,100.00,55.12\na2,H2,P1,2000.00,1241.22\na3,H2,P2,0.50,0.01\na4,H3,P3,9.00,0.00\n'

t.test('every claim has a payer, a hospital, its fee, and money on its whole way', async (t) => {
  const plan = planOf(ROWS)
  const shown = plan.payments.map(({ payer, hospital, amount, fee, farFee }) => [payer, hospital, amount, fee, farFee])
  t.strictSame(shown.slice(0, 3), [
    ['payer-1', 'hospital-1', 5_512n, 2n, 1n],
    ['payer-1', 'hospital-2', 124_122n, 26n, 13n],
    ['payer-2', 'hospital-2', 1n, 2n, 1n],
  ])
  t.strictSame([plan.counts, plan.nothing.map(({ id }) => id)], [{ claims: 4, covered: 3 }, ['a4']])
  t.strictSame(
    [...plan.payers, ...plan.hospitals].map(({ name, identity }) => `${name} ${identity}`),
    [
      'payer-1 P1',
      'payer-2 P2',
      'payer-canary canary',
      'payer-thief canary',
      'hospital-1 H1',
      'hospital-2 H2',
      'hospital-canary canary',
    ],
    'nobody without a covered claim takes part',
  )
  for (const payer of plan.payers) {
    const own = plan.payments.filter((payment) => payment.payer === payer.name)
    t.ok(payer.deposit >= sum(own.map(({ amount, fee }) => amount + fee)), payer.name)
    t.ok(payer.mint > payer.deposit && payer.share === 0n)
  }
  for (const hospital of plan.hospitals) {
    const due = plan.payments.filter((payment) => payment.hospital === hospital.name)
    t.ok(hospital.share >= sum(due.map(({ amount }) => amount)), hospital.name)
    t.ok(hospital.deposit >= 1n && hospital.mint > hospital.deposit, 'R7: the opener deposits too')
  }
  const far = plan.payments.filter(({ farFee }) => farFee > 0n)
  t.ok(plan.between > sum(far.map(({ amount, farFee }) => amount + farFee)), 'the far hub can be paid')
  for (const hub of HUBS) {
    const shares = sum(plan.hospitals.filter((each) => each.hub === hub).map(({ share }) => share))
    t.ok(plan.hubMints[hub] > shares + (hub === HUB ? plan.between : 0n), hub)
  }
  const known = new Set(plannedAmounts(plan))
  for (const { amount, fee } of plan.payments) t.ok(known.has(amount) && known.has(fee), 'searched for')
})

t.test('canaries travel beside any file, and the supply stays below 2^48', async (t) => {
  const large = Array.from({ length: 80 }, (_, i) => `b${i},H1,P1,10995116277.75,10995116277.75`).join('\n')
  for (const rows of ['', ROWS, large]) {
    const plan = planOf(rows)
    const canaries = plan.payments.filter(({ canary }) => canary)
    t.ok(canaries.length >= 2)
    for (const { amount } of canaries) t.ok(amount >= 1n << 40n && amount < 1n << 48n)
    t.equal(plan.redeem, sum(canaries.map(({ amount }) => amount)))
    t.ok(
      sum([...plan.payers, ...plan.hospitals].map(({ mint }) => mint)) + sum(Object.values(plan.hubMints)) < 1n << 48n,
    )
    t.ok(castGroups(plan, 1).length <= 10, 'with ledger, tower, hubs, issuer and the demo: at most 16 processes')
  }
  const plan = planOf(large)
  t.ok(plan.refused.every(({ error }) => error.code === 'claim_above_limit'))
  t.equal(plan.refused.length + plan.counts.covered, 80)
  t.equal(BigInt(plan.counts.covered), CLAIMS_TOTAL_MAX / CLAIM_MAX, 'as many as the ledger can hold')
})

t.test('processes: at most 16, every node in one of them', async (t) => {
  const many = Array.from({ length: 90 }, (_, i) => `c${i},H${i},P${i % 6},9.00,5.00`).join('\n')
  const plan = planOf(many)
  for (const size of [undefined, 1, 7, 1_000]) {
    const groups = castGroups(plan, size)
    t.ok(groups.length <= 10, `${size}: ${groups.length}`)
    t.equal(groups.flatMap(({ parties }) => parties).length, plan.payers.length + plan.hospitals.length)
    const hubOf = new Map([...plan.payers, ...plan.hospitals].map(({ name, hub }) => [name, hub]))
    t.ok(
      groups.every(({ hub, parties }) => parties.every((name) => hubOf.get(name) === hub)),
      'who shares a process shares a hub',
    )
    t.same(new Set(plan.hospitals.map(({ hub }) => hub)), new Set(HUBS), 'most are far, some are near')
    t.equal(new Set(groups.flatMap(({ parties }) => parties)).size, plan.payers.length + plan.hospitals.length)
  }
})

t.test('an Id that no invoice can carry is refused before anything runs', async (t) => {
  const plan = planOf(`a${'\u200b'}1,H1,P1,9.00,5.00\na2,H1,P1,9.00,5.00\n`)
  t.strictSame(
    plan.refused.map(({ line, error }) => [line, error.code]),
    [[2, 'invoice_invalid']],
  )
  t.equal(plan.counts.covered, 1)
})

/** What a run without a fault finds. */
function factsOf(plan: Plan): Facts {
  const ends = plan.payments.map((payment) => ({
    payment,
    paid: true,
    code: null,
    fee: payment.fee as bigint,
    hops: payment.farFee > 0n ? 3 : 2,
    retries: 0,
  }))
  const paidBy = (name: string) => sum(plan.payments.filter(({ payer }) => payer === name).map((p) => p.amount + p.fee))
  const dueTo = (name: string) => sum(plan.payments.filter(({ hospital }) => hospital === name).map((p) => p.amount))
  const accounts = new Map<string, AuditedAccount>()
  for (const { name, mint, deposit } of [...plan.payers, ...plan.hospitals]) {
    const paidOut = name === THIEF ? 0n : deposit - paidBy(name) + dueTo(name)
    const redeemed = name === 'hospital-canary' ? plan.redeem : 0n
    accounts.set(`key of ${name}`, {
      minted: mint,
      deposited: deposit,
      paidOut,
      held: mint - deposit + paidOut - redeemed,
    })
  }
  const sharesOf = (hub: string) => sum(plan.hospitals.filter((each) => each.hub === hub).map(({ share }) => share))
  const farFees = sum(plan.payments.map(({ farFee }) => farFee))
  const nearFees = sum(plan.payments.map(({ fee }) => fee)) - farFees
  const taken = plan.payers.find(({ name }) => name === THIEF)!.deposit - paidBy(THIEF)
  const hub = (minted: bigint, deposited: bigint, earned: bigint): AuditedAccount => ({
    minted,
    deposited,
    paidOut: deposited + earned,
    held: minted + earned,
  })
  accounts.set('key of hub', hub(plan.hubMints[HUB], sharesOf(HUB) + plan.between, nearFees + taken))
  accounts.set('key of hub-2', hub(plan.hubMints[FAR_HUB], sharesOf(FAR_HUB), farFees))
  const names = [...HUBS, ...[...plan.payers, ...plan.hospitals].map(({ name }) => name)]
  const held = sum([...accounts.values()].map((account) => account.held))
  return {
    plan,
    ends,
    books: new Map(
      plan.hospitals.map(({ name }) => [
        name,
        plan.payments
          .filter(({ hospital }) => hospital === name)
          .map(({ reference, amount }) => ({ reference, amount })),
      ]),
    ),
    hubFees: { [HUB]: nearFees, [FAR_HUB]: farFees },
    balances: new Map(names.map((name) => [name, accounts.get(`key of ${name}`)!.held])),
    accounts: new Map(names.map((name) => [name, `key of ${name}`])),
    audit: {
      verdict: 'CONSISTENT',
      minted: held + plan.redeem,
      held,
      locked: 0n,
      redeemed: plan.redeem,
      accounts,
      exits: [`key of ${THIEF}`],
      channels: [
        'close',
        ...[...plan.hospitals, ...plan.payers].map(({ name }) => (name === THIEF ? 'punish' : 'close')),
      ],
    },
  }
}

const CLEAN = { findings: [], found: 0, files: 9, bytes: 1_000, opaque: 0 }
function outcomeOf(facts: Facts, more: Partial<Outcome> = {}): Outcome {
  const { plan, ends, audit } = facts
  const reconciliation = reconcile(facts)
  const outage = { kills: 1, recovered: 1 } as Outcome['outage']
  const ended = { breaches: 1, punished: 1 }
  return { plan, ends, reconciliation, verdict: audit.verdict, leaks: CLEAN, control: 3, outage, ended, ...more }
}

t.test('what adds up has no mismatch, and every total', async (t) => {
  const outcome = outcomeOf(factsOf(planOf(ROWS)))
  t.strictSame(outcome.reconciliation.faults, [])
  t.equal(outcome.reconciliation.mismatches, 0)
  t.match(summary(outcome), {
    claims: 4,
    paid: 3,
    nothing_covered: 1,
    refused: 0,
    refused_rows: [],
    due_minor: 129_635n,
    settled_minor: 129_635n,
    fees_minor: 30n,
    ...FLAWLESS,
    hubs: 2,
    hops_max: 3,
    retries: 0,
  })
  t.equal(exitOf(outcome), 0)
  t.notMatch(reconciliationTable(outcome.reconciliation), /MISMATCH/)
  t.match(lastWords(outcome), /claims 4 = paid 3 \+ nothing covered 1 \+ refused 0 \+ failed 0/)
  t.equal(exitOf(outcomeOf(factsOf(planOf('')))), 0, 'canaries alone')
  t.equal(exitOf(outcomeOf(factsOf(planOf(`${ROWS}a5,H1,P1,9.00,-5.00\n`)))), 6, 'rows refused, the others paid')
})

t.test('every difference of one minor unit is a mismatch and exit 1', async (t) => {
  const right = factsOf(planOf(ROWS))
  const { audit } = right
  const account = (name: string, change: Partial<AuditedAccount>): Facts => {
    const key = `key of ${name}`
    const accounts = new Map(audit.accounts).set(key, { ...audit.accounts.get(key)!, ...change })
    return { ...right, audit: { ...audit, accounts } }
  }
  const booked = (
    name: string,
    change: (
      entries: Facts['books'] extends ReadonlyMap<string, infer E> ? E : never,
    ) => { reference: string; amount: bigint }[],
  ): Facts => ({
    ...right,
    books: new Map(right.books).set(name, change(right.books.get(name)!)),
  })
  const of = (name: string) => audit.accounts.get(`key of ${name}`)!
  const wrong: Record<string, Facts> = {
    'a hospital received less': account('hospital-2', { paidOut: of('hospital-2').paidOut - 1n }),
    'a payer paid more': account('payer-1', { paidOut: of('payer-1').paidOut - 1n }),
    'the hub earned less': account('hub', { paidOut: of('hub').paidOut - 1n }),
    'a canary got lost': account('hospital-canary', { paidOut: of('hospital-canary').paidOut - 1n }),
    'a node holds another sum than the regulator says': account('payer-2', { held: of('payer-2').held + 1n }),
    'an account that the ledger does not have': {
      ...right,
      accounts: new Map(right.accounts).set('hospital-1', 'none'),
    },
    'the books say more': booked('hospital-1', (entries) => entries.map((e) => ({ ...e, amount: e.amount + 1n }))),
    'booked twice': booked('hospital-1', (entries) => [...entries, ...entries]),
    'never booked': booked('hospital-1', () => []),
    'booked for another claim': booked('hospital-1', (entries) => entries.map((e) => ({ ...e, reference: 'a9' }))),
    'two claims booked with each other’s amounts': booked('hospital-2', ([a, b]) => [
      { reference: a!.reference, amount: b!.amount },
      { reference: b!.reference, amount: a!.amount },
    ]),
    'the hub books another fee': { ...right, hubFees: { ...right.hubFees, [HUB]: right.hubFees[HUB] + 1n } },
    'the far hub books another fee': {
      ...right,
      hubFees: { ...right.hubFees, [FAR_HUB]: right.hubFees[FAR_HUB] - 1n },
    },
    'the far hub earned less': account('hub-2', { paidOut: of('hub-2').paidOut - 1n }),
    'minted more': { ...right, audit: { ...audit, minted: audit.minted + 1n } },
    'redeemed less': { ...right, audit: { ...audit, redeemed: audit.redeemed - 1n } },
    'still locked': { ...right, audit: { ...audit, locked: 1n } },
    'a channel was settled by force': {
      ...right,
      audit: { ...audit, channels: ['settle', ...audit.channels.slice(1)] },
    },
    'the thief kept its deposit': account(THIEF, { paidOut: 1n }),
    'nobody punished the thief': { ...right, audit: { ...audit, channels: audit.channels.map(() => 'close') } },
    'an honest party exited': { ...right, audit: { ...audit, exits: [...audit.exits, 'key of payer-1'] } },
    'a channel is open': { ...right, audit: { ...audit, channels: [null, ...audit.channels.slice(1)] } },
    'a channel too many': { ...right, audit: { ...audit, channels: ['close', ...audit.channels] } },
    'the audit found something': { ...right, audit: { ...audit, verdict: 'INCONSISTENT' } },
    'a fee other than planned': {
      ...right,
      ends: right.ends.map((end, i) => (i === 0 ? { ...end, fee: end.fee + 1n } : end)),
    },
    'a claim failed': {
      ...right,
      ends: right.ends.map((end, i) => (i === 0 ? { ...end, paid: false, code: 'no_route', fee: 0n } : end)),
    },
  }
  for (const [name, facts] of Object.entries(wrong)) {
    const outcome = outcomeOf(facts)
    t.ok(outcome.reconciliation.mismatches > 0, name)
    t.equal(exitOf(outcome), 1, name)
    t.match(reconciliationTable(outcome.reconciliation), /MISMATCH/, name)
  }
  t.match(summary(outcomeOf(wrong['a claim failed']!)), { paid: 2, failed: 1 })
})

t.test('a leak, a blind search or an unread recording is exit 1, whatever else holds', async (t) => {
  const right = factsOf(planOf(ROWS))
  const finding = { medium: 'wire', file: 'x.up', view: 'raw', offset: 7, kind: 'varint', amount: 0 } as const
  const leaked = { ...CLEAN, found: 1, findings: [finding] }
  for (const more of [
    { leaks: leaked },
    { leaks: { ...CLEAN, opaque: 1 } },
    { control: 2 },
    { verdict: 'INCONSISTENT' },
  ]) {
    t.equal(exitOf(outcomeOf(right, more)), 1)
  }
  t.match(leakText(leaked, 3), /LEAK wire x\.up raw 7 varint\n.*: 1\n/)
})

t.test('reads what the verb audit prints', async (t) => {
  const lines = [
    '(node:1) a warning',
    '{"type":"account","account":"02aa","received_minor":{"mint":"10","transfer":"0","close":"5","settle":"1","punish":"1"},' +
      '"given_minor":{"transfer":"0","redeem":"0","deposit":"4"},"held_minor":"-13"}',
    '{"type":"channel","channel":"cc","ended":"close","exited_by":"02aa"}',
    '{"type":"channel","channel":"dd","ended":null}',
    '{"type":"audit","verdict":"CONSISTENT","minted_minor":"10","held_minor":"9","locked_minor":"1","redeemed_minor":"0"}',
  ]
  const facts = auditFacts({ code: 0, lines }, objectIn)
  t.strictSame(facts, {
    verdict: 'CONSISTENT',
    minted: 10n,
    held: 9n,
    locked: 1n,
    redeemed: 0n,
    accounts: new Map([['02aa', { minted: 10n, deposited: 4n, paidOut: 7n, held: -13n }]]),
    channels: ['close', null],
    exits: ['02aa'],
  })
  t.match(auditFacts({ code: 3, lines: [] }, objectIn).verdict, /nothing \(exit code 3\)/)
})
