/** C10, S2: when a channel ends without its peer. Time by hand; a tower has confirmed, so that nothing hides behind S2's wait. */
import t from 'tap'
import type { Input } from '../../src/channel/types.js'
import { type Surrounding, summaryOf } from '../../src/node/channel-summary.js'
import type { Tx } from '../../src/node/engine.js'
import { Exits, type ExitsParts } from '../../src/node/exits.js'
import { HeardTime } from '../../src/node/heard-time.js'
import { type LiveChannel, liveChannel } from '../../src/node/live-channel.js'
import { emptyJournal } from '../../src/store/journal.js'
import { live, pay } from '../channel/mallory.js'
import { openPair, World } from '../channel/world.js'

const ABSENT = 1_000
const STALL = 100
const SILENT = 60

type Rows = Map<string, Uint8Array>

/** @param rows what an earlier process left on the disk. */
function scene({ confirmed = true, ahead = false, rows = new Map() as Rows, there = true } = {}) {
  const world = new World(openPair())
  world.connect()
  world.settle()
  const { context, state } = world.alice
  const channel: LiveChannel = liveChannel(context, state, emptyJournal(context.terms.channel))
  let now = 5_000
  const reasons: string[] = []
  const step = (_tx: Tx, one: LiveChannel, input: Input) => {
    if (input.type === 'exitWanted') one.state = { ...one.state, phase: 'exiting' }
  }
  const name = (key: Uint8Array) => Buffer.from(key).toString('hex')
  const tx: Pick<Tx, 'get' | 'put' | 'delete'> = {
    get: (key) => rows.get(name(key)),
    put: ({ key, value }) => void rows.set(name(key), value),
    delete: (key) => void rows.delete(name(key)),
  }
  const parts = {
    channels: { all: () => [channel], step },
    engine: { do: (work: (tx: Tx) => void) => work(tx as Tx) },
    events: { append: (_tx: Tx, event: { readonly reason: string }) => reasons.push(event.reason) },
    heard: new HeardTime(() => now, SILENT),
    absent: ABSENT,
    stall: STALL,
    view: () => ({ height: 1, time: now }),
    towerConfirmed: () => confirmed,
    towerAhead: () => ahead,
  }
  const exits = new Exits(parts as unknown as ExitsParts)
  /** Heads come all the while. */
  const pass = (seconds: number): void => {
    for (let left = seconds; left > 0; left -= SILENT) {
      now += Math.min(left, SILENT)
      exits.review()
    }
  }
  const set = (changes: Partial<LiveChannel['state']>): void => {
    channel.state = { ...channel.state, ...changes }
  }
  const owes = (on = 'ack of 1') => set({ waiting: { on, since: now } })
  /** The peer is cut off; what was owed is owed from its return on. */
  const goes = () => set({ link: 'down', waiting: null })
  const returns = () => set({ link: 'live' })
  const silence = (seconds: number): void => {
    now += seconds
  }
  if (!there) goes()
  exits.review()
  return { channel, exits, reasons, pass, set, owes, goes, returns, silence, rows }
}

t.test('absent_s, to the second, and anew after every return', (t) => {
  const { exits, channel, reasons, pass, goes, returns } = scene()
  pass(10 * ABSENT)
  t.same(reasons, [], 'a peer in step')
  goes()
  pass(SILENT)
  pass(ABSENT - 1)
  t.same(reasons, [])
  returns()
  exits.seen(channel) // came, owed nothing, and went between two heads
  goes()
  pass(SILENT)
  pass(ABSENT - 1)
  t.same(reasons, [])
  pass(1)
  t.same(reasons, ['absent'])
  t.end()
})

t.test('a peer that comes back every nine minutes and never acks is as good as away', (t) => {
  const { exits, channel, reasons, pass, goes, returns, owes, set } = scene()
  const visit = () => {
    returns()
    owes() // the commit, sent again
    exits.seen(channel)
    pass(STALL - 10)
    goes()
    pass(10)
  }
  for (let visits = 0; visits < ABSENT / STALL; visits++) visit()
  t.same(reasons, [])
  const { secrets } = channel.state
  set({ secrets: { ...secrets, count: secrets.count + 1 } }) // an ack: progress
  for (let visits = 0; visits < ABSENT / STALL; visits++) visit()
  t.same(reasons, [])
  visit()
  t.same(reasons, ['absent'])
  t.end()
})

t.test('a restart forgets no absence: little of what was counted is counted again', (t) => {
  const rows: Rows = new Map()
  for (let lives = 0; lives < 2; lives++) {
    const { reasons, pass } = scene({ rows, there: false })
    pass(0.4 * ABSENT)
    t.same(reasons, [])
  }
  t.equal(rows.size, 1)
  const last = scene({ rows, there: false })
  last.pass(0.2 * ABSENT + 0.02 * ABSENT)
  t.same(last.reasons, ['absent'])
  const other = scene({ rows })
  t.equal(rows.size, 0, 'in step again: nothing is kept of it')
  other.goes()
  other.pass(ABSENT)
  t.same(other.reasons, [])
  t.end()
})

t.test('nothing at stake, no exit: it would cost and bring nothing', (t) => {
  const { channel, reasons, pass, set, goes } = scene()
  const { current } = channel.state
  const content = { ...current.content, balances: [0n, 1_500_000n] as unknown as typeof current.content.balances }
  set({ current: { ...current, content } })
  goes()
  pass(3 * ABSENT)
  t.same(reasons, [])
  set({ phase: 'broken' })
  pass(1)
  t.same(reasons, ['broken'], 'a breach ends a channel whatever it holds')
  t.end()
})

t.test('C10: locks alone force nothing, however long they are dead or could be won', (t) => {
  const { channel, reasons, pass, set } = scene()
  const { current } = channel.state
  const lock = { from: 0, id: 1, amount: 40n, expiry: 6_000, point: new Uint8Array(33), commitment: new Uint8Array(33) }
  const locks = [lock, { ...lock, from: 1, id: 2 }] as unknown as typeof current.content.locks
  set({ link: 'live', waiting: null, current: { ...current, content: { ...current.content, locks } } })
  pass(20 * ABSENT)
  t.same(reasons, [])
  t.end()
})

t.test('stall_s counts what a connected peer owes, from its return on', (t) => {
  const { reasons, pass, owes, goes, returns } = scene()
  owes()
  goes()
  pass(5 * STALL)
  returns()
  owes()
  pass(STALL - 1)
  t.same(reasons, [])
  pass(1)
  t.same(reasons, ['stalled'])
  t.end()
})

t.test('where the ledger is silent too it may be us who are cut off: the count stands still', (t) => {
  const { reasons, pass, goes, silence } = scene()
  goes()
  pass(SILENT)
  pass(ABSENT / 2)
  silence(20 * ABSENT)
  pass(1) // of the silence only so much counts as a ledger's pause may last
  t.same(reasons, [])
  pass(ABSENT / 2 - SILENT - 1)
  t.same(reasons, [], 'nothing was counted of it')
  pass(1 + SILENT)
  t.same(reasons, ['absent'], 'and nothing forgotten')
  const debt = scene()
  debt.owes()
  debt.pass(STALL - 1 - SILENT)
  debt.silence(20 * ABSENT)
  debt.pass(1)
  t.same(debt.reasons, [])
  debt.pass(1)
  t.same(debt.reasons, ['stalled'])
  t.end()
})

t.test('a ledger whose heads are further apart than that still counts', (t) => {
  const { reasons, pass, goes, silence } = scene()
  goes()
  pass(1)
  for (let heads = 0; heads < ABSENT / SILENT; heads++) {
    silence(SILENT)
    pass(30)
  }
  t.same(reasons, ['absent'])
  t.end()
})

t.test('without a tower’s word the first absent_s of a life licenses nothing, whatever the peer does', (t) => {
  const { reasons, pass, set } = scene({ confirmed: false })
  set({ phase: 'broken' })
  pass(ABSENT - 1)
  t.same(reasons, [])
  pass(1)
  t.same(reasons, ['broken'])
  t.end()
})

t.test('no waiting outvotes a tower that names a newer state and has not shown it', (t) => {
  const { exits, channel, reasons, pass, set } = scene({ confirmed: false, ahead: true })
  set({ phase: 'broken' })
  pass(10 * ABSENT)
  t.same(reasons, [])
  t.same(exits.licence(channel), { kind: 'never', bar: 'tower' })
  t.end()
})

t.test('L9: a dispute waits for the locks of the state that stands, not for those of the newest', (t) => {
  const world = live()
  const locked = world.alice.state.current
  for (const [at, lock] of [0, 1].map((from) => ({ from, id: 1 })).entries()) {
    world.input(at === 0 ? 1 : 0, {
      type: 'giveBack',
      lock: lock as { from: 0 | 1; id: number },
      reason: new Uint8Array(),
    })
    world.settle()
  }
  world.input(0, { type: 'offer', operations: [pay(1n)] })
  world.settle()
  const empty = world.alice.state.current
  const [{ expiry }] = locked.content.locks as unknown as [{ expiry: number }]
  t.equal(empty.content.locks.length, 0)
  const said = (standing: typeof locked, newest: typeof locked, time: number, revealedAt: number | undefined) => {
    const { context, state } = world.alice
    const channel = liveChannel(context, state, emptyJournal(context.terms.channel))
    const { version } = standing.content
    const revocation = standing.state.revocations[1]
    const dispute = { poster: 1 as const, version, revocation, deadline: 1_100, standing: standing.encoded }
    channel.state = { ...state, phase: 'disputed', current: newest, dispute: { ...dispute, standingVersion: version } }
    const around = { view: { height: 9, time }, revealedAt: () => revealedAt } as unknown as Surrounding
    const { waiting, backAt } = summaryOf(channel, { ...around, exit: { kind: 'granted' }, connected: true })
    return [waiting, backAt]
  }
  t.same(said(locked, empty, 1_100, undefined), ['the deadline', 1_101], 'ours supersedes what stands')
  t.same(said(locked, empty, 1_101, undefined), ['locks to be won or dead', expiry + 1], 'too late for that')
  t.same(said(locked, empty, expiry + 1, undefined), ['the settlement', 1_101])
  t.same(said(locked, empty, 1_101, 1_050), ['the settlement', 1_101], 'all are won')
  t.same(said(empty, locked, 1_101, undefined), ['the settlement', 1_101], 'the newest lost its time')
  t.same(said(empty, locked, 1_100, undefined), ['the deadline', 1_101], 'the older one cannot supersede')
  t.end()
})

t.test('C8: a peer that lost data decides first: its wait for towers is over before patience is', (t) => {
  for (const there of [true, false]) {
    const { reasons, pass, set, owes, goes } = scene()
    set({ phase: 'closing', peerRecovers: 0 })
    if (there) owes('acceptance of the close')
    else goes()
    pass(ABSENT + STALL - 1)
    t.same(reasons, [], 'for absent_s it waits for its towers, and then it takes time to answer')
    pass(SILENT + 1)
    t.same(reasons, [there ? 'stalled' : 'absent'])
  }
  t.end()
})
