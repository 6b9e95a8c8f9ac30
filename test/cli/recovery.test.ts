/** `backup` and `doctor` as processes, on a node that stands still and on one that runs. */
import { chmodSync, cpSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { ApiClient } from '../../src/api/client.js'
import { utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { examineRunning } from '../../src/cli/doctor/data.js'
import { keptPeers } from '../../src/node/kept-peers.js'
import { openDirectory } from '../../src/store/directory.js'
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
  const towers = [tower, { ...tower, connected: false }, { ...tower, code: 'tower_quota' }, { ...tower, behind: 2 }]
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
    /^channel: two: stopped at C11.*: restart the node: meridian start --dir/,
    /^channel: three: in RECOVERY: keep the node running/,
    /^channel: 1 on the ledger whose newest state nobody has shown.*: meridian backup restore --peer/,
    /^towers: .* is away: start it: meridian tower --dir/,
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
  const hub = await started('hub', ...dir('hub'))
  const hospital = await started('start', ...dir('hospital'))
  const address = hub.lines[0]!['address'] as string
  // No money is there yet: the connection is what stays.
  t.equal((await tried('channel', 'open', address, '--deposit', '1.00', ...dir('hospital'))).code, 3)
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
