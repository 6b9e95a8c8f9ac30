/** One program in one world, from the first step to calm. */
import { MeridianError } from '../../../src/base/errors.js'
import { act } from './actions.js'
import { calm } from './calm.js'
import { instructionAt, stepsOf } from './program.js'
import { Violation } from './verdicts.js'
import { type Counts, World } from './world.js'

export interface Outcome {
  readonly steps: number
  readonly counts: Counts
  readonly events: number
  readonly trace: string
  readonly tail: readonly string[]
  readonly violation: Violation | undefined
}

let running: World | undefined

/** S2: a process whose disk failed rejects what it was doing while it ends: nobody is there to hear it. */
process.on('unhandledRejection', (error) => {
  if (error instanceof MeridianError && error.code === 'store_failed') return
  if (running === undefined) throw error
  running.unhandled.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
})

/** @param change what is wrong with this world, for a check that it is seen. */
export async function run(seed: string, program: Uint8Array, change?: (world: World) => void): Promise<Outcome> {
  const world = await World.build(seed)
  running = world
  change?.(world)
  let violation: Violation | undefined
  try {
    for (let step = 0; step < stepsOf(program); step++) {
      const instruction = instructionAt(program, step)
      world.trace.note(`${step} ${instruction.action} ${instruction.a} ${instruction.b}`)
      await world.step(instruction, act)
    }
    await calm(world)
  } catch (error) {
    violation = error instanceof Violation ? error : (world.oracle.first ?? new Violation('code', describe(error)))
  }
  for (const machine of world.machines) machine.life?.end()
  running = undefined
  const { steps, counts, trace, schedule } = world
  return { steps, counts, events: schedule.events, trace: trace.hash, tail: trace.tail, violation }
}

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))
