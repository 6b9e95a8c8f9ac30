/** C10, S2: when a channel ends without its peer. Time by hand; a tower has confirmed, so that nothing hides behind S2's wait. */
import t from 'tap'
import type { Input } from '../../src/channel/types.js'
import type { Tx } from '../../src/node/engine.js'
import { Exits, type ExitsParts } from '../../src/node/exits.js'
import { type LiveChannel, liveChannel } from '../../src/node/live-channel.js'
import { emptyJournal } from '../../src/store/journal.js'
import { openPair, World } from '../channel/world.js'

const ABSENT = 1_000
const STALL = 100
const SILENT = 60

function scene(confirmed = true) {
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
  const parts = {
    channels: { all: () => [channel], step },
    engine: { do: (work: (tx: Tx) => void) => work({} as Tx) },
    events: { append: (_tx: Tx, event: { readonly reason: string }) => reasons.push(event.reason) },
    timers: { now: () => now * 1_000 },
    absent: ABSENT,
    stall: STALL,
    ledgerAgeMax: SILENT,
    view: () => ({ height: 1, time: now }),
    towerConfirmed: () => confirmed,
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
  const owes = () => set({ waiting: { on: 'ack of 1', since: now } })
  exits.review()
  const silence = (seconds: number): void => {
    now += seconds
  }
  return { channel, exits, reasons, pass, set, owes, silence }
}

t.test('absent_s, to the second, and anew after every return', (t) => {
  const { exits, channel, reasons, pass, set } = scene()
  pass(10 * ABSENT)
  t.same(reasons, [], 'a peer in step')
  set({ link: 'down' })
  pass(SILENT)
  pass(ABSENT - 1)
  t.same(reasons, [])
  exits.seen(channel) // came and went between two heads
  pass(ABSENT)
  t.same(reasons, [])
  pass(SILENT)
  t.same(reasons, ['absent'])
  t.end()
})

t.test('nothing at stake, no exit: it would cost and bring nothing', (t) => {
  const { channel, reasons, pass, set } = scene()
  const { current } = channel.state
  const content = { ...current.content, balances: [0n, 1_500_000n] as unknown as typeof current.content.balances }
  set({ link: 'down', current: { ...current, content } })
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
  const { reasons, pass, set, owes } = scene()
  owes()
  set({ link: 'down' })
  pass(5 * STALL)
  set({ link: 'live' })
  pass(SILENT)
  pass(STALL - 1)
  t.same(reasons, [])
  pass(1)
  t.same(reasons, ['stalled'])
  t.end()
})

t.test('where the ledger was silent too it may be us who were cut off: everything is counted anew', (t) => {
  for (const changes of [{ link: 'down' }, { link: 'live' }] as const) {
    const { reasons, pass, set, owes, silence } = scene()
    set(changes)
    if (changes.link === 'live') owes()
    pass(SILENT)
    silence(20 * ABSENT)
    pass(1)
    t.same(reasons, [], changes.link)
    pass(ABSENT)
    t.same(reasons, [changes.link === 'live' ? 'stalled' : 'absent'])
  }
  t.end()
})

t.test('without a tower’s word the first absent_s of a life licenses nothing, whatever the peer does', (t) => {
  const { reasons, pass, set } = scene(false)
  set({ phase: 'broken' })
  pass(ABSENT - 1)
  t.same(reasons, [])
  pass(1)
  t.same(reasons, ['broken'])
  t.end()
})
