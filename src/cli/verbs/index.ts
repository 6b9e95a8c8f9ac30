import type { Command } from 'commander'

type Make = () => Command

/** Every verb of the command line, in the order of `--help`. A command line loads its own verb alone: half the time. */
const LOADERS: Readonly<Record<string, () => Promise<Make>>> = {
  init: async () => (await import('./init.js')).initVerb,
  genesis: async () => (await import('./genesis.js')).genesisVerb,
  ledger: async () => (await import('./ledger.js')).ledgerVerb,
  start: async () => (await import('./start.js')).startVerb,
  hub: async () => (await import('./start.js')).hubVerb,
  tower: async () => (await import('./tower.js')).towerVerb,
  account: async () => (await import('./account.js')).accountVerb,
  channel: async () => (await import('./channel.js')).channelVerb,
  peer: async () => (await import('./peer.js')).peerVerb,
  invoice: async () => (await import('./invoice.js')).invoiceVerb,
  pay: async () => (await import('./pay.js')).payVerb,
  token: async () => (await import('./token.js')).tokenVerb,
  receipt: async () => (await import('./receipt.js')).receiptVerb,
  backup: async () => (await import('./backup.js')).backupVerb,
  doctor: async () => (await import('./doctor.js')).doctorVerb,
  audit: async () => (await import('./audit.js')).auditVerb,
  'tower-fault': async () => (await import('./tower-fault.js')).towerFaultVerb,
  bench: async () => (await import('./bench.js')).benchVerb,
  demo: async () => (await import('./demo.js')).demoVerb,
}

/** The verb of this name; all of them for any other word, so that help and refusals can name them. */
export function loadVerbs(name: string | undefined): Promise<Make[]> {
  const known = name !== undefined && Object.hasOwn(LOADERS, name) ? [LOADERS[name]!] : Object.values(LOADERS)
  return Promise.all(known.map((load) => load()))
}
