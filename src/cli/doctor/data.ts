/** The data of one directory: by itself where nobody has it open, else what its running node says. */
import { join } from 'node:path'
import type { ApiClient } from '../../api/client.js'
import type { ErrorCode } from '../../base/errors.js'
import { MeridianError } from '../../base/errors.js'
import { idText } from '../../base/ids.js'
import { isRestored } from '../../node/kept-peers.js'
import { type Fault, storedChannels, unknownToDatabase } from '../../node/stored-channel.js'
import { type DataDirectory, openDirectory } from '../../store/directory.js'
import type { PassphraseSource } from '../../store/keystore.js'
import { logSuspicions } from '../../store/level-log.js'
import { Outbox } from '../../store/outbox.js'
import { doubt, type Finding, fault, fine, recovering, stoppedAtDefect } from './finding.js'

const FAULTS: Readonly<Record<Fault, string>> = {
  row_lost: 'its state is gone or unreadable',
  journal_broken: 'its journal has a gap',
  database_behind: 'the database is behind the high-water file',
  mark_lost: 'the high-water file does not know it',
}

const keepRunning = (dir: string): string =>
  `keep the node running until the channel is closed: meridian start --dir ${dir}; meridian channel list --dir ${dir}`
const restore = (dir: string): string =>
  `keep ${dir} as it is, and: meridian backup restore --dir ${dir}-restored --from BACKUP`
/** Where a peer is went with the database, if nobody dials: its operator knows. */
const nameThePeer = (dir: string): string =>
  `if its peer does not dial: meridian peer connect ACCOUNT@ws://HOST:PORT --dir ${dir}; ${keepRunning(dir)}`

/** What to do where the directory does not open at all. */
const OPENING: Partial<Readonly<Record<ErrorCode, (dir: string) => string>>> = {
  keystore_refused: () => 'give the right passphrase: --passphrase-file FILE',
  passphrase_missing: () => 'give the right passphrase: --passphrase-file FILE',
  store_locked: (dir) => `another process has it open without answering; find it: fuser ${dir}/store/LOCK`,
  store_newer: () => 'install the version of meridian that wrote it, or a newer one',
  store_older: () => 'install the version of meridian that wrote it, and close its channels',
  store_failed: (dir) => `look at the disk: df -h ${dir}; dmesg`,
}

/** Nobody has it open: everything is read. @param anew what mends a directory that is damaged */
export async function examineStopped(
  dir: string,
  passphrase: PassphraseSource,
  anew: (dir: string) => string = restore,
): Promise<Finding[]> {
  const suspicions = await logSuspicions(join(dir, 'store')) // before the opening turns the log over
  const opened = await openDirectory(dir, passphrase)
  if (!opened.ok) {
    const { code } = opened.error
    return [fault('store', new MeridianError(code).message, (OPENING[code] ?? anew)(dir))]
  }
  try {
    const data = await examineData(dir, opened.value, suspicions)
    const accused = data.some(({ recovery }) => recovery)
    const broken = accused ? [] : await unreadable(opened.value.store, anew(dir))
    return [fine('store', 'opens, of this schema'), ...data, ...broken]
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error
    return [fault('store', error.message, anew(dir))]
  } finally {
    await opened.value.close()
  }
}

/** A start refuses some unreadable rows, and another is met when it is needed: a channel's own are accused above already. */
async function unreadable(store: DataDirectory['store'], mend: string): Promise<Finding[]> {
  try {
    for await (const _row of store.range(EVERYTHING));
    return []
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error
    return [fault('store', error.message, mend)]
  }
}

async function examineData(dir: string, directory: DataDirectory, before: readonly string[]): Promise<Finding[]> {
  const { store } = directory
  const findings: Finding[] = []
  let sound = 0
  for await (const { terms, row, stopped, fault: found } of storedChannels(directory)) {
    const name = idText(terms.channel)
    const phase = row?.state.phase
    if (stopped !== undefined) findings.push(stoppedAtDefect(dir, name, stopped))
    if (found !== null) findings.push(recovering('channel', `${name}: ${FAULTS[found]}: RECOVERY`, keepRunning(dir)))
    else if (phase === 'recovery') findings.push(recovering('channel', `${name}: in RECOVERY`, keepRunning(dir)))
    else if (phase !== 'closed' && stopped === undefined) sound += 1
  }
  for (const channel of unknownToDatabase(directory)) {
    if (directory.highWater.check(channel, NOTHING) === 'equal') {
      const text = `${idText(channel)}: no payment was made in it; its opening came to nothing, or the database lost it`
      findings.push(doubt('channel', text, `the next start asks the ledger: meridian start --dir ${dir}`))
      continue
    }
    const text = `${idText(channel)}: the high-water file knows it, the database does not: RECOVERY`
    findings.push(recovering('channel', text, nameThePeer(dir)))
  }
  findings.push(fine('channels', `${sound} with an unbroken journal and as new as the high-water file`))
  findings.push(...suspected([...new Set([...before, ...directory.suspicions])], findings))
  const waiting = (await Outbox.open(store)).leftover.length
  findings.push(
    waiting === 0
      ? fine('outbox', 'empty')
      : doubt('outbox', `${waiting} effects wait for the next start`, `meridian start --dir ${dir}`),
  )
  if (isRestored(store)) findings.push(fine('restored', 'made from a backup: what it had before closes by RECOVERY'))
  return findings
}

const EVERYTHING = { from: new Uint8Array(), to: Uint8Array.of(255) }

/** The mark of a channel in which no round was run. */
const NOTHING = { version: 0, revoked: 0, ended: false }

/** S2: LevelDB's own lines; chain and high-water file clear them, or have accused a channel above already. */
function suspected(suspicions: readonly string[], findings: readonly Finding[]): Finding[] {
  const cleared = !findings.some(({ recovery }) => recovery)
  return suspicions.map((line) =>
    cleared
      ? doubt(
          'suspicion',
          `${line} (journals and high-water file show no loss)`,
          'smartctl -a DISK; keep a fresh backup',
        )
      : doubt('suspicion', line, 'see the channels above; smartctl -a DISK'),
  )
}

type Tower = Awaited<ReturnType<ApiClient['node']>>['towers'][number]

/** What a tower's absence looks like; anything else is somebody who speaks. */
const SILENT: ReadonlySet<string> = new Set<ErrorCode>([
  'connection_closed',
  'connection_refused',
  'handshake_timeout',
  'idle_timeout',
  'unavailable',
])

/** T2: whether it is there, and has signed for the newest states. */
function towerFinding({ account, url, connected, channels, behind, code }: Tower): Finding[] {
  const name = `${account.slice(0, 16)} at ${url}`
  const mend = `start it: meridian tower --dir TOWERDIR, or correct "towers" in config.json`
  const askFor = 'ask its operator, or name another in config.json'
  if (!connected && code !== null && !SILENT.has(code))
    return [fault('towers', `${name} does not answer as that tower should: ${code}`, askFor)]
  if (!connected) return [fault('towers', `${name} is away${code === null ? '' : ` (${code})`}`, mend)]
  if (code !== null) return [fault('towers', `${name} refuses: ${code}`, askFor)]
  if (behind === 0) return [fine('towers', `${name} has signed for the newest state of ${channels} channels`)]
  return [
    doubt('towers', `${name} lags behind in ${behind} of ${channels} channels`, 'wait; it signs what it has stored'),
  ]
}

/** The running node owns the database: its word. */
export async function examineRunning(dir: string, api: ApiClient): Promise<Finding[]> {
  const [node, { channels }] = await Promise.all([api.node(), api.channels()])
  const heard = `heard from the ledger ${node.ledger_age_s} s ago`
  const life = node.ready
    ? fine('node', `runs and is ready; ${heard}`)
    : fault('node', `runs and is not ready; ${heard}`, 'see the ledger above')
  const faulty: Finding[] = []
  for (const { channel, phase, stopped } of channels) {
    if (phase === 'recovery') faulty.push(recovering('channel', `${channel}: in RECOVERY`, keepRunning(dir)))
    if (stopped !== null && phase !== 'closed') faulty.push(stoppedAtDefect(dir, channel, stopped))
  }
  const lost = node.channels_recovering - faulty.filter(({ recovery }) => recovery).length
  if (lost > 0) {
    const text = `${lost} on the ledger whose newest state nobody has shown yet: in RECOVERY`
    faulty.push(recovering('channel', text, nameThePeer(dir)))
  }
  for (const tower of node.towers) faulty.push(...towerFinding(tower))
  if (node.towers.length === 0)
    faulty.push(fine('towers', 'none configured: old exits are answered while this node runs'))
  const order = fine(
    'channels',
    `${channels.filter(({ phase, stopped }) => phase !== 'recovery' && stopped === null).length} in order`,
  )
  return [life, ...faulty, order, ...suspected(await logSuspicions(join(dir, 'store')), faulty)]
}
