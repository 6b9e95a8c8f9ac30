/**
 * `npm run crash -- --simulate --steps N --seed S`: worlds one after the other until their steps add up to N. The last line
 * counts what happened; a violation ends it with the clause, the seed of its world and exit code 1.
 *   --state FILE   goes on where an earlier call with the same seed stopped
 *   --replay WORLD runs one world again (its seed as it was printed), --program HEX a program in it; prints its trace
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { bytesToHex, hexToBytes } from '../../../src/base/bytes.js'
import { instructionAt, randomProgram, stepsOf } from './program.js'
import { type Outcome, run } from './run.js'
import { shrink } from './shrink.js'
import type { Counts } from './world.js'

/** Steps of one world's program; its calm end adds some. */
export const WORLD_STEPS = 300
const SHRINK_RUNS = 400
const PRINT_S = 20

interface Progress {
  readonly seed: string
  worlds: number
  steps: number
  readonly counts: Counts
}

const worldSeed = (seed: string, world: number): string => `${seed}.${world}`

function add(progress: Progress, { steps, counts }: Outcome): void {
  progress.worlds += 1
  progress.steps += steps
  for (const [name, count] of Object.entries(counts)) progress.counts[name] = (progress.counts[name] ?? 0) + count
}

/** Steps in which a message arrived, between nodes or between a node and a tower. */
export const deliveries = (counts: Counts): number => (counts['deliver'] ?? 0) + (counts['deliver.tower'] ?? 0)

function lineOf({ seed, worlds, steps, counts }: Progress): string {
  const names = Object.keys(counts).sort()
  const delivered = deliveries(counts)
  const share = Math.floor((100 * delivered) / Math.max(steps, 1))
  return `seed ${seed}: ${steps} steps in ${worlds} worlds, no violation; ${delivered} deliver messages (${share} %); ${names.map((name) => `${name} ${counts[name]}`).join(', ')}`
}

function load(file: string | undefined, seed: string): Progress {
  const fresh: Progress = { seed, worlds: 0, steps: 0, counts: {} }
  if (file === undefined || !existsSync(file)) return fresh
  const stored = JSON.parse(readFileSync(file, 'utf8')) as Progress
  return stored.seed === seed ? stored : fresh
}

interface Failed {
  readonly seed: string
  readonly program: Uint8Array
  readonly outcome: Outcome
  /** Of all worlds. */
  readonly steps: number
}

async function report({ seed, program, outcome, steps }: Failed, shrinks: boolean): Promise<number> {
  const { violation } = outcome
  if (violation === undefined) return 0
  process.stdout.write(
    `${outcome.tail.slice(-40).join('\n')}\n${violation.message}\nviolated ${violation.clause}, seed ${seed}, after ${steps} steps\n`,
  )
  if (!shrinks) return 1
  process.stdout.write('shrinking\n')
  const short = await shrink(program, violation, (candidate) => run(seed, candidate), SHRINK_RUNS)
  for (let step = 0; step < stepsOf(short); step++) {
    const { action, a, b } = instructionAt(short, step)
    process.stdout.write(`  ${action} ${a} ${b}\n`)
  }
  process.stdout.write(`replay: npm run crash -- --simulate --replay ${seed} --program ${bytesToHex(short)}\n`)
  process.stdout.write(`violated ${violation.clause}, seed ${seed}\n`)
  return 1
}

async function replay(seed: string, hex: string | undefined): Promise<number> {
  const program = hex === undefined ? randomProgram(seed, WORLD_STEPS) : hexToBytes(hex)
  const outcome = await run(seed, program)
  process.stdout.write(`${outcome.tail.join('\n')}\ntrace ${outcome.trace}, ${outcome.steps} steps\n`)
  const { violation } = outcome
  process.stdout.write(violation === undefined ? 'no violation\n' : `violated ${violation.message}, seed ${seed}\n`)
  return violation === undefined ? 0 : 1
}

export async function simulate(args: readonly string[]): Promise<number> {
  const options = { steps: { type: 'string' }, seed: { type: 'string' }, state: { type: 'string' } } as const
  const replaying = { replay: { type: 'string' }, program: { type: 'string' } } as const
  const unshrunk = { 'no-shrink': { type: 'boolean' } } as const
  const { values } = parseArgs({ args: [...args], options: { ...options, ...replaying, ...unshrunk } })
  if (values.replay !== undefined) return replay(values.replay, values.program)
  const steps = Number(values.steps ?? '100000')
  if (!Number.isSafeInteger(steps) || steps < 1) throw new Error('--steps takes a number from 1 on')
  const progress = load(values.state, values.seed ?? '1')
  for (let told = Date.now(); progress.steps < steps; ) {
    const seed = worldSeed(progress.seed, progress.worlds)
    const program = randomProgram(seed, Math.min(WORLD_STEPS, steps - progress.steps))
    const outcome = await run(seed, program)
    if (outcome.violation !== undefined) {
      return report({ seed, program, outcome, steps: progress.steps + outcome.steps }, values['no-shrink'] !== true)
    }
    add(progress, outcome)
    if (values.state !== undefined) writeFileSync(values.state, JSON.stringify(progress))
    if (Date.now() - told < PRINT_S * 1_000) continue
    told = Date.now()
    process.stdout.write(`${progress.steps} steps\n`)
  }
  process.stdout.write(`${lineOf(progress)}\n`)
  return 0
}
