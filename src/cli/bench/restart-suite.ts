/**
 * A hub with thousands of channels that is killed (section 10, last row): from the start of its new process until it watches
 * every channel on the ledger, and until rounds run in all of them. The channels are opened over the wire by real transactions,
 * on a ledger of short amounts, so that their proofs take a third of the time.
 */
import { driven } from './crew.js'
import { checkBalances, type Run } from './figures.js'
import { measure, type Plan } from './measure.js'
import { Spread, type SpreadOptions } from './spread.js'
import { type Member, type Town, until } from './town.js'

/** L of the ledger. */
export const RESTART_AMOUNT_BITS = 16
/** So many in each channel at each count, one minor unit each: states and journals that were used. */
const PAYMENTS = 3
/** More than any number of payments takes. */
const FOREVER_S = 86_400
/** Peers dial again after pauses that grow; at thousands of channels every look costs. */
const READY_MS = 900_000
const LOOK_MS = 500

export const RESTART_DRIVEN =
  'driven: direct pays over every channel, then kill -9 of the hub; watching: started, the ledger followed to its head, peers let in'

export async function* restartSuite(town: Town, plan: Plan, { channels, parties }: SpreadOptions): AsyncGenerator<Run> {
  const { progress } = plan
  await town.found()
  const most = BigInt(Math.ceil(channels.at(-1)! / parties))
  const deposit = BigInt(PAYMENTS * channels.length + 1)
  const [payers, settled] = await Promise.all([
    town.settleMany('payer', most * deposit + 1n, parties),
    town.settle('hub', 1n, { forwarding: true }),
  ])
  let hub = settled
  let received = 0n
  const spread = new Spread(town, payers, hub, { deposit, share: 0n })
  const payer = payers[0]!.party
  for (const count of channels) {
    await spread.openUntil(count, (done) => progress.bar('channels', done / count, done))
    const lanes = spread.lanes
    const shape = plan.shapes.at(-1) ?? { window: 100 }
    const load = { shape, seconds: FOREVER_S, count: PAYMENTS * count, lanes, max: 2 }
    const { run } = await measure({ ...plan, suite: `hub of ${count} channels`, warmUp: 0 }, shape, {
      parties: [payer, hub.party],
      count: load.count,
      drive: driven(payer, () => payer.call('payDirect', load)),
    })
    received += BigInt(run.done)
    const before = await hub.party.call('channels', hub.member)
    const restarted = await restart(town, hub, count)
    hub = restarted.hub
    spread.moved(hub)
    const balance_check = checkBalances([
      { what: "the hub's balances", expected: received, found: before.balance },
      { what: "the hub's balances after a kill", expected: before.balance, found: restarted.balance },
    ])
    yield { ...run, facts: { channels: count, parties, ...restarted.facts }, balance_check }
  }
}

async function restart(town: Town, killed: Member, count: number) {
  await killed.party.kill()
  const start = performance.now()
  const hub = await town.reopen(killed, { forwarding: true })
  const watching_ms = performance.now() - start
  const watching = await hub.party.usage()
  let balance = 0n
  const allReady = async () => {
    const found = await hub.party.call('channels', hub.member)
    balance = found.balance
    return found.ready === count
  }
  await until(allReady, 'rounds of every channel', { look_ms: LOOK_MS, give_up_ms: READY_MS })
  const ready_ms = performance.now() - start
  const ready = await hub.party.usage()
  const facts = {
    restart_to_watching_ms: watching_ms,
    restart_cpu_ms: watching.cpu_ms,
    watching_rss_mib: watching.rss_bytes / 1_048_576,
    restart_to_rounds_ms: ready_ms,
    rounds_cpu_ms: ready.cpu_ms,
    rounds_rss_mib: ready.rss_bytes / 1_048_576,
  }
  return { hub, balance, facts }
}
