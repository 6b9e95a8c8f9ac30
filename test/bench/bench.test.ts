/** `bench` as its users meet it: figures, a report, refusals; nothing of it stays behind. 1024-bit keys, a second of load. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import t from 'tap'
import { parseAccountId } from '../../src/base/ids.js'
import { channelSuite } from '../../src/cli/bench/channel-suite.js'
import { checkBalances, type Run } from '../../src/cli/bench/figures.js'
import { growthSuite } from '../../src/cli/bench/growth-suite.js'
import { idleSuite } from '../../src/cli/bench/idle-suite.js'
import { Latency } from '../../src/cli/bench/latency.js'
import { ledgerSuite } from '../../src/cli/bench/ledger-suite.js'
import { load } from '../../src/cli/bench/load.js'
import type { Plan } from '../../src/cli/bench/measure.js'
import { PEERS, runPeer } from '../../src/cli/bench/peers.js'
import { Progress } from '../../src/cli/bench/progress.js'
import { towerSuite } from '../../src/cli/bench/tower-suite.js'
import { Town } from '../../src/cli/bench/town.js'
import { Secrets } from '../../src/store/keystore.js'
import { must } from '../chain-adapter/fixtures.js'
import { run, serve } from '../cli/cli.js'

const root = mkdtempSync(join(tmpdir(), 'meridian-bench-test-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))
const QUICK = ['--key-bits', '1024', '--seconds', '1', '--warm-up', '0', '--dir', root]

/** The curve's generator: an account that nobody has. */
const HUB = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
const SPREAD = ['--channels', '1,2', '--parties', '2']

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // no such process
  }
}

t.test('direct pays: figures of every process, checked balances, a report with plots', async (t) => {
  const html = join(root, 'report.html')
  const { code, out, err } = await run([
    'bench',
    'channel',
    ...QUICK,
    '--window',
    '1,20',
    ...SPREAD,
    '--json',
    '--html',
    html,
  ])
  t.equal(code, 0, err)
  const figures = JSON.parse(out.trim().split('\n').at(-1) ?? '')
  t.match(figures, { balance_check: 'ok', failed: 0, window: 20, key_bits: 1024 })
  for (const name of [
    'rate',
    'p50_ms',
    'p90_ms',
    'p95_ms',
    'p99_ms',
    'p999_ms',
    'max_ms',
    'steal_pct',
    'wire_bytes_per_payment',
  ]) {
    t.type(figures[name], 'number', name)
  }
  t.ok(figures.done > 0)
  t.equal(figures.runs.length, 4)
  t.match(figures.facts, { channels: 2, parties: 2 })
  t.strictSame(
    figures.processes.map(({ name }: { name: string }) => name),
    ['payer', 'payee'],
  )
  for (const { pid, cpu_ms, fsyncs } of figures.processes) {
    t.ok(cpu_ms > 0 && fsyncs > 0)
    t.notOk(alive(pid), 'no process is left')
  }
  const page = readFileSync(html, 'utf8')
  t.equal(page.match(/<svg/g)?.length, 4, 'rate over time, latency percentiles, rate against window and channels')
  t.notMatch(page, /(src|href)=/, 'self-contained')
  t.match(err, /disk sync [\d.]+ ms/)
  t.strictSame(readdirSync(root), ['report.html'], 'no directory is left')
})

t.test('routed payments at a rate; a Ctrl-C leaves nothing', async (t) => {
  const open = await run(['bench', 'route', ...QUICK, '--rate', '10', '--json'])
  t.equal(open.code, 0, open.err)
  t.match(JSON.parse(open.out.trim()), { balance_check: 'ok', failed: 0, target_rate: 10, processes: { length: 3 } })
  const running = serve(['bench', 'channel', ...QUICK, '--seconds', '600', '--window', '1'])
  for (let line: string | undefined = ''; line !== undefined && !line.includes('have a channel'); )
    line = await running.next()
  t.equal(await running.stop('SIGINT'), 1)
  t.strictSame(readdirSync(root), ['report.html'], 'no directory is left')
})

t.test('one town, every other suite', async (t) => {
  const issuer = new Secrets(new Uint8Array(randomBytes(32)))
  const town = await Town.create({ dir: root, keyBits: 1024, execArgv: [], issuer })
  t.teardown(() => town.raze())
  const progress = new Progress(new PassThrough().resume())
  const collect = async (suite: (plan: Plan) => AsyncGenerator<Run>, window: number): Promise<Run[]> => {
    const plan = { suite: 'test', shapes: [{ window }], seconds: 1, warmUp: 0, progress }
    const runs: Run[] = []
    for await (const run of suite(plan)) runs.push(run)
    for (const { label, failed, processes } of runs) {
      t.equal(failed, 0, label)
      for (const { name, cpu_ms } of processes) t.ok(cpu_ms > 0, `${label}: ${name}`)
    }
    return runs
  }
  const told = (runs: readonly Run[]): string[] => runs.map(({ label, done }) => `${label}: ${done}`)

  await t.test('a tower: receipts, a kill, and every breach punished', async (t) => {
    const options = { channels: [6], breaches: 5, clients: 2 }
    const runs = await collect((plan) => towerSuite(town, plan, options), 3)
    const [taken, given, breaches] = runs as [Run, Run, Run]
    t.strictSame(told([taken, breaches]), ['tower, taking 6: 6', 'tower, 5 breaches at once: 5'])
    t.ok(given.done > 0)
    t.match(given.facts, { channels: 6 })
    t.ok(given.facts?.['disk_bytes_per_channel'])
    t.ok(
      breaches.processes.every(({ fsyncs }) => fsyncs > 0),
      'the counts of the ledger’s own thread too',
    )
    t.equal(breaches.balance_check, 'ok')
  })

  await t.test('a ledger: each kind of transaction, and what it keeps', async (t) => {
    const runs = await collect((plan) => ledgerSuite(town, plan, { transactions: 4, reveals: 6, accounts: 2 }), 4)
    t.strictSame(
      runs.map(({ label, done, balance_check }) => `${label}: ${done} ${balance_check}`),
      ['transfers: 4', 'openings: 4', 'closes: 4', 'reveals: 6'].map(
        (row) => `ledger, ${row.replace(':', ', 4 outstanding:')} ok`,
      ),
    )
    const { facts = {}, processes } = runs.at(-1)!
    t.equal(facts['last_transactions']! - facts['first_transactions']!, 18)
    t.ok(facts['blocks']! >= 1 && facts['blocks']! <= 6)
    t.equal(processes[0]?.per_payment['verifications'], 1)
  })

  await t.test('a channel that is paid over: no row per payment, the same balances after a kill', async (t) => {
    const runs = await collect((plan) => growthSuite(town, plan, [300]), 50)
    t.strictSame(told(runs), ['channel, payments up to 300, 50 outstanding: 300'])
    for (const side of ['payer', 'payee']) {
      const rows = Object.entries(runs[0]!.facts ?? {}).filter(([name]) => name.startsWith(`${side}_rows_`))
      t.ok(rows.reduce((sum, [, count]) => sum + count, 0) < 100, `${side}: rows`)
    }
  })

  await t.test('a hub elsewhere is driven on a test ledger, and on no other', async (t) => {
    const hub = await town.settle('elsewhere', 1_000n)
    const there = {
      ledgerUrl: town.ledgerUrl,
      genesis: town.genesis,
      issuer,
      hub: { account: must(parseAccountId(hub.account)), url: hub.url },
    }
    const away = await Town.create({ dir: root, keyBits: 1024, execArgv: [] })
    t.teardown(() => away.raze())
    const real = { ...there, genesis: { ...town.genesis, test: false } }
    await t.rejects(away.join(real), /not flagged as a test ledger/)
    await away.join(there)
    const [run] = await collect((plan) => channelSuite(away, plan), 10)
    t.match(run, { balance_check: 'ok', processes: { length: 1 } })
  })

  await t.test('idle connections', async (t) => {
    const [run] = await collect((plan) => idleSuite(town, plan, 30), 8)
    t.match(run, { done: 30, facts: { connections: 30 }, balance_check: null })
  })
})

t.test('proofs and ciphers: no balance is claimed, every proof and decryption is checked', async (t) => {
  const html = join(t.testdir({}), 'crypto.html')
  const args = ['bench', 'crypto', '--key-bits', '1024', '--seconds', '1', '--warm-up', '2', '--rows', 'fee', '--json']
  const { code, out, err } = await run([...args, '--html', html])
  t.equal(code, 0, err)
  t.match(err, /fee: prove.*warm-up: \d+ %/s, 'progress')
  const figures = JSON.parse(out.trim())
  const processes = [{ pid: Number, cpu_ms: Number, fsyncs: 0 }]
  const labels = ['1024 fee: prove', '1024 fee: verify']
  t.match(figures, { balance_check: null, failed: 0, runs: labels.map((label) => ({ label, failed: 0, processes })) })
  t.match(figures, { rate: Number, p50_ms: Number, p90_ms: Number, p99_ms: Number, p999_ms: Number, processes })
  t.ok(figures.checked > figures.runs[1].done, 'each verification, the warm-up too')
  const page = readFileSync(html, 'utf8')
  t.match(page, /1024 fee: verify[\s\S]*<svg/)
  t.notMatch(page, /(src|href)=/, 'nothing from elsewhere')
  t.match(await run(['bench', 'crypto', '--rows', 'no such row']), { code: 2, err: /no row/ })
})

t.test('what cannot be measured is refused', async (t) => {
  t.match(await run(['bench', 'channel', '--window', '1', '--rate', '5']), { code: 2 })
  t.match(await run(['bench', 'channel', '--window', '0']), { code: 2 })
  t.match(await run(['bench', 'route', '--url', `${HUB}@ws://127.0.0.1:1`]), { code: 2, err: /--issuer/ })
  const balance = { what: 'a balance', expected: 5n, found: 4n }
  t.throws(() => checkBalances([balance]), /no rate is told/)
  t.equal(checkBalances([{ ...balance, found: 5n }]), 'ok')
})

t.test('an open loop measures from the intended start', async (t) => {
  let first = true
  const act = async () => {
    const slow = first
    first = false
    // The event loop itself stands still, as a stop-the-world pause would make it.
    if (slow) for (const until = performance.now() + 200; performance.now() < until; );
    return null
  }
  const figures = await load({ shape: { rate: 100 }, seconds: 0.5, act })
  t.ok(figures.p90_ms >= 50, 'whoever was due in the pause waited')
  const counted = await load({ shape: { rate: 10_000 }, seconds: 60, count: 5, act: async () => null })
  t.match(counted, { done: 5, failed: 0 }, 'no more than were asked for')
  const failing = await load({ shape: { window: 2 }, seconds: 0.01, act: async () => 'queue_full' })
  t.equal(failing.done, 0)
  t.equal(failing.failures['queue_full'], failing.failed)
})

t.test('percentiles', (t) => {
  const latency = new Latency()
  for (let ms = 1; ms <= 1_000; ms++) latency.record(ms)
  const { p50_ms, p99_ms, max_ms } = latency.figures
  t.ok(Math.abs(p50_ms - 500) < 2 && Math.abs(p99_ms - 990) < 2 && Math.abs(max_ms - 1_000) < 2)
  t.end()
})

t.test('a peer that does not run is said, and stops no other', async (t) => {
  const said: string[] = []
  const progress = new Progress(new Writable({ write: (text, _, done) => done(void said.push(`${text}`)) }))
  const { signal } = new AbortController()
  for (const peer of PEERS) {
    const directory = join(root, peer.script.replace('.mjs', ''))
    mkdirSync(directory)
    writeFileSync(join(directory, 'installed'), '') // and its packages are not there
    const { figures, failure } = await runPeer(peer, { home: root, seconds: 1, progress, signal })
    t.same(figures, [])
    t.match(failure, /ended with 1: .*(Cannot find|ERR_MODULE_NOT_FOUND|ENOENT|initdb)/, peer.name)
    rmSync(directory, { recursive: true })
  }
  t.equal(said.length, PEERS.length)
})
