/** The head of a seeded fault: what it must say, and that every patch of the folder says it. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ROOT } from '../../src/base/root.js'
import { changedFiles, readMutant } from './patch.js'
import { noticed, OUT_OF_TIME } from './verdict.js'

const BODY = '\ndiff --git a/src/x.ts b/src/x.ts\n--- a/src/x.ts\n+++ b/src/x.ts\n@@ -1 +1 @@\n-a\n+b\n'
const SIMULATION = 'dist/test/crash/main.js --simulate --steps 20000 --seed 1 --no-shrink'
const HEAD = ['clause: C6', 'fault: too early', 'caught-by: dist/test/channel/round.test.js']

const patchOf = (lines: readonly string[]): string => `${lines.join('\n')}\n${BODY}`
const read = (lines: readonly string[]) => readMutant('it', patchOf(lines))
const withLine = (at: number, line: string): string[] => HEAD.with(at, line)

t.test('a head is read', async (t) => {
  const caughtBy = ['dist/test/channel/round.test.js']
  const plain = { name: 'it', clause: 'C6', fault: 'too early', caughtBy, bySimulationAlone: false }
  t.same(read(HEAD), { ...plain, patch: patchOf(HEAD) })
  t.same(changedFiles(BODY), ['src/x.ts'])
  const simulated = withLine(2, `caught-by: ${SIMULATION}`)
  t.same(read(simulated), { ...plain, caughtBy: SIMULATION.split(' '), patch: patchOf(simulated) })
  t.equal(read([...simulated, 'only: simulation']).bySimulationAlone, true)
})

t.test('a bad head is refused', async (t) => {
  for (const line of HEAD) {
    const rest = HEAD.filter((other) => other !== line)
    t.throws(() => read(rest), /the head has no line/, `without ${line}`)
    t.throws(
      () => readMutant('it', `${rest.join('\n')}\n${BODY}\n${line}`),
      /no line/,
      'it must stand before the patch',
    )
  }
  t.throws(() => read(withLine(0, 'clause: soundness')), /no clause/)
  t.throws(() => read([...HEAD, 'note: whatever']), /no line of a head/)
  const nothings = ['npm test', 'dist/src/cli/main.js', 'dist/test/house/world.js', 'dist/test/../../x.test.js']
  for (const nothing of [...nothings, 'dist/test/crash/main.js --simulate']) {
    t.throws(() => read(withLine(2, `caught-by: ${nothing}`)), /neither a test nor the simulation/, nothing)
  }
  t.throws(() => read([...HEAD, 'only: simulation']), /nothing else/)
  t.throws(() => read([...withLine(2, `caught-by: ${SIMULATION}`), 'only: me']), /nothing else/)
})

t.test('every patch of this folder has a whole head and a small hunk or two', async (t) => {
  const folder = new URL('test/mutants/', ROOT)
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.patch'))) {
    const patch = readFileSync(new URL(file, folder), 'utf8')
    t.doesNotThrow(() => readMutant(file, patch), file)
    t.match(patch, /^\+\+\+ b\/src\//m, `${file} changes the program`)
    t.notMatch(patch, /^\+\+\+ b\/test\//m, `${file} changes no test`)
  }
})

const skip = spawnSync('git', ['--version']).status !== 0 && 'needs git'
t.test('every patch of this folder still applies: whoever moves its lines makes it anew', { skip }, async (t) => {
  const folder = fileURLToPath(new URL('test/mutants/', ROOT))
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.patch'))) {
    const check = ['apply', '--check', '--recount', `${folder}${file}`]
    const { status, stderr } = spawnSync('git', check, { cwd: fileURLToPath(ROOT), encoding: 'utf8' })
    t.equal(status, 0, `${file}: ${stderr}`)
  }
})

t.test('what counts as noticed', async (t) => {
  t.equal(noticed('    not ok 3 - to the unit'), 'to the unit')
  t.equal(noticed('not ok 1 - the hub never loses # time=12.5ms'), 'the hub never loses')
  t.equal(noticed('    not ok 7'), 'an assertion without a name')
  t.equal(noticed('not ok 1 - timeout!'), OUT_OF_TIME)
  t.equal(noticed('C6, S2: version 7 was signed, 6 is stored'), 'C6, S2: version 7 was signed, 6 is stored')
  t.equal(noticed('code: InvariantError: S2: a mark never falls'), 'S2: a mark never falls')
  for (const nothing of [
    'ok 1 - this is not ok',
    '    # Subtest: C6: before',
    'not ok 2 - later # TODO',
    '300 steps',
    'code: a stack',
    '# not ok',
  ])
    t.equal(noticed(nothing), undefined, nothing)
})
