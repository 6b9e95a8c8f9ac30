/** A hub with thousands of connections on which nothing is said but pings (section 10, last row). */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAccountId } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { EXIT, VerbExit } from '../exit.js'
import type { IdleCalls } from './calls.js'
import { driven } from './crew.js'
import type { Run } from './figures.js'
import { type Metered, measure, type Plan } from './measure.js'
import type { Town } from './town.js'

export const IDLE_DRIVEN =
  'driven: connections of peers with keys of their own, over Noise, hello said; then nothing but pings'

/** Memory is what is left after a collection: the hub alone runs with --expose-gc. */
const FLAGS = ['--expose-gc']

export async function* idleSuite(town: Town, plan: Plan, count: number): AsyncGenerator<Run> {
  await town.found()
  const hub = await town.settle('hub', 1_000n, { forwarding: true, flags: FLAGS })
  const peers = town.hire<IdleCalls>('peers', 'peers')
  const parties: readonly Metered[] = [hub.party, peers]
  const before = await hub.party.usage()
  const [shape = { window: 1 }] = plan.shapes
  const account = need(parseAccountId(hub.account))
  const setup = { account, url: hub.url, ledger: town.chain.ledger, count }
  const { run } = await measure({ ...plan, suite: 'hub, connecting', warmUp: 0 }, shape, {
    parties,
    count,
    drive: driven(peers, (shape) => peers.call('connect', { ...setup, shape })),
  })
  plan.progress.say(`${count} connections: nothing is said for ${plan.seconds} s`)
  await hub.party.resetUsage()
  await sleep(plan.seconds * 1_000)
  const after = await hub.party.usage()
  const connections = await peers.call('alive', null)
  if (connections < count) throw new VerbExit(EXIT.checkFailed, `${count - connections} of ${count} connections ended`)
  const facts = {
    connections,
    rss_bytes_per_connection: (after.rss_bytes - before.rss_bytes) / count,
    heap_bytes_per_connection: (after.heap_bytes - before.heap_bytes) / count,
    external_bytes_per_connection: (after.external_bytes - before.external_bytes) / count,
    idle_cpu_pct: after.cpu_ms / plan.seconds / 10,
    idle_s: plan.seconds,
  }
  yield { ...run, label: `hub, connecting ${count}`, facts, balance_check: null }
}
