/** `backup` and `doctor` as processes, on a node that stands still and on one that runs. */
import { chmodSync, cpSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { ApiClient } from '../../src/api/client.js'
import { utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { encodeTerms } from '../../src/channel/terms.js'
import { readGenesis } from '../../src/cli/directory.js'
import { examineRunning, examineStopped } from '../../src/cli/doctor/data.js'
import type { Finding } from '../../src/cli/doctor/finding.js'
import { ledgerChecks } from '../../src/cli/doctor/ledger.js'
import { examineLedger, examineTower, isLedger } from '../../src/cli/doctor/others.js'
import { keptPeers } from '../../src/node/kept-peers.js'
import { channelRow, liveChannel, markOf } from '../../src/node/live-channel.js'
import { stoppedRow } from '../../src/node/stopped.js'
import { createDirectory, openDirectory } from '../../src/store/directory.js'
import { emptyJournal } from '../../src/store/journal.js'
import { openLevelStore } from '../../src/store/level.js'
import { tableKey } from '../../src/store/tables.js'
import { live } from '../channel/mallory.js'
import { must } from '../wire/people.js'
import { Shell } from './cli.js'

const shell = new Shell(t.testdir())
t.teardown(shell.end)
const { at, dir, did, tried, started } = shell
writeFileSync(at('wrong'), 'wrong horse\n', { mode: 0o600 })

interface Line {
  readonly check: string
  readonly verdict: string
  readonly text: string
  readonly mend: string | null
}

/** Exit code, and what is not in order. */
async function doctor(
  name: string,
): Promise<{ readonly code: number | null; readonly wrong: Line[]; readonly all: Line[] }> {
  const { code, out } = await tried('doctor', '--dir', at(name), '--json')
  const all = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
  // Where this test runs, the disk may be memory and the native curve not built.
  const wrong = all.filter(({ check, verdict }) => verdict !== 'ok' && !['disk', 'curve', 'modexp'].includes(check))
  return { code, wrong, all }
}

let ledgerUrl = ''

t.test('a ledger, a hub, a hospital', async () => {
  const { url, genesis } = await shell.found()
  ledgerUrl = url
  await Promise.all([
    did('init', ...dir('hub'), '--role', 'hub', ...genesis),
    did('init', ...dir('second'), '--role', 'hub', ...genesis),
    did('init', ...dir('hospital'), '--role', 'participant', ...genesis),
  ])
})

t.test('doctor finds nothing wrong with what stands still, and says what each fault takes', async (t) => {
  const well = await doctor('hospital')
  t.same([well.code, well.wrong], [0, []])
  t.ok(well.all.some(({ check, text }) => check === 'disk' && /fsync takes/.test(text)))

  chmodSync(at('hospital', 'keystore'), 0o644)
  const open = await doctor('hospital')
  t.match(open, { code: 1, wrong: [{ check: 'rights', mend: `chmod 600 ${at('hospital', 'keystore')}` }] })
  chmodSync(at('hospital', 'keystore'), 0o600)

  const elsewhere = readFileSync(at('hospital', 'config.json'), 'utf8')
  writeFileSync(at('hospital', 'config.json'), elsewhere.replace(ledgerUrl, 'http://127.0.0.1:9'))
  t.match(await doctor('hospital'), { code: 1, wrong: [{ check: 'ledger', mend: /config\.json/ }] })
  writeFileSync(at('hospital', 'config.json'), elsewhere)

  cpSync(at('hospital'), at('broken'), { recursive: true })
  rmSync(at('broken', 'store', 'CURRENT'))
  t.match(await doctor('broken'), {
    code: 1,
    wrong: [{ check: 'store', text: /store_corrupt/, mend: /backup restore/ }],
  })

  cpSync(at('hospital'), at('behind'), { recursive: true })
  const behind = must(await openDirectory(at('behind'), at('passphrase')))
  await behind.highWater.raise(sha256(utf8('lost')) as Uint8Array as ChannelId, {
    version: 4,
    revoked: 3,
    ended: false,
  })
  await behind.close()
  t.match(await doctor('behind'), { code: 5, wrong: [{ check: 'channel', text: /RECOVERY/, mend: /meridian start/ }] })
  t.equal((await tried('doctor', ...dir('nowhere'))).code, 2)
})

t.test('what doctor says of a row that no start reads, of a tower, and of the ledger itself', async (t) => {
  const passphrase = at('passphrase')
  const faults = (found: readonly Finding[]) => found.filter(({ mend }) => mend !== null)

  cpSync(at('hospital'), at('bent-row'), { recursive: true })
  const store = must(await openLevelStore(at('bent-row', 'store')))
  await store.write({ puts: [{ key: tableKey('wallet', 7), value: new Uint8Array(99) }], deletes: [] })
  await store.close()
  t.match(faults(await examineStopped(at('bent-row'), passphrase)), [
    { text: /store_tampered/, mend: /backup restore/ },
  ])

  const tower = must(await createDirectory(at('tower'), passphrase, { test: true }))
  const { host } = new URL(ledgerUrl)
  t.match(await examineTower(at('tower'), passphrase, host), [{ verdict: 'ok', text: /^runs, and answers/ }])
  t.match(faults(await examineTower(at('tower'), passphrase, '127.0.0.1:9')), [{ text: /store_locked/, mend: /fuser/ }])
  await tower.close()
  t.same(faults(await examineTower(at('tower'), passphrase, host)), [])
  rmSync(at('tower', 'store', 'CURRENT'))
  const broken = [{ text: /store_corrupt/, mend: /meridian init --role tower/ }]
  t.match(faults(await examineTower(at('tower'), passphrase, host)), broken)

  t.ok(isLedger(at('ledger')) && !isLedger(at('hospital')))
  t.match(await examineLedger(at('ledger'), passphrase), [{ verdict: 'ok', text: /^runs/ }])
  cpSync(at('ledger'), at('ledger-broken'), { recursive: true })
  rmSync(at('ledger-broken', 'ledger', 'CURRENT'))
  t.match(faults(await examineLedger(at('ledger-broken'), passphrase)), [{ text: /store_corrupt/, mend: /a copy of/ }])
})

t.test('C11: a channel that stopped: doctor names the command, which takes it up again once', async (t) => {
  const { context, state } = live().alice
  const stopped = liveChannel(context, state, emptyJournal(context.terms.channel))
  const terms = { key: tableKey('terms', stopped.id), value: encodeTerms(context.terms) }
  cpSync(at('hospital'), at('stopped'), { recursive: true })
  const directory = must(await openDirectory(at('stopped'), at('passphrase')))
  await directory.highWater.raise(stopped.id, markOf(state))
  await directory.store.write({ puts: [terms, channelRow(stopped), stoppedRow(stopped.id, 'C6')], deletes: [] })
  await directory.close()
  const wrong = async () => (await examineStopped(at('stopped'), at('passphrase'))).filter(({ mend }) => mend !== null)
  const mend = new RegExp(`meridian channel resume ${stopped.text} --dir`)
  t.match(await wrong(), [{ check: 'channel', verdict: 'FAIL', text: /stopped at C6/, mend }])
  const resume = ['channel', 'resume', stopped.text.slice(0, 8), ...dir('stopped')]
  t.match(await tried(...resume), { code: 2, err: /--yes/ })
  t.match(await did(...resume, '--yes'), { channel: stopped.text, stopped: null })
  t.same(await wrong(), [])
  t.match(await tried(...resume, '--yes'), { code: 3, err: /not_found/ })
})

t.test('doctor: a clock that is a day off', async (t) => {
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => now() + 86_400_000
  const found = await ledgerChecks(at('hospital'), ledgerUrl, await readGenesis(at('hospital', 'genesis.cbor')))
  const clock = found.find(({ check }) => check === 'clock')
  t.match(clock, { verdict: 'warn', text: /clock is 86\d{3} s ahead of the ledger/, mend: /timedatectl/ })
  t.notOk(clock?.recovery)
})

t.test('what doctor says of a running node: what each fault of a channel and of a tower takes', async (t) => {
  const tower = {
    account: 'ab'.repeat(33),
    url: 'ws://127.0.0.1:1',
    connected: true,
    channels: 3,
    behind: 0,
    jobs: 0,
    code: null,
  }
  const away = { ...tower, connected: false }
  const rubbish = { ...away, code: 'tower_receipt_invalid' }
  const towers = [tower, away, rubbish, { ...tower, code: 'tower_quota' }, { ...tower, behind: 2 }]
  const channels = [
    { channel: 'one', phase: 'open', stopped: null },
    { channel: 'two', phase: 'open', stopped: 'C11' },
    { channel: 'three', phase: 'recovery', stopped: null },
  ]
  const api = {
    node: async () => ({ ledger_age_s: 1, ready: true, channels_recovering: 2, towers }),
    channels: async () => ({ channels }),
  } as unknown as ApiClient
  const found = await examineRunning(at('hospital'), api)
  const wrong = found.filter(({ mend }) => mend !== null).map(({ check, text, mend }) => `${check}: ${text}: ${mend}`)
  const said = [
    /^channel: two: stopped at C11.*: install a version that mends it, stop the node, then: meridian channel resume two --dir/,
    /^channel: three: in RECOVERY: keep the node running/,
    /^channel: 1 on the ledger whose newest state nobody has shown.*: meridian peer connect ACCOUNT@/,
    /^towers: .* is away: start it: meridian tower --dir/,
    /^towers: .* does not answer as that tower should: tower_receipt_invalid: ask its operator/,
    /^towers: .* refuses: tower_quota: ask its operator/,
    /^towers: .* lags behind in 2 of 3 channels: wait/,
  ]
  t.equal(wrong.length, said.length)
  for (const [place, line] of said.entries()) t.match(wrong[place], line)
})

t.test('a backup of a node that stands still', async (t) => {
  const refusals = async (code: number, word: RegExp, ...args: string[]) => {
    const ran = await tried('backup', 'export', ...dir('hospital'), ...args)
    t.match(ran, { code, err: word }, args.join(' '))
  }
  await refusals(2, /keep it elsewhere/, '--out', at('hospital', 'backup'))
  await refusals(3, /keystore_refused/, '--out', at('b0'), '--passphrase-file', at('wrong'))
  const made = await did('backup', 'export', ...dir('hospital'), '--out', at('b1'))
  t.match(made, { peers: 0 })
  t.equal(statSync(at('b1')).mode & 0o777, 0o600)
  const before = readFileSync(at('b1'))
  await refusals(3, /backup_exists/, '--out', at('b1'))
  t.same(readFileSync(at('b1')), before)
})

t.test('a backup of one that runs, and what is restored of it', async (t) => {
  // Two nodes of one process, each with its own keys, port and API.
  t.match(await tried('hub', ...dir('second'), ...dir('second')), { code: 2, err: /named twice/ })
  const hub = await started('hub', ...dir('hub'), ...dir('second'))
  const [one, other] = hub.lines as [Record<string, unknown>, Record<string, unknown>]
  t.match(
    [one, other],
    [
      { dir: at('hub'), forwarding: true },
      { dir: at('second'), forwarding: true },
    ],
  )
  for (const field of ['account', 'listening', 'api']) t.not(one[field], other[field], field)
  for (const name of ['hub', 'second']) t.equal((await tried('channel', 'list', ...dir(name))).code, 0)
  t.match(await tried('start', ...dir('second')), { code: 3, err: /store_locked/ })
  const hospital = await started('start', ...dir('hospital'))
  const address = hub.lines[0]!['address'] as string
  t.match(await did('peer', 'connect', address, ...dir('hospital')), { peer: address.split('@')[0] })
  t.match((await tried('peer', 'list', ...dir('hospital'))).out, /ws:.* connected/)
  const well = await doctor('hospital')
  t.same([well.code, well.wrong], [0, []])
  const { account } = await did('backup', 'export', ...dir('hospital'), '--out', at('b2'))
  await hospital.process.stop()

  const restore = ['backup', 'restore', '--from', at('b2')]
  t.match(await tried(...restore, ...dir('hospital')), { code: 3, err: /store_exists/ })
  t.match(await tried(...restore, ...dir('new'), '--passphrase-file', at('wrong')), { code: 3, err: /backup_refused/ })
  const bent = readFileSync(at('b2'))
  bent[100]! ^= 1
  writeFileSync(at('bent'), bent)
  t.match(await tried('backup', 'restore', '--from', at('bent'), ...dir('new')), { code: 3, err: /backup_damaged/ })

  // What docs/recovery.md says of a ledger, a peer and an address that have moved meanwhile.
  const [named] = address.split('@')
  const elsewhere = [
    '--ledger',
    'http://127.0.0.1:9',
    '--listen',
    '127.0.0.1:7001',
    '--peer',
    `${named}@ws://127.0.0.1:9`,
  ]
  t.match(await did(...restore, ...dir('moved'), ...elsewhere), { account, peers: 1, peers_without_address: 0 })
  const { ledger, listen } = JSON.parse(readFileSync(at('moved', 'config.json'), 'utf8')) as Record<string, unknown>
  t.same([ledger, listen], ['http://127.0.0.1:9', '127.0.0.1:7001'])
  const moved = must(await openDirectory(at('moved'), at('passphrase')))
  const [peer] = await keptPeers(moved.store)
  await moved.close()
  t.equal(peer?.url, 'ws://127.0.0.1:9')

  const restored = await did(...restore, ...dir('new'))
  t.match(restored, { account, peers: 1, peers_without_address: 0, restored: true })
  renameSync(at('hospital'), at('gone'))
  const again = await started('start', ...dir('new'))
  t.equal(again.lines[0]!['account'], account)
  const { peers } = (await did('backup', 'export', ...dir('new'), '--out', at('b3'))) as { readonly peers: number }
  t.equal(peers, 1, 'the peer is known again')
  const examined = await doctor('new')
  t.same([examined.code, examined.wrong], [0, []])
})
