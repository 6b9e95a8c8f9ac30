/** One seeded fault: a patch with a head that names what it breaks and what must notice. */
export interface Mutant {
  readonly name: string
  /** Clause of PROTOCOL.md. */
  readonly clause: string
  /** What the fault does, one line. */
  readonly fault: string
  /** Arguments of `node`, relative to the package: a compiled test, or the simulation. It must fail. */
  readonly caughtBy: readonly string[]
  /** `only: simulation` in the head: no other test of the project notices. */
  readonly bySimulationAlone: boolean
  readonly patch: string
}

const HEAD = /^(clause|fault|caught-by|only): (.+)$/
const CLAUSE = /^[PLACWRTSK]\d+$/
const TEST = /^dist\/test\/[\w/-]+\.test\.js$/
const SIMULATION = /^dist\/test\/crash\/main\.js --simulate --steps \d+ --seed \w+ --no-shrink$/

/** @throws Error where the head lacks a line or names nothing that can notice: such a mutant proves nothing. */
export function readMutant(name: string, patch: string): Mutant {
  const fields = new Map<string, string>()
  for (const line of patch.split('\n')) {
    if (line.startsWith('diff --git ')) break
    const found = HEAD.exec(line)
    if (found === null && line !== '') throw new Error(`${name}: "${line}" is no line of a head`)
    if (found !== null) fields.set(found[1]!, found[2]!)
  }
  const field = (key: string): string => {
    const value = fields.get(key)
    if (value === undefined) throw new Error(`${name}: the head has no line "${key}: …"`)
    return value
  }
  const [clause, fault, command, only] = [field('clause'), field('fault'), field('caught-by'), fields.get('only')]
  if (!CLAUSE.test(clause)) throw new Error(`${name}: "${clause}" is no clause`)
  const simulated = SIMULATION.test(command)
  if (!simulated && !TEST.test(command)) throw new Error(`${name}: "${command}" is neither a test nor the simulation`)
  if (only !== undefined && !(only === 'simulation' && simulated)) {
    throw new Error(`${name}: "only: simulation" stands where the simulation is what notices, and nothing else`)
  }
  return { name, clause, fault, caughtBy: command.split(' '), bySimulationAlone: only !== undefined, patch }
}

/** Relative to the package. */
export const changedFiles = (patch: string): string[] =>
  [...patch.matchAll(/^\+\+\+ b\/(.+)$/gm)].map(([, file]) => file!)
