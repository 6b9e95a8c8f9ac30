/** What the figures of a run depend on: printed above them, because figures of two machines or moments do not compare. */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { curve } from '../../base/curve/index.js'
import { modexpBackend } from '../../privacy/modexp.js'
import { powersBackend } from '../../privacy/powers.js'
import { version } from '../verb.js'

export interface Environment {
  readonly meridian: string
  readonly cpu: string
  readonly cores: number
  readonly node: string
  readonly openssl: string
  readonly curve: string
  readonly modexp: string
  /** Tables of powers of h. */
  readonly powers: string
  readonly load_before: readonly number[]
  /** Median of syncing 4 KiB in the directory of the run. */
  readonly disk_sync_ms: number
}

export const environmentOf = (dir: string): Environment => ({
  meridian: version(),
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  node: process.versions.node,
  openssl: process.versions.openssl,
  curve: curve.name,
  modexp: modexpBackend,
  powers: powersBackend(),
  load_before: loadavg(),
  disk_sync_ms: diskSyncMs(dir),
})

const SYNCS = 15
const PAGE = new Uint8Array(4_096)

function diskSyncMs(dir: string): number {
  const path = join(dir, 'sync-probe')
  const file = openSync(path, 'w')
  try {
    const times = Array.from({ length: SYNCS }, () => {
      const start = performance.now()
      writeSync(file, PAGE)
      fdatasyncSync(file)
      return performance.now() - start
    })
    return times.sort((a, b) => a - b)[SYNCS >> 1]!
  } finally {
    closeSync(file)
    rmSync(path)
  }
}

/** Jiffies of all cores since the machine started; undefined where there is no /proc. */
export interface Jiffies {
  readonly all: number
  readonly stolen: number
}

export function jiffies(): Jiffies | undefined {
  if (process.platform !== 'linux') return undefined
  // cpu user nice system idle iowait irq softirq steal; guest times after them are within user and nice.
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number)
  return { all: fields.reduce((a, b) => a + b, 0), stolen: fields[7] ?? 0 }
}

/** The share of the machine's time that its host gave to others, in percent; null where the system does not say. */
export function stealPercent(before: Jiffies | undefined, after: Jiffies | undefined): number | null {
  if (before === undefined || after === undefined || after.all === before.all) return null
  return (100 * (after.stolen - before.stolen)) / (after.all - before.all)
}

export function environmentText(environment: Environment, keyBits: number | undefined): string {
  const { meridian, cpu, cores, node, openssl, curve, modexp, powers, load_before, disk_sync_ms } = environment
  const loads = load_before.map((load) => load.toFixed(2)).join(' ')
  return [
    `meridian ${meridian}  node ${node}  openssl ${openssl}  curve ${curve}  modexp ${modexp}  powers ${powers}` +
      (keyBits === undefined ? '' : `  n ${keyBits} bits`),
    `${cores} x ${cpu}  load ${loads}  disk sync ${disk_sync_ms.toFixed(2)} ms`,
  ].join('\n')
}
