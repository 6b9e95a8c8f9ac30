/** Every step of a payment, enumerated: the acts that each process does while nobody dies, and the ways to die before each. */
import { between, type Founded, found, type Scene } from './stage.js'
import { type Cut, type Ending, trial } from './trial.js'

/** One lock over one hub; and one that the first hub refuses, so that it goes in two parts over both. */
const people = ['payer', 'payee']
export const SCENES: readonly Scene[] = [
  { name: 'one part', ...between(people, ['hub'], { sends: 100_000n, carries: 100_000n, amount: 50_000n }) },
  {
    name: 'two parts',
    ...between(people, ['left', 'right'], { sends: 200_000n, carries: 100_000n, amount: 120_000n }),
  },
]

const WAYS: readonly Pick<Cut, 'power' | 'back'>[] = [
  { power: false, back: 'at once' },
  { power: true, back: 'late' },
  { power: false, back: 'overdue' },
  { power: true, back: 'at once' },
  { power: false, back: 'late' },
  { power: true, back: 'overdue' },
]

/** How a payment may fail: a hop was away when it was asked, or a part was held for too long. */
const FAILURES: ReadonlySet<string> = new Set(['no_capacity_to_payee', 'no_capacity_on_route', 'parts_timeout'])

export interface Told {
  readonly trials: number
  /** By status; failures by their code. */
  readonly ends: Readonly<Record<string, number>>
  readonly wrong: readonly string[]
}

/** All ways to die before each act, or one of them, in turn, before one act in so many. */
export type Choice = 'all' | { readonly oneIn: number }

function cutsOf({ acts }: Ending, choice: Choice): Cut[] {
  const steps = [...acts].flatMap(([victim, count]) => Array.from({ length: count }, (_, act) => ({ victim, act })))
  if (choice === 'all') return steps.flatMap((step) => WAYS.map((way) => ({ ...step, ...way })))
  const some = steps.filter((_, at) => at % choice.oneIn === 0)
  return some.map((step, at) => ({ ...step, ...WAYS[at % WAYS.length]! }))
}

function wrongWith(cut: Cut, { view, died, wrong }: Ending): string[] {
  const all = [...wrong]
  if (!died) all.push('it did not die')
  if (view?.status === 'failed') {
    if (!FAILURES.has(view.code ?? '')) all.push(`it failed for ${view.code}`)
    // R5: what the payer had begun goes on, unless its parts waited for it in vain.
    if (cut.victim === 'payer' && cut.back !== 'overdue') all.push('its payer gave up')
  }
  const { victim, act, power, back } = cut
  return all.map(
    (what) => `${victim} ${power ? 'loses power' : 'is killed'} before its act ${act}, back ${back}: ${what}`,
  )
}

export async function everyStep(scene: Scene, seed: string, choice: Choice): Promise<Told> {
  const founded: Founded = await found(scene)
  const whole = await trial(founded, seed)
  const wrong = whole.wrong.map((what) => `nobody dies: ${what}`)
  if (whole.view?.status !== 'succeeded') wrong.push(`nobody dies, and it is ${whole.view?.status} ${whole.view?.code}`)
  if (whole.view?.parts !== scene.hubs.length) wrong.push(`nobody dies, and it has ${whole.view?.parts} parts`)
  const ends: Record<string, number> = {}
  const cuts = cutsOf(whole, choice)
  for (const cut of cuts) {
    const ending = await trial(founded, seed, cut)
    const end = ending.view?.code ?? ending.view?.status ?? 'unknown'
    ends[end] = (ends[end] ?? 0) + 1
    wrong.push(...wrongWith(cut, ending).map((what) => `${scene.name}, seed ${seed}: ${what}`))
  }
  return { trials: cuts.length, ends, wrong }
}
