import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { u64, utf8 } from '../../src/base/bytes.js'
import { ledgerIdOf } from '../../src/base/genesis.js'
import { LIMITS } from '../../src/base/limits.js'
import { encodeTransaction, type Transaction, transactionId } from '../../src/base/transaction.js'
import { type Block, beforeGenesis, decodeBlock, type Previous, sealBlock } from '../../src/chain-adapter/block.js'
import { apply } from '../../src/chain-adapter/contract/apply.js'
import { LedgerClock } from '../../src/chain-adapter/embedded/clock.js'
import { Engine, type EngineOptions } from '../../src/chain-adapter/embedded/engine.js'
import { openStorage } from '../../src/chain-adapter/embedded/open-storage.js'
import { LedgerStorage } from '../../src/chain-adapter/embedded/storage.js'
import { replayBlock } from '../../src/chain-adapter/replay.js'
import { checkDigest, runCheck } from '../../src/privacy/check.js'
import { openLevelStore } from '../../src/store/level.js'
import { type MemoryStore, memoryStore } from '../../src/store/memory.js'
import { fund, mint, register, transfer } from '../contract/account-transactions.js'
import { openChannel, reveal } from '../contract/channel-transactions.js'
import { type Role, role, signedBy, testGenesis, World } from '../contract/world.js'
import { codeOf } from './conformance/user.js'
import { must } from './fixtures.js'

const [alice, bob, issuer] = ['alice', 'bob', 'issuer'].map(role) as [Role, Role, Role]
const genesis = testGenesis()
const ledger = ledgerIdOf(genesis)

/** An engine on this thread, over a disk that obeys, with the contract itself. */
async function engineOn(store: MemoryStore, changes: Partial<EngineOptions> = {}) {
  const blocks: Block[] = []
  const first = await openStorage({ dir: undefined, create: true, headKey: issuer.key }, genesis)
  const storage = await LedgerStorage.create(store, genesis, must(decodeBlock(first.blockBytes(0)!)))
  const engine = new Engine({
    genesis,
    headKey: issuer.key,
    storage,
    clock: { kind: 'manual', held: false },
    execute: (view, tx, at, verify) => apply(view, genesis, tx, at, verify),
    digestOf: checkDigest,
    verify: async (check) => runCheck(check),
    onBlock: (block) => blocks.push(block),
    ...changes,
  })
  const submit = (tx: Transaction) => engine.submit(encodeTransaction(tx))
  return { engine, storage, blocks, submit }
}

/** A world and the transactions that made it, for an engine to repeat. */
function fundedWorld(): { world: World; history: Transaction[] } {
  const history: Transaction[] = []
  const world = new World()
  const accept = world.accept.bind(world)
  world.accept = (tx, verify) => {
    history.push(tx)
    accept(tx, verify)
  }
  fund(
    world,
    new Map([
      [alice, 100n],
      [bob, 100n],
    ]),
  )
  return { world, history }
}

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

t.test('a verdict is of one statement: where the state moved, the proof is checked again', async (t) => {
  const { world, history } = fundedWorld()
  const paid = transfer(world, alice, bob, 7n)
  const verdicts: boolean[] = []
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const { submit } = await engineOn(memoryStore(), {
    async verify(check) {
      const verdict = runCheck(check)
      if (check.type !== 'statement' || !Buffer.from(check.proof).equals(paid.proof)) return verdict
      verdicts.push(verdict)
      await gate
      return verdict
    },
  })
  for (const tx of history) await submit(tx)
  const pending = codeOf(submit(paid))
  await turns(5)
  t.same(verdicts, [true], 'its proof held while it waited')
  await submit(openChannel(world, { parties: [bob, alice], deposits: [10n, 20n] }).tx)
  release()
  t.equal(await pending, 'bad_proof', 'the balance that it spends is no longer there')
  t.same(verdicts, [true, false])
})

t.test('transactions of one account keep their order, others do not wait for their proofs', async (t) => {
  const world = new World()
  const delays: (() => void)[] = []
  const { submit, engine } = await engineOn(memoryStore(), {
    async verify(check) {
      await new Promise<void>((resolve) => delays.push(resolve))
      return runCheck(check)
    },
  })
  const pump = setInterval(() => delays.splice(0).forEach((go) => void go()), 1)
  const admitted = register(world, alice)
  await submit(admitted)
  world.accept(admitted)
  const mints = [5n, 6n, 7n].map((value) => {
    const tx = mint(world, alice, value)
    world.accept(tx)
    return tx
  })
  const receipts = await Promise.all(mints.map(submit))
  t.same(
    receipts.map(({ cursor }) => cursor),
    [2, 3, 4],
    'a nonce is never refused for having been overtaken',
  )
  clearInterval(pump)
  const waiting = codeOf(submit(mint(world, alice, 8n)))
  await submit(reveal(world, alice, [world.scalar()]))
  t.ok(true, 'a reveal is final while a proof still waits')
  await engine.close()
  t.equal(await waiting, 'unavailable')
})

t.test('nobody hears of a block before the disk has all of it', async (t) => {
  const world = new World()
  const store = memoryStore()
  const { submit, blocks, storage } = await engineOn(store)
  const [first, second] = [register(world, alice), register(world, bob)]
  const key = `account/${Buffer.from(alice.account).toString('hex')}`
  let heard = false
  store.hold()
  const pending = submit(first).finally(() => {
    heard = true
  })
  await turns(50)
  t.same([heard, blocks.length, storage.head.height], [false, 0, 0])
  t.equal(storage.state(key), undefined, 'nor reads its state')
  t.ok(storage.stateAhead(key), 'though the next block builds on it')
  store.release()
  await pending
  t.same([blocks.length, storage.head.height], [1, 1])
  t.ok(storage.state(key))

  store.hold()
  void submit(second)
  await turns(50)
  for (const [inFlight, height] of [
    ['lost', 1],
    ['kept', 2],
  ] as const) {
    const revived = must(await LedgerStorage.open(store.crash(inFlight), genesis))
    t.equal(revived.head.height, height, `power loss: none of the block or all of it (${inFlight})`)
    const receipt = revived.receipt(transactionId(encodeTransaction(second)))
    t.equal(receipt?.cursor, height === 2 ? 2 : undefined)
  }
})

t.test('the mempool is bounded; closing refuses what waits', async (t) => {
  const world = new World()
  const { submit, engine } = await engineOn(memoryStore(), { clock: { kind: 'manual', held: true } })
  const one = register(world, alice)
  const outcomes = Array.from({ length: LIMITS.mempool_transactions }, (_, nonce) => codeOf(submit({ ...one, nonce })))
  t.equal(await codeOf(submit(register(world, bob))), 'ledger_full')
  const again = codeOf(submit(one))
  await engine.close()
  t.same(new Set([...(await Promise.all(outcomes)), await again]), new Set(['unavailable']))
  t.equal(await codeOf(submit(one)), 'unavailable')
})

t.test('refusals are in the block; a defect of the contract concerns one transaction', async (t) => {
  const world = new World()
  let broken = false
  const { submit, blocks } = await engineOn(memoryStore(), {
    execute(view, tx, at, verify) {
      if (broken) throw new Error('defect')
      return apply(view, genesis, tx, at, verify)
    },
  })
  const forged = { ...register(world, alice), admission: register(world, bob).admission }
  t.equal(await codeOf(submit(signedBy(alice, forged))), 'not_admitted')
  const encoded = encodeTransaction(signedBy(alice, forged))
  t.same(blocks[0]?.refusals, [{ id: transactionId(encoded), code: 'not_admitted' }])
  t.same(blocks[0]?.writes, [])
  broken = true
  t.equal(await codeOf(submit(register(world, alice))), 'internal')
  broken = false
  t.equal((await submit(register(world, alice))).cursor, 1)
})

t.test('time', async (t) => {
  const system = new LedgerClock({ kind: 'system', interval_ms: 1, idle_ms: 1 })
  const now = system.next({ height: 0, time: 0 }, 0)
  t.ok(now >= 1_700_000_000, 'seconds')
  const machine = { wall: 1_000, ms: 0 }
  const readings = { wall_s: () => machine.wall, monotone_ms: () => machine.ms }
  const clock = new LedgerClock({ kind: 'system', interval_ms: 1, idle_ms: 1 }, readings)
  const after = (time: number, ms: number): number => {
    machine.ms += ms
    return clock.next({ height: 7, time }, 0)
  }
  t.equal(after(2_000, 0), 2_000, 'the machine’s clock went back: ledger time does not')
  machine.wall += 86_400
  t.equal(after(1_000, 0), 1_001, 'a day ahead at once, or down for a day: the first block lets no deadline pass')
  t.equal(after(1_000, 1_000), 1_017, 'it is caught up with, sixteen seconds a second')
  t.equal(after(1_000, 60_000), 1_060, 'in steps of a minute')
  clock.sealed()
  t.equal(after(1_060, 10), 1_061)
  t.equal(after(machine.wall - 2, 1_000), machine.wall, 'no further than the clock')
  const { engine } = await engineOn(memoryStore(), { clock: { kind: 'system', interval_ms: 1, idle_ms: 1 } })
  t.equal(await codeOf(engine.advance({ seconds: 1 })), 'ledger_not_manual')
  while (engine.head.height < 2) await turns(1)
  t.ok(engine.head.time >= now, 'empty blocks carry time on')
  await engine.close()
  const serious = { genesis: { ...genesis, test: false } }
  t.equal(
    await codeOf(engineOn(memoryStore(), serious)),
    'ledger_not_manual',
    'no manual clock where money is of value',
  )
})

/** Replays blocks from genesis; the first refusal, or `consistent`. */
function replay(blocks: readonly Block[]): string {
  const state = new Map<string, Uint8Array>()
  let previous: Previous | undefined
  for (const block of blocks) {
    const writes = replayBlock({ get: (key) => state.get(key) }, genesis, previous, block, (check) => runCheck(check))
    if (!writes.ok) return `${writes.error.code} ${writes.error.detail}`
    for (const [key, value] of writes.value) state.set(key, value)
    previous = block.head
  }
  return 'consistent'
}

t.test('an auditor’s replay finds whatever was altered', async (t) => {
  const { history } = fundedWorld()
  const { submit, storage } = await engineOn(memoryStore())
  for (const tx of history) await submit(tx)
  const honest = Array.from({ length: storage.head.height + 1 }, (_, i) => must(decodeBlock(storage.blockBytes(i)!)))
  t.equal(replay(honest), 'consistent')

  const at = 2
  const block = honest[at]!
  const flipped = (bytes: Uint8Array, i: number) => bytes.map((byte, j) => (j === i ? byte ^ 1 : byte))
  const altered: Record<string, Partial<Block>> = {
    'a transaction': { transactions: [flipped(block.transactions[0]!, block.transactions[0]!.length - 5)] },
    'a transaction left out': { transactions: [] },
    'a written value': {
      writes: block.writes.map(([key, value], i) => (i === 0 ? [key, flipped(value, 40)] : [key, value])),
    },
    'a written key': { writes: block.writes.map(([key, value], i) => (i === 0 ? [`${key}0`, value] : [key, value])) },
    'a write left out': { writes: block.writes.slice(1) },
  }
  for (const [what, change] of Object.entries(altered)) {
    const naive = honest.map((it, i) => (i === at ? { ...it, ...change } : it))
    t.match(replay(naive), /^ledger_head hash of block 2/, `${what}, hash left alone`)
    const [rechained, stolen] = [bob, issuer].map(({ key }) => {
      const { head: _head, ...body } = { ...block, ...change }
      return honest.map((it, i) => (i === at ? sealBlock(ledger, honest[at - 1]!.head, it.head.time, body, key) : it))
    })
    t.match(replay(rechained!), /^ledger_head signature of block 2/, `${what}, chained again by another key`)
    t.match(replay(stolen!.slice(0, at + 1)), /^ledger_block /, `${what}, by the head key itself`)
    t.match(replay(stolen!), /^ledger_block|ledger_head/, `${what}: and the rest no longer follows`)
  }
  const refused = { ...block, refusals: [{ id: block.head.stateHash, code: 'bad_proof' }] }
  t.match(replay(honest.map((it, i) => (i === at ? refused : it))), /^ledger_head hash/, 'a refusal added')
  t.match(replay(honest.filter((_, i) => i !== at)), /^ledger_head height/, 'a block left out')
  const late = honest.map((it, i) => (i === at ? sealBlock(ledger, honest[1]!.head, 1, it, issuer.key) : it))
  t.match(replay(late), /^ledger_head time/, 'time going back')
  const foreign = [
    sealBlock(ledger, { ...beforeGenesis(genesis, ledger), cursor: 5 }, genesis.time, honest[0]!, issuer.key),
  ]
  t.match(replay(foreign), /^ledger_head cursor/, 'a beginning that is not genesis')
})

t.test('a database is opened whole or not at all', async (t) => {
  const dir = join(t.testdir(), 'data')
  const open = (create = false, other = genesis) => openStorage({ dir, create, headKey: issuer.key }, other)
  t.equal(await codeOf(open()), 'store_missing')
  t.equal(await codeOf(open(true, { ...genesis, amountBits: 17 })), 'bad_genesis')
  const storage = await open(true)
  t.equal(await codeOf(open()), 'store_locked', 'C7: one owner')
  await storage.close()
  t.equal(await codeOf(open(true)), 'store_exists')
  t.equal(await codeOf(open(false, { ...genesis, salt: utf8('other') })), 'ledger_other')

  await cp(join(dir, 'ledger'), join(dir, 'older'), { recursive: true })
  const again = await open()
  const body = { transactions: [], refusals: [], writes: [] }
  await again.commit(sealBlock(ledger, again.head, again.head.time, body, issuer.key))
  await again.close()
  await (await open()).close()
  await rename(join(dir, 'ledger'), join(dir, 'newer'))
  await rename(join(dir, 'older'), join(dir, 'ledger'))
  t.equal(await codeOf(open()), 'ledger_behind', 'S2: an acknowledged block is gone')
  await rm(join(dir, 'ledger.head'))
  t.equal(await codeOf(open()), 'store_corrupt', 'nor without the head file')

  const damaged = async (key: Uint8Array, value: Uint8Array) => {
    const place = join(t.testdir(), 'data')
    await (await openStorage({ dir: place, create: true, headKey: issuer.key }, genesis)).close()
    const store = must(await openLevelStore(join(place, 'ledger')))
    await store.write({ puts: [{ key, value }], deletes: [] })
    await store.close()
    const code = await codeOf(openStorage({ dir: place, create: false, headKey: issuer.key }, genesis))
    await rm(place, { recursive: true })
    return code
  }
  t.equal(await damaged(utf8('v'), u64(2)), 'store_newer')
  t.equal(await damaged(utf8(`saccount/${Buffer.from(issuer.account).toString('hex')}`), utf8('x')), 'ledger_block')
  t.equal(await damaged(Buffer.concat([utf8('b'), u64(0)]), utf8('x')), 'ledger_block')
})
