import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { compareBytes, u64, utf8 } from '../../src/base/bytes.js'
import { decodeAs, encodeAs } from '../../src/base/codec.js'
import type { ChannelId } from '../../src/base/ids.js'
import type { Result } from '../../src/base/result.js'
import { createHighWater, type Mark, openHighWater } from '../../src/store/high-water.js'
import { SLOT_BYTES, slotOffset } from '../../src/store/high-water-slot.js'
import {
  appendEntry,
  emptyJournal,
  type JournalHead,
  truncateJournal,
  verifyJournal,
  zJournalHead,
} from '../../src/store/journal.js'
import { memoryStore } from '../../src/store/memory.js'
import { Outbox } from '../../src/store/outbox.js'
import { sealedStore } from '../../src/store/sealed.js'
import { lastCounter, tableKey, tableRange } from '../../src/store/tables.js'

const must = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.error.code)
  return result.value
}
const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code)
const channelOf = (n: number) => new Uint8Array(32).fill(n) as ChannelId
const alices = channelOf(1)
const bobs = channelOf(2)
const mark = (version: number, revoked: number, ended = false): Mark => ({ version, revoked, ended })

t.test('keys order by id, then by counter; a table’s range holds its rows and no other’s', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.maxSafeNat(),
      fc.maxSafeNat(),
      async (a, b, i, j) => {
        const [x, y] = [tableKey('journal', a, i), tableKey('journal', b, j)]
        const same = compareBytes(a, b) === 0
        const { from, to } = tableRange('journal', a)
        const within = compareBytes(from, y) <= 0 && compareBytes(y, to) < 0
        return lastCounter(x) === i && within === same && (!same || Math.sign(compareBytes(x, y)) === Math.sign(i - j))
      },
    ),
  )
  const ids = [Uint8Array.of(255), Uint8Array.of(255, 255), new Uint8Array(32).fill(255)]
  for (const id of ids) t.ok(compareBytes(tableKey('journal', id, 2 ** 53 - 1), tableRange('journal', id).to) < 0)
  t.throws(() => tableKey('journal', new Uint8Array(256), 0), { name: 'InvariantError' })
})

t.test('journal: a gap-free hash chain (S2)', async (t) => {
  const disk = memoryStore()
  const store = sealedStore(disk, new Uint8Array(32))
  const append = async (channel: ChannelId, head: JournalHead, payload: string) => {
    const { head: appended, put } = appendEntry(channel, head, utf8(payload))
    const { head: next, deletes } = truncateJournal(store, channel, appended, 4)
    await store.write({ puts: [put], deletes })
    return next
  }
  let head = emptyJournal(alices)
  t.strictSame(must(await verifyJournal(store, alices, head)), [])
  for (let i = 0; i < 6; i++) head = await append(alices, head, `round ${i}`)
  let other = emptyJournal(bobs)
  other = await append(bobs, other, 'round 0')
  const entries = must(await verifyJournal(store, alices, head))
  t.strictSame(
    entries.map(({ index, payload }) => [index, payload]),
    [...Array(6).keys()].map((i) => [i, utf8(`round ${i}`)]),
  )
  t.strictSame(must(decodeAs(zJournalHead, encodeAs(zJournalHead, head))), head, 'the head fits into a state row')

  await t.test('a missing, altered, moved, foreign or surplus entry breaks it', async (t) => {
    const key = (index: number, channel = alices) => tableKey('journal', channel, index)
    const good = new Map([...Array(7).keys()].map((i) => [i, store.get(key(i))]))
    const broken = async (what: string, expected: string, edit: () => Promise<void>) => {
      await edit()
      t.equal(codeOf(await verifyJournal(store, alices, head)), expected, what)
      const puts = [...good].flatMap(([i, value]) => (value === undefined ? [] : [{ key: key(i), value }]))
      await store.write({ puts, deletes: [key(6)] })
      t.ok((await verifyJournal(store, alices, head)).ok, `mended after ${what}`)
    }
    const put = (index: number, value: Uint8Array) => store.write({ puts: [{ key: key(index), value }], deletes: [] })
    for (const index of [0, 3, 5]) {
      await broken(`entry ${index} lost`, 'journal_broken', () => store.write({ puts: [], deletes: [key(index)] }))
      const altered = good.get(index)!.slice()
      altered[altered.length - 1]! ^= 1
      await broken(`entry ${index} altered`, 'journal_broken', () => put(index, altered))
    }
    await broken('two entries swapped', 'journal_broken', async () => {
      await put(2, good.get(3)!)
      await put(3, good.get(2)!)
    })
    await broken('another channel’s entry', 'journal_broken', () => put(0, store.get(key(0, bobs))!))
    await broken('an entry beyond the head', 'journal_broken', () => put(6, good.get(5)!))
    await broken('a row that is not sealed', 'store_tampered', () =>
      disk.write({ puts: [{ key: key(1), value: good.get(1)! }], deletes: [] }),
    )
    t.equal(codeOf(await verifyJournal(store, alices, { ...head, next: 5 })), 'journal_broken', 'a head of before')
    t.equal(codeOf(await verifyJournal(store, bobs, head)), 'journal_broken')
  })

  await t.test('what the snapshot covers goes, the chain stays verifiable', async (t) => {
    for (let i = 6; i < 100; i++) {
      head = await append(alices, head, `round ${i}`)
      const kept = must(await verifyJournal(store, alices, head))
      if (kept.length > 8 || kept.at(-1)?.index !== i) t.fail(`${kept.length} entries at ${i}`)
    }
    t.equal(head.next, 100)
    t.not(head.first, 0)
    t.ok((await verifyJournal(store, bobs, other)).ok, 'the other channel is untouched')
    await store.write({ puts: [], deletes: [tableKey('journal', alices, head.first)] })
    t.equal(codeOf(await verifyJournal(store, alices, head)), 'journal_broken', 'the oldest kept is needed')
  })
})

t.test('outbox: effects are durable with their state, run at least once, in order (C6)', async (t) => {
  const texts = (effects: readonly { readonly payload: Uint8Array }[]) =>
    effects.map(({ payload }) => new TextDecoder().decode(payload))
  let store = memoryStore()
  let outbox = await Outbox.open(store)
  const seen: number[] = []
  const stage = async (...payloads: string[]) => {
    const { rows, effects } = outbox.stage(payloads.map(utf8))
    await store.write({ puts: rows, deletes: outbox.takeDone() })
    for (const { id } of effects) {
      if (id <= (seen.at(-1) ?? -1)) t.fail(`id ${id} is not above ${seen.at(-1)}`)
      seen.push(id)
    }
    return effects
  }
  const first = await stage('commit 1', 'open gate')
  for (const { id } of first) outbox.done(id)
  const second = await stage('commit 2', 'ack 2')
  outbox.done(second[0]!.id)

  await t.test('after a crash the undone ones come back, and the done ones that were not yet deleted', async (t) => {
    store = store.crash()
    outbox = await Outbox.open(store)
    t.strictSame(texts(outbox.leftover), ['commit 2', 'ack 2'], 'those of the first batch were deleted with the second')
    t.strictSame(
      outbox.leftover.map(({ id }) => id),
      second.map(({ id }) => id),
      'under their ids',
    )
  })
  await t.test('an effect whose batch was not synced never comes', async (t) => {
    for (const { id } of outbox.leftover) outbox.done(id)
    await stage()
    const { rows } = outbox.stage([utf8('never promised')])
    store.hold()
    store.write({ puts: rows, deletes: [] })
    store = store.crash()
    outbox = await Outbox.open(store)
    t.strictSame(outbox.leftover, [])
  })
  await t.test('ids increase over many restarts and blocks, also with an empty table', async (t) => {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 3; i++) for (const { id } of await stage(...Array(500).fill('x'))) outbox.done(id)
      while (outbox.takeDone().length > 0);
      for await (const { key } of store.range(tableRange('outbox'))) await store.write({ puts: [], deletes: [key] })
      outbox = await Outbox.open(store)
    }
    t.equal(new Set(seen).size, seen.length)
  })
})

t.test('high-water file (S2)', async (t) => {
  const path = join(t.testdir({}), 'high-water')
  const reopen = async () => must(await openHighWater(path))
  t.equal(codeOf(await openHighWater(path)), 'high_water_missing')
  let file = must(await createHighWater(path))
  t.equal(codeOf(await createHighWater(path)), 'high_water_exists')
  t.equal(statSync(path).mode & 0o777, 0o600)
  await file.raise(alices, mark(7, 6))
  await Promise.all([file.raise(bobs, mark(0, 0)), file.raise(alices, mark(8, 6)), file.raise(alices, mark(8, 7))])

  await t.test('what was raised is there after a reopen, and judges the database', async (t) => {
    await file.close()
    file = await reopen()
    const verdicts = [
      [mark(8, 7), 'equal'],
      [mark(7, 7), 'database_behind'],
      [mark(8, 6), 'database_behind'],
      [mark(9, 6), 'database_behind'],
      [mark(9, 7), 'database_ahead'],
      [mark(8, 8), 'database_ahead'],
      [mark(8, 7, true), 'database_ahead'],
    ] as const
    for (const [have, verdict] of verdicts) t.equal(file.check(alices, have), verdict, JSON.stringify(have))
    t.equal(file.check(bobs, mark(0, 0)), 'equal')
    t.equal(file.check(channelOf(9), mark(0, 0)), 'unknown')
    t.strictSame([file.torn, file.damaged], [0, 0])
    t.throws(() => file.raise(alices, mark(7, 7)), { name: 'InvariantError' })
    t.throws(() => file.raise(alices, mark(9, 6)), { name: 'InvariantError' })
  })

  await t.test('C10: that the rounds have ended is part of the promise', async (t) => {
    await file.raise(bobs, mark(0, 0, true))
    await file.close()
    file = await reopen()
    t.equal(file.check(bobs, mark(0, 0)), 'database_behind', 'a database that plays on')
    t.equal(file.check(bobs, mark(9, 9)), 'database_behind', 'whatever it has signed since')
    t.equal(file.check(bobs, mark(0, 0, true)), 'equal')
    t.throws(() => file.raise(bobs, mark(0, 0)), { name: 'InvariantError' })
    await file.forget(bobs)
    await file.raise(bobs, mark(0, 0))
    t.equal(file.check(bobs, mark(0, 0)), 'equal', 'the bit is not of the place')
  })

  await t.test('many channels, in several growths; a forgotten one frees its place', async (t) => {
    const many = [...Array(1200).keys()].map((n) => {
      const id = new Uint8Array(32).fill(5) as ChannelId
      id.set(u64(n))
      return id
    })
    await Promise.all(many.map((id, n) => file.raise(id, mark(n, n))))
    await file.close()
    file = await reopen()
    t.ok(many.every((id, n) => file.check(id, mark(n, n)) === 'equal'))
    t.equal([...file.channels()].length, 1202)
    const size = statSync(path).size
    await Promise.all(many.map((id) => file.forget(id)))
    const others = many.map((id) => id.map((byte, i) => (i === 31 ? 6 : byte)) as ChannelId)
    await Promise.all(others.map((id, n) => file.raise(id, mark(n, 0))))
    await file.close()
    file = await reopen()
    t.equal(statSync(path).size, size, 'places are used again')
    t.equal(file.check(many[3]!, mark(3, 3)), 'unknown')
    t.equal(file.check(others[1199]!, mark(1199, 0)), 'equal')
    t.equal([...file.channels()].length, 1202)
  })

  await t.test('a write torn at any byte leaves the older mark standing', async (t) => {
    await file.close()
    const slotOf = (parity: number) => readFileSync(path).subarray(slotOffset(0, parity)).subarray(0, SLOT_BYTES)
    const before = [slotOf(0), slotOf(1)]
    file = await reopen()
    await file.raise(alices, mark(9, 8))
    await file.close()
    const whole = readFileSync(path)
    const parity = before[0]!.equals(slotOf(0)) ? 1 : 0
    t.ok(before[1 - parity]!.equals(slotOf(1 - parity)), 'the older copy is not touched')
    for (let cut = 1; cut < SLOT_BYTES; cut++) {
      const written = slotOf(parity)
      const torn = Buffer.concat([written.subarray(0, cut), before[parity]!.subarray(cut)])
      if (torn.equals(written) || torn.equals(before[parity]!)) continue
      writeAt(path, torn, slotOffset(0, parity))
      const opened = await reopen()
      t.strictSame([opened.torn, opened.check(alices, mark(8, 7))], [1, 'equal'], `cut at ${cut}`)
      await opened.close()
      writeFileSync(path, whole)
    }
    writeAt(
      path,
      before[parity]!.map((byte) => byte ^ 0xff),
      slotOffset(0, parity),
    )
    file = await reopen()
    await file.raise(alices, mark(9, 9))
    await file.close()
    file = await reopen()
    t.strictSame([file.torn, file.check(alices, mark(9, 9))], [0, 'equal'], 'the torn copy is written over next')
    t.equal(file.check(bobs, mark(0, 0)), 'equal')
  })

  await t.test('both copies damaged, moved copies, a lost header', async (t) => {
    await file.close()
    const whole = readFileSync(path)
    const bobsSlots = [0, 1].map((parity) => whole.subarray(slotOffset(1, parity)).subarray(0, SLOT_BYTES))
    for (const parity of [0, 1]) writeAt(path, bobsSlots[parity]!, slotOffset(0, parity))
    file = await reopen()
    t.equal(file.damaged, 1, 'a copy at another place does not count')
    t.equal(file.check(alices, mark(9, 9)), 'unknown')
    await file.raise(alices, mark(9, 9))
    await file.close()
    file = await reopen()
    t.strictSame([file.damaged, file.check(alices, mark(9, 9))], [1, 'equal'], 'the evidence stays')
    await file.close()
    truncateSync(path, whole.length - 5000)
    file = await reopen()
    t.equal(file.check(bobs, mark(0, 0)), 'equal')
    await file.raise(channelOf(250), mark(1, 1))
    await file.close()
    writeAt(path, Buffer.from('x'), 9)
    t.equal(codeOf(await openHighWater(path)), 'high_water_corrupt')
    writeFileSync(path, '')
    t.equal(codeOf(await openHighWater(path)), 'high_water_corrupt')
  })
})

function writeAt(path: string, bytes: Uint8Array, offset: number): void {
  const fd = openSync(path, 'r+')
  writeSync(fd, bytes, 0, bytes.length, offset)
  closeSync(fd)
}
