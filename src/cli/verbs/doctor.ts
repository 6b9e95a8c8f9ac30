/** Names each fault of a directory, its machine and its ledger, and the command that mends it. Changes nothing. */
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { MeridianError } from '../../base/errors.js'
import { readConfig } from '../config.js'
import type { Config } from '../config-table.js'
import { genesisOf } from '../directory.js'
import { configChecks } from '../doctor/config.js'
import { examineRunning, examineStopped } from '../doctor/data.js'
import { type Finding, fault } from '../doctor/finding.js'
import { ledgerChecks } from '../doctor/ledger.js'
import { diskSync, nativeCrypto, permissions } from '../doctor/machine.js'
import { examineLedger, examineTower, isLedger } from '../doctor/others.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import { runningApi } from '../node-verb.js'
import { passphraseFor } from '../passphrase.js'
import { type DirectoryVerbOptions, directoryVerb, outputOf } from '../verb.js'

interface DoctorOptions extends DirectoryVerbOptions {
  readonly genesis?: string
}

export const doctorVerb = (): Command =>
  directoryVerb('doctor', 'look at a node, a tower or a ledger: what is wrong, and the command that mends it')
    .option('--genesis <file>', "genesis.cbor of the ledger (default: the directory's)")
    .action(doctor)

async function doctor(options: DoctorOptions): Promise<void> {
  const out = outputOf(options)
  if (!existsSync(options.dir)) throw new UsageError(`there is no ${options.dir}: name a node's directory with --dir`)
  let [faults, recovery] = [0, false]
  for await (const finding of findings(options)) {
    const { check, verdict, text, mend } = finding
    const line = `${verdict.padEnd(5)} ${check.padEnd(10)} ${text}`
    out.print(mend === null ? line : `${line}\n${' '.repeat(17)}mend: ${mend}`, { ...finding })
    if (verdict === 'FAIL') faults += 1
    recovery ||= finding.recovery
  }
  if (recovery) throw new VerbExit(EXIT.recovery, '')
  if (faults > 0) throw new VerbExit(EXIT.checkFailed, '')
}

async function* findings(options: DoctorOptions): AsyncGenerator<Finding> {
  const { dir } = options
  const passphraseFile = options.passphraseFile ?? process.env['MERIDIAN_PASSPHRASE_FILE']
  yield* nativeCrypto()
  yield* permissions(dir, passphraseFile)
  yield* await diskSync(dir)
  if (isLedger(dir)) return yield* await examineLedger(dir, await passphraseFor(options))
  const { config, found } = await configOf(options)
  yield* found
  const api = await runningApi(dir)
  if (api !== undefined) return yield* await examineRunning(dir, api)
  const passphrase = await passphraseFor(options)
  yield* config?.role === 'tower'
    ? await examineTower(dir, passphrase, config.listen)
    : await examineStopped(dir, passphrase)
}

/** A configuration that cannot be read is a finding too: the rest is looked at all the same. */
async function configOf({ dir, genesis }: DoctorOptions): Promise<{ config?: Config; found: Finding[] }> {
  let config: Config | undefined
  try {
    config = await readConfig(dir)
    const found = await configChecks(dir, config)
    return { config, found: [...found, ...(await ledgerChecks(dir, config.ledger, await genesisOf(dir, genesis)))] }
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof MeridianError)) throw error
    const found = [fault('config', error.message, `mend ${dir}/config.json as the message says`)]
    return config === undefined ? { found } : { config, found }
  }
}
