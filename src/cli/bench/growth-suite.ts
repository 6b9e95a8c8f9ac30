/** One channel that is paid over for years: what its databases hold and how soon its nodes are back, against payments made. */
import { AMOUNT_MAX } from './channel-suite.js'
import { driven } from './crew.js'
import { checkBalances, type Run } from './figures.js'
import { measure, type Plan } from './measure.js'
import { balancesOf, type Link, type Member, type Town, until } from './town.js'

const DEPOSIT = 1n << 45n
/** More than any number of payments takes. */
const FOREVER_S = 86_400

/** @param payments rising: how many have been made when it is looked at */
export async function* growthSuite(town: Town, plan: Plan, payments: readonly number[]): AsyncGenerator<Run> {
  const { progress } = plan
  await town.found()
  const [payer, payee] = await Promise.all([town.settle('payer', 2n * DEPOSIT), town.settle('payee', 1_000n)])
  let link: Kept = { ...(await town.channel(payer, payee, DEPOSIT, 0n)), to: payee }
  progress.say('payer and payee have a channel')
  const shape = plan.shapes.at(-1)
  if (shape === undefined) return
  let done = 0
  for (const mark of payments) {
    const before = await balancesOf([link])
    const { run, paid } = await measure({ ...plan, suite: `channel, payments up to ${mark}`, warmUp: 0 }, shape, {
      parties: [link.from.party, link.to.party],
      count: mark - done,
      drive: driven(link.from.party, (shape) => pay(link, shape, mark - done)),
    })
    done += run.done
    const after = await balancesOf([link])
    const balance_check = checkBalances([
      { what: "the payer's balance", expected: before[0] - paid, found: after[0] },
      { what: "the payee's balance", expected: before[1] + paid, found: after[1] },
    ])
    const facts = { payments: done, ...(await rowsOf(link)) }
    const restarted = await restart(town, link)
    link = restarted.link
    const kept = await balancesOf([link])
    checkBalances([{ what: "the payer's balance after a kill", expected: after[0], found: kept[0] }])
    yield { ...run, facts: { ...facts, ...restarted.facts }, balance_check }
  }
}

/** Both ends are ours. */
type Kept = Link & { readonly to: Member }

const pay = ({ from, channel }: Kept, shape: Plan['shapes'][number], count: number) => {
  const lanes = [{ member: from.member, channel }]
  return from.party.call('payDirect', { shape, seconds: FOREVER_S, count, lanes, max: AMOUNT_MAX })
}

const sidesOf = ({ from, to }: Kept): readonly (readonly [string, Member])[] => [
  ['payer', from],
  ['payee', to],
]

async function rowsOf(link: Kept): Promise<Record<string, number>> {
  const facts: Record<string, number> = {}
  for (const [name, { party, member }] of sidesOf(link)) {
    const { rows, bytes, disk_bytes } = await party.call('rows', member)
    facts[`${name}_disk_bytes`] = disk_bytes
    for (const [table, count] of Object.entries(rows)) {
      facts[`${name}_rows_${table}`] = count
      facts[`${name}_bytes_${table}`] = bytes[table] ?? 0
    }
  }
  return facts
}

/** Both are killed, one after the other: from the start of the process until the node has started, and until rounds run. */
async function restart(town: Town, link: Kept) {
  const facts: Record<string, number> = {}
  const ends = { from: link.from, to: link.to }
  for (const [name, end] of [
    ['payer', 'from'],
    ['payee', 'to'],
  ] as const) {
    await ends[end].party.kill()
    const start = performance.now()
    ends[end] = await town.reopen(ends[end])
    facts[`${name}_restart_ms`] = performance.now() - start
    await ready(ends[end], link.channel)
    facts[`${name}_ready_ms`] = performance.now() - start
    facts[`${name}_restart_cpu_ms`] = (await ends[end].party.usage()).cpu_ms
  }
  return { link: { ...link, ...ends }, facts }
}

const ready = ({ name, party, member }: Member, channel: string): Promise<void> =>
  until(async () => (await party.call('channel', { member, channel })).ready, `the channel of ${name} after a kill`)
