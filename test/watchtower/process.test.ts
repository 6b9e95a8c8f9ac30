/** `meridian tower` as a process of its own: real sockets, a real directory, the embedded ledger with a manual clock. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { concatBytes } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { encodeGenesis } from '../../src/base/genesis.js'
import type { TowerAnswer, TowerMessage, TowerRequest } from '../../src/base/message/tower.js'
import { receiptDigest, towerCodec } from '../../src/base/message/tower.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import { serveLedger } from '../../src/chain-adapter/embedded/server.js'
import { parsePeerAddress } from '../../src/wire/address.js'
import { connect } from '../../src/wire/connect.js'
import { negotiate } from '../../src/wire/peer.js'
import type { Session } from '../../src/wire/session.js'
import { User } from '../chain-adapter/conformance/user.js'
import { createLedger } from '../chain-adapter/fixtures.js'
import { type Running, run, serve } from '../cli/cli.js'
import { mint, register, rollover } from '../contract/account-transactions.js'
import { openChannel, type SignedState, type TestChannel } from '../contract/channel-transactions.js'
import { testGenesis } from '../contract/world.js'
import { until } from '../node/village.js'
import { mutate, rngOf } from '../wire/mutate.js'
import { must, type Person } from '../wire/people.js'
import { alice, appointmentOf, bob, cosigned, exitOf, mallory, secretsOf } from './yard.js'

const root = t.testdir()
const at = (...parts: string[]): string => join(root, ...parts)
writeFileSync(at('passphrase'), 'correct horse\n')
writeFileSync(at('genesis.cbor'), encodeGenesis(testGenesis()))
const env = { MERIDIAN_PASSPHRASE_FILE: at('passphrase') }
const running: Running[] = []
const closers: (() => Promise<unknown>)[] = []
t.teardown(async () => {
  await Promise.all(running.map((process) => process.stop('SIGKILL')))
  for (const close of closers.reverse()) await close()
})

const ledger = await createLedger()
closers.push(() => ledger.close())
const server = await serveLedger(ledger)
closers.push(() => server.close())
const user = new User(inProcessAdapter(ledger))

interface Started {
  readonly process: Running
  readonly line: Record<string, unknown>
}

async function start(dir: string): Promise<Started> {
  const process = serve(['tower', '--dir', at(dir), '--json'], env)
  running.push(process)
  const line = await process.next()
  if (line === undefined) throw new Error('the tower ended before it was ready')
  return { process, line: JSON.parse(line) as Record<string, unknown> }
}

interface Caller {
  readonly session: Session
  ask(request: TowerRequest): Promise<TowerMessage>
}

async function call({ line }: Started, who: Pick<Person, 'key'>): Promise<Caller> {
  const { account, url } = must(parsePeerAddress(line['address'] as string))
  const session = must(await connect({ url, key: who.key, remote: account }))
  const peer = must(await negotiate({ session, ledger: user.world.ledger, codec: towerCodec }))
  const waiting: ((answer: TowerMessage) => void)[] = []
  peer.onMessage((answer) => waiting.shift()?.(answer))
  return {
    session,
    ask: (request) =>
      new Promise((resolve) => {
        waiting.push(resolve)
        peer.send(request)
      }),
  }
}

async function receiptOf(
  caller: Caller,
  request: TowerRequest,
): Promise<Extract<TowerAnswer, { name: 'receipt' }>['body']> {
  const answer = await caller.ask(request)
  if (answer.name !== 'receipt') throw new Error(JSON.stringify(answer))
  return answer.body
}

async function open(): Promise<TestChannel> {
  const { tx, channel } = openChannel(user.world, { parties: [alice, bob], deposits: [20n, 10n], window: 100 })
  await user.submit(tx)
  return channel
}
const state = (channel: TestChannel, version: number): SignedState => cosigned(user.world, channel, version)
const standing = async (channel: TestChannel) => (await user.chain.channel(channel.id)).value
const register_ = (channel: TestChannel): TowerRequest => ({ name: 'register', body: { channel: channel.id } })

let tower: Started

t.test('init, start, and who may not', async (t) => {
  const made = await run(
    [
      'init',
      '--dir',
      at('tower'),
      '--role',
      'tower',
      '--genesis',
      at('genesis.cbor'),
      '--ledger',
      server.url,
      '--json',
    ],
    env,
  )
  t.equal(made.code, 0, made.err)
  t.notOk(existsSync(at('tower', 'public.json')), 'nothing to be admitted')
  tower = await start('tower')
  t.match(tower.line, { ready: true, channels: 0, jobs: 0 })
  t.equal((await run(['tower', '--dir', at('tower')], env)).code, 3, 'a second process on one directory')
  t.equal((await run(['start', '--dir', at('tower')], env)).code, 2, 'a tower is no node')
  t.end()
})

t.test('punished and superseded over real sockets; one channel survives a kill, one a copied directory', async (t) => {
  const { world } = user
  for (const who of [alice, bob]) {
    await user.submit(register(world, who))
    await user.submit(mint(world, who, 100n))
    await user.submit(rollover(world, who))
    await user.submit(rollover(world, who))
  }
  const [first, second] = [await open(), await open()]
  const caller = await call(tower, alice)
  for (const channel of [first, second]) t.equal((await caller.ask(register_(channel))).name, 'registered')
  const stranger = await call(tower, mallory)
  t.match((await stranger.ask(register_(first))).body, { request: 192, code: 'tower_not_party' })

  const receipt = await receiptOf(caller, appointmentOf(first, state(first, 3), secretsOf(first, 1, 0, 3)))
  const { signature, ...body } = receipt
  const account = must(parsePeerAddress(tower.line['address'] as string)).account
  const digest = receiptDigest({ ledger: world.ledger, tower: account, client: alice.account }, body)
  t.ok(curve.verify(digest, signature, account))
  await receiptOf(caller, appointmentOf(second, state(second, 3), secretsOf(second, 1, 0, 2)))

  await tower.process.stop('SIGKILL')
  await user.submit(exitOf(world, first, 1, state(first, 2)))
  await user.submit(exitOf(world, second, 1, state(second, 2)))
  await ledger.advance({ seconds: 20 })
  cpSync(at('tower'), at('copy'), { recursive: true })
  tower = await start('copy')
  t.match(tower.line, { ready: true, channels: 2, clients: 1 })
  await until(async () => (await standing(first))?.phase === 'closed')
  await until(async () => (await standing(second))?.dispute?.standingVersion === 3)
  t.equal((await standing(second))?.phase, 'disputed', 'superseded, not punished')
  t.end()
})

t.test('mutated requests cost their sender the connection or a code, never the tower', async (t) => {
  const channel = await open()
  const caller = await call(tower, alice)
  await caller.ask(register_(channel))
  const honest = towerCodec.encode(appointmentOf(channel, state(channel, 1), secretsOf(channel, 1, 0, 1)))
  const rng = rngOf(7)
  for (let round = 0; round < 60; round++) {
    const session = (await call(tower, bob)).session
    session.send(mutate(honest, rng))
    session.close()
  }
  const foreign = await call(tower, bob)
  const ended = new Promise((resolve) => foreign.session.onClose(resolve))
  void foreign.ask({ name: 'jobCancelled', body: { job: new Uint8Array(32) } } as unknown as TowerRequest)
  t.equal(await ended, 'connection_closed', 'an answer is no request')
  const receipt = await receiptOf(caller, appointmentOf(channel, state(channel, 1), secretsOf(channel, 1, 0, 1)))
  t.match(receipt, { version: 1, secrets: 1 })
  t.end()
})

t.test('a graceful stop answers what was asked; the directory shows no state and no secret', async (t) => {
  const channel = await open()
  const caller = await call(tower, alice)
  await caller.ask(register_(channel))
  const last = state(channel, 9)
  const answered = receiptOf(caller, appointmentOf(channel, last, secretsOf(channel, 1, 0, 9)))
  await answered
  t.equal(await tower.process.stop('SIGTERM'), 0)
  const files = readdirSync(at('copy'), { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
  const disk = Buffer.from(concatBytes(...files.map((file) => readFileSync(join(file.parentPath, file.name)))))
  t.ok(disk.includes(Buffer.from(channel.id)), 'ids are plain')
  t.notOk(disk.includes(Buffer.from(last.signatures[0])), 'states are sealed')
  t.notOk(
    secretsOf(channel, 1, 0, 9).list.some((secret) => disk.includes(Buffer.from(secret))),
    'and so are secrets',
  )
  t.end()
})
