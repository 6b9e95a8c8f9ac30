/**
 * A program is bytes: eight for each step, an action and what it draws. Any bytes are a program. Random ones come in
 * stretches: quiet ones, in which payments have time to succeed, and storms, which meet them half way.
 */
import { Random } from './random.js'

export const STEP_BYTES = 8

/** How often each action comes, in quiet and in a storm. */
const WEIGHTS = {
  /** The oldest message of some connection arrives. */
  deliver: [720, 480],
  /** Some of what is ready in the nodes, and no more. */
  work: [60, 60],
  /** A routed payment: invoice, onion, locks, claims. */
  pay: [110, 90],
  /** An unconditional payment within one channel. */
  payDirect: [30, 30],
  /** Some seconds pass, with a block at their end. */
  pass: [40, 60],
  /** Operator: another channel where one has ended. */
  open: [40, 40],
  /** Some node's files are copied, for later. */
  copy: [8, 12],
  /** A connection breaks. */
  cut: [0, 40],
  /** A pair of nodes cannot connect; or can again. */
  block: [0, 25],
  /** Messages between a pair stand still: a payee's locks stay where they are. Or they go on. */
  stall: [0, 20],
  /** A process is killed or its power cut, now or at one of its next acts. */
  crash: [0, 80],
  /** A disk is full, refuses a write or fails a sync. */
  fault: [0, 20],
  /** A block that is not final is taken apart. */
  reorganise: [0, 16],
  /** A transaction stays out of some blocks. */
  withhold: [0, 14],
  /** Calls to the ledger whose outcome stays unknown. */
  lose: [0, 14],
  /** Past expiries: a quarter of an hour or more, every node up. */
  forward: [0, 14],
  /** Operator: close together. */
  close: [0, 8],
  /** Operator: an exit without the peer. */
  force: [0, 14],
  /** A disk is put back: all files of an earlier moment, the database alone, or nothing but the seed. */
  restore: [0, 55],
  /** Mallory publishes an old state of hers. */
  exitOld: [0, 80],
  /** A node is away: longer than a dispute where its towers can act for it. */
  absent: [0, 30],
  /** A tower is killed or its power cut. */
  towerCrash: [0, 20],
  /** A tower stays away for a while. */
  towerAway: [0, 12],
  /** Messages between a tower and its clients stand still. */
  towerHold: [0, 10],
} as const
export type ActionName = keyof typeof WEIGHTS
export const ACTIONS = Object.keys(WEIGHTS) as ActionName[]

type Weather = 0 | 1
const QUIET: Weather = 0
/** Steps of a stretch, at least, and what chance adds: quiet ones, storms. */
const STRETCH = [
  [30, 40],
  [8, 14],
] as const

export interface Instruction {
  readonly action: ActionName
  /** Two parameters and the seed of everything else that the step draws. */
  readonly a: number
  readonly b: number
  readonly seed: Uint8Array
}

export function instructionAt(program: Uint8Array, step: number): Instruction {
  const at = step * STEP_BYTES
  const action = ACTIONS[program[at]! % ACTIONS.length]!
  return { action, a: program[at + 1]!, b: program[at + 2]!, seed: program.subarray(at + 3, at + STEP_BYTES) }
}

export const stepsOf = (program: Uint8Array): number => Math.floor(program.length / STEP_BYTES)

export function randomProgram(seed: string, steps: number): Uint8Array {
  const random = new Random(`program ${seed}`)
  const program = random.bytes(steps * STEP_BYTES)
  let weather: Weather = QUIET
  for (let [step, left] = [0, 0]; step < steps; step++, left--) {
    if (left === 0) {
      weather = step === 0 || weather !== QUIET ? QUIET : 1
      left = STRETCH[weather][0] + random.below(STRETCH[weather][1])
    }
    program[step * STEP_BYTES] = drawn(random, weather)
  }
  return program
}

const TOTALS = [QUIET, 1].map((weather) => ACTIONS.reduce((sum, name) => sum + WEIGHTS[name][weather as Weather], 0))

function drawn(random: Random, weather: Weather): number {
  let left = random.below(TOTALS[weather]!)
  return ACTIONS.findIndex((name) => {
    left -= WEIGHTS[name][weather]
    return left < 0
  })
}
