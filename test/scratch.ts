/** Directories of this test process: they go when it ends; where it was killed, when the next one begins. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const NAME = /^meridian-test-(\d+)$/
let own: string | undefined

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH') // another user's runs
  }
}

function begin(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = NAME.exec(name)?.[1]
    if (pid !== undefined && !runs(Number(pid))) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
  const dir = join(tmpdir(), `meridian-test-${process.pid}`)
  mkdirSync(dir, { recursive: true })
  process.once('exit', () => rmSync(dir, { recursive: true, force: true })) // a test that threw closes nothing
  return dir
}

/** A new empty directory. */
export function scratch(name: string): string {
  own ??= begin()
  return mkdtempSync(join(own, `${name}-`))
}
