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
import { type Mutant, readMutant } from './patch.js'

const HERE = fileURLToPath(new URL('test/mutants/', ROOT))
const PARTS = ['bin', 'data', 'scripts', 'src', 'test', 'bench', 'dist', 'package.json', 'tsconfig.json']
/** A fault may make its test wait for ever: that is noticed as well. */
const TEST_MS = 600_000

interface Ran {
  readonly code: number | null
  readonly out: string
}

function run(cwd: string, command: string, args: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: TEST_MS,
    maxBuffer: 256 << 20,
  })
  return { code: status, out: `${stdout}${stderr}` }
}

const compile = (cwd: string): Ran =>
  run(cwd, process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'])
const apply = (cwd: string, { name }: Mutant, ...flags: string[]): Ran =>
  run(cwd, 'git', ['apply', '--recount', ...flags, join(HERE, `${name}.patch`)])

function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'meridian-mutants-'))
  for (const part of PARTS) cpSync(fileURLToPath(new URL(part, ROOT)), join(copy, part), { recursive: true })
  symlinkSync(fileURLToPath(new URL('node_modules', ROOT)), join(copy, 'node_modules'))
  return copy
}

/** @returns what is wrong with the mutant, or undefined: it was caught. */
function judge(copy: string, mutant: Mutant): string | undefined {
  const applied = apply(copy, mutant)
  if (applied.code !== 0) return `does not apply: ${applied.out.trim()}`
  const verdict = verdictOn(copy, mutant)
  const back = apply(copy, mutant, '--reverse')
  if (back.code !== 0) throw new Error(`${mutant.name} cannot be taken back: ${back.out}`)
  return verdict
}

function verdictOn(copy: string, { caughtBy }: Mutant): string | undefined {
  const compiled = compile(copy)
  if (compiled.code !== 0) return `does not compile: ${compiled.out.trim().split('\n')[0]}`
  return run(copy, process.execPath, caughtBy).code === 0 ? 'SURVIVED' : undefined
}

function main(wanted: readonly string[]): number {
  const names = readdirSync(HERE)
    .filter((file) => file.endsWith('.patch'))
    .map((file) => file.slice(0, -'.patch'.length))
  const mutants = names
    .filter((name) => wanted.length === 0 || wanted.includes(name))
    .map((name) => readMutant(name, readFileSync(join(HERE, `${name}.patch`), 'utf8')))
  const copy = copyTree()
  const faults: string[] = []
  try {
    const clean = compile(copy)
    if (clean.code !== 0) faults.push(`the clean tree does not compile\n${clean.out}`)
    for (const command of new Set(mutants.map(({ caughtBy }) => caughtBy.join(' ')))) {
      if (run(copy, process.execPath, command.split(' ')).code !== 0) faults.push(`the clean tree fails ${command}`)
      else console.log(`green     ${command}`)
    }
    if (faults.length === 0) {
      for (const mutant of mutants) {
        const wrong = judge(copy, mutant)
        console.log(`${(wrong ?? 'caught').slice(0, 200).padEnd(9)} ${mutant.name} (${mutant.clause}): ${mutant.fault}`)
        if (wrong !== undefined) faults.push(`${mutant.name}: ${wrong}`)
      }
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
  for (const fault of faults) console.log(fault)
  console.log(`${mutants.length} mutants, ${faults.length} not as they should be`)
  return faults.length === 0 && mutants.length > 0 ? 0 : 1
}

process.exitCode = main(process.argv.slice(2))
