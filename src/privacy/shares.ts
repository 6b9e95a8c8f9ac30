/**
 * One proof on several threads. Each runs the same computation over the same input and with the same nonces; only costly
 * items are divided: a thread does those of its share, yields what they gave, and is handed what all of them gave. So the
 * result does not depend on how many threads there are, and one alone runs the very same code.
 */
export interface Share {
  readonly index: number
  readonly of: number
}

export const WHOLE: Share = { index: 0, of: 1 }

/** Per item, in order: its bytes, null where it has none (a failure of the whole), undefined where another share has it. */
export type Findings = readonly (Uint8Array | null | undefined)[]

export type Divided<T> = Generator<Findings, T, Findings>

export interface Item {
  /** Relative to the others. */
  readonly cost: number
  readonly run: () => Uint8Array | undefined
}

/** @returns every item's bytes, in order, or undefined where one has none. */
export function* divide(share: Share, items: readonly Item[]): Divided<readonly Uint8Array[] | undefined> {
  const owners = ownersOf(items, share.of)
  const all = yield items.map((item, i) => (owners[i] === share.index ? (item.run() ?? null) : undefined))
  const found = all.filter((bytes) => bytes instanceof Uint8Array)
  return found.length === items.length ? found : undefined
}

/** The costliest first, each to whoever has least. */
function ownersOf(items: readonly Item[], shares: number): number[] {
  const load = new Array<number>(shares).fill(0)
  const owners: number[] = []
  for (const [i, { cost }] of [...items.entries()].sort(([, a], [, b]) => b.cost - a.cost)) {
    const owner = load.indexOf(Math.min(...load))
    load[owner]! += cost
    owners[i] = owner
  }
  return owners
}

/** Each item from the share that has it. */
export const mergeFindings = (ours: Findings, theirs: Findings): Findings =>
  ours.map((bytes, i) => (bytes === undefined ? theirs[i] : bytes))

/** On this thread alone: for a computation over the WHOLE. */
export function alone<T>(work: Divided<T>): T {
  let step = work.next([])
  while (step.done !== true) step = work.next(step.value)
  return step.value
}
