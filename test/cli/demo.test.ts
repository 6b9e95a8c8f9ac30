/** The built demo as its user runs it: a bad file of claims, an interruption, a crash (issue A, items 2 to 4). */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { openLevelStore } from '../../src/store/level.js'
import { BIN, run } from './cli.js'
import { FLAWLESS } from './demo-summary.js'

const CLAIMS = [
  'Id,DESCRIPTION,ORGANIZATION,PAYER,TOTAL_CLAIM_COST,PAYER_COVERAGE',
  'a1,"Fever, of a child",H1,P1,100.00,55.12',
  'a2,"Hip ""new"", seven days",H2,P1,2000.00,1241.22',
  '',
  'a3,Talk,H2,P1,0.50,0.01',
  'a4,Talk,H3,P1,100.00,0.00',
  'a5,Talk,H1,P1,100.00',
  'a6,Talk,H1,P1,100.00,-5.00',
  'a7,Talk,H1,P1,100.00,5.001',
  'a8,Talk,H1,P1,100.00,five',
  'a9,Talk,H1,P1,100.00,10995116277.76',
  'a1,Talk,H1,P1,100.00,55.12',
  'a10,Talk,H1,P1,100.00,5.00,more',
  'a11,Talk,H1,P1,100.00,123456.78',
].join('\r\n')

const home = t.testdir({ 'claims.csv': CLAIMS, 'header.csv': `${CLAIMS.split('\r\n')[0]}\r\n` })
const at = (...names: string[]) => join(home, ...names)

// Several whole runs of real processes: on a busy machine longer than the other files may take.
t.setTimeout(900_000)

/** Id and command line of all processes that name the directory. */
function processesOf(dir: string): string[] {
  return commandLines().filter((line) => line.includes(dir))
}

function commandLines(): string[] {
  if (!existsSync('/proc/self/cmdline'))
    return execFileSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8' }).split('\n')
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    try {
      return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`]
    } catch {
      return [] // it ended meanwhile
    }
  })
}

async function until(holds: () => boolean, what: string, ms = 240_000): Promise<void> {
  for (const late = Date.now() + ms; !holds(); await pause(50)) {
    if (Date.now() > late) throw new Error(`waited in vain: ${what}`)
  }
}

async function isFree(store: string): Promise<boolean> {
  const opened = await openLevelStore(store)
  if (opened.ok) await opened.value.close()
  return opened.ok
}

interface Started {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly code: Promise<number | null>
}

function start(...more: string[]): Started {
  const args = [BIN, 'demo', '--csv', at('claims.csv'), '--key-bits', '1024', '--json', ...more]
  const child = spawn(process.execPath, args, { env: { PATH: process.env['PATH'] }, stdio: 'pipe' })
  let [out, err] = ['', '']
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString()
  })
  const code = once(child, 'close').then(([code]) => code as number | null)
  return { child, code, out: () => out, err: () => err }
}

t.test('rows of every kind: the good ones paid, the bad ones named, exit 6; a sandbox to try by hand', async (t) => {
  const work = at('kept')
  const demo = start('--keep', '--dir', work)
  await until(() => /pay <the invoice>/.test(demo.err()) || demo.child.exitCode !== null, 'the sandbox is up')
  const [out, err] = [demo.out(), demo.err()]
  const lines = out.trimEnd().split('\n')
  t.equal(lines.length, 1, 'progress goes to standard error')
  const { retries, ...told } = JSON.parse(lines.at(-1)!) as Record<string, unknown>
  t.ok(Number.isSafeInteger(retries), 'as many as the outage takes')
  t.same(told, {
    claims: 12,
    paid: 4,
    nothing_covered: 1,
    refused: 7,
    refused_rows: [
      { line: 7, code: 'claim_missing_column' },
      { line: 8, code: 'claim_negative' },
      { line: 9, code: 'claim_bad_decimals' },
      { line: 10, code: 'claim_not_a_number' },
      { line: 11, code: 'claim_above_limit' },
      { line: 12, code: 'duplicate_claim' },
      { line: 13, code: 'claim_surplus_column' },
    ],
    due_minor: String(5_512 + 124_122 + 1 + 12_345_678),
    settled_minor: String(5_512 + 124_122 + 1 + 12_345_678),
    fees_minor: String(2 + 26 + 2 + 2_470),
    ...FLAWLESS,
    hubs: 2,
    hops_max: 3,
  })
  t.match(err, /what the parties see +what wire and ledger see/)
  t.match(err, /a2 +payer-1 → hospital-2 +1,241\.22 +fee 0\.26 +wire [0-9a-f]{24}…/)
  t.match(err, /a4 +nothing covered/)
  t.match(err, /ok +hospital-2 +due by the CSV 1,241\.23 +received by settlement 1,241\.23 +its own books 1,241\.23/)
  const commands = [...err.matchAll(/^ +npx --no meridian (.*)$/gm)].map(([, command]) => command!)
  t.equal(commands.length, 5)
  let invoice = ''
  for (const command of commands) {
    const args = command.replace('<the invoice>', invoice).split(' ')
    const receipt = args[0] === 'pay' ? ['--receipt', at('receipt.json')] : []
    const done = await run([...args, ...receipt])
    t.equal(done.code, 0, `${command}: ${done.err}`)
    if (args[0] === 'invoice') invoice = done.out.trim()
    if (args[0] === 'pay') t.match(done.out, /^succeeded 1,241\.22 fee 0\.13 hops 2 /)
  }
  const passphrase = { MERIDIAN_PASSPHRASE_FILE: join(work, 'passphrase') }
  const examined = await run(['doctor', '--dir', join(work, 'nodes', 'alice')], passphrase)
  t.match(examined.out, /^ok +ledger /m, 'its configuration names the ledger')
  demo.child.kill('SIGINT')
  t.equal(await demo.code, 6, demo.err())
  t.strictSame(processesOf(work), [], 'no process is left')
  t.ok(existsSync(join(work, 'wire')), 'a directory that was named stays')
})

/** Starts the demo and lets it come as far as a running hub. */
async function underWay(name: string) {
  const dir = at(name)
  const demo = start('--dir', dir)
  const hubApi = join(dir, 'nodes', 'hub', 'api.json')
  await until(() => existsSync(hubApi) || demo.child.exitCode !== null, 'the hub is up')
  return { dir, hubApi, ...demo }
}

t.test('Ctrl-C leaves no process and no lock', async (t) => {
  const { dir, child, code, hubApi, err } = await underWay('interrupted')
  child.kill('SIGINT')
  t.equal(await code, 1, err())
  t.match(err(), /interrupted/)
  t.strictSame(processesOf(dir), [])
  t.notOk(existsSync(hubApi), 'the hub stopped in order')
  t.ok(await isFree(join(dir, 'nodes', 'hub', 'store')))
})

t.test('a process that is killed ends the demo, and all others', async (t) => {
  const { dir, code, err } = await underWay('crash')
  const hub = processesOf(join(dir, 'nodes', 'hub')).find((line) => / hub --dir \S+\/hub(\s|$)/.test(line))
  process.kill(Number.parseInt(hub!, 10), 'SIGKILL')
  t.equal(await code, 1, err())
  t.match(err(), /the process hub ended with SIGKILL/)
  t.strictSame(processesOf(dir), [])
})

t.test('a demo that is killed takes its processes with it', async (t) => {
  const { dir, child, code } = await underWay('killed')
  child.kill('SIGKILL')
  await code
  await until(() => processesOf(dir).length === 0, 'all processes are gone')
  // A process that ends has no command line a moment before its locks go.
  const store = join(dir, 'nodes', 'hub', 'store')
  for (const late = Date.now() + 60_000; !(await isFree(store)) && Date.now() < late; ) await pause(100)
  t.ok(await isFree(store))
})

t.test('a file that cannot be read, or is none', async (t) => {
  t.match(await run(['demo', '--csv', at('none.csv')]), { code: 2, err: /cannot read/ })
  t.match(await run(['demo', '--csv', BIN, '--json']), { code: 3, err: /claims_header/ })
  t.match(await run(['demo', '--dir', home]), { code: 3, err: /store_exists/ })
})
