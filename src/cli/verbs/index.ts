import type { Command } from 'commander'
import { accountVerb } from './account.js'
import { auditVerb } from './audit.js'
import { channelVerb } from './channel.js'
import { demoVerb } from './demo.js'
import { genesisVerb } from './genesis.js'
import { initVerb } from './init.js'
import { invoiceVerb } from './invoice.js'
import { ledgerVerb } from './ledger.js'
import { payVerb } from './pay.js'
import { receiptVerb } from './receipt.js'
import { hubVerb, startVerb } from './start.js'

/** Every verb of the command line, in the order of `--help`. */
export const VERBS: readonly (() => Command)[] = [
  initVerb,
  genesisVerb,
  ledgerVerb,
  startVerb,
  hubVerb,
  accountVerb,
  channelVerb,
  invoiceVerb,
  payVerb,
  receiptVerb,
  auditVerb,
  demoVerb,
]
