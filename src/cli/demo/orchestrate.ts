/** The demo, step by step (PRODUCT.md): real claims paid off the ledger through one hub or two and settled on it. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Amount, ZERO } from '../../base/amount.js'
import { bytesToBigint } from '../../base/bytes.js'
import { MeridianError } from '../../base/errors.js'
import { ledgerIdOf } from '../../base/genesis.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { plantAndFind } from './leak-control.js'
import { searchLeaks } from './leak-search.js'
import {
  CANARY_PARTIES,
  FAR_HUB,
  HUB,
  HUBS,
  type HubName,
  type Plan,
  type PlannedParty,
  plannedAmounts,
  THIEF,
} from './money.js'
import { keepBackup, type Outage, strike } from './outage.js'
import { balanceOf, closeAll, type Member, type Onboarded, Registrar, redeem } from './parties.js'
import { booksOf, type Members, payAll } from './pay.js'
import { objectIn } from './processes.js'
import type { Progress } from './progress.js'
import { type AuditFacts, auditFacts, type Facts, type PaymentEnd, reconcile } from './reconcile.js'
import { leakText, type Outcome, reconciliationTable, refusedTable, sampleTable } from './report.js'
import { paySample, type Sample } from './samples.js'
import { type Group, groupsOf, type Party, type Stage, TOWER } from './stage.js'
import { wsRecording } from './ws-recording.js'

/** Besides ledger, tower, two hubs, issuer and the demo itself: at most 16 processes whatever the file holds. */
const PROCESSES_MAX = 10
const SAMPLES = 4
const PUBLIC_MS = 60_000
const ASK_MS = 100
/** Part of the payments that have ended when the hub is killed. */
const STRUCK_AFTER = 0.3

export type Hubs = Readonly<Record<HubName, Party>>

export interface Cast {
  readonly hubs: Hubs
  readonly members: Members
  /** Between the hubs. */
  readonly between: Member
}

/** Nodes that share a kind and a hub, and in how many processes they are unless there is a wish. */
function circlesOf(plan: Plan) {
  const names = (parties: readonly PlannedParty[], hub: HubName) =>
    parties.filter((party) => party.hub === hub && party.name !== THIEF).map(({ name }) => name)
  return [
    { kind: 'payer', names: names(plan.payers, HUB), hub: HUB, processes: 2 },
    { kind: 'hospital', names: names(plan.hospitals, FAR_HUB), hub: FAR_HUB, processes: 2 },
    { kind: 'near-hospital', names: names(plan.hospitals, HUB), hub: HUB, processes: 1 },
  ] as const
}

/** @param nodesPerProcess at least so many, more where there would be too many processes. */
export function castGroups(plan: Plan, nodesPerProcess: number | undefined): Group[] {
  const circles = circlesOf(plan)
  // It is stopped and started on its own.
  const thief: Group = { name: THIEF, parties: [THIEF], hub: HUB }
  for (let size = nodesPerProcess ?? 1; ; size++) {
    const groups = circles.flatMap(({ kind, names, hub, processes }) =>
      groupsOf(kind, names, hub, nodesPerProcess === undefined ? processes : PROCESSES_MAX, size),
    )
    if (groups.length < PROCESSES_MAX) return [...groups, thief]
  }
}

export async function play(stage: Stage, plan: Plan, groups: readonly Group[], progress: Progress): Promise<Outcome> {
  if (plan.refused.length > 0) progress.say(`rows refused\n${refusedTable(plan.refused)}`)
  const cast = await onboard(stage, plan, await startAll(stage, groups, progress), progress)
  const { members, between } = cast
  const { ends, outage } = await payClaims(stage, plan, cast, progress)
  await progress.step('channels closed', (tell) => {
    const all = [
      { ...between, party: outage.hub },
      ...[...members.values()].filter(({ party }) => party.name !== THIEF),
    ]
    return closeAll(all, (closed) => tell(`${closed} of ${all.length}`))
  })
  await progress.step('canaries redeemed', () => redeem(members.get(CANARY_PARTIES.hospital)!.party, plan.redeem))
  const thief = { ...members.get(THIEF)!, party: outage.thief }
  const still = { ...cast, hubs: { ...cast.hubs, [HUB]: outage.hub }, members: new Map(members).set(THIEF, thief) }
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
    for (const hub of HUBS) await stage.init(hub, 'hub')
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
    const [{ hubs, issuer }, started] = [await services, (await Promise.all(starting)).flat()]
    const parties: ReadonlyMap<string, Party> = new Map(started.map((party) => [party.name, party]))
    return { hubs, issuer, parties }
  })
}

async function startServices(stage: Stage): Promise<{ readonly hubs: Hubs; readonly issuer: Party }> {
  await stage.startLedger()
  await stage.startTower()
  const issuing = stage.start({ name: 'issuer', parties: ['issuer'] })
  const [hub, far, [issuer]] = await Promise.all([stage.startHub(HUB), stage.startHub(FAR_HUB), issuing])
  return { hubs: { [HUB]: await stage.joinHubs(hub), [FAR_HUB]: far }, issuer: issuer! }
}

async function onboard(
  stage: Stage,
  plan: Plan,
  { hubs, issuer, parties }: { hubs: Hubs; issuer: Party; parties: ReadonlyMap<string, Party> },
  progress: Progress,
): Promise<Cast> {
  const all = [...plan.payers, ...plan.hospitals]
  return progress.step('accounts and channels', async (tell) => {
    const of = (part: number, whole: number) => `${part} of ${whole}`
    const told = ({ registered, funded, opened }: Onboarded) =>
      tell(
        `registered with key proofs ${of(registered, all.length + 2)}, minted ${of(funded, all.length + 2)}, ` +
          `deposits locked in channels ${of(opened, all.length + 1)}`,
      )
    const registrar = new Registrar(stage, issuer, told)
    await Promise.all(HUBS.map((hub) => registrar.fund(hubs[hub], plan.hubMints[hub])))
    const between = await registrar.open(hubs[HUB], { deposit: plan.between, share: ZERO })
    const members = await Promise.all(
      all.map(async (planned): Promise<[string, Member]> => {
        const party = parties.get(planned.name)!
        await registrar.fund(party, planned.mint)
        return [planned.name, await registrar.open(party, planned)]
      }),
    )
    await untilPublic([...parties.values()].filter(({ name }) => plan.payers.some((payer) => payer.name === name)))
    return { hubs, members: new Map(members), between }
  })
}

/** R4: payers find the far hub by what both hubs announce of their channel. */
async function untilPublic(payers: readonly Party[]): Promise<void> {
  for (const { api, ending } of payers) {
    for (const late = Date.now() + PUBLIC_MS; (await api.node()).graph_channels === 0; await sleep(ASK_MS)) {
      if (Date.now() > late || ending.aborted) throw new MeridianError('no_route', 'the hubs announced no channel')
    }
  }
}

/** Some first and one at a time, to be shown; then all others, with an outage in the middle. */
async function payClaims(
  stage: Stage,
  plan: Plan,
  { hubs, members }: Cast,
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
  const struck = (): Promise<Outage> => {
    outage ??= strike(stage, hubs[HUB], thief, progress)
    return outage
  }
  const ends = await progress.step('claims paid', (tell) =>
    payAll(members, rest, (ended) => {
      tell(`${ended + shown.length} of ${plan.payments.length}, canaries included`)
      if (ended >= rest.length * STRUCK_AFTER) void struck()
    }),
  )
  return { ends: [...samples.map(({ end }) => end), ...ends], outage: await struck() }
}

/** Once no lock is left: a hub books a fee when both of its channels have taken the payment in. */
async function askBooks(
  plan: Plan,
  { hubs, members }: Cast,
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
    const [near, far] = await Promise.all([hubs[HUB].api.node(), hubs[FAR_HUB].api.node()])
    const hubFees = { [HUB]: near.fees_earned_minor, [FAR_HUB]: far.fees_earned_minor }
    return { books: new Map(books), hubFees }
  })
}

function askBalances({ hubs, members }: Cast, progress: Progress): Promise<Map<string, bigint>> {
  return progress.step('balances settled', async () => {
    const parties = [...Object.values(hubs), ...[...members.values()].map(({ party }) => party)]
    return new Map(await Promise.all(parties.map(async (party) => [party.name, await balanceOf(party)] as const)))
  })
}

async function stopNodes(stage: Stage, groups: readonly Group[]): Promise<void> {
  await Promise.all([...groups.map(({ name }) => name), ...HUBS, 'issuer'].map((name) => stage.processes.stop(name)))
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
