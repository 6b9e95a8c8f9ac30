/**
 * `npm run mutants`: the clean tree is green, and every seeded fault of this folder compiles and is caught by the test that
 * it names: an assertion fails, a time that ran out is none. Works in a copy; the checkout stays as it is.
 *   --only NAME    this fault, or several of them; nothing is said of their number then
 *   --state FILE   goes on where an earlier run stopped: what was caught on this very tree is not judged again
 *   --alone        the rest of the tests over the faults that only the simulation is said to notice: none may fail
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ROOT } from '../../src/base/root.js'
import { type Mutant, readMutant } from './patch.js'
import { OUT_OF_TIME } from './verdict.js'
import { treeDigest, Workshop } from './workshop.js'

const HERE = fileURLToPath(new URL('test/mutants/', ROOT))
/** Issue B: so many faults at the least, and of them so many that the simulation alone notices. */
const MUTANTS_MIN = 40
const SIMULATED_MIN = 3
/** Everything but the simulation itself. */
const OTHER_TESTS = ['scripts/test.mjs', '--without', 'crash/simulate']
const OTHERS_MS = 7_200_000

interface Verdict {
  readonly caught: boolean
  /** What the test said, or why it does not count. */
  readonly said: string
}

/** What was seen on one tree: commands that are green without any fault; what was caught, by the digest of its patch. */
interface Progress {
  readonly tree: string
  readonly green: string[]
  readonly verdicts: Record<string, Verdict>
}

class State {
  readonly #progress: Progress

  constructor(private readonly file: string | undefined) {
    const fresh: Progress = { tree: treeDigest(), green: [], verdicts: {} }
    const stored = file !== undefined && existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Progress) : fresh
    this.#progress = stored.tree === fresh.tree ? stored : fresh
  }

  isGreen = (command: string): boolean => this.#progress.green.includes(command)
  verdict = ({ patch }: Mutant): Verdict | undefined => this.#progress.verdicts[digestOf(patch)]

  green(command: string): void {
    this.#progress.green.push(command)
    this.#save()
  }

  caught({ patch }: Mutant, verdict: Verdict): void {
    this.#progress.verdicts[digestOf(patch)] = verdict
    this.#save()
  }

  #save(): void {
    if (this.file === undefined) return
    writeFileSync(`${this.file}.new`, JSON.stringify(this.#progress))
    renameSync(`${this.file}.new`, this.file)
  }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

function read(): Mutant[] {
  const files = readdirSync(HERE).filter((file) => file.endsWith('.patch'))
  return files.map((file) => readMutant(file.slice(0, -'.patch'.length), readFileSync(join(HERE, file), 'utf8')))
}

async function judge(shop: Workshop, mutant: Mutant): Promise<Verdict> {
  const made = await shop.with(mutant, () => shop.run(mutant.caughtBy))
  if ('wrong' in made) return { caught: false, said: made.wrong }
  const { said, green } = made.done
  if (said === undefined) return { caught: false, said: green ? 'SURVIVED' : 'its test ended without an assertion' }
  return said === OUT_OF_TIME ? { caught: false, said: 'its test only ran out of time' } : { caught: true, said }
}

/** The other tests, over a fault that only the simulation is said to notice. */
async function judgeAlone(shop: Workshop, mutant: Mutant): Promise<Verdict> {
  const made = await shop.with(mutant, () => shop.run(OTHER_TESTS, OTHERS_MS))
  if ('wrong' in made) return { caught: false, said: made.wrong }
  return { caught: made.done.green, said: made.done.said ?? 'no other test notices' }
}

/** Without its fault a test must be green, else it notices nothing. */
async function cleanFaults(shop: Workshop, state: State, mutants: readonly Mutant[]): Promise<string[]> {
  const complaint = shop.compile()
  if (complaint !== undefined) return [`the clean tree does not compile: ${complaint}`]
  const red: string[] = []
  for (const command of new Set(mutants.map(({ caughtBy }) => caughtBy.join(' ')))) {
    if (state.isGreen(command)) continue
    const { said, green } = await shop.run(command.split(' '))
    console.log(`${green ? 'green ' : 'RED   '} ${command}`)
    if (green) state.green(command)
    else red.push(`the clean tree fails ${command}: ${said ?? 'no assertion'}`)
  }
  return red
}

function tooFew(mutants: readonly Mutant[]): string[] {
  const simulated = mutants.filter(({ bySimulationAlone }) => bySimulationAlone).length
  const enough = mutants.length >= MUTANTS_MIN && simulated >= SIMULATED_MIN
  return enough ? [] : [`${mutants.length} mutants, ${simulated} by the simulation alone: too few`]
}

function print({ name, clause, fault }: Mutant, { caught, said }: Verdict): void {
  console.log(`${caught ? 'caught' : 'NOT   '} ${name} (${clause}): ${fault} -- ${said.slice(0, 160)}`)
}

async function main(args: readonly string[]): Promise<number> {
  const options = { only: { type: 'string', multiple: true }, state: { type: 'string' } } as const
  const { values } = parseArgs({ args: [...args], options: { ...options, alone: { type: 'boolean' } } })
  const { only, alone } = values
  const all = read()
  const unknown = (only ?? []).filter((name) => !all.some((mutant) => mutant.name === name))
  if (unknown.length > 0) throw new Error(`no such mutant: ${unknown.join(', ')}`)
  const chosen = all.filter(
    ({ name, bySimulationAlone }) => (only?.includes(name) ?? true) && (!alone || bySimulationAlone),
  )
  const state = new State(alone ? undefined : values.state)
  const shop = new Workshop()
  const faults = only === undefined ? tooFew(all) : []
  const red = await cleanFaults(shop, state, alone ? [] : chosen)
  let caught = 0
  for (const mutant of red.length === 0 ? chosen : []) {
    const verdict = state.verdict(mutant) ?? (await (alone ? judgeAlone : judge)(shop, mutant))
    print(mutant, verdict)
    if (verdict.caught) {
      caught += 1
      if (!alone) state.caught(mutant, verdict)
    } else faults.push(`${mutant.name}: ${verdict.said}`)
  }
  faults.push(...red)
  for (const fault of faults) console.log(fault)
  console.log(`${chosen.length} mutants, ${caught} caught, ${chosen.length - caught} not`)
  return faults.length === 0 && chosen.length > 0 ? 0 : 1
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.exitCode = await main(process.argv.slice(2))
