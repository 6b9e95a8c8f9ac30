/** Run by process.test.ts as a process of its own: writes for ever, or until killed, or until the disk refuses. */
import { writeSync } from 'node:fs'
import { u64, utf8 } from '../../src/base/bytes.js'
import type { ChannelId } from '../../src/base/ids.js'
import { openDirectory } from '../../src/store/directory.js'
import { tableKey } from '../../src/store/tables.js'

const [dir, passphraseFile] = process.argv.slice(2)
const say = (line: string) => writeSync(1, `${line}\n`)
const opened = await openDirectory(dir!, passphraseFile!)
if (!opened.ok) {
  say(`refused ${opened.error.code}`)
  process.exit(3)
}
const channel = new Uint8Array(32).fill(1) as ChannelId
const value = new Uint8Array(20_000)
for (let version = 1; ; version++) {
  const puts = [
    { key: tableKey('channel', channel), value: u64(version) },
    { key: tableKey('counter', utf8(`${version % 64}`)), value },
  ]
  const written = opened.value.commit({ puts, deletes: [] }, [
    [channel, { version, revoked: version - 1, ended: false }],
  ])
  await written.catch(() => say('a caller went on after a failed write'))
  say(`acknowledged ${version}`)
}
