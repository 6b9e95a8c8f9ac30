/** What of the machine a node depends on: its disk, its clock, its native libraries, the rights on its files. */
import { type Stats, statSync } from 'node:fs'
import { open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { curve } from '../../base/curve/index.js'
import { modexpBackend } from '../../privacy/modexp.js'
import { filesOf } from '../directory.js'
import { doubt, type Finding, fault, fine } from './finding.js'

const SYNCS = 16
const PAGE_BYTES = 4_096
/** Linux: file systems that live in memory. */
const IN_MEMORY: ReadonlyMap<number, string> = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
])

/** Writes and syncs a page some times: the figure is told, a disk that lies about its cache is not found out by it. */
export async function diskSync(dir: string): Promise<Finding[]> {
  const path = join(dir, 'doctor.tmp')
  const mend = `look at the disk under ${dir} (dmesg, df -h ${dir}), then: meridian doctor --dir ${dir}`
  try {
    const took_us = await timeSyncs(path)
    const median = took_us.sort((a, b) => a - b)[SYNCS / 2] ?? 0
    const text = `fsync takes ${(median / 1_000).toFixed(2)} ms (median of ${SYNCS})`
    const kind = IN_MEMORY.get((await statfs(dir)).type)
    if (kind === undefined) return [fine('disk', text)]
    return [doubt('disk', `${kind} is memory: nothing survives a power cut; ${text}`, `move ${dir} onto a disk`)]
  } catch (error) {
    return [fault('disk', `the disk refuses a write or its sync (${codeOf(error)})`, mend)]
  } finally {
    await rm(path, { force: true })
  }
}

/** Microseconds of each. */
async function timeSyncs(path: string): Promise<number[]> {
  const page = new Uint8Array(PAGE_BYTES)
  const took: number[] = []
  const handle = await open(path, 'w', 0o600)
  try {
    for (let round = 0; round < SYNCS; round++) {
      const before = process.hrtime.bigint()
      await handle.write(page, 0, page.length, round * PAGE_BYTES)
      await handle.sync()
      took.push(Number(process.hrtime.bigint() - before) / 1_000)
    }
  } finally {
    await handle.close()
  }
  return took
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : 'unknown')

export function nativeCrypto(): Finding[] {
  const curveMend =
    process.env['MERIDIAN_CURVE'] === 'noble' ? 'unset MERIDIAN_CURVE' : 'npm rebuild secp256k1 (needs cc and python3)'
  return [
    curve.name === 'native'
      ? fine('curve', 'libsecp256k1, native')
      : doubt('curve', 'pure JavaScript: right, and several times slower', curveMend),
    modexpBackend === 'native'
      ? fine('modexp', 'OpenSSL, native')
      : doubt('modexp', 'pure BigInt: right, and several times slower', 'unset MERIDIAN_MODEXP'),
  ]
}

/** S3: what is sealed there is worth as much as the rights on it. */
export function permissions(dir: string, passphraseFile: string | undefined): Finding[] {
  const { keystore, api } = filesOf(dir)
  const open = [keystore, api, passphraseFile].filter((path) => path !== undefined && readableByOthers(path))
  const findings = open.map((path) => fault('rights', `${path} can be read by others`, `chmod 600 ${path}`))
  if (readableByOthers(dir)) findings.push(doubt('rights', `${dir} can be listed by others`, `chmod 700 ${dir}`))
  return findings.length > 0 ? findings : [fine('rights', 'keystore and directory are the owner’s alone')]
}

function readableByOthers(path: string): boolean {
  const stats: Stats | undefined = statSync(path, { throwIfNoEntry: false })
  return stats !== undefined && (stats.mode & 0o077) !== 0
}
