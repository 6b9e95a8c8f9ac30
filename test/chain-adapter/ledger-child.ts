/** A ledger process to be killed: serves `argv[2]` and tells its parent where. */
import { existsSync } from 'node:fs'
import { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { serveLedger } from '../../src/chain-adapter/embedded/server.js'
import { must, testOptions } from './fixtures.js'

const dir = process.argv[2]!
const options = testOptions({ dir, clock: { kind: 'system', interval_ms: 2, idle_ms: 1_000 } })
const ledger = must(existsSync(dir) ? await Ledger.open(options) : await Ledger.create(options))
const server = await serveLedger(ledger, { port: Number(process.argv[3]) })
process.send!({ url: server.url })
process.on('disconnect', () => process.exit())
