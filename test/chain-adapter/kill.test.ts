import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ledgerIdOf } from '../../src/base/genesis.js'
import type { SubmitReceipt } from '../../src/base/ports/chain.js'
import { decodeBlock, type Previous } from '../../src/chain-adapter/block.js'
import { openStorage } from '../../src/chain-adapter/embedded/open-storage.js'
import type { LedgerStorage } from '../../src/chain-adapter/embedded/storage.js'
import { connectLedger } from '../../src/chain-adapter/remote/client.js'
import { replayBlock } from '../../src/chain-adapter/replay.js'
import { runCheck } from '../../src/privacy/check.js'
import { register } from '../contract/account-transactions.js'
import { reveal } from '../contract/channel-transactions.js'
import { role, testGenesis, World } from '../contract/world.js'
import { codeOf, eventsAfter } from './conformance/user.js'
import { must } from './fixtures.js'

const genesis = testGenesis()
const world = new World()
const alice = role('alice')
const child = fileURLToPath(new URL('./ledger-child.js', import.meta.url))

/** Acknowledged transactions after which the ledger is killed, while others are under way: a fixed list, so a failure repeats. */
const KILLED_AFTER = [1, 7, 29]
const UNDER_WAY = 8

async function start(dir: string, port: number): Promise<{ process: ChildProcess; url: string }> {
  const process = fork(child, [dir, String(port)])
  const [{ url }] = (await once(process, 'message')) as [{ url: string }]
  return { process, url }
}

/** The state hash that replaying every block from genesis gives, and the state rows it must leave. */
function replayed(storage: LedgerStorage): { previous: Previous; rows: boolean } {
  const state = new Map<string, Uint8Array>()
  let previous: Previous | undefined
  for (let height = 0; height <= storage.head.height; height++) {
    const block = must(decodeBlock(storage.blockBytes(height)!))
    const writes = must(replayBlock({ get: (key) => state.get(key) }, genesis, previous, block, (it) => runCheck(it)))
    for (const [key, value] of writes) state.set(key, value)
    previous = block.head
  }
  const rows = [...state].every(([key, value]) => Buffer.from(storage.state(key)!).equals(value))
  return { previous: previous!, rows }
}

t.test('kill -9 at any moment: the same state hash after replay, every receipt still there', async (t) => {
  const dir = join(t.testdir(), 'ledger')
  const open = () => openStorage({ dir, create: false, headKey: role('issuer').key }, genesis)
  let running = await start(dir, 0)
  t.teardown(() => running.process.kill('SIGKILL'))
  const port = Number(new URL(running.url).port)
  const chain = await connectLedger(running.url, ledgerIdOf(genesis))
  const following = eventsAfter(chain, 0, 1 + KILLED_AFTER.reduce((sum, count) => sum + count + UNDER_WAY, 0))
  const receipts: SubmitReceipt[] = [await chain.submit(register(world, alice))]
  t.equal(await codeOf(open()), 'store_locked', 'C7: a second process is refused')

  for (const count of KILLED_AFTER) {
    const txs = Array.from({ length: count + UNDER_WAY }, () => reveal(world, alice, [world.scalar()]))
    const acknowledged: SubmitReceipt[] = []
    let reached = () => {}
    const enough = new Promise<void>((resolve) => {
      reached = resolve
    })
    const all = txs.map(async (tx) => {
      const receipt = await chain.submit(tx)
      acknowledged.push(receipt)
      if (acknowledged.length === count) reached()
      return receipt
    })
    await enough
    running.process.kill('SIGKILL')
    await once(running.process, 'exit')
    const promised = [...receipts, ...acknowledged]

    const storage = await open()
    t.same(
      promised.map(({ id }) => storage.receipt(id)),
      promised,
      `killed after ${count}: what was acknowledged is there`,
    )
    const { previous, rows } = replayed(storage)
    t.same(previous.stateHash, storage.head.stateHash, 'the same state hash after replay')
    t.ok(rows, 'and the same state')
    await storage.close()

    running = await start(dir, port)
    receipts.push(...(await Promise.all(all))) // the client repeats what the kill cut off, with the same bytes
  }
  const cursors = receipts.map(({ cursor }) => cursor).sort((a, b) => a - b)
  t.same(
    cursors,
    Array.from(receipts, (_, i) => i + 1),
    'each transaction exactly once',
  )
  const events = await following
  t.same(
    events.map(({ cursor }) => cursor),
    cursors,
    'a follower saw each event through every kill',
  )
  await chain.close()
})
