/**
 * Interledger: a sender, an ilp-connector and a receiver, each a process, over ilp-plugin-btp (WebSockets). A payment is one
 * packet forwarded and fulfilled with its preimage. What it does not do: signatures, encryption, balances on disk.
 */
import { createHash, randomBytes } from 'node:crypto'
import { closedLoop, plan, playing, requireFrom, role, tell } from './drive.mjs'

const HUB = 'test.hub'
const SECRET = 'bench'

const accountsOn = (ports) =>
  Object.fromEntries(
    ['alice', 'bob'].map((name, index) => [
      name,
      {
        relation: 'child',
        assetCode: 'EUR',
        assetScale: 2,
        rateLimit: { capacity: 1_000_000, refillCount: 1_000_000 },
        plugin: 'ilp-plugin-btp',
        options: { listener: { port: ports[index], secret: SECRET } },
      },
    ]),
  )

async function hub({ dir, ports }) {
  const { createApp } = requireFrom(dir)('ilp-connector')
  createApp({
    env: 'test',
    ilpAddress: HUB,
    accounts: accountsOn(ports),
    backend: 'one-to-one',
    spread: 0,
  }).listen()
}

async function plugin(dir, port) {
  const Btp = requireFrom(dir)('ilp-plugin-btp')
  const btp = new Btp({ server: `btp+ws://:${SECRET}@localhost:${port}` })
  await btp.connect()
  return btp
}

/** The preimage travels in the packet: the receiver only has to give it back. */
async function bob({ dir, ports }) {
  const { deserializeIlpPrepare, serializeIlpFulfill } = requireFrom(dir)('ilp-packet')
  const btp = await plugin(dir, ports[1])
  btp.registerDataHandler(async (packet) =>
    serializeIlpFulfill({ fulfillment: deserializeIlpPrepare(packet).data, data: Buffer.alloc(0) }),
  )
}

async function alice({ dir, windows, seconds }, btp) {
  const { deserializeIlpPacket, serializeIlpPrepare } = requireFrom(dir)('ilp-packet')
  const pay = async () => {
    const preimage = randomBytes(32)
    const packet = serializeIlpPrepare({
      amount: String(1 + (preimage[0] ?? 0)),
      destination: `${HUB}.bob`,
      executionCondition: createHash('sha256').update(preimage).digest(),
      expiresAt: new Date(Date.now() + 30_000),
      data: preimage,
    })
    const answer = deserializeIlpPacket(await btp.sendData(packet))
    if (answer.typeString !== 'ilp_fulfill') throw new Error(`refused: ${answer.data.code} ${answer.data.message}`)
  }
  await untilRouted(pay)
  for (const window of windows) tell('routed through one connector', await closedLoop(window, seconds, pay))
}

/** `listen` of the connector does not say when it has its routes: a first payment does. */
async function untilRouted(pay) {
  const end = performance.now() + 20_000
  for (;;) {
    try {
      return await pay()
    } catch (error) {
      if (performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

const part = playing()
if (part !== undefined) {
  await (part.name === 'hub' ? hub : bob)(part.args)
  process.send('ready')
} else {
  const run = plan()
  const ports = [18_751, 18_752].map((port) => port + 10 * (process.pid % 100))
  const connector = role(import.meta.filename, 'hub', { dir: run.dir, ports })
  const receiver = role(import.meta.filename, 'bob', { dir: run.dir, ports })
  const [btp] = await Promise.all([plugin(run.dir, ports[0]), connector, receiver]) // it listens once both have connected
  await alice(run, btp)
  process.exit(0)
}
