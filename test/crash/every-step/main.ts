/** `npm run crash -- --every-step [--seed S]`: every way to die before every act; the seed orders what could happen in any order. */
import { parseArgs } from 'node:util'
import { everyStep, SCENES } from './steps.js'

export async function everyStepMain(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { seed: { type: 'string', default: '1' } } })
  let broken = 0
  for (const scene of SCENES) {
    const { trials, ends, wrong } = await everyStep(scene, values.seed, 'all')
    broken += wrong.length
    for (const what of wrong) process.stdout.write(`${what}\n`)
    const told = Object.entries(ends).map(([end, count]) => `${end} ${count}`)
    process.stdout.write(
      `${scene.name}, seed ${values.seed}: ${trials} trials, ${wrong.length} wrong; ${told.join(', ')}\n`,
    )
  }
  return broken === 0 ? 0 : 1
}
