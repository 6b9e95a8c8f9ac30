/**
 * @statechannels/server-wallet: two wallets, each a process with a PostgreSQL database of its own (synced commits), over
 * process messages instead of a network. A payment is a new allocation by the payer and the payee's next turn, which countersigns it.
 * What it does not do here: encrypt amounts, fund on a chain (its own "Fake" funding), route.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answering, asking, closedLoop, plan, playing, requireFrom, role, tell } from './drive.mjs'

const TOTAL = 1_000_000
const ZERO = '0x0000000000000000000000000000000000000000'
const USER = 'postgres'

/** As another user where this is root: PostgreSQL refuses to run as root. */
const asUser = (command, args) =>
  process.getuid() === 0 ? ['runuser', ['-u', USER, '--', command, ...args]] : [command, args]

function must(command, args) {
  const [program, all] = asUser(command, args)
  const { status, stderr, error } = spawnSync(program, all, { cwd: '/', encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr}`)
}

/** A cluster of its own, reached by a socket within its directory. */
async function postgres() {
  const root = mkdtempSync(join(tmpdir(), 'peer-postgres-'))
  if (process.getuid() === 0) spawnSync('chown', [USER, root])
  const data = join(root, 'data')
  must('initdb', ['-D', data, '-U', USER, '--auth=trust', '--no-sync'])
  const [program, args] = asUser('postgres', ['-D', data, '-k', root, '-c', 'listen_addresses='])
  spawn(program, args, { cwd: '/', stdio: 'ignore' })
  process.once('exit', () => {
    must('pg_ctl', ['-D', data, '-m', 'immediate', 'stop'])
    rmSync(root, { recursive: true, force: true })
  })
  while (spawnSync('psql', ['-h', root, '-U', USER, '-c', 'select 1']).status !== 0) {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return root
}

const destination = (name) => `0x${(name === 'payer' ? 'aa' : 'bb').repeat(32)}`
const payloadIn = (outbox) => outbox.map(({ params }) => params.data)

async function wallet(name, { dir, host }) {
  const require = requireFrom(dir)
  const { Wallet } = require('@statechannels/server-wallet')
  process.env.PSQL_ARGS = `-h ${host} -U ${USER}`
  const own = Wallet.create({
    databaseConfiguration: { connection: { host, port: 5432, user: USER, dbName: name }, pool: { max: 10 } },
    networkConfiguration: { chainNetworkID: 0 },
    ethereumPrivateKey: `0x${(name === 'payer' ? '7a' : '5b').repeat(32)}`,
    workerThreadAmount: 0,
    skipEvmValidation: true,
    loggingConfiguration: { logLevel: 'error', logDestination: '/dev/null' },
    metricsConfiguration: { timingMetrics: false },
  })
  await own.dbAdmin().createDB()
  await own.dbAdmin().migrateDB()
  const signingAddress = await own.getSigningAddress()
  return { own, participant: { signingAddress, participantId: name, destination: destination(name) } }
}

/** What the payer holds and what the payee holds. */
const split = (held) => [
  {
    assetHolderAddress: ZERO,
    allocationItems: [
      ['payer', held],
      ['payee', TOTAL - held],
    ].map(([name, amount]) => ({
      destination: destination(name),
      amount: `0x${amount.toString(16).padStart(64, '0')}`,
    })),
  },
]

/** The payee: takes what it is sent; its own turn leaves the money where it is. */
async function payee(args) {
  const { own, participant } = await wallet('payee', args)
  answering({
    push: async (messages) => {
      for (const message of messages) await own.pushMessage(message)
    },
    join: async ({ messages, channelId }) => {
      for (const message of messages) await own.pushMessage(message)
      return payloadIn((await own.joinChannel({ channelId })).outbox)
    },
    pay: async ({ messages, channelId }) => {
      let result
      for (const message of messages) result = (await own.pushMessage(message)).channelResults.at(-1)
      const { allocations, appData } = result
      return payloadIn((await own.updateChannel({ channelId, allocations, appData })).outbox)
    },
  })
  process.send(participant)
}

async function main(run) {
  requireFrom(run.dir).resolve('@statechannels/server-wallet') // or it says so, before there is a database
  const host = await postgres()
  const [peer, { own, participant }] = await Promise.all([
    role(import.meta.filename, 'payee', { dir: run.dir, host }),
    wallet('payer', { dir: run.dir, host }),
  ])
  const ask = asking(peer.child)
  const open = async () => {
    const created = await own.createChannel({
      participants: [participant, peer.ready],
      allocations: split(TOTAL),
      appDefinition: ZERO,
      appData: '0x00',
      fundingStrategy: 'Fake',
    })
    const { channelId } = created.channelResults[0]
    for (const message of await ask('join', { messages: payloadIn(created.outbox), channelId })) {
      const { outbox } = await own.pushMessage(message)
      await ask('push', payloadIn(outbox))
    }
    return { channelId, held: TOTAL }
  }
  for (const window of run.windows) {
    const idle = await Promise.all(Array.from({ length: window }, open)) // turns alternate: one payment at a time in a channel
    const pay = async () => {
      const channel = idle.pop()
      const { channelId } = channel
      channel.held -= 1 + Math.floor(Math.random() * 9)
      const { outbox } = await own.updateChannel({ channelId, allocations: split(channel.held), appData: '0x00' })
      for (const message of await ask('pay', { messages: payloadIn(outbox), channelId })) await own.pushMessage(message)
      idle.push(channel)
    }
    const what = window === 1 ? 'direct, one channel' : 'direct, one channel for each outstanding'
    tell(what, await closedLoop(window, run.seconds, pay))
  }
  process.exit(0)
}

const part = playing()
await (part === undefined ? main(plan()) : payee(part.args))
