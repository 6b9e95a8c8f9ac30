/** What every serving verb reaches: the ledger that its configuration names, and the port where it listens. */
import { type Genesis, ledgerIdOf } from '../base/genesis.js'
import { connectLedger, type RemoteLedger } from '../chain-adapter/remote/client.js'
import type { Output } from './output.js'

const SILENCE_MS = 3_000

/** Says what it waits for, where the ledger does not answer at once. */
export async function connected(url: string, genesis: Genesis, out: Output): Promise<RemoteLedger> {
  const note = setTimeout(() => out.note(`waiting for the ledger at ${url}`), SILENCE_MS)
  try {
    return await connectLedger(url, ledgerIdOf(genesis))
  } finally {
    clearTimeout(note)
  }
}

/** `host:port`, the host in brackets where it is an IPv6 address. */
export function listenOf(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}
