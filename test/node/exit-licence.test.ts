/** S2's licence as a table: one line per thing that may be missing, and what every line has in common. */
import t from 'tap'
import { encodeTerms } from '../../src/channel/terms.js'
import { EXIT_BARS, type ExitEvidence, type ExitLicence, exitLicence } from '../../src/node/exit-licence.js'
import { channelRow, liveChannel } from '../../src/node/live-channel.js'
import { storedChannels } from '../../src/node/stored-channel.js'
import { emptyJournal } from '../../src/store/journal.js'
import { memoryStore } from '../../src/store/memory.js'
import { tableKey } from '../../src/store/tables.js'
import { openPair, World } from '../channel/world.js'

const WEEK = 604_800
/** Long up, nothing missing, no tower. */
const sound: ExitEvidence = {
  stopped: undefined,
  recovery: false,
  highWater: 'equal',
  chainUnbroken: true,
  towerConfirmed: false,
  towerAhead: false,
  uptime: WEEK,
  absent: WEEK,
}
const fresh = { uptime: 0 }
const confirmed = { towerConfirmed: true }
const never = (bar: keyof typeof EXIT_BARS): ExitLicence => ({ kind: 'never', bar })
const granted: ExitLicence = { kind: 'granted' }

const TABLE: readonly (readonly [string, Partial<ExitEvidence>, ExitLicence])[] = [
  ['waited absent_s, no tower', {}, granted],
  ['one second short of it', { uptime: WEEK - 1 }, { kind: 'later', seconds: 1 }],
  ['just started', fresh, { kind: 'later', seconds: WEEK }],
  ['just started, a tower confirms', { ...fresh, ...confirmed }, granted],
  ['absent_s of 0: the operator waits for nobody', { ...fresh, absent: 0 }, granted],
  ['an own invariant broke', { stopped: 'C11' }, never('stopped')],
  ['restored, or shown to be behind', { recovery: true }, never('recovery')],
  ['the database lost something', { highWater: 'database_behind' }, never('high_water')],
  ['the file knows nothing of the channel', { highWater: 'unknown' }, never('high_water')],
  ['the file was never brought up to the database', { highWater: 'database_ahead' }, never('high_water')],
  ['a gap in the journal', { chainUnbroken: false }, never('journal')],
  ['a tower names a newer state', { towerAhead: true }, never('tower')],
]

t.test('one line each', (t) => {
  for (const [name, changes, licence] of TABLE) t.same(exitLicence({ ...sound, ...changes }), licence, name)
  t.end()
})

t.test('what is missing for good, no tower and no waiting makes up for', (t) => {
  for (const [name, changes, licence] of TABLE) {
    if (licence.kind !== 'never') continue
    t.same(exitLicence({ ...sound, ...confirmed, uptime: 100 * WEEK, absent: 0, ...changes }), licence, name)
    t.ok(EXIT_BARS[licence.bar].length > 0)
  }
  t.end()
})

t.test('of all evidence only the whole of it licenses', (t) => {
  const flags = [false, true]
  let licensed = 0
  for (const stopped of [undefined, 'C11'])
    for (const recovery of flags)
      for (const highWater of ['equal', 'database_behind', 'database_ahead', 'unknown'] as const)
        for (const chainUnbroken of flags)
          for (const towerConfirmed of flags)
            for (const towerAhead of flags)
              for (const uptime of [0, WEEK - 1, WEEK]) {
                const towers = { towerConfirmed, towerAhead }
                const evidence = { stopped, recovery, highWater, chainUnbroken, ...towers, uptime, absent: WEEK }
                if (exitLicence(evidence).kind !== 'granted') continue
                licensed += 1
                t.ok(stopped === undefined && !recovery && highWater === 'equal' && chainUnbroken && !towerAhead)
                t.ok(towerConfirmed || uptime === WEEK)
              }
  t.equal(licensed, 4)
  t.end()
})

t.test('a channel that the ledger has taken and no mark knows is not believed; a newborn one is', async (t) => {
  const world = new World(openPair())
  const { context, state } = world.alice
  const faultIn = async (phase: 'funding' | 'open') => {
    const store = memoryStore()
    const channel = liveChannel(context, { ...state, phase }, emptyJournal(context.terms.channel))
    const terms = { key: tableKey('terms', channel.id), value: encodeTerms(context.terms) }
    await store.write({ puts: [terms, channelRow(channel)], deletes: [] })
    const highWater = { check: () => 'unknown' as const, channels: () => [] }
    for await (const { fault } of storedChannels({ store, highWater })) return fault
    return undefined
  }
  t.equal(state.signed.version, 0)
  t.equal(await faultIn('funding'), null, 'a crash came between the two syncs of its birth')
  t.equal(await faultIn('open'), 'mark_lost', 'a database of another moment beside an empty high-water file')
})
