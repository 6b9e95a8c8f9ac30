/** Builds the power-cut shim beside the compiled tests, once per source; there is none where there is no C compiler. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../../../src/base/root.js'

const path = (name: string): string => fileURLToPath(new URL(name, ROOT))
const SOURCES = ['shim.c', 'model.h'].map((name) => path(`test/crash/shim/${name}`))

/** Why there is no shim here, for a test to be skipped by name; undefined where there is one. */
export const noShim = (): string | undefined => {
  if (process.platform !== 'linux') return 'the power-cut shim needs Linux'
  return spawnSync('cc', ['--version']).status === 0 ? undefined : 'the power-cut shim needs cc'
}

/** @returns the library's path. */
export function buildShim(): string {
  const library = path('dist/test/crash/shim/shim.so')
  const newest = Math.max(...SOURCES.map((source) => statSync(source).mtimeMs))
  if (existsSync(library) && statSync(library).mtimeMs > newest) return library
  mkdirSync(path('dist/test/crash/shim'), { recursive: true })
  const draft = `${library}.${process.pid}`
  const built = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', draft, SOURCES[0]!, '-ldl'], { encoding: 'utf8' })
  if (built.status !== 0) throw new Error(`cc: ${built.stderr}`)
  renameSync(draft, library) // several test processes may build at once
  return library
}

/** What may happen to the disk of one process: shim.c says what each means. */
export interface Disk {
  readonly cut?: number
  readonly armed?: number
  readonly torn?: number
  readonly noSync?: boolean
  readonly failSync?: number
  /** `refusals`: the disk is free again after so many; 0: never. */
  readonly full?: { readonly after: number; readonly refusals: number }
}

/** The environment that puts a process on such a disk. `shadow`: empty, on the file system of `dir`, outside of it. */
export const diskEnv = (dir: string, shadow: string, disk: Disk): Record<string, string> => ({
  LD_PRELOAD: buildShim(),
  UV_USE_IO_URING: '0',
  MERIDIAN_SHIM_DIR: dir,
  MERIDIAN_SHIM_SHADOW: shadow,
  ...(disk.cut === undefined ? {} : { MERIDIAN_SHIM_CUT: String(disk.cut) }),
  ...(disk.armed === undefined ? {} : { MERIDIAN_SHIM_ARMED: String(disk.armed) }),
  ...(disk.torn === undefined ? {} : { MERIDIAN_SHIM_TORN: String(disk.torn) }),
  ...(disk.noSync ? { MERIDIAN_SHIM_NO_SYNC: '1' } : {}),
  ...(disk.failSync === undefined ? {} : { MERIDIAN_SHIM_FAIL_SYNC: String(disk.failSync) }),
  ...(disk.full === undefined
    ? {}
    : { MERIDIAN_SHIM_FULL: String(1 + disk.full.after), MERIDIAN_SHIM_FREE_AFTER: String(disk.full.refusals) }),
})
