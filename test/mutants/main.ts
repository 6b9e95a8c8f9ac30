/**
 * `npm run mutants`: the clean tree is green, and every seeded fault of this folder compiles and is caught by the test that
 * it names. Works in a copy; the checkout stays as it is. `-- name…` runs some of them.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../../src/base/root.js'
import { Compiler } from './compiler.js'
import { type Mutant, readMutant } from './patch.js'

const HERE = fileURLToPath(new URL('test/mutants/', ROOT))
const PARTS = ['bin', 'data', 'scripts', 'src', 'test', 'bench', 'dist', 'package.json', 'tsconfig.json']
/** A fault may make its test wait for ever: that is noticed as well. */
const TEST_MS = 600_000
/** tap's own limit for a file is 30 s, which a busy machine may need for a sound tree. */
const TAP_S = '300'
/** Issue B: so many faults at the least, and of them so many that the simulation alone notices. */
const MUTANTS_MIN = 40
const SIMULATED_MIN = 3

interface Ran {
  readonly code: number | null
  readonly out: string
}

function run(cwd: string, command: string, args: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, TAP_TIMEOUT: TAP_S },
    timeout: TEST_MS,
    maxBuffer: 256 << 20,
  })
  return { code: status, out: `${stdout}${stderr}` }
}

const apply = (cwd: string, { name }: Mutant, ...flags: string[]): Ran =>
  run(cwd, 'git', ['apply', '--recount', ...flags, join(HERE, `${name}.patch`)])

function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'meridian-mutants-'))
  for (const part of PARTS) cpSync(fileURLToPath(new URL(part, ROOT)), join(copy, part), { recursive: true })
  symlinkSync(fileURLToPath(new URL('node_modules', ROOT)), join(copy, 'node_modules'))
  return copy
}

/** @returns what is wrong with the mutant, or undefined: it was caught. */
function judge(copy: string, compiler: Compiler, mutant: Mutant): string | undefined {
  const applied = apply(copy, mutant)
  if (applied.code !== 0) return `does not apply: ${applied.out.trim()}`
  const verdict = verdictOn(copy, compiler, mutant)
  const back = apply(copy, mutant, '--reverse')
  if (back.code !== 0) throw new Error(`${mutant.name} cannot be taken back: ${back.out}`)
  return verdict
}

function verdictOn(copy: string, compiler: Compiler, { caughtBy }: Mutant): string | undefined {
  const complaint = compiler.compile()
  if (complaint !== undefined) return `does not compile: ${complaint}`
  return run(copy, process.execPath, caughtBy).code === 0 ? 'SURVIVED' : undefined
}

function read(): Mutant[] {
  const files = readdirSync(HERE).filter((file) => file.endsWith('.patch'))
  return files.map((file) => readMutant(file.slice(0, -'.patch'.length), readFileSync(join(HERE, file), 'utf8')))
}

/** What the clean tree does not do: none of its tests could notice anything then. */
function cleanFaults(copy: string, compiler: Compiler, mutants: readonly Mutant[]): string[] {
  const complaint = compiler.compile()
  if (complaint !== undefined) return [`the clean tree does not compile: ${complaint}`]
  const red: string[] = []
  for (const command of new Set(mutants.map(({ caughtBy }) => caughtBy.join(' ')))) {
    if (run(copy, process.execPath, command.split(' ')).code !== 0) red.push(`the clean tree fails ${command}`)
    else console.log(`green     ${command}`)
  }
  return red
}

function tooFew(mutants: readonly Mutant[]): string[] {
  const simulated = mutants.filter(({ bySimulationAlone }) => bySimulationAlone).length
  const enough = mutants.length >= MUTANTS_MIN && simulated >= SIMULATED_MIN
  return enough ? [] : [`${mutants.length} mutants, ${simulated} by the simulation alone: too few`]
}

function main(wanted: readonly string[]): number {
  const all = read()
  const mutants = all.filter(({ name }) => wanted.length === 0 || wanted.includes(name))
  const copy = copyTree()
  const compiler = new Compiler(copy)
  const faults = tooFew(all)
  let caught = 0
  try {
    const clean = cleanFaults(copy, compiler, mutants)
    faults.push(...clean)
    for (const mutant of clean.length === 0 ? mutants : []) {
      const wrong = judge(copy, compiler, mutant)
      console.log(`${(wrong ?? 'caught').slice(0, 200).padEnd(9)} ${mutant.name} (${mutant.clause}): ${mutant.fault}`)
      if (wrong === undefined) caught += 1
      else faults.push(`${mutant.name}: ${wrong}`)
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
  for (const fault of faults) console.log(fault)
  console.log(`${mutants.length} mutants, ${caught} caught`)
  return faults.length === 0 && mutants.length > 0 ? 0 : 1
}

process.exitCode = main(process.argv.slice(2))
