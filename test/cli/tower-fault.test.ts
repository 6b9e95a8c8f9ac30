/**
 * T2: a tower that signed and slept is shown at fault by receipts and ledger alone: `tower`, `channel receipts` and
 * `tower-fault` are processes, and the dispute is settled by the party that cheated.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { startApi } from '../../src/api/server.js'
import { encodeGenesis } from '../../src/base/genesis.js'
import { idText } from '../../src/base/ids.js'
import { serveLedger } from '../../src/chain-adapter/embedded/server.js'
import { parsePeerAddress } from '../../src/wire/address.js'
import { silent } from '../../src/wire/environment.js'
import { must } from '../chain-adapter/fixtures.js'
import { exitFrom, post } from '../node/adversary.js'
import { cents, HUB, PATIENT, until, Village } from '../node/village.js'
import { Shell } from './cli.js'

const WINDOW = 600

const village = await Village.build()
const { ledger } = village
const server = await serveLedger(ledger)
const shell = new Shell(t.testdir())
t.teardown(async () => {
  await shell.end()
  await village.close()
  await server.close()
})
const { at, dir, did, tried, started } = shell
const receipts = at('receipts')
const fault = ['tower-fault', '--receipt', receipts, '--ledger', server.url]

t.test('signed, asleep, settled against its client: guilty', async (t) => {
  writeFileSync(at('genesis.cbor'), encodeGenesis(ledger.genesis))
  const genesis = ['--genesis', at('genesis.cbor'), '--ledger', server.url]
  await did('init', ...dir('tower'), '--role', 'tower', ...genesis)
  const tower = await started('tower', ...dir('tower'))
  const address = must(parsePeerAddress(tower.lines[0]!['address'] as string))
  const watched = { ...HUB, window: WINDOW, towers: [address], towerReceiptsRequired: 1 }
  const bob = await village.settle('bob', 100_000n, watched)
  const alice = await village.settle('alice', 100_000n, { ...PATIENT, window: WINDOW })
  const id = await village.channel(alice, bob, 50_000n, 0n)
  const pay = async (key: string, amount: bigint): Promise<void> => {
    const wish = { amount: cents(amount), reference: key, expiresIn: 100_000 }
    const { text } = must(await bob.node.issueInvoice(key, wish))
    must(await alice.node.pay(key, text, cents(0n)))
    t.match(await alice.node.waitPayment(key, 60_000), { status: 'succeeded' })
    await until(() => [alice, bob].every(({ node }) => node.channel(id)?.locks === 0))
  }
  await pay('one', 10n)
  const old = await exitFrom(alice, id)
  await pay('two', 40_000n)
  await until(() => bob.node.channel(id)?.towerLag === 0)

  const api = await startApi({ node: bob.node, dir: at(), logger: silent, port: 0 })
  t.match(await did('channel', 'receipts', idText(id).slice(0, 12), '--out', receipts, '--dir', at()), { receipts: 1 })
  await api.close()
  const before = await tried(...fault)
  t.match(before, { out: /nobody exited this channel/ }, before.err)
  t.not(before.code, 1)

  await tower.process.stop('SIGKILL')
  await village.stop(bob)
  await village.stop(alice)
  await ledger.advance({ seconds: 1 })
  await post(ledger, old)
  const running = await tried(...fault, '--json')
  t.match([running.code, JSON.parse(running.out)], [4, { verdict: 'undecided', reason: 'dispute_running' }])
  await ledger.advance({ seconds: WINDOW + 1 })
  const settling = await village.start('alice', { ...PATIENT, window: WINDOW })
  await until(() => settling.node.channel(id)?.phase === 'closed')

  const guilty = await tried(...fault)
  t.equal(guilty.code, 1, guilty.err)
  t.match(guilty.out, /^GUILTY .*: a revoked state was settled: the tower held its secret and did not punish/)
  t.match(guilty.out, new RegExp(idText(address.account)))

  const line = readFileSync(receipts, 'utf8')
  writeFileSync(
    receipts,
    line.replace(/"version":(\d+)/, (_, version) => `"version":${Number(version) + 1}`),
  )
  t.match(await tried(...fault), { code: 3, err: /tower_receipt/ }, 'no receipt that the tower did not sign')
})
