/**
 * `npm run crash -- --kill N | --power N [--no-sync] | --io-error N | --disk-full N [--seed S] [--dir DIR] [--state FILE]`:
 * the long runs (docs/crash.md). Resumable: the directory keeps the network and the payments, the file the counts. One line at the end; exit 1
 * with the clause where a promise was broken, and the directory stays as it was found.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { noShim } from '../shim/build.js'
import { type LoopName, type LoopOptions, type LoopResult, runLoop } from './loops.js'
import { restoreFounded } from './network.js'

const OPTIONS = {
  kill: { type: 'string' },
  power: { type: 'string' },
  'io-error': { type: 'string' },
  'disk-full': { type: 'string' },
  'no-sync': { type: 'boolean', default: false },
  seed: { type: 'string', default: '1' },
  dir: { type: 'string' },
  state: { type: 'string' },
} as const

const tell = (line: string): void => console.error(line)

type Values = ReturnType<typeof valuesOf>
const valuesOf = (args: readonly string[]) => parseArgs({ args: [...args], options: OPTIONS }).values

function chosen(values: Values): { readonly name: LoopName; readonly target: number } {
  const names = (['kill', 'power', 'io-error', 'disk-full'] as const).filter((name) => values[name] !== undefined)
  const [name] = names
  const target = Number(name === undefined ? Number.NaN : values[name])
  if (name === undefined || names.length > 1 || !Number.isSafeInteger(target) || target < 1) {
    throw new Error('one of --kill N, --power N, --io-error N, --disk-full N')
  }
  return { name: name === 'power' && values['no-sync'] ? 'no-sync' : name, target }
}

const WORDS: Readonly<Record<LoopName, string>> = {
  kill: 'kill -9',
  power: 'power cuts',
  'no-sync': 'power cuts without syncs',
  'io-error': 'failed syncs',
  'disk-full': 'full disks',
}

function report(name: LoopName, result: LoopResult, rest: string): string {
  const { ends, ledgerKills, restarts, restartMs, payments, succeeded, ms } = result
  const ledger = ledgerKills === 0 ? '' : ` and ${ledgerKills} of the ledger`
  const cost = `${restarts} restarts of ${(restartMs / Math.max(1, restarts) / 1_000).toFixed(1)} s`
  const pace = `${(ends / Math.max(ms / 60_000, 0.001)).toFixed(1)} a minute`
  return `${ends} ${WORDS[name]}${ledger}, ${pace}, ${cost}, ${payments} payments, ${succeeded} succeeded, ${rest}`
}

/** Cuts that lose something are what is wanted here: the network begins anew after each. */
async function control(options: Omit<LoopOptions, 'name'>): Promise<number> {
  let lost = 0
  for (;;) {
    const result = await runLoop({ name: 'no-sync', ...options })
    if (result.broken === undefined) {
      console.log(report('no-sync', result, `${lost} times something was lost`))
      return lost > 0 ? 0 : 1
    }
    lost += 1
    tell(`lost, as it must be: ${result.broken}`)
    restoreFounded(join(options.dir, 'network'))
  }
}

/** @returns the exit code. */
export async function processes(args: readonly string[]): Promise<number> {
  const values = valuesOf(args)
  const { name, target } = chosen(values)
  const missing = name === 'kill' ? undefined : noShim()
  if (missing !== undefined) throw new Error(missing)
  const seed = Number(values.seed)
  const dir = values.dir ?? join(tmpdir(), `meridian-crash-${name}-${seed}`)
  const options = { target, seed, dir, state: values.state, tell }
  if (name === 'no-sync') return control(options)
  const result = await runLoop({ name, ...options })
  console.log(
    report(name, result, result.broken === undefined ? '0 lost, 0 doubled' : `BROKEN ${result.broken}; ${dir}`),
  )
  return result.broken === undefined ? 0 : 1
}
