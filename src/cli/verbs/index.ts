import type { Command } from 'commander'
import { auditVerb } from './audit.js'
import { genesisVerb } from './genesis.js'
import { initVerb } from './init.js'
import { ledgerVerb } from './ledger.js'

/** Every verb of the command line, in the order of `--help`. */
export const VERBS: readonly (() => Command)[] = [initVerb, genesisVerb, ledgerVerb, auditVerb]
