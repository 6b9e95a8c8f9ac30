/** A program is bytes: eight for each step, an action and what it draws. Any bytes are a program. */
import { Random } from './random.js'

export const STEP_BYTES = 8

/** How often each action comes, of 1,000. Half of the steps deliver messages. */
const WEIGHTS = {
  /** The oldest message of some connection arrives. */
  deliver: 560,
  /** Some of what is ready in the nodes, and no more. */
  work: 70,
  /** A routed payment: invoice, onion, locks, claims. */
  pay: 105,
  /** An unconditional payment within one channel. */
  payDirect: 40,
  /** Some seconds pass, with a block at their end. */
  pass: 60,
  /** A connection breaks. */
  cut: 28,
  /** A pair of nodes cannot connect; or can again. */
  block: 16,
  /** Messages between a pair stand still: a payee's locks stay where they are. Or they go on. */
  stall: 12,
  /** A process is killed or its power cut, now or at one of its next acts. */
  crash: 30,
  /** A disk is full, refuses a write or fails a sync. */
  fault: 10,
  /** A block that is not final is taken apart. */
  reorganise: 10,
  /** A transaction stays out of some blocks. */
  withhold: 8,
  /** Calls to the ledger whose outcome stays unknown. */
  lose: 8,
  /** Past expiries: a quarter of an hour or more, every node up. */
  forward: 6,
  /** Operator: close together. */
  close: 4,
  /** Operator: another channel where one has ended. */
  open: 30,
  /** Some node's files are copied, for later. */
  copy: 12,
  /** Operator: an exit without the peer. */
  force: 3,
  /** A disk is put back: all files of an earlier moment, the database alone, or nothing but the seed. */
  restore: 5,
  /** Mallory publishes an old state of hers. */
  exitOld: 9,
} as const
export type ActionName = keyof typeof WEIGHTS
export const ACTIONS = Object.keys(WEIGHTS) as ActionName[]

const TOTAL = Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0)

export interface Instruction {
  readonly action: ActionName
  /** Two parameters and the seed of everything else that the step draws. */
  readonly a: number
  readonly b: number
  readonly seed: Uint8Array
}

export function instructionAt(program: Uint8Array, step: number): Instruction {
  const at = step * STEP_BYTES
  let left = (program[at]! * 256 + program[at + 1]!) % TOTAL
  const seed = program.subarray(at + 4, at + STEP_BYTES)
  const rest = { a: program[at + 2]!, b: program[at + 3]!, seed }
  for (const action of ACTIONS) {
    left -= WEIGHTS[action]
    if (left < 0) return { action, ...rest }
  }
  return { action: 'deliver', ...rest }
}

export const stepsOf = (program: Uint8Array): number => Math.floor(program.length / STEP_BYTES)

export const randomProgram = (seed: string, steps: number): Uint8Array =>
  new Random(`program ${seed}`).bytes(steps * STEP_BYTES)
