/** Power cuts on a simulated disk under real processes (S1, S2, C6); `npm run crash -- --power N` is the long run. */
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createDirectory } from '../../src/store/directory.js'
import { FATAL_EXIT_CODE } from '../../src/store/fatal.js'
import { must } from '../chain-adapter/fixtures.js'
import { type Disk, diskEnv, noShim } from './shim/build.js'

t.setTimeout(900_000)
const skip = noShim() ?? false
const script = (name: string): string => fileURLToPath(new URL(`./shim/${name}.js`, import.meta.url))

interface Life {
  readonly lines: readonly string[]
  readonly errors: string
  readonly signal: NodeJS.Signals | null
  readonly code: number | null
}

let shadows = 0

/** One process on such a disk, to its end. */
async function live(root: string, dir: string, args: readonly string[], disk: Disk): Promise<Life> {
  const shadow = join(root, `shadow-${shadows++}`)
  mkdirSync(shadow)
  const env = { ...process.env, ...diskEnv(dir, shadow, disk) }
  const child = spawn(process.execPath, [...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (bytes) => {
    errors += bytes
  })
  const ended = new Promise<Pick<Life, 'code' | 'signal'>>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  )
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) lines.push(line)
  return { lines, errors, ...(await ended) }
}

const tree = (dir: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => [name, statSync(join(dir, name)).isFile() ? readFileSync(join(dir, name), 'utf8') : 'directory']),
  )

const SYNCED = {
  appended: 'appended',
  'cut-off': 'cut-off',
  emptied: 'emptied',
  kept: 'Kept and synced',
  'made-before': 'directory',
  moved: 'moved',
  overwritten: 'overwritten',
  removed: 'removed',
  replaced: 'replaced',
}

t.test('the shim leaves what was synced, and nothing else', { skip }, async (t) => {
  const root = t.testdir({ dir: {} })
  const dir = join(root, 'dir')
  const { lines, errors, signal } = await live(root, dir, [script('probe'), dir], {})
  t.match(errors, /shim: power cut before call \d+, power-cut, after 14 syncs/)
  t.equal(signal, 'SIGKILL')
  t.same(lines, [])
  t.same(tree(dir), SYNCED)
})

t.test('where syncs are switched off, nothing is left', { skip }, async (t) => {
  const root = t.testdir({ dir: {} })
  const dir = join(root, 'dir')
  await live(root, dir, [script('probe'), dir], { noSync: true })
  t.same(tree(dir), {})
})

interface Promised {
  version: number
  lost: number
}

async function prepare(t: Test): Promise<{ root: string; dir: string; passphrase: string }> {
  const root = t.testdir({ passphrase: 'two words' })
  const [dir, passphrase] = [join(root, 'node'), join(root, 'passphrase')]
  await must(await createDirectory(dir, passphrase, { test: true })).close()
  return { root, dir, passphrase }
}

/** What a life found against what the one before it promised. */
function judge(lines: readonly string[], promised: Promised): void {
  for (const line of lines) {
    const [word, value] = line.split(' ')
    if (word === 'behind' || (word === 'refused' && value !== 'store_failed')) promised.lost += 1
    else if (word === 'at' && Number(value) < promised.version) promised.lost += 1
    if (word === 'at' || word === 'acknowledged') promised.version = Number(value)
  }
}

t.test('a store loses nothing that it acknowledged, wherever it is cut', { skip }, async (t) => {
  const { root, dir, passphrase } = await prepare(t)
  const promised: Promised = { version: 0, lost: 0 }
  for (const [i, cut] of [3, 240, 61, 405, 517, 30, 333, 190].entries()) {
    const disk = i % 2 === 0 ? { cut } : { cut, torn: 77 + i }
    judge((await live(root, dir, [script('store-writer'), dir, passphrase, '2000'], disk)).lines, promised)
  }
  t.ok(promised.version > 50, `${promised.version} acknowledged`)
  t.equal(promised.lost, 0)
})

t.test('nor where LevelDB has just begun a log', { skip }, async (t) => {
  const { root, dir, passphrase } = await prepare(t)
  const promised: Promised = { version: 0, lost: 0 }
  for (let i = 0; i < 3; i++) {
    const args = [script('store-writer'), dir, passphrase, '200000', 'at-switch']
    const { lines, errors } = await live(root, dir, args, {})
    judge(lines, promised)
    t.match(errors, /power-cut/)
  }
  t.equal(promised.lost, 0)
})

t.test('but where syncs are switched off it does', { skip }, async (t) => {
  const { root, dir, passphrase } = await prepare(t)
  const promised: Promised = { version: 0, lost: 0 }
  for (const cut of [300, 300]) {
    const disk = { cut, noSync: true }
    judge((await live(root, dir, [script('store-writer'), dir, passphrase, '2000'], disk)).lines, promised)
  }
  t.ok(promised.lost > 0)
})

t.test('a disk that fails ends the process at once, and what was acknowledged is there', { skip }, async (t) => {
  const { root, dir, passphrase } = await prepare(t)
  const promised: Promised = { version: 0, lost: 0 }
  const disks: readonly Disk[] = [
    { failSync: 20 },
    { failSync: 31 },
    { full: { after: 300_000, refusals: 1 } },
    { full: { after: 9_000_000, refusals: 2 } },
    { full: { after: 100_000, refusals: 0 } },
  ]
  for (const disk of disks) {
    const { lines, code, errors } = await live(root, dir, [script('store-writer'), dir, passphrase, '50000'], disk)
    t.equal(code, FATAL_EXIT_CODE, errors)
    judge(lines, promised)
  }
  judge((await live(root, dir, [script('store-writer'), dir, passphrase, '2000'], { cut: 200 })).lines, promised)
  t.ok(promised.version > 20, `${promised.version} acknowledged`)
  t.equal(promised.lost, 0)
})
