import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { bytesToHex, concatBytes, equalBytes, utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import type { Store } from '../../src/base/ports/store.js'
import type { Result } from '../../src/base/result.js'
import { createDirectory, openDirectory } from '../../src/store/directory.js'
import { createKeystore, openKeystore, readPassphrase } from '../../src/store/keystore.js'
import { memoryStore } from '../../src/store/memory.js'
import { paddedLength, sealedStore } from '../../src/store/sealed.js'

const must = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.error.code)
  return result.value
}
const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code)
const put = (store: Store, key: Uint8Array, value: Uint8Array) => store.write({ puts: [{ key, value }], deletes: [] })

t.test('keystore (S3)', async (t) => {
  const dir = t.testdir({})
  const path = join(dir, 'keystore')
  const right = utf8('correct horse')
  const secrets = must(await createKeystore(path, right, { test: true }))
  const whole = readFileSync(path)

  t.equal(statSync(path).mode & 0o777, 0o600)
  t.strictSame(readdirSync(dir), ['keystore'], 'no draft is left')
  t.notOk(whole.includes(Buffer.from(secrets.exportSeed())), 'the seed is not there in clear')

  const again = must(await openKeystore(path, right))
  const keys = ['signingKey', 'paillierSeed', 'channelSeed', 'walletSeed', 'storeKey'] as const
  for (const key of keys) t.strictSame(again[key], secrets[key], key)
  t.equal(new Set([...keys.map((key) => bytesToHex(secrets[key])), bytesToHex(secrets.exportSeed())]).size, 6)

  t.equal(codeOf(await createKeystore(path, right, { test: true })), 'keystore_exists')
  t.equal(codeOf(await openKeystore(path, utf8('wrong horse'))), 'keystore_refused')
  t.equal(codeOf(await openKeystore(join(dir, 'absent'), right)), 'keystore_missing')

  for (let at = 0; at < whole.length; at += 7) {
    const flipped = Buffer.from(whole)
    flipped[at]! ^= 1
    writeFileSync(path, flipped)
    t.equal(codeOf(await openKeystore(path, right)), 'keystore_damaged', `byte ${at}`)
  }
  writeFileSync(path, whole.subarray(0, 40))
  t.equal(codeOf(await openKeystore(path, right)), 'keystore_damaged', 'cut off')
  writeFileSync(path, '')
  t.equal(codeOf(await openKeystore(path, right)), 'keystore_damaged', 'empty')
  const forged = Buffer.from(whole.subarray(0, -32))
  forged[forged.indexOf(Buffer.from('salt')) + 8]! ^= 1
  writeFileSync(path, concatBytes(forged, sha256(forged)))
  t.equal(codeOf(await openKeystore(path, right)), 'keystore_refused', 'altered with a good checksum')

  const restored = must(
    await createKeystore(join(dir, 'restored'), utf8('other'), { test: true, seed: secrets.exportSeed() }),
  )
  t.strictSame(restored.signingKey, secrets.signingKey)

  for (const printed of [`${secrets}`, JSON.stringify({ secrets }), inspect(secrets), inspect({ deep: { secrets } })]) {
    t.match(printed, '[redacted]')
    t.notMatch(printed, bytesToHex(secrets.exportSeed()).slice(0, 8))
  }
  t.strictSame(Object.keys(secrets), [])
})

t.test('the production keystore costs 128 MiB of scrypt', async (t) => {
  const path = join(t.testdir({}), 'keystore')
  const secrets = must(await createKeystore(path, utf8('correct horse')))
  t.strictSame(must(await openKeystore(path, utf8('correct horse'))).signingKey, secrets.signingKey)
  const file = readFileSync(path)
  t.equal(file[file.indexOf(Buffer.from('cost')) + 4], 17, 'log2 N, stored in the file')
})

t.test('a passphrase is read from a file', async (t) => {
  const dir = t.testdir({
    unix: 'two words\n',
    dos: 'two words\r\n',
    plain: 'two words',
    empty: '\n',
    long: 'x'.repeat(1025),
  })
  for (const name of ['unix', 'dos', 'plain']) {
    t.strictSame(must(await readPassphrase(join(dir, name))), utf8('two words'), name)
  }
  for (const name of ['empty', 'long', 'absent'])
    t.equal(codeOf(await readPassphrase(join(dir, name))), 'passphrase_missing', name)
})

t.test('sealed store (S3)', async (t) => {
  const key = new Uint8Array(32).fill(7)
  const disk = memoryStore()
  const store = sealedStore(disk, key)
  const [a, b] = [utf8('row a'), utf8('row b')]

  await t.test('values of any length come back, also to another process with the same key', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 9 }),
        fc.uint8Array({ maxLength: 3000 }),
        async (id, value) => {
          const rowKey = concatBytes(Uint8Array.of(9), id)
          await put(store, rowKey, value)
          return equalBytes(sealedStore(disk, key).get(rowKey)!, value) && equalBytes(store.get(rowKey)!, value)
        },
      ),
      { numRuns: 50 },
    )
    t.equal(store.get(utf8('absent')), undefined)
  })

  await t.test('the disk shows neither the value nor its exact length, nor equality', async (t) => {
    const secret = utf8('124122 minor units')
    await put(store, a, secret)
    const first = disk.get(a)!
    await put(store, a, secret)
    t.notOk(Buffer.from(first).includes(Buffer.from(secret)))
    t.notSame(first.subarray(0, 24), disk.get(a)!.subarray(0, 24), 'a nonce is never used twice')
    t.notSame(first.subarray(24), disk.get(a)!.subarray(24))
    await put(store, b, utf8('1'))
    t.equal(disk.get(b)!.length, first.length, 'one size class')
    t.equal(new Set([...Array(1000).keys()].map((n) => paddedLength(n + 4))).size < 20, true)
    for (let n = 1; n < 70_000; n += 13) {
      const padded = paddedLength(n)
      if (padded < n || (n > 512 && padded > n * 1.13)) t.fail(`padding of ${n} is ${padded}`)
    }
  })

  await t.test('altered, swapped, cut and foreign rows are refused', async (t) => {
    await put(store, a, utf8('value a'))
    await put(store, b, utf8('value b'))
    const good = disk.get(a)!
    const refused = (value: Uint8Array, what: string) =>
      put(disk, a, value).then(() => t.throws(() => store.get(a), { code: 'store_tampered' }, what))
    for (let at = 0; at < good.length; at++) {
      const flipped = good.slice()
      flipped[at]! ^= 0x80
      await refused(flipped, `byte ${at}`)
    }
    for (const length of [0, 10, 43, good.length - 1]) await refused(good.slice(0, length), `cut to ${length}`)
    await refused(concatBytes(good, Uint8Array.of(0)), 'lengthened')
    await refused(disk.get(b)!, 'swapped with row b')
    await t.rejects(collect(store), { code: 'store_tampered' }, 'in a range too')
    await put(disk, a, good)
    t.strictSame(store.get(a), utf8('value a'))
    t.throws(() => sealedStore(disk, new Uint8Array(32).fill(8)).get(a), { code: 'store_tampered' }, 'another key')
  })
})

const collect = async (store: Store) => {
  for await (const _row of store.range({ from: utf8('row'), to: utf8('rox') }));
}

t.test('a data directory is created once, locked, sealed, and opened as a whole', async (t) => {
  const dir = join(t.testdir({ passphrase: 'two words\n', wrong: 'no words' }), 'node')
  const passphraseFile = join(dir, '..', 'passphrase')
  const channel = new Uint8Array(32).fill(3) as ChannelId
  t.equal(codeOf(await openDirectory(dir, passphraseFile)), 'store_missing')
  const made = must(await createDirectory(dir, passphraseFile, { test: true }))
  await made.commit({ puts: [{ key: utf8('row'), value: utf8('a secret value') }], deletes: [] }, [
    [channel, { version: 5, revoked: 4, ended: false }],
  ])
  t.equal(codeOf(await createDirectory(dir, passphraseFile, { test: true })), 'store_exists')
  t.equal(codeOf(await openDirectory(dir, passphraseFile)), 'store_locked')
  await made.close()

  t.equal(codeOf(await openDirectory(dir, join(dir, '..', 'wrong'))), 'keystore_refused')
  t.equal(codeOf(await openDirectory(dir, join(dir, '..', 'absent'))), 'passphrase_missing')
  const opened = must(await openDirectory(dir, passphraseFile))
  t.strictSame(opened.store.get(utf8('row')), utf8('a secret value'))
  t.equal(opened.highWater.check(channel, { version: 5, revoked: 4, ended: false }), 'equal')
  t.strictSame(opened.suspicions, [])
  t.strictSame(opened.secrets.signingKey, made.secrets.signingKey)
  await opened.close()
  for (const file of readdirSync(join(dir, 'store'))) {
    t.notOk(readFileSync(join(dir, 'store', file)).includes('secret value'), `${file} is sealed`)
  }
  for (const [file, code] of [
    ['keystore', 'keystore_missing'],
    ['high-water', 'high_water_missing'],
  ] as const) {
    rmSync(join(dir, file))
    t.equal(codeOf(await openDirectory(dir, passphraseFile)), code)
  }
})

t.test('what LevelDB loses without a word, the high-water file tells (S2)', async (t) => {
  const dir = join(t.testdir({ passphrase: 'two words' }), 'node')
  const passphraseFile = join(dir, '..', 'passphrase')
  const channel = new Uint8Array(32).fill(3) as ChannelId
  const made = must(await createDirectory(dir, passphraseFile, { test: true }))
  for (let version = 1; version <= 8; version++) {
    const puts = [{ key: utf8('row'), value: Uint8Array.of(version) }]
    await made.commit({ puts, deletes: [] }, [[channel, { version, revoked: version - 1, ended: false }]])
  }
  await made.close()
  const log = join(dir, 'store', readdirSync(join(dir, 'store')).find((name) => name.endsWith('.log'))!)
  const bytes = readFileSync(log)
  bytes[bytes.length - 200]! ^= 1
  writeFileSync(log, bytes)
  const opened = must(await openDirectory(dir, passphraseFile))
  const version = opened.store.get(utf8('row'))?.[0] ?? 0
  t.ok(version < 8, `acknowledged 8, found ${version}`)
  t.equal(
    opened.highWater.check(channel, { version, revoked: Math.max(0, version - 1), ended: false }),
    'database_behind',
  )
  t.match(opened.suspicions[0], /dropping [0-9]+ bytes; Corruption/, 'whatever the length of the path')
  await opened.close()
})
