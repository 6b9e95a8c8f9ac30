/**
 * A hub in a process of its own, so that its memory is its own: it does what its parent says, and writes all that it can write
 * to in memory into a file.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { hexToBytes } from '../../src/base/bytes.js'
import type { LedgerId } from '../../src/base/ids.js'
import { connectLedger } from '../../src/chain-adapter/remote/client.js'
import { defaultConfig } from '../../src/node/config.js'
import { Node } from '../../src/node/node.js'
import { createPool } from '../../src/privacy/pool.js'
import { openDirectory } from '../../src/store/directory.js'
import { register, registrationRequest } from '../../src/wallet/registration.js'
import { must } from '../chain-adapter/fixtures.js'
import { cents } from './village.js'

export type Order =
  | {
      readonly kind: 'begin'
      readonly dir: string
      readonly passphrase: string
      readonly ledger: string
      readonly id: string
    }
  | { readonly kind: 'register'; readonly admission: string }
  | { readonly kind: 'keep'; readonly hex: string }
  | { readonly kind: 'dump'; readonly file: string }
  | { readonly kind: 'stop' }
export type Answer =
  | { readonly kind: 'begun'; readonly url: string; readonly request: unknown }
  | { readonly kind: 'done' }

let node: Node | undefined
let stop: (() => Promise<void>) | undefined
const kept: Uint8Array[] = []
const logged: unknown[] = []
const log = (level: string) => (event: string, fields?: object) => void logged.push({ level, event, ...fields })

async function begin({ dir, passphrase, ledger, id }: Extract<Order, { kind: 'begin' }>): Promise<Answer> {
  const directory = must(await openDirectory(dir, passphrase))
  const chain = await connectLedger(ledger, hexToBytes(id) as LedgerId)
  const pool = createPool({ threads: 1 })
  const config = {
    ...defaultConfig(48),
    listen: { host: '127.0.0.1', port: 0 },
    forwarding: true,
    open: { enabled: true, depositMin: cents(1n), shareMax: cents(1n << 47n) },
  }
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn') }
  const hub = await Node.open({ directory, chain, pool, config, logger })
  const { listening } = must(await hub.start())
  node = hub
  stop = async () => {
    await hub.stop()
    await chain.close()
    await directory.close()
    await pool.close()
  }
  const request = await registrationRequest(hub.wallet)
  return { kind: 'begun', url: listening ?? '', request }
}

const CHUNK = 1 << 20

/** Every region of this process that can be written to, its log included: it is kept in memory alone. */
function dump(file: string): void {
  const out = openSync(file, 'w')
  const memory = openSync('/proc/self/mem', 'r')
  const chunk = Buffer.allocUnsafeSlow(CHUNK)
  writeSync(out, JSON.stringify(logged))
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
    if (from === undefined || to === undefined || line.endsWith('[vvar]')) continue
    const end = BigInt(`0x${to}`)
    for (let at = BigInt(`0x${from}`); at < end; at += BigInt(CHUNK)) {
      const length = Number(end - at < BigInt(CHUNK) ? end - at : BigInt(CHUNK))
      writeSync(out, chunk, 0, readRegion(memory, chunk, length, at))
    }
  }
  closeSync(memory)
  closeSync(out)
}

/** A region that went since the list was read holds nothing. */
function readRegion(memory: number, chunk: Buffer, length: number, at: bigint): number {
  try {
    return readSync(memory, chunk, 0, length, at)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EIO' || (error as NodeJS.ErrnoException).code === 'EFAULT') return 0
    throw error
  }
}

async function obey(order: Order): Promise<Answer> {
  switch (order.kind) {
    case 'begin':
      return begin(order)
    case 'register':
      must(await register(node!.wallet, order.admission))
      return { kind: 'done' }
    case 'keep':
      kept.push(hexToBytes(order.hex))
      return { kind: 'done' }
    case 'dump':
      dump(order.file)
      return { kind: 'done' }
    case 'stop':
      await stop?.()
      return { kind: 'done' }
  }
}

process.on('message', (order: Order) => {
  obey(order).then(
    (answer) => process.send!(answer),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit())
