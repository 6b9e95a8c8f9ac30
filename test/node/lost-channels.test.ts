/** Reading the ledger again for channels that the database has lost (S2), alone: how long is no reason to give up, silence is. */
import t from 'tap'
import type { ChannelId } from '../../src/base/ids.js'
import type { LedgerEvent } from '../../src/base/ports/chain.js'
import { LostChannels, type LostParts } from '../../src/node/lost-channels.js'

const LOST = new Uint8Array(32) as ChannelId
const EVENTS = 4

/** @param seconds that pass before each event. @returns how many channels were found to promise nothing any more. */
async function read(seconds: number): Promise<number> {
  let now = 0
  let forgotten = 0
  const waiting = new Map<() => void, number>()
  async function* events(_from: number, signal: AbortSignal): AsyncGenerator<LedgerEvent> {
    for (let cursor = 1; cursor <= EVENTS; cursor++) {
      now += seconds * 1_000
      for (const [run, at] of waiting) if (at <= now) run()
      if (signal.aborted) return
      yield { cursor, height: cursor, time: cursor, transaction: { kind: 'tick' } } as unknown as LedgerEvent
    }
  }
  const parts = {
    chain: { events },
    engine: { do: () => undefined },
    highWater: {
      forget: async () => {
        forgotten += 1
      },
    },
    timers: {
      after: (ms: number, run: () => void) => {
        waiting.set(run, now + ms)
        return () => void waiting.delete(run)
      },
    },
  } as unknown as LostParts
  const store = { range: async function* () {} } as unknown as Parameters<LostChannels['start']>[0]
  await new LostChannels(parts).start(store, [LOST], EVENTS)
  t.equal(waiting.size, forgotten === 1 ? 0 : 1, 'no timer outlives a reading that ended')
  return forgotten
}

t.test(
  'a long ledger that goes on answering is read to the end; one that falls silent is read at the next start',
  async (t) => {
    t.equal(await read(20), 1)
    t.equal(await read(40), 0)
  },
)
