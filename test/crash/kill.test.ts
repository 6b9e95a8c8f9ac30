/** A kill, a power cut and a full disk under load, over one network of real processes; `npm run crash` is the long run. */
import t from 'tap'
import { runLoop } from './processes/loops.js'
import { noShim } from './shim/build.js'

const SHORT = { kill: 1, power: 1, 'disk-full': 1 } as const

t.setTimeout(900_000)
const dir = t.testdir()
for (const [name, target] of Object.entries(SHORT) as [keyof typeof SHORT, number][]) {
  const skip = (name === 'kill' ? undefined : noShim()) ?? false
  t.test(`${name}: nothing acknowledged is lost or doubled, to the unit`, { skip }, async (t) => {
    const tell = (line: string): void => t.comment(line)
    const { broken, ends, succeeded } = await runLoop({ name, target, seed: 5, dir, state: undefined, tell })
    t.equal(broken, undefined)
    t.ok(ends >= target)
    t.ok(succeeded > 0)
  })
}
