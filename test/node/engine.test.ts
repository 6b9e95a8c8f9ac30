/** C6, C11: a step is one unit: machine, rows, desk and what leaves; a defect anywhere in it leaves nothing of it. */
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { concatBytes, equalBytes, utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { prfScalar } from '../../src/base/digest.js'
import { InvariantError } from '../../src/base/errors.js'
import { idText } from '../../src/base/ids.js'
import type { ChannelMessage } from '../../src/base/message/channel.js'
import type { Channel, LockRef, OfferBody } from '../../src/channel/types.js'
import { Channels, type DeskEffect, type LedgerEffect } from '../../src/node/channels.js'
import { Engine, type Tx } from '../../src/node/engine.js'
import { joinEntries } from '../../src/node/journal-entry.js'
import { KeptRows } from '../../src/node/kept-rows.js'
import { type LiveChannel, liveChannel, readChannelRow } from '../../src/node/live-channel.js'
import { emptyJournal, verifyJournal } from '../../src/store/journal.js'
import { memoryStore } from '../../src/store/memory.js'
import { tableKey } from '../../src/store/tables.js'
import { exitOf } from '../channel/court.js'
import { openPair, World } from '../channel/world.js'

const ROW = tableKey('node', utf8('a row of the desk'))

const SEED = utf8('a seed of thirty-two bytes, 12345')
const scalar = prfScalar(SEED, 'scalar 0')

const LOCK = ({ ledger }: World, which: number): OfferBody => ({
  kind: 'lock',
  amount: 1_000n as Amount,
  point: curve.multiplyBase(prfScalar(SEED, `scalar ${which}`)),
  expiry: ledger.time + 1_000,
  payload: new Uint8Array(10),
})

/** Alice's side of a channel in an engine; bob is the bare machine. */
class Stage {
  readonly world = new World(openPair())
  readonly store = memoryStore()
  readonly sent: ChannelMessage[] = []
  readonly submitted: LedgerEffect[] = []
  readonly stopped: string[] = []
  readonly told: DeskEffect[] = []
  desk: (tx: Tx, effect: DeskEffect) => void = () => undefined
  stepped: (before: Channel) => void = () => undefined
  readonly engine = new Engine({ store: this.store, commit: (batch) => this.store.write(batch) }, (error) => {
    throw error
  })
  readonly channels: Channels
  readonly alice: LiveChannel

  constructor() {
    const { world } = this
    world.connect()
    world.settle()
    const { context, state } = world.alice
    this.alice = liveChannel(context, state, emptyJournal(context.terms.channel))
    this.channels = new Channels(this.engine, {
      desk: (tx, _channel, effect) => {
        this.desk(tx, effect)
        this.told.push(effect)
      },
      ledger: (tx, _channel, effect) => tx.after(() => this.submitted.push(effect)),
      work: () => undefined,
      send: (_channel, message) => this.sent.push(message),
      stepped: (_tx, _channel, before) => this.stepped(before),
      stopped: (_channel, clause) => this.stopped.push(clause),
      view: () => world.alice.env.view,
      revealed: (_tx, point) => world.alice.env.revealed(point),
      now: () => 0,
    })
    this.channels.add(this.alice)
  }

  /** Everything is durable and said; bob answers, and is not heard yet. */
  async answers(): Promise<ChannelMessage[]> {
    await this.engine.run(() => undefined).durable
    const { bob } = this.world
    for (const message of this.sent.splice(0)) bob.input({ type: 'received', message })
    return bob.sent.splice(0)
  }

  /** A lock of alice's up to bob's ack, which makes it irrevocable: handed over, not heard. */
  async lockOffered(which = 0): Promise<ChannelMessage> {
    this.world.bob.sent.length = 0
    this.engine.do((tx) => this.channels.offer(tx, this.alice, LOCK(this.world, which), () => undefined))
    const [ack] = (await this.answers()).filter(({ name }) => name === 'ack')
    if (ack === undefined) throw new Error('no ack')
    return ack
  }

  hear(message: ChannelMessage): void {
    this.channels.input(this.alice, { type: 'received', message })
  }
}

t.test('a desk that finds a defect: nothing of the step is in memory, on disk or on its way', async (t) => {
  const stage = new Stage()
  const ack = await stage.lockOffered()
  const { state: before, journal } = stage.alice
  stage.desk = (tx, effect) => {
    if (effect.type !== 'lockIn') return
    tx.put({ key: ROW, value: utf8('half') })
    tx.after(() => t.fail('what a defect left to be done'))
    stage.channels.step(tx, stage.alice, { type: 'closeWanted' })
    t.equal(tx.get(ROW) === undefined, false)
    throw new InvariantError('S1', 'an obligation that cannot be read')
  }
  stage.hear(ack)
  t.equal(stage.alice.state, before, 'the state before the step')
  t.same(stage.stopped, ['S1'])
  t.equal(stage.alice.stopped, 'S1')
  t.same(await stage.answers(), [])
  t.equal(stage.store.get(ROW), undefined)
  const row = stage.store.get(tableKey('channel', stage.alice.id))
  if (row === undefined) throw new Error('no row')
  const kept = readChannelRow(row).state
  t.equal(kept.current.content.version, before.current.content.version)
  t.equal(kept.revoked, before.revoked, 'no secret of it')
  t.equal(kept.shutdown.sent, false)
  t.same(stage.alice.journal, journal, 'the chain does not know of it')
})

t.test(
  'stopped, a channel says nothing to its peer, exits never, and still hears the ledger and what it is owed',
  async (t) => {
    const stage = new Stage()
    stage.hear(await stage.lockOffered())
    await stage.answers()
    const ack = await stage.lockOffered(1)
    stage.desk = () => {
      throw new InvariantError('C11', 'a defect')
    }
    stage.hear(ack)
    stage.desk = () => undefined
    stage.hear(ack)
    stage.channels.input(stage.alice, { type: 'closeWanted' })
    stage.channels.input(stage.alice, { type: 'exitWanted' })
    t.equal(stage.alice.state.phase, 'open')
    let refused = ''
    stage.engine.do((tx) =>
      stage.channels.offer(tx, stage.alice, LOCK(stage.world, 2), (told) => {
        if (!told.ok) refused = told.error.code
      }),
    )
    t.equal(refused, 'channel_not_open')
    const { time } = stage.world.ledger
    stage.world.ledger.revealed.set(idText(curve.multiplyBase(scalar)), { scalar, time })
    stage.channels.input(stage.alice, { type: 'tick' })
    const isOffered = ({ id }: LockRef) => id === 0
    t.ok(
      stage.told.some((effect) => effect.type === 'lockClaimed' && isOffered(effect.lock)),
      'a reveal is passed on',
    )
    t.same(await stage.answers(), [], 'nothing is said')
    t.same(stage.stopped, ['C11'], 'told once')
  },
)

/** Bob posts the state that he has just signed: alice's outstanding commit, and a version above her own. */
async function postedAbove(stage: Stage) {
  stage.hear(await stage.lockOffered())
  await stage.answers()
  await stage.lockOffered(1)
  const transaction = exitOf(stage.world.bob, stage.world.bob.state.current)
  const { height, time } = stage.world.ledger
  return { type: 'posted', transaction, at: { height, time } } as const
}

t.test('an exit that breaks a channel stops it, and is on its record: its defence hears of nothing else', async (t) => {
  for (const defect of [new InvariantError('C8', 'a defect'), new TypeError('a defect')]) {
    const stage = new Stage()
    const posted = await postedAbove(stage)
    const { version } = stage.alice.state.current.content
    stage.stepped = ({ current }) => {
      if (current !== stage.alice.state.current) throw defect // whatever takes the shown state over
    }
    stage.channels.input(stage.alice, posted)
    t.same(stage.stopped, [defect instanceof InvariantError ? 'C8' : 'C11'])
    t.equal(stage.alice.state.current.content.version, version)
    t.match(stage.alice.state, { phase: 'disputed', dispute: { poster: 1, standingVersion: version + 1 } })
    stage.stepped = () => undefined
    stage.world.ledger.time += stage.alice.context.terms.window + 600
    await stage.engine.run(() => undefined).durable
    const kept = readChannelRow(stage.store.get(tableKey('channel', stage.alice.id))!)
    t.ok((await verifyJournal(stage.store, stage.alice.id, kept.journal)).ok, 'one chain')
    t.equal(kept.state.phase, 'disputed')
  }
})

t.test('a desk that breaks at what the ledger says takes the channel along, not its defence', async (t) => {
  const stage = new Stage()
  const posted = await postedAbove(stage)
  const offer = LOCK(stage.world, 2)
  stage.engine.do((tx) => stage.channels.offer(tx, stage.alice, offer, () => undefined)) // in no commit: void at its end
  stage.desk = () => {
    throw new InvariantError('S1', 'a payment that cannot be read')
  }
  stage.channels.input(stage.alice, posted)
  t.equal(stage.alice.stopped, 'S1')
  t.match(stage.alice.state, { phase: 'disputed', dispute: { poster: 1 } })
  t.ok(equalBytes(stage.alice.state.current.encoded, posted.transaction.state), 'with all that it shows')
})

t.test('an error that is no invariant takes its whole work back and goes on', async (t) => {
  const stage = new Stage()
  const ack = await stage.lockOffered()
  const before = stage.alice.state
  stage.desk = () => {
    throw new TypeError('a defect')
  }
  t.throws(
    () =>
      stage.engine.do((tx) => {
        tx.put({ key: ROW, value: utf8('before') })
        stage.channels.step(tx, stage.alice, { type: 'received', message: ack })
      }),
    TypeError,
  )
  t.equal(stage.alice.state, before)
  t.equal(stage.engine.get(ROW), undefined, 'what the same work wrote before it is gone too')
  stage.desk = () => undefined
  stage.hear(ack)
  t.equal(stage.alice.state.current.content.version, before.current.content.version + 1, 'heard again, it works')
})

t.test('a part that fails on its own leaves the rest of the work', async (t) => {
  const { engine, store, alice } = new Stage()
  const { next } = alice.journal
  const key = (name: string) => tableKey('node', utf8(name))
  const put = (tx: Tx, name: string, value: string) => tx.put({ key: key(name), value: utf8(value) })
  await engine.run((tx) => put(tx, 'kept', 'old')).durable
  const entries = [utf8('an entry')]
  await engine.run((tx) => {
    tx.touch(alice, entries)
    put(tx, 'first', 'one')
    put(tx, 'gone', 'one')
    t.throws(() =>
      tx.attempt(() => {
        put(tx, 'first', 'two')
        tx.delete(key('gone'))
        put(tx, 'kept', 'new')
        tx.touch(alice, [...entries, ...entries])
        t.throws(() =>
          tx.attempt(() => {
            put(tx, 'first', 'three')
            throw new Error('inner')
          }),
        )
        t.ok(equalBytes(tx.get(key('first')) ?? new Uint8Array(), utf8('two')))
        throw new Error('outer')
      }),
    )
    put(tx, 'last', 'one')
  }).durable
  const text = (name: string) => new TextDecoder().decode(store.get(key(name)))
  t.equal(alice.journal.next, next + 1, 'entries of its own only')
  t.same(['first', 'gone', 'kept', 'last'].map(text), ['one', 'one', 'old', 'one'])
})

t.test('a row that is kept decoded goes back with its step, and is told once it is on disk', async (t) => {
  const { engine, store } = new Stage()
  let read = 0
  const rows = new KeptRows<string>({
    encode: utf8,
    decode: (bytes) => {
      read += 1
      return new TextDecoder().decode(bytes)
    },
  })
  const writing = engine.run((tx) => {
    rows.put(tx, ROW, 'one')
    t.equal(rows.get(tx, ROW), 'one')
  })
  t.equal(rows.durable(store, ROW), undefined, 'not yet')
  await writing.durable
  t.equal(rows.durable(store, ROW), 'one')
  await engine.run((tx) => {
    t.throws(() =>
      tx.attempt(() => {
        rows.put(tx, ROW, 'two')
        throw new Error('a defect')
      }),
    )
    t.equal(rows.get(tx, ROW), 'one')
    t.throws(() =>
      tx.attempt(() => {
        rows.delete(tx, ROW)
        throw new Error('a defect')
      }),
    )
    t.equal(rows.get(tx, ROW), 'one')
  }).durable
  t.equal(rows.durable(store, ROW), 'one')
  t.equal(read, 0, 'and nothing of it was decoded')
  await engine.run((tx) => rows.delete(tx, ROW)).durable
  t.equal(engine.run((tx) => rows.get(tx, ROW)).value, undefined)
  t.equal(rows.durable(store, ROW), undefined)
})

t.test('S1: entries of one batch share rows, in their order, and no row grows without bound', async (t) => {
  const entry = (length: number, fill: number) => new Uint8Array(length).fill(fill)
  t.same(joinEntries([]), [])
  t.same(joinEntries([Uint8Array.of(1), Uint8Array.of(2, 3)]), [Uint8Array.of(1, 2, 3)])
  const entries = [entry(9_000, 1), entry(7_000, 2), entry(7_000, 3), entry(40_000, 4), entry(1, 5)]
  const joined = joinEntries(entries)
  t.same(
    joined.map(({ length }) => length),
    [16_000, 7_000, 40_000, 1],
    'one that is longer stands alone',
  )
  t.same(concatBytes(...joined), concatBytes(...entries))
})
