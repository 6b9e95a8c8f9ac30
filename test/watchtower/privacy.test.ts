/** T1: a tower learns no amount, and what it holds decrypts nothing. States of the real channel machine, a real directory. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Amount, amountToBytes } from '../../src/base/amount.js'
import { u64 } from '../../src/base/bytes.js'
import { decodeChannelState } from '../../src/base/channel-state.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prf } from '../../src/base/digest.js'
import type { TowerRequest } from '../../src/base/message/tower.js'
import { Draft, writeChannel } from '../../src/chain-adapter/contract/state.js'
import { openSealed } from '../../src/channel/content.js'
import { encodeChannel } from '../../src/channel/snapshot.js'
import { createDirectory } from '../../src/store/directory.js'
import { TOWER_DEFAULTS } from '../../src/watchtower/config.js'
import { packSecrets } from '../../src/watchtower/secrets.js'
import { Tower } from '../../src/watchtower/tower.js'
import { silent } from '../../src/wire/environment.js'
import { openPair, alice as party, World } from '../channel/world.js'
import { must } from '../wire/people.js'
import { Client, Yard } from './yard.js'

t.test('a tower with its passphrase: no amount in its rows, and nothing in them opens a state', async (t) => {
  const opened = openPair()
  const world = new World(opened)
  world.connect()
  world.settle()
  for (let round = 0; round < 6; round++) {
    const operation = { kind: 'pay', amount: 12_345n as Amount, reference: u64(round) } as const
    world.input(0, { type: 'offer', operations: [operation] })
    world.settle()
  }
  const { current, secrets: peerSecrets } = world.alice.state
  const { terms } = opened

  const yard = await Yard.opened()
  const draft = new Draft(yard.world.view)
  const view = yard.world.channel(yard.channel.id)
  const { channel, channelKeys, accounts, state } = terms
  writeChannel(draft, { ...view, channel, channelKeys, accounts, state })
  for (const [key, bytes] of draft.writes) yard.world.records.set(key, bytes)

  const root = t.testdir()
  writeFileSync(join(root, 'passphrase'), 'correct horse')
  const directory = must(await createDirectory(join(root, 'tower'), join(root, 'passphrase'), { test: true }))
  t.teardown(() => directory.close())
  const { store, secrets } = directory
  const { chain, timers } = yard
  const key = secrets.signingKey
  const tower = await Tower.open({ store, key, chain, timers, logger: silent, config: TOWER_DEFAULTS })
  await tower.start()
  const client = new Client({ ...yard.alice.who, account: party.account }, tower)
  t.equal(await client.register({ id: channel }), 'registered')
  const request: TowerRequest = {
    name: 'appointment',
    body: {
      channel,
      state: current.encoded,
      signatures: [current.signatures[0], current.signatures[1]],
      secrets: { kind: 'store', ...packSecrets(peerSecrets) },
    },
  }
  t.equal(await client.verdict(request), 'receipt')
  await tower.stop()

  const held = must(decodeChannelState(current.encoded))
  const rows: Uint8Array[] = []
  for await (const { value } of store.range({ from: Uint8Array.of(1), to: Uint8Array.of(255) })) rows.push(value)
  t.ok(
    rows.some((row) => Buffer.from(row).includes(Buffer.from(current.encoded))),
    'the state is among its rows',
  )
  for (const balance of current.content.balances) {
    const amount = Buffer.from(amountToBytes(balance))
    t.ok(Buffer.from(encodeChannel(world.alice.state)).includes(amount), 'the search finds the amount where it is')
    t.notOk(rows.some((row) => Buffer.from(row).includes(amount)))
  }

  const tried = (secret: Uint8Array): boolean => openSealed(secret, held).ok
  t.ok(tried(world.alice.context.secret), 'a party opens it')
  const own = [key, secrets.storeKey, secrets.channelSeed, secrets.walletSeed, secrets.exportSeed()]
  const agreed = terms.channelKeys.map((point) =>
    prf(curve.ecdh(point, key), 'channel-secret', terms.ledger, terms.channel),
  )
  const windows = rows.flatMap((row) =>
    Array.from({ length: row.length - 31 }, (_, from) => row.slice(from, from + 32)),
  )
  const asKeys = packSecrets(peerSecrets).slots.flatMap((slot) =>
    terms.channelKeys.map((point) => prf(curve.ecdh(point, slot as Scalar), 'channel-secret', terms.ledger, channel)),
  )
  t.notOk([...own, ...agreed, ...asKeys, ...windows].some(tried), `${windows.length} strings of its rows, as keys`)
  t.end()
})
