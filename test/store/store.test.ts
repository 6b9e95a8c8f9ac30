import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import t, { type Test } from 'tap'
import { u64, utf8 } from '../../src/base/bytes.js'
import type { ErrorCode, MeridianError } from '../../src/base/errors.js'
import type { Batch, Range, Store } from '../../src/base/ports/store.js'
import { createLevelStore, openLevelStore, SCHEMA_VERSION } from '../../src/store/level.js'
import { memoryStore } from '../../src/store/memory.js'

const put = (...rows: readonly (readonly [string, string])[]): Batch => ({
  puts: rows.map(([key, value]) => ({ key: utf8(key), value: utf8(value) })),
  deletes: [],
})
const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes)
const keysIn = async (store: Store, range: Omit<Range, 'from' | 'to'> = {}, from = utf8('a'), to = utf8('z')) => {
  const keys: (string | undefined)[] = []
  for await (const row of store.range({ from, to, ...range })) keys.push(text(row.key))
  return keys
}
const codeOf = async (promise: Promise<unknown>): Promise<ErrorCode | 'resolved'> =>
  promise.then(
    () => 'resolved' as const,
    (error: MeridianError) => error.code,
  )

/** What every Store does, on disk and in memory (S1). */
async function storeSuite(t: Test, make: () => Promise<Store>) {
  const store = await make()
  await t.test('rows are read back, ranges are ordered, bounded and without the store’s own rows', async (t) => {
    await store.write(put(['b', '2'], ['a', '1'], ['c', '3'], ['aa', '1a']))
    t.equal(text(store.get(utf8('b'))), '2')
    t.equal(store.get(utf8('absent')), undefined)
    t.strictSame(await keysIn(store), ['a', 'aa', 'b', 'c'])
    t.strictSame(await keysIn(store, { reverse: true, limit: 2 }), ['c', 'b'])
    t.strictSame(await keysIn(store, {}, utf8('aa'), utf8('c')), ['aa', 'b'], 'from is inclusive, to exclusive')
    t.strictSame(await keysIn(store, {}, Uint8Array.of(), Uint8Array.of(255)), ['a', 'aa', 'b', 'c'])
    const value = store.get(utf8('b'))!
    t.equal(value.constructor, Uint8Array, 'never a Buffer, whose slice shares memory')
  })
  await t.test('deletes follow puts in a batch, batches follow the order of their calls', async (t) => {
    await store.write({ puts: [{ key: utf8('b'), value: utf8('x') }], deletes: [utf8('b'), utf8('aa')] })
    t.equal(store.get(utf8('b')), undefined)
    await Promise.all([...Array(50).keys()].map((i) => store.write(put(['counter', `${i}`]))))
    t.equal(text(store.get(utf8('counter'))), '49')
  })
  await t.test('keys of the store itself are refused', async (t) => {
    t.throws(() => store.write({ puts: [{ key: Uint8Array.of(0, 1), value: u64(9) }], deletes: [] }), {
      name: 'InvariantError',
    })
    t.throws(() => store.write({ puts: [], deletes: [Uint8Array.of()] }), { name: 'InvariantError' })
  })
  await t.test('close finishes what was submitted, then refuses', async (t) => {
    const last = store.write(put(['last', 'yes']))
    await store.close()
    await last
    t.equal(await codeOf(store.write(put(['later', 'no']))), 'store_closed')
    t.throws(() => store.get(utf8('last')), { code: 'store_closed' })
  })
}

t.test('memory store', async (t) => {
  await storeSuite(t, async () => memoryStore())

  await t.test('concurrent writes share one sync', async (t) => {
    const store = memoryStore()
    store.hold()
    const writes = [1, 2, 3].map((i) => store.write(put([`k${i}`, 'v'])))
    await new Promise((resolve) => setImmediate(resolve))
    const late = [4, 5].map((i) => store.write(put([`k${i}`, 'v'])))
    t.equal(store.get(utf8('k1')), undefined, 'not before its sync')
    store.release()
    await Promise.all(writes)
    t.equal(store.syncs, 1, 'those of one turn of the event loop')
    await Promise.all(late)
    t.equal(store.syncs, 2, 'those that came while it was in flight')
  })

  await t.test('a failed sync is final and told once (S2)', async (t) => {
    const fatal: ErrorCode[] = []
    const store = memoryStore({ onFatal: ({ code }) => fatal.push(code) })
    await store.write(put(['kept', '1']))
    store.failSync(1)
    store.hold()
    const inFlight = codeOf(store.write(put(['lost', '1'])))
    await new Promise((resolve) => setImmediate(resolve))
    const queued = codeOf(store.write(put(['lost', '2'])))
    store.release()
    t.strictSame([await inFlight, await queued], ['store_failed', 'store_failed'])
    t.equal(await codeOf(store.write(put(['later', '1']))), 'store_failed')
    t.strictSame(fatal, ['store_failed'])
    t.equal(store.crash().get(utf8('lost')), undefined)
    t.equal(text(store.crash().get(utf8('kept'))), '1')
  })

  await t.test(
    'power loss: acknowledged batches survive, unsynced ones vanish, the one in flight may do either',
    async (t) => {
      for (const fate of ['lost', 'kept'] as const) {
        const store = memoryStore()
        await store.write(put(['acknowledged', '1']))
        store.hold()
        let settled = false
        const settle = () => {
          settled = true
        }
        store.write(put(['flying', '1'])).then(settle, settle)
        await new Promise((resolve) => setImmediate(resolve))
        store.write(put(['queued', '1'])).then(settle, settle)
        const after = store.crash(fate)
        store.release()
        await new Promise((resolve) => setImmediate(resolve))
        t.equal(settled, false, 'a dead process learns nothing')
        t.equal(text(after.get(utf8('acknowledged'))), '1')
        t.equal(text(after.get(utf8('flying'))), fate === 'kept' ? '1' : undefined)
        t.equal(after.get(utf8('queued')), undefined)
        await after.write(put(['next', '1']))
      }
    },
  )
})

t.test('level store', async (t) => {
  const dir = t.testdir({})
  const make = async (name: string) => {
    const made = await createLevelStore(join(dir, name))
    if (!made.ok) throw new Error(made.error.code)
    return made.value
  }
  const reopen = async (name: string) => openLevelStore(join(dir, name))
  const refusal = async (name: string) => {
    const opened = await reopen(name)
    if (opened.ok) await opened.value.close()
    return opened.ok ? 'opened' : opened.error.code
  }
  const filesOf = (name: string, pattern: RegExp) => readdirSync(join(dir, name)).filter((file) => pattern.test(file))

  await storeSuite(t, () => make('suite'))

  await t.test('every write asks for its sync', async (t) => {
    const store = await make('synced')
    const asked: unknown[] = []
    const batch = Level.prototype.batch as () => { write: (options?: unknown) => Promise<void> }
    t.intercept(Level.prototype, 'batch', {
      value(this: Level) {
        const chained = batch.call(this)
        const write = chained.write.bind(chained)
        chained.write = (options) => {
          asked.push(options)
          return write(options)
        }
        return chained
      },
    })
    await store.write(put(['k', 'v']))
    t.strictSame(asked, [{ sync: true }])
    await store.close()
  })

  await t.test('only create begins a database, and never over something (S2)', async (t) => {
    t.equal(await refusal('absent'), 'store_missing')
    t.notOk(readdirSync(dir).includes('absent'), 'a refused open leaves nothing behind')
    const again = await createLevelStore(join(dir, 'suite'))
    t.match(again, { ok: false, error: { code: 'store_exists' } })
  })

  await t.test('rows survive a reopen without suspicion; one opener at a time (C7)', async (t) => {
    const store = await make('reopened')
    await store.write(put(['k', 'v']))
    t.equal(await refusal('reopened'), 'store_locked')
    await store.close()
    const opened = await reopen('reopened')
    if (!opened.ok) throw new Error(opened.error.code)
    t.equal(text(opened.value.get(utf8('k'))), 'v')
    t.strictSame(opened.value.suspicions, [])
    await opened.value.close()
  })

  await t.test('another schema is refused, a lost one is damage', async (t) => {
    for (const [version, code] of [
      [u64(SCHEMA_VERSION + 1), 'store_newer'],
      [u64(SCHEMA_VERSION - 1), 'store_older'],
      [u64(0), 'store_corrupt'],
      [utf8('?'), 'store_corrupt'],
    ] as const) {
      const name = `schema-${version.join('')}`
      await (await make(name)).close()
      const raw = new Level<Uint8Array, Uint8Array>(join(dir, name), { keyEncoding: 'view', valueEncoding: 'view' })
      await raw.put(utf8('\0schema'), version)
      await raw.close()
      t.equal(await refusal(name), code)
    }
  })

  await t.test('deleted and damaged files have a code', async (t) => {
    for (const [name, pattern] of [
      ['no-current', /^CURRENT/],
      ['no-manifest', /^MANIFEST/],
    ] as const) {
      await (await make(name)).close()
      for (const file of filesOf(name, pattern)) rmSync(join(dir, name, file))
      t.equal(await refusal(name), 'store_corrupt', name)
    }
    await (await make('bad-manifest')).close()
    writeFileSync(join(dir, 'bad-manifest', filesOf('bad-manifest', /^MANIFEST/)[0]!), 'garbage of any length at all')
    t.equal(await refusal('bad-manifest'), 'store_corrupt')
  })

  await t.test('LevelDB drops a damaged record and opens: suspicion (S2)', async (t) => {
    const store = await make('flipped')
    for (let i = 0; i < 10; i++) await store.write(put([`k${i}`, 'v'.repeat(100)]))
    await store.close()
    const log = join(dir, 'flipped', filesOf('flipped', /\.log$/)[0]!)
    const bytes = readFileSync(log)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(log, bytes)
    const opened = await reopen('flipped')
    if (!opened.ok) throw new Error(opened.error.code)
    t.match(opened.value.suspicions[0], /dropping/)
    t.equal(opened.value.get(utf8('k9')), undefined, 'acknowledged, synced, gone: why high-water exists')
    await opened.value.close()
  })
})
