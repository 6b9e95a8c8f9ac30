/** One seeded fault: a patch with a head that names what it breaks and what must notice. */
export interface Mutant {
  readonly name: string
  /** Clause of PROTOCOL.md. */
  readonly clause: string
  /** What the fault does, one line. */
  readonly fault: string
  /** Arguments of `node`, relative to the package: a compiled test, or the simulation. It must fail. */
  readonly caughtBy: readonly string[]
}

const HEAD = /^(clause|fault|caught-by): (.+)$/

/** @throws Error where the head lacks a line: a mutant that nobody has to notice proves nothing. */
export function readMutant(name: string, patch: string): Mutant {
  const fields = new Map<string, string>()
  for (const line of patch.split('\n')) {
    if (line.startsWith('--- ')) break
    const found = HEAD.exec(line)
    if (found !== null) fields.set(found[1]!, found[2]!)
  }
  const field = (key: string): string => {
    const value = fields.get(key)
    if (value === undefined) throw new Error(`${name}: the head has no line "${key}: …"`)
    return value
  }
  return { name, clause: field('clause'), fault: field('fault'), caughtBy: field('caught-by').split(' ') }
}
