/** A short run of the simulation, that one seed is one run, and that what must be seen is seen. */
import t from 'tap'
import { NAMES } from './simulate/base.js'
import { deliveries, WORLD_STEPS } from './simulate/main.js'
import { randomProgram, STEP_BYTES, stepsOf } from './simulate/program.js'
import { run } from './simulate/run.js'
import { shrink } from './simulate/shrink.js'
import type { Counts, World } from './simulate/world.js'

const WORLDS = 5

t.test('whatever fails, no promise is broken and nothing stays stuck', async (t) => {
  const sum: Counts = {}
  let [steps, syncs] = [0, 0]
  for (let world = 0; world < WORLDS; world++) {
    const seed = `test.${world}`
    const outcome = await run(seed, randomProgram(seed, WORLD_STEPS))
    t.equal(outcome.violation?.message, undefined, `seed ${seed}`)
    steps += outcome.steps
    syncs += outcome.events
    for (const [name, count] of Object.entries(outcome.counts)) sum[name] = (sum[name] ?? 0) + count
  }
  for (const wanted of [
    'crash.kill',
    'crash.power',
    'exit.old',
    'payment.succeeded',
    'tower.receipt',
    'ledger.punish',
  ]) {
    t.ok((sum[wanted] ?? 0) > 0, `${wanted} happened`)
  }
  t.ok(deliveries(sum) > steps / 2, 'half of the steps deliver messages')
  t.ok(syncs > steps)
})

t.test('one seed is one run', async (t) => {
  const program = randomProgram('again', 120)
  const [first, second] = [await run('again', program), await run('again', program)]
  t.equal(first.trace, second.trace)
  t.not((await run('again', randomProgram('other', 120))).trace, first.trace)
})

/** The first seed that shows it: chance alone decides which. */
async function caught(change: (world: World) => void, clauses: readonly string[]): Promise<string | undefined> {
  for (let world = 0; world < 10; world++) {
    const seed = `caught.${world}`
    const { violation } = await run(seed, randomProgram(seed, 150), change)
    if (violation !== undefined) return clauses.includes(violation.clause) ? violation.clause : violation.message
  }
  return undefined
}

t.test('a disk that says that it has synced and has not is caught, and the program shrinks', async (t) => {
  const lying = (world: World): void => {
    for (const name of NAMES) world.hosts[name].disk.lies = true
  }
  t.match(await caught(lying, ['C6', 'S2', 'C11']), /^(C6|S2|C11)$/)
  const program = randomProgram('caught.0', 60)
  const whole = await run('caught.0', program, lying)
  if (whole.violation === undefined) return t.fail('it is not caught')
  const { violation } = whole
  const short = await shrink(program, violation, (candidate) => run('caught.0', candidate, lying), 30)
  t.ok(stepsOf(short) < 60)
  t.equal(short.length % STEP_BYTES, 0)
  t.equal((await run('caught.0', short, lying)).violation?.clause, violation.clause)
})
