/** A backup opens with its passphrase alone, whole or not at all, and never takes the place of another file. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import { accountOf, readBackup, writeBackup } from '../../src/store/backup.js'
import { createKeystore, Secrets } from '../../src/store/keystore.js'
import { must } from '../wire/people.js'

const secrets = new Secrets(sha256(utf8('alice')))
const bob = accountOf(new Secrets(sha256(utf8('bob'))))
const carol = accountOf(new Secrets(sha256(utf8('carol'))))
const content = {
  genesis: utf8('genesis'),
  keyBits: 1024,
  config: '{"role":"participant"}',
  peers: [
    { account: bob, url: 'ws://127.0.0.1:9735' },
    { account: carol, url: null },
  ],
}
const passphrase = utf8('correct horse')

t.test('what was written is read again, by its passphrase', async (t) => {
  const path = join(t.testdir(), 'backup')
  must(await writeBackup(path, passphrase, secrets, content, true))
  t.equal(statSync(path).mode & 0o777, 0o600)
  const bytes = new Uint8Array(readFileSync(path))
  const read = must(await readBackup(bytes, passphrase))
  t.same([read.secrets.exportSeed(), read.account], [secrets.exportSeed(), accountOf(secrets)])
  t.match({ genesis: read.genesis, config: read.config, peers: read.peers, keyBits: read.keyBits }, content)
  t.equal(JSON.stringify(read.secrets), '"[redacted]"')
  for (const plain of [secrets.exportSeed(), bob, utf8('127.0.0.1'), utf8('participant')]) {
    t.equal(Buffer.from(bytes).indexOf(plain), -1, 'nothing of it stands there plainly')
  }
  t.match(await readBackup(bytes, utf8('wrong horse')), { ok: false, error: { code: 'backup_refused' } })
})

t.test('damage is told from a wrong passphrase, at every byte', async (t) => {
  const path = join(t.testdir(), 'backup')
  must(await writeBackup(path, passphrase, secrets, content, true))
  const bytes = new Uint8Array(readFileSync(path))
  for (let at = 0; at < bytes.length; at += 37) {
    const bent = bytes.slice()
    bent[at]! ^= 1
    t.match(await readBackup(bent, passphrase), { ok: false, error: { code: 'backup_damaged' } }, `byte ${at}`)
  }
  for (const length of [0, 31, 32, bytes.length - 1]) {
    const cut = bytes.slice(0, length)
    t.match(await readBackup(cut, passphrase), { ok: false, error: { code: 'backup_damaged' } }, `${length} bytes`)
  }
})

t.test('a keystore is no backup: the label is part of the seal', async (t) => {
  const path = join(t.testdir(), 'keystore')
  must(await createKeystore(path, passphrase, { test: true }))
  const opened = await readBackup(new Uint8Array(readFileSync(path)), passphrase)
  t.match(opened, { ok: false, error: { code: 'backup_refused' } })
})

t.test('a file that is there stays as it is', async (t) => {
  const path = join(t.testdir(), 'backup')
  writeFileSync(path, 'older')
  t.match(await writeBackup(path, passphrase, secrets, content, true), { ok: false, error: { code: 'backup_exists' } })
  t.equal(readFileSync(path, 'utf8'), 'older')
  const nowhere = join(path, 'below')
  t.match(await writeBackup(nowhere, passphrase, secrets, content, true), { error: { code: 'store_failed' } })
})
