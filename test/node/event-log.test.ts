/** The event log: pays of one step share a row, and every reader still sees one event each, from any cursor. */
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { bytesToHex, u64 } from '../../src/base/bytes.js'
import type { ChannelId } from '../../src/base/ids.js'
import { Engine } from '../../src/node/engine.js'
import { EventLog, type NumberedEvent } from '../../src/node/event-log.js'
import { HighWater, type HighWaterFile } from '../../src/store/high-water.js'
import { memoryStore } from '../../src/store/memory.js'
import { tableRange } from '../../src/store/tables.js'

const store = memoryStore()
const engine = new Engine({ store, commit: (batch) => store.write(batch) }, (error) => {
  throw error
})
const log = new EventLog(store)
const channel = 'ab'.repeat(32)
const pays = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    amount: BigInt(from + i) as Amount,
    reference: u64(from + i).slice(i % 9),
  }))

t.test('one row for a step, one event for a pay, pages from any cursor', async (t) => {
  const heard: NumberedEvent[] = []
  log.listen((event) => heard.push(event))
  const { durable } = engine.run((tx) => {
    log.append(tx, { type: 'forward.claimed', time: 1, channel, fee: 3n as Amount })
    log.appendPays(tx, { sent: false, time: 2, channel }, pays(10, 5))
    log.appendPays(tx, { sent: true, time: 2, channel }, pays(20, 3))
    log.append(tx, { type: 'forward.claimed', time: 3, channel, fee: 4n as Amount })
  })
  await durable
  const all = await log.page(0, 100)
  t.strictSame(
    all.map(({ cursor }) => cursor),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  )
  t.strictSame(heard, all, 'a listener hears what a page says')
  t.strictSame(all[3], {
    type: 'pay.received',
    time: 2,
    channel,
    amount: 12n,
    reference: bytesToHex(u64(12).slice(2)),
    cursor: 4,
  })
  t.match(all[8], { type: 'pay.sent', amount: 22n, cursor: 9 })
  for (let cursor = 0; cursor <= 10; cursor++) {
    for (const limit of [1, 3, 4]) {
      t.strictSame(await log.page(cursor, limit), all.slice(cursor, cursor + limit), `${limit} after ${cursor}`)
    }
  }
  let rows = 0
  for await (const _ of store.range(tableRange('event'))) rows += 1
  t.equal(rows, 4)
  await engine.close()
})

t.test('a mark that is on disk is not written again, one that is on its way is waited for (S2)', async (t) => {
  let syncs = 0
  let release = () => {}
  const file: HighWaterFile = {
    write: (bytes) => bytes.length,
    datasync: () => {
      syncs += 1
      return new Promise((resolve) => {
        release = resolve
      })
    },
    sync: async () => {},
    close: async () => {},
  }
  const marks = new HighWater(file, new Uint8Array(16), {}, new Uint8Array(0))
  const id = new Uint8Array(32).fill(7) as ChannelId
  const synced = async () => {
    for (const seen = syncs; syncs === seen; ) await new Promise((resolve) => setImmediate(resolve))
  }
  const [first, second] = [
    marks.raise(id, { version: 1, revoked: 0, ended: false }),
    marks.raise(id, { version: 1, revoked: 0, ended: false }),
  ]
  await synced()
  let told = false
  void second.then(() => {
    told = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  t.notOk(told, 'the same mark, not yet durable: nothing may leave')
  release()
  await Promise.all([first, second])
  await marks.raise(id, { version: 1, revoked: 0, ended: false })
  t.equal(syncs, 1, 'durable: nothing to do')
  const higher = marks.raise(id, { version: 1, revoked: 0, ended: true })
  await synced()
  release()
  await higher
  t.equal(syncs, 2)
})
