/** C8: what a frozen channel waits for before anything of it is signed: towers in a test's hands, time by hand. */
import t from 'tap'
import { idText } from '../../src/base/ids.js'
import { exitTerms } from '../../src/channel/content.js'
import type { WorkEffect } from '../../src/node/channels.js'
import { HeardTime } from '../../src/node/heard-time.js'
import { liveChannel } from '../../src/node/live-channel.js'
import { Recovery, type RecoveryParts } from '../../src/node/recovery.js'
import { type TowerState, TowerSurvey } from '../../src/node/tower-survey.js'
import { emptyJournal } from '../../src/store/journal.js'
import type { Retrieved, TowerClient } from '../../src/watchtower/client.js'
import { silent } from '../../src/wire/environment.js'
import { live, pay } from '../channel/mallory.js'

const ABSENT = 1_000
const SILENT = 60

const world = live()
const older = world.alice.state.current
world.input(0, { type: 'offer', operations: [pay(1_000n)] })
world.settle()
const newest = world.alice.state.current
const { context } = world.alice
const id = context.terms.channel

const NO_SECRETS = { count: 0, slots: [] as Uint8Array[] }

class Tower {
  readonly account: TowerClient['account']
  asked = 0
  #answer: (found: Retrieved | undefined) => void = () => undefined

  constructor(name: number) {
    this.account = new Uint8Array(33).fill(name) as TowerClient['account']
  }

  retrieve = (): Promise<Retrieved | undefined> => {
    this.asked += 1
    return new Promise((resolve) => {
      this.#answer = resolve
    })
  }

  async holds(held: typeof newest | null, swapped = false, secrets = NO_SECRETS): Promise<void> {
    const signatures = held === null ? [] : swapped ? [...held.signatures].reverse() : held.signatures
    const state = held === null ? null : { state: held.encoded, signatures }
    this.#answer({ channel: id, newest: state, secrets } as unknown as Retrieved)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const EFFECTS = {
  dataLost: { type: 'dataLost' } as WorkEffect,
  verify: { type: 'verifyClose' } as WorkEffect,
  prove: { type: 'proveClose' } as WorkEffect,
  settle: { type: 'proveSettle' } as WorkEffect,
}

/** A channel of alice's at the older state, frozen; so many towers, so many receipts required. */
function scene(count: number, required: number) {
  const towers = Array.from({ length: count }, (_, at) => new Tower(at + 2))
  const channel = liveChannel(context, { ...world.alice.state, current: older, phase: 'recovery' }, emptyJournal(id))
  const shown: TowerState[] = []
  let now = 5_000
  const heard = new HeardTime(() => now, SILENT)
  const survey = new TowerSurvey({
    clients: towers as unknown as readonly TowerClient[],
    required,
    shown: (of, found) => recovery.shown(of, found),
    answered: (of) => recovery.answered(of),
  })
  const parts = {
    heard,
    absent: ABSENT,
    logger: silent,
    channels: {
      all: () => [channel],
      get: (name: Uint8Array) => (idText(name) === idText(id) ? channel : undefined),
      input: (_channel: unknown, input: TowerState) => void shown.push(input),
    },
    towers: {
      ask: (terms: Parameters<TowerSurvey['askAll']>[0]) => survey.askAll(terms),
      recall: (of: typeof id) => survey.recall(of),
      surveyed: (of: typeof id) => survey.enough(of),
      ahead: () => survey.ahead(id, channel.state.current.content.version),
    },
  }
  const recovery = new Recovery(parts as unknown as RecoveryParts, { frozen: [], lost: [] })
  const runs: string[] = []
  const work = (name: keyof typeof EFFECTS, as: string = name) =>
    recovery.work(channel, EFFECTS[name], () => void runs.push(as))
  const pass = (seconds: number) => {
    for (let left = seconds; left > 0; left -= SILENT) {
      now += Math.min(left, SILENT)
      heard.advance()
      recovery.advanced()
    }
  }
  const names = (tower: Tower, version: number) =>
    survey.askFor(tower as unknown as TowerClient, exitTerms(context), version)
  return { towers, channel, shown, runs, work, pass, names, survey }
}

t.test('nothing is signed before so many towers have answered that one must know (m - k + 1)', async (t) => {
  const { towers, shown, runs, work } = scene(3, 2)
  work('dataLost')
  work('verify')
  work('prove', 'first')
  work('prove', 'second')
  work('settle')
  t.same(runs, ['dataLost', 'settle'], 'what signs nothing waits for nobody')
  t.same(
    towers.map(({ asked }) => asked),
    [1, 1, 1],
  )
  await towers[0]!.holds(older)
  t.same(runs.length, 2, 'one may be the one that does not know')
  await towers[1]!.holds(newest)
  t.match(shown.at(-1), { type: 'newestShown', state: newest.encoded })
  t.same(runs.slice(2).sort(), ['second', 'verify'], 'the newest of each kind')
  work('verify', 'later')
  t.equal(runs.at(-1), 'later')
})

t.test('an answer that is none, and towers that have lost what they signed for, do not count', async (t) => {
  const { towers, shown, runs, work } = scene(3, 2)
  work('verify')
  await towers[0]!.holds(newest, true)
  t.same(shown, [], 'both signatures are checked')
  await towers[1]!.holds(null)
  await towers[2]!.holds(null)
  t.same(runs, [], 'of those that answered, two of two must know where two are required')
  const none = scene(2, 0)
  none.work('verify')
  await none.towers[0]!.holds(null)
  t.same(none.runs, [])
  await none.towers[1]!.holds(null)
  t.same(none.runs, ['verify'], 'none required: that all hold nothing is an answer')
  const alone = scene(0, 0)
  alone.work('verify')
  t.same(alone.runs, ['verify'], 'no towers, nobody to wait for')
})

t.test('a tower that stays away is outwaited by absent_s; one that named a newer state is not', async (t) => {
  const { towers, runs, work, pass } = scene(1, 1)
  work('dataLost')
  pass(ABSENT - 1)
  work('verify')
  t.same(runs, ['dataLost'])
  pass(1)
  t.same(runs, ['dataLost', 'verify'])
  t.equal(towers[0]!.asked, 1, 'one question, until it is answered')

  const veto = scene(2, 0)
  veto.names(veto.towers[1]!, newest.content.version)
  veto.work('verify')
  await veto.towers[0]!.holds(older)
  veto.pass(20 * ABSENT)
  t.same(veto.runs, [], 'however long')
  await veto.towers[1]!.holds(newest)
  t.same(veto.runs, ['verify'])

  const lied = scene(2, 0)
  lied.names(lied.towers[1]!, 99)
  t.ok(lied.survey.ahead(id, 98))
  t.notOk(lied.survey.ahead(id, 99), 'not above us any more')
  lied.work('verify')
  await lied.towers[0]!.holds(older)
  await lied.towers[1]!.holds(null)
  t.same(lied.runs, [], 'it has nothing to show and confirms nothing')
  lied.pass(ABSENT)
  t.same(lied.runs, ['verify'], 'but it stands in nobody’s way')
})

t.test('what is closed meanwhile is not worked on', async (t) => {
  const { towers, channel, runs, work } = scene(1, 1)
  work('verify')
  channel.state = { ...channel.state, phase: 'closed' }
  await towers[0]!.holds(newest)
  t.same(runs, [])
})

t.test(
  'L7: what a tower keeps of the peer’s secrets is shown as it is, and asked for anew when an exit stands',
  async (t) => {
    const { towers, channel, shown, work, pass } = scene(1, 1)
    work('dataLost')
    await towers[0]!.holds(newest)
    t.match(shown.at(-1), { secrets: { count: 0, slots: [] } })
    pass(1)
    t.equal(towers[0]!.asked, 1)
    const { version } = older.content
    const posted = { poster: 1, version, revocation: older.state.revocations[1], deadline: 9_000 } as const
    const dispute = { ...posted, standing: older.encoded, standingVersion: version }
    channel.state = { ...channel.state, dispute }
    pass(1)
    await towers[0]!.holds(newest, false, { count: 5, slots: [new Uint8Array(32)] })
    t.equal(shown.at(-1)!.secrets, undefined, 'of a shape that no store has')
    pass(1)
    t.equal(towers[0]!.asked, 2, 'once')
  },
)

t.test(
  'C8, L7: a tower that lies and answers first keeps nothing from being used that an honest one shows',
  async (t) => {
    const { towers, channel, shown, runs, work, pass } = scene(3, 1)
    const [liar, honest, forger] = towers as [Tower, Tower, Tower]
    work('dataLost')
    work('verify')
    const [lie, truth] = [5, 6].map((fill) => ({ count: 1, slots: [new Uint8Array(32).fill(fill)] }))
    await forger.holds(newest, true)
    await liar.holds(older, false, lie)
    await honest.holds(newest, false, truth)
    t.same(runs, ['dataLost'], 'the forger has not answered')
    const told = () => shown.map(({ state, secrets }) => [state, secrets?.slots[0]?.secret[0]])
    t.same(told(), [
      [older.encoded, 5],
      [newest.encoded, 6],
    ])
    pass(ABSENT)
    t.same(runs, ['dataLost', 'verify'], 'who shows nothing holds nobody up for longer than absent_s')
    const { version } = older.content
    const posted = { poster: 1, version, revocation: older.state.revocations[1], deadline: 9_000 } as const
    channel.state = { ...channel.state, dispute: { ...posted, standing: older.encoded, standingVersion: version } }
    pass(1)
    t.same(told().slice(2), told().slice(0, 2), 'the record tells them apart now, and no tower has to be there')
  },
)
