/** The event log: pays of one step share a row, and every reader still sees one event each, from any cursor. */
import t from 'tap'
import { isEventType, type KnownEvent } from '../../src/api/event-types.js'
import type { Amount } from '../../src/base/amount.js'
import { bytesToHex, u64 } from '../../src/base/bytes.js'
import type { ChannelId } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import { statementOf } from '../../src/cli/account-statement.js'
import { Engine } from '../../src/node/engine.js'
import { channelsChange } from '../../src/node/event-archive.js'
import { EventLog, type NodeEvent, type NumberedEvent, zNodeEvent } from '../../src/node/event-log.js'
import { HighWater, type HighWaterFile } from '../../src/store/high-water.js'
import { memoryStore } from '../../src/store/memory.js'
import { tableRange } from '../../src/store/tables.js'
import { refusal } from '../api/nodes.js'
import { must } from '../chain-adapter/fixtures.js'

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

t.test(
  'archived and old rows leave, in pieces; what they moved stays as one sum, and no reader passes over them',
  async (t) => {
    const store = memoryStore()
    const fatal = (error: unknown): never => {
      throw error
    }
    const engine = new Engine({ store, commit: (batch) => store.write(batch) }, fatal)
    const log = new EventLog(store)
    const fees = LIMITS.sweep_rows + 10
    await engine.run((tx) => {
      for (let i = 0; i < fees; i++) log.append(tx, { type: 'forward.claimed', time: 1, channel, fee: 3n as Amount })
      log.appendPays(tx, { sent: true, time: 2, channel }, pays(10, 5))
      log.appendPays(tx, { sent: false, time: 9, channel }, pays(20, 2))
    }).durable
    const all = await log.page(0, 10_000)
    const archive = async (cursor: number) => {
      const { value, durable } = engine.run((tx) => log.archive(tx, cursor))
      await durable
      return value
    }
    const pruneAll = async (before: number) => {
      let pieces = 0
      while (await log.prune(engine, before)) pieces += 1
      return pieces
    }
    const kept = async (from: number) => {
      t.strictSame(await log.page(from, 10_000), all.slice(from))
      t.equal(await refusal(log.page(Math.max(0, from - 1), 1)), from === 0 ? 'ok' : 'cursor_pruned')
      t.equal(log.carried.cursor, from)
      const left = all.slice(0, from).reduce((sum, event) => sum + channelsChange(event), 0n)
      t.equal(log.carried.channels, left)
    }

    await pruneAll(100)
    await kept(0) // old, and not archived
    t.match(await archive(all.length + 1), { error: { code: 'cursor_ahead' } })
    must(await archive(fees + 4))
    must(await archive(7)) // a late word takes nothing back
    t.equal(log.archived, fees + 4)
    await pruneAll(1)
    await kept(0) // archived, and not old
    t.equal(await pruneAll(100), 1, 'more than one piece')
    await kept(fees) // of a row of five pays, one is not archived
    must(await archive(all.length))
    await pruneAll(9)
    await kept(fees + 5)
    t.equal(log.carried.channels, BigInt(fees) * 3n - 60n)
    t.strictSame(
      { ...log.carried, last: log.last },
      { cursor: fees + 5, time: 2, channels: BigInt(fees) * 3n - 60n, last: all.length },
    )
    await pruneAll(100)
    await kept(all.length)
    await engine.run((tx) => log.append(tx, { type: 'forward.claimed', time: 10, channel, fee: 3n as Amount })).durable
    t.match(await log.page(all.length, 10), [{ cursor: all.length + 1 }], 'numbers go on')
    await engine.close()
  },
)

t.test('what leaves the log is counted as the statement counts it, whichever event it is', (t) => {
  const fields = {
    time: 1,
    channel: 'c',
    peer: 'p',
    key: 'k',
    invoice: 'i',
    reference: 'r',
    refund: 'f',
    parts: 1,
    version: 1,
  }
  const amounts = { amount: 70n, fee: 9n }
  const types = zNodeEvent.options.map(({ shape }) => shape.type.value)
  let moving = 0
  for (const type of types) {
    t.ok(isEventType(type))
    const event = { ...fields, ...amounts, type } as unknown as NodeEvent
    const known = { ...fields, amount_minor: 70n, fee_minor: 9n, cursor: 1, type } as unknown as KnownEvent
    t.equal(channelsChange(event), statementOf([], [known], []).channels, type)
    if (channelsChange(event) !== 0n) moving += 1
  }
  t.same([types.length, moving], [15, 6])
  t.end()
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
