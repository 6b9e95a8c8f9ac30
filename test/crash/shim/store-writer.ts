/**
 * Run by power.test.ts as a process of its own: checks what its directory promises, then writes on until it is killed.
 * Lines: `at <version>` what a start found, `behind` where the file outside knows more, `acknowledged <version>`.
 * `at-switch`: the power goes as soon as something was acknowledged that stands in a log which LevelDB began meanwhile.
 */
import { readdirSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { readU64, u64, utf8 } from '../../../src/base/bytes.js'
import type { ChannelId } from '../../../src/base/ids.js'
import { openDirectory } from '../../../src/store/directory.js'
import { FATAL_EXIT_CODE } from '../../../src/store/fatal.js'
import { tableKey } from '../../../src/store/tables.js'

const [dir, passphraseFile, valueBytes, moment] = process.argv.slice(2)
const say = (line: string) => writeSync(1, `${line}\n`)
const opened = await openDirectory(dir!, passphraseFile!)
if (!opened.ok) {
  say(`refused ${opened.error.code} ${opened.error.detail ?? ''}`)
  process.exit(opened.error.code === 'store_failed' ? FATAL_EXIT_CODE : 3)
}
const directory = opened.value
const channel = new Uint8Array(32).fill(1) as ChannelId
const row = directory.store.get(tableKey('channel', channel))
const found = row === undefined ? 0 : readU64(row)!
say(`at ${found}`)
if (directory.highWater.check(channel, { version: found, revoked: found, ended: false }) === 'database_behind')
  say('behind')
const logs = () => readdirSync(join(dir!, 'store')).filter((name) => name.endsWith('.log'))
const begun = new Set(logs())
const value = new Uint8Array(Number(valueBytes))
for (let version = found + 1; ; version++) {
  const puts = [
    { key: tableKey('channel', channel), value: u64(version) },
    { key: tableKey('counter', utf8(`${version % 64}`)), value },
  ]
  await directory.commit({ puts, deletes: [] }, [[channel, { version, revoked: version, ended: false }]])
  say(`acknowledged ${version}`)
  if (moment === 'at-switch' && logs().some((name) => !begun.has(name))) writeFileSync(join(dir!, 'power-cut'), '')
}
