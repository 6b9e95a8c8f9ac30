/**
 * A copy of the tree, in which one fault at a time is compiled and met by the test that its head names. The checkout
 * stays as it is, and so does the compiler's memory of the clean tree: a fault costs what it changes.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../../src/base/root.js'
import { changedFiles, type Mutant } from './patch.js'
import { noticed } from './verdict.js'

const PARTS = ['bin', 'data', 'scripts', 'src', 'test', 'bench', 'dist', 'package.json', 'tsconfig.json']
const BUILD = 'tsconfig.build.json'
const BUILD_INFO = 'dist/.src.tsbuildinfo'
const TSC = ['node_modules/typescript/bin/tsc', '-p', BUILD, '--assumeChangesOnlyAffectDirectDependencies']
/** tap's own limit for a file is 30 s, which a busy machine may need for a sound tree. */
const TAP_S = '900'
/** A process that does not end by itself. */
const TEST_MS = 1_000_000

export interface Ran {
  /** What was first said to be wrong; undefined: nothing was. */
  readonly said: string | undefined
  /** Exit code 0. */
  readonly green: boolean
}

export class Workshop {
  readonly #copy = mkdtempSync(join(tmpdir(), 'meridian-mutants-'))
  #running: number | undefined

  constructor() {
    for (const part of [...PARTS, BUILD]) cpSync(pathOf(part), this.#path(part), { recursive: true })
    symlinkSync(pathOf('node_modules'), this.#path('node_modules'))
    process.once('exit', () => {
      this.#end()
      rmSync(this.#copy, { recursive: true, force: true })
    })
  }

  /** @returns the first complaint of the type checker. */
  compile(): string | undefined {
    const { status, stdout } = spawnSync(process.execPath, TSC, { cwd: this.#copy, encoding: 'utf8' })
    return status === 0 ? undefined : (stdout.split('\n')[0] ?? `tsc ended with ${status}`)
  }

  /** Runs a test, or the simulation, until something is said to be wrong or it ends. */
  async run(command: readonly string[], ms = TEST_MS): Promise<Ran> {
    const temporary = this.#path('tmp')
    rmSync(temporary, { recursive: true, force: true })
    mkdirSync(temporary)
    const env = { ...process.env, TAP_TIMEOUT: TAP_S, TMPDIR: temporary }
    const stdio = ['ignore', 'pipe', 'ignore'] as const
    const child = spawn(process.execPath, command, { cwd: this.#copy, env, stdio: [...stdio], detached: true })
    this.#running = child.pid
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    const late = setTimeout(() => this.#end(), ms)
    let said: string | undefined
    for await (const line of createInterface({ input: child.stdout })) {
      said = noticed(line)
      if (said !== undefined) break
    }
    if (said !== undefined) this.#end()
    const code = await ended
    clearTimeout(late)
    this.#end() // processes that it began
    return { said, green: code === 0 }
  }

  /** Applies the fault, compiles it, does `work`, and puts everything back. @returns what keeps it from being one */
  async with<T>(mutant: Mutant, work: () => Promise<T>): Promise<{ readonly wrong: string } | { readonly done: T }> {
    const sources = changedFiles(mutant.patch)
    const compiled = sources.flatMap((file) => [file.replace(/ts$/, 'js'), file.replace(/ts$/, 'js.map')])
    const files = [...sources, ...compiled.map((file) => `dist/${file}`), BUILD_INFO].map((file) => this.#path(file))
    const clean = files.map((file) => readFileSync(file))
    try {
      const applied = spawnSync('git', ['apply', '--recount', '-'], { cwd: this.#copy, input: mutant.patch })
      if (applied.status !== 0) return { wrong: `does not apply: ${applied.stderr.toString().trim()}` }
      const complaint = this.compile()
      if (complaint !== undefined) return { wrong: `does not compile: ${complaint}` }
      return { done: await work() }
    } finally {
      for (const [i, file] of files.entries()) writeFileSync(file, clean[i]!)
    }
  }

  #end(): void {
    if (this.#running === undefined) return
    try {
      process.kill(-this.#running, 'SIGKILL')
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error // all of them have ended
    }
    this.#running = undefined
  }

  #path(name: string): string {
    return join(this.#copy, name)
  }
}

const pathOf = (name: string): string => fileURLToPath(new URL(name, ROOT))

/** Of everything that is compiled or run, the patches left out. */
export function treeDigest(): string {
  const hash = createHash('sha256')
  for (const part of ['src', 'test', 'package.json', 'package-lock.json']) {
    const path = pathOf(part)
    const files = statSync(path).isFile() ? [''] : readdirSync(path, { recursive: true, encoding: 'utf8' }).sort()
    for (const file of files) {
      if (file.endsWith('.patch') || !statSync(join(path, file)).isFile()) continue
      hash.update(`${part}/${file}\0`).update(readFileSync(join(path, file)))
    }
  }
  return hash.digest('hex')
}
