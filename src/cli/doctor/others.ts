/** Directories that are no node's: a watchtower's, and the one of the ledger itself. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { equalBytes } from '../../base/bytes.js'
import { curve } from '../../base/curve/index.js'
import { type ErrorCode, MeridianError } from '../../base/errors.js'
import { openStorage } from '../../chain-adapter/embedded/open-storage.js'
import type { PassphraseSource } from '../../store/keystore.js'
import { filesOf, readGenesis, readSecrets } from '../directory.js'
import { listenOf } from '../reach.js'
import { examineStopped } from './data.js'
import { doubt, type Finding, fault, fine } from './finding.js'

const ANSWER_MS = 5_000

/** A tower has no API: whoever has its store open and answers where clients connect is it. */
export async function examineTower(dir: string, passphrase: PassphraseSource, listen: string): Promise<Finding[]> {
  const anew = (): string =>
    `keep ${dir} as it is, and: meridian init --role tower --dir ${dir}-new --genesis ${dir}/genesis.cbor; its clients name the new one in "towers", and send it everything again`
  const found = await examineStopped(dir, passphrase, anew)
  const held = found.some(({ text }) => text.startsWith('store_locked'))
  if (!held || !(await answers(listen))) return found
  return [fine('tower', `runs, and answers at ${listen}; stop it to have its data read`)]
}

async function answers(listen: string): Promise<boolean> {
  const { host, port } = listenOf(listen)
  if (port === 0) return true // any free one: who has the store open is taken at its word
  const socket = connect({ host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(ANSWER_MS) })
    return true
  } catch {
    return false // refused, silent or without a way there: it does not answer
  } finally {
    socket.destroy()
  }
}

/** `genesis` made it, not `init`: it has no configuration. */
export const isLedger = (dir: string): boolean =>
  existsSync(join(dir, 'ledger.head')) || (existsSync(join(dir, 'ledger')) && !existsSync(filesOf(dir).config))

const CLOCK_TOLERANCE_S = 30

const NEWER_COPY: ReadonlySet<ErrorCode> = new Set(['ledger_behind', 'ledger_block', 'store_corrupt', 'store_missing'])

export async function examineLedger(dir: string, passphrase: PassphraseSource): Promise<Finding[]> {
  try {
    const genesis = await readGenesis(filesOf(dir).genesis)
    const { signingKey } = await readSecrets(dir, passphrase)
    if (!equalBytes(curve.multiplyBase(signingKey), genesis.headKey))
      return [fault('keystore', 'its key is not the one that genesis names', `put back ${filesOf(dir).keystore}`)]
    const storage = await openStorage({ dir, create: false, headKey: signingKey }, genesis)
    const { height, time } = storage.head
    await storage.close()
    return [fine('ledger', `opens, block ${height}; its last blocks follow from each other`), clock(time)]
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error
    if (error.code === 'store_locked') return [fine('ledger', 'runs: it has the database open')]
    return [fault('ledger', error.message, mendOf(dir, error.code))]
  }
}

function mendOf(dir: string, code: ErrorCode): string {
  if (NEWER_COPY.has(code))
    return `keep ${dir} as it is, and put a copy of the whole directory in its place that has every block that anybody was told of; nodes refuse any other`
  if (code === 'store_newer') return 'install the version of meridian that wrote it, or a newer one'
  return `put back the file that the message names, from a copy of ${dir}; or give the right passphrase: --passphrase-file FILE`
}

/** L1: ledger time never goes back. */
function clock(time: number): Finding {
  const ahead_s = time - Math.floor(Date.now() / 1_000)
  if (ahead_s <= CLOCK_TOLERANCE_S) return fine('clock', "this machine's clock is not behind the last block")
  const text = `this machine's clock is ${ahead_s} s behind the last block: ledger time stands still for so long`
  return doubt('clock', text, 'timedatectl set-ntp true; if the last block is the one that is wrong, wait')
}
