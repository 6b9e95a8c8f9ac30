/**
 * A node as `meridian start` hosts it, in a process that is there to be killed. It loads everything first and begins
 * when it is told where: the wait for a restart is the store's and the ledger's, not the module loader's.
 */

import { MeridianError } from '../../../src/base/errors.js'
import { need } from '../../../src/chain-adapter/need.js'
import { hostNode } from '../../../src/cli/hosted-node.js'
import type { Output } from '../../../src/cli/output.js'
import { createPool } from '../../../src/privacy/pool.js'
import { openDirectory } from '../../../src/store/directory.js'
import { FATAL_EXIT_CODE } from '../../../src/store/fatal.js'
import { Departures } from './departures.js'

export interface Begin {
  readonly dir: string
  readonly passphrase: string
  readonly ledger: string
  readonly listen: string
  readonly inboundMax: string
  readonly forwarding: boolean
  /** Where what leaves is written down. */
  readonly departures: string
}

export type Said = { readonly broken: readonly string[] } | { readonly url: string }

const DEFECT = 70
const say = (said: Said): void => void process.send!(said)
const out: Output = { json: false, print: () => undefined, note: () => undefined }
const pool = createPool({ threads: 1 })

async function begin({ dir, passphrase, ledger, listen, inboundMax, forwarding, departures }: Begin): Promise<void> {
  const directory = need(await openDirectory(dir, passphrase))
  const left = new Departures(departures)
  const broken = await left.held(directory)
  if (broken.length > 0) return say({ broken })
  left.watch()
  const flags = { ledger, listen, inbound_max: inboundMax, log_level: 'warn' } as const
  const { api } = await hostNode({ dir, passphrase, flags, genesis: undefined, forwarding, pool, out, directory })
  say({ url: api.url })
}

process.once('message', (message: Begin) => {
  begin(message).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    const disk = error instanceof MeridianError && error.code === 'store_failed'
    process.exit(disk ? FATAL_EXIT_CODE : DEFECT) // a disk that refuses a start
  })
})
process.on('disconnect', () => process.exit())
if (!process.connected) process.exit() // the parent went while this was loading
