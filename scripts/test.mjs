/**
 * Runs compiled tap files in processes of their own, the longest first, and adds up tap's own totals. tap's runner would
 * load its TypeScript compiler into each of them: more than a second of every file's time.
 *   node scripts/test.mjs [file…]          default: dist/test/*\/*.test.js, and the type check
 *   node scripts/test.mjs --without name   all but this one, `crash/simulate` say
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const TESTS = 'dist/test'
/** Seconds that one file may take. */
const FILE_S = 420
/** Begun first, so that none of them is left alone at the end. */
const LONG = [
  'cli/demo',
  'bench/bench',
  'cli/verbs',
  'crash/kill',
  'cli/cli',
  'node/refusals',
  'cli/recovery',
  'node/hostile',
  'crash/every-step',
  'api/api',
  'node/faults',
  'node/stall',
  'wire/hostile',
  'crash/simulate',
  'crash/power',
  'node/tower-faults',
  'cli/tower-fault',
]
/** They wait for disks, blocks and processes as well: one more than there are cores. */
const JOBS = availableParallelism() + 1
/** Beside the tests, since a core that waits for the compiler tests nothing: what is tested was emitted unchecked. */
const TYPE_CHECK = 'type check'
const TSC = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit']
const TOTALS = /^# \{ total: \d+.*\}$/gm

const nameOf = (file) => (file === TYPE_CHECK ? file : file.slice(TESTS.length + 1, -'.test.js'.length))
const rank = (file) => (LONG.includes(nameOf(file)) ? LONG.indexOf(nameOf(file)) : LONG.length)

const allFiles = () =>
  readdirSync(TESTS, { recursive: true })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join(TESTS, file))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))

/** Resolves with what the file, or the type check, printed and how it ended. */
function run(file) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, file === TYPE_CHECK ? TSC : [file], {
      env: { ...process.env, TAP_TIMEOUT: String(FILE_S) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (text) => {
        out += text
      })
    }
    const late = setTimeout(() => child.kill('SIGKILL'), (FILE_S + 60) * 1_000)
    child.on('close', (code, signal) => {
      clearTimeout(late)
      resolve({ ok: code === 0, out, end: signal ?? `code ${code}` })
    })
  })
}

/** Of tap's last totals; a file that ended without any counts as one failure. */
function countsOf({ ok, out }) {
  const line = out.match(TOTALS)?.at(-1) ?? ''
  const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0)
  const fail = count('fail')
  return { pass: count('pass'), skip: count('skip'), fail: ok ? fail : Math.max(fail, 1) }
}

const [first, name] = process.argv.slice(2)
const all = allFiles()
const chosen = first === '--without' ? all.filter((file) => nameOf(file) !== name) : process.argv.slice(2)
const files = first === undefined ? [TYPE_CHECK, ...all] : chosen
const waiting = [...files]
const sum = { pass: 0, fail: 0, skip: 0 }

async function lane() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const began = performance.now()
    const ran = await run(file)
    const counts = countsOf(ran)
    for (const name of Object.keys(sum)) sum[name] += counts[name]
    const seconds = ((performance.now() - began) / 1_000).toFixed(1)
    console.log(`${ran.ok ? 'ok' : 'not ok'} ${nameOf(file)}: ${counts.pass} passed, ${seconds} s`)
    if (!ran.ok) console.log(`${ran.out}\n${nameOf(file)} ended with ${ran.end}`)
  }
}

await Promise.all(Array.from({ length: JOBS }, lane))
const { pass, fail, skip } = sum
console.log(`# { total: ${pass + fail + skip}, pass: ${pass}, fail: ${fail}, skip: ${skip} }`)
process.exitCode = fail === 0 && pass > 0 ? 0 : 1
