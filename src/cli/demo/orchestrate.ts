/** The demo, step by step (PRODUCT.md): real claims paid off the ledger through a hub and settled on it. */
import { randomBytes } from 'node:crypto'
import type { Amount } from '../../base/amount.js'
import { bytesToBigint } from '../../base/bytes.js'
import { ledgerIdOf } from '../../base/genesis.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { plantAndFind } from './leak-control.js'
import { searchLeaks } from './leak-search.js'
import { CANARY_PARTIES, type Plan, plannedAmounts, THIEF } from './money.js'
import { keepBackup, type Outage, strike } from './outage.js'
import { balanceOf, closeAll, type Member, type Onboarded, Registrar, redeem } from './parties.js'
import { booksOf, type Members, payAll } from './pay.js'
import { objectIn } from './processes.js'
import type { Progress } from './progress.js'
import { type AuditFacts, auditFacts, type Facts, HUB, type PaymentEnd, reconcile } from './reconcile.js'
import { leakText, type Outcome, reconciliationTable, refusedTable, sampleTable } from './report.js'
import { paySample, type Sample } from './samples.js'
import { type Group, groupsOf, type Party, type Stage, TOWER } from './stage.js'
import { wsRecording } from './ws-recording.js'

/** Besides ledger, tower, hub, issuer and the demo itself: at most 16 processes whatever the file holds. */
const PAYER_PROCESSES = 2
const HOSPITAL_PROCESSES = 3
const PROCESSES_MAX = 11
const SAMPLES = 4
/** Part of the payments that have ended when the hub is killed. */
const STRUCK_AFTER = 0.3

export interface Cast {
  readonly hub: Party
  readonly issuer: Party
  readonly members: Members
}

/** @param nodesPerProcess at least so many, more where there would be too many processes. */
export function castGroups(plan: Plan, nodesPerProcess: number | undefined): Group[] {
  const payers = plan.payers.map(({ name }) => name).filter((name) => name !== THIEF)
  const hospitals = plan.hospitals.map(({ name }) => name)
  // It is stopped and started on its own.
  const thief = { name: THIEF, parties: [THIEF] }
  if (nodesPerProcess === undefined) {
    return [
      ...groupsOf('payer', payers, PAYER_PROCESSES, 1),
      ...groupsOf('hospital', hospitals, HOSPITAL_PROCESSES, 1),
      thief,
    ]
  }
  for (let size = nodesPerProcess; ; size++) {
    const groups = [
      ...groupsOf('payer', payers, PROCESSES_MAX, size),
      ...groupsOf('hospital', hospitals, PROCESSES_MAX, size),
      thief,
    ]
    if (groups.length <= PROCESSES_MAX) return groups
  }
}

export async function play(stage: Stage, plan: Plan, groups: readonly Group[], progress: Progress): Promise<Outcome> {
  if (plan.refused.length > 0) progress.say(`rows refused\n${refusedTable(plan.refused)}`)
  const { hub, issuer, parties } = await startAll(stage, groups, progress)
  const members = await onboard(stage, plan, { hub, issuer, parties }, progress)
  const cast: Cast = { hub, issuer, members }
  const { ends, outage } = await payClaims(stage, plan, cast, progress)
  await progress.step('channels closed', (tell) => {
    const all = [...members.values()].filter(({ party }) => party.name !== THIEF)
    return closeAll(all, (closed) => tell(`${closed} of ${all.length}`))
  })
  await progress.step('canaries redeemed', () => redeem(members.get(CANARY_PARTIES.hospital)!.party, plan.redeem))
  const thief = { ...members.get(THIEF)!, party: outage.thief }
  const still = { ...cast, hub: outage.hub, members: new Map(members).set(THIEF, thief) }
  const books = await askBooks(plan, still, ends, progress)
  const balances = await askBalances(still, progress)
  await progress.step('nodes stopped', () => stopNodes(stage, groups))
  const audit = await auditLedger(stage, progress)
  await stage.processes.stop(TOWER)
  await stage.processes.stop('ledger')
  await stage.closeRelays()
  const facts: Facts = { plan, ends, ...books, balances, accounts: stage.accounts, audit }
  const reconciliation = await progress.step('reconciled', async (tell) => {
    const result = reconcile(facts)
    tell(`${result.lines.length} lines, ${result.mismatches} mismatches`)
    return result
  })
  progress.say(reconciliationTable(reconciliation))
  const { leaks, control } = await search(stage, facts, progress)
  progress.say(leakText(leaks, control))
  const punished = audit.channels.filter((ended) => ended === 'punish').length
  const ended = { breaches: audit.exits.length, punished }
  return { plan, ends, reconciliation, verdict: audit.verdict, leaks, control, outage, ended }
}

/** Directories as `init` and `genesis` make them; a process starts as soon as its own are there. */
async function startAll(stage: Stage, groups: readonly Group[], progress: Progress) {
  return progress.step('nodes made and started', async (tell) => {
    const of = groups.reduce((sum, { parties }) => sum + parties.length, 0)
    tell(`0 of ${of} parties`)
    await stage.init('issuer', 'issuer')
    await stage.init('regulator', 'regulator')
    await stage.found()
    await stage.init(TOWER, 'tower')
    await stage.init(HUB, 'hub')
    const services = startServices(stage)
    services.catch(() => undefined) // whoever awaits it below is told
    const starting: Promise<Party[]>[] = []
    for (const group of groups) {
      for (const name of group.parties) await stage.init(name, 'participant')
      starting.push(services.then(() => stage.start(group)))
      starting.at(-1)!.then(
        () => tell(`${stage.running} processes, this one included; genesis is flagged test: cheap passphrases`),
        () => undefined, // `Promise.all` below tells it
      )
    }
    const [{ hub, issuer }, started] = [await services, (await Promise.all(starting)).flat()]
    const parties: ReadonlyMap<string, Party> = new Map(started.map((party) => [party.name, party]))
    return { hub, issuer, parties }
  })
}

async function startServices(stage: Stage): Promise<{ readonly hub: Party; readonly issuer: Party }> {
  await stage.startLedger()
  await stage.startTower()
  const [hub, [issuer]] = await Promise.all([stage.startHub(), stage.start({ name: 'issuer', parties: ['issuer'] })])
  return { hub, issuer: issuer! }
}

async function onboard(
  stage: Stage,
  plan: Plan,
  { hub, issuer, parties }: { hub: Party; issuer: Party; parties: ReadonlyMap<string, Party> },
  progress: Progress,
): Promise<Members> {
  const all = [...plan.payers, ...plan.hospitals]
  return progress.step('accounts and channels', async (tell) => {
    const of = (part: number, whole: number) => `${part} of ${whole}`
    const told = ({ registered, funded, opened }: Onboarded) =>
      tell(
        `registered with key proofs ${of(registered, all.length + 1)}, minted ${of(funded, all.length + 1)}, ` +
          `deposits locked in channels ${of(opened, all.length)}`,
      )
    const registrar = new Registrar(stage, issuer, told)
    await registrar.fund(hub, plan.hubMint)
    const members = await Promise.all(
      all.map(async (planned): Promise<[string, Member]> => {
        const party = parties.get(planned.name)!
        await registrar.fund(party, planned.mint)
        return [planned.name, await registrar.open(party, planned)]
      }),
    )
    return new Map(members)
  })
}

/** Some first and one at a time, to be shown; then all others, with an outage in the middle. */
async function payClaims(
  stage: Stage,
  plan: Plan,
  { members }: Cast,
  progress: Progress,
): Promise<{ readonly ends: readonly PaymentEnd[]; readonly outage: Outage }> {
  const thief = await keepBackup(stage, members.get(THIEF)!)
  const all = new Map(members).set(THIEF, thief)
  const [others, stolen] = [
    plan.payments.filter(({ payer }) => payer !== THIEF),
    plan.payments.filter(({ payer }) => payer === THIEF),
  ]
  const shown = [...others.filter((payment, i) => i < SAMPLES - 1 || payment.canary).slice(0, SAMPLES), ...stolen]
  const rest = plan.payments.filter((payment) => !shown.includes(payment))
  const chain = await connectLedger(await stage.ledgerFor('demo'), ledgerIdOf(stage.genesis))
  stage.ending.addEventListener('abort', () => void chain.close())
  const samples: Sample[] = []
  try {
    await progress.step('claims shown', async () => {
      for (const payment of shown) samples.push(await paySample(all, payment, chain, stage.recordings))
    })
  } finally {
    await chain.close()
  }
  progress.say(sampleTable(samples, plan.nothing))
  let outage: Promise<Outage> | undefined
  const ends = await progress.step('claims paid', (tell) =>
    payAll(members, rest, (ended) => {
      tell(`${ended + shown.length} of ${plan.payments.length}, canaries included`)
      if (ended >= rest.length * STRUCK_AFTER) outage ??= strike(stage, thief, progress)
    }),
  )
  return { ends: [...samples.map(({ end }) => end), ...ends], outage: await (outage ?? strike(stage, thief, progress)) }
}

/** Once no lock is left: the hub books a fee when both of its channels have taken the payment in. */
async function askBooks(
  plan: Plan,
  { hub, members }: Cast,
  ends: readonly PaymentEnd[],
  progress: Progress,
): Promise<Pick<Facts, 'books' | 'hubFees'>> {
  return progress.step('books read', async () => {
    const books = await Promise.all(
      plan.hospitals.map(async ({ name }) => {
        const expected = ends.filter(({ payment, paid }) => paid && payment.hospital === name).length
        return [name, await booksOf(members.get(name)!.party, expected)] as const
      }),
    )
    const { fees_earned_minor } = await hub.api.node()
    return { books: new Map(books), hubFees: fees_earned_minor }
  })
}

function askBalances({ hub, members }: Cast, progress: Progress): Promise<Map<string, bigint>> {
  return progress.step('balances settled', async () => {
    const parties = [hub, ...[...members.values()].map(({ party }) => party)]
    return new Map(await Promise.all(parties.map(async (party) => [party.name, await balanceOf(party)] as const)))
  })
}

async function stopNodes(stage: Stage, groups: readonly Group[]): Promise<void> {
  await Promise.all([...groups.map(({ name }) => name), 'hub', 'issuer'].map((name) => stage.processes.stop(name)))
}

function auditLedger(stage: Stage, progress: Progress): Promise<AuditFacts> {
  return progress.step("regulator's audit", async (tell) => {
    const url = await stage.ledgerFor('audit')
    const args = ['audit', '--dir', stage.nodeDir('regulator'), '--ledger', url, '--from-genesis']
    const facts = auditFacts(await stage.processes.run('audit', args), objectIn)
    tell(`${facts.verdict}, ${facts.accounts.size} accounts, ${facts.channels.length} channels`)
    return facts
  })
}

async function search(stage: Stage, { plan, ends, balances, audit }: Facts, progress: Progress) {
  return progress.step('leak search', async (tell) => {
    const settled = [...audit.accounts.values()].flatMap(({ paidOut, held }) => [paidOut, held])
    const moved = [...plannedAmounts(plan), ...ends.map(({ fee }) => fee), ...balances.values(), ...settled]
    const amounts = moved.filter((amount) => amount > 0n) as Amount[]
    const canary = plan.payments.find((payment) => payment.canary)!
    const leaks = await searchLeaks(amounts, stage.places)
    tell(`${leaks.found} found; control`)
    const found = await plantAndFind({
      amount: canary.amount,
      ledger: stage.ledgerDir,
      recording: await wsRecording(stage.recordings),
      disk: stage.nodeDir(canary.payer),
    })
    return { leaks, control: found.length }
  })
}

/** Of fresh randomness; 16 bytes more than needed leave no bias that anybody could see. */
export function draw(from: bigint, to: bigint): bigint {
  return from + (bytesToBigint(new Uint8Array(randomBytes(24))) % (to - from))
}
