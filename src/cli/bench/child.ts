/** A bench's process as seen from within: answers what it is asked, and ends with its channel to the bench. */
import type { Counts } from '../../base/counters.js'
import type { Handlers, InputOf, MeterCalls, Reply, Request } from './calls.js'
import { UsageMeter } from './usage.js'

/** What is being opened cannot be closed: nothing of it is wanted any more. */
const CLOSE_MS = 8_000

export const say = (reply: Reply): void => {
  if (process.connected) process.send?.(reply) // else the bench is gone, and this process ends too
}

/** @param beside counts of threads that the main thread's counters know nothing of */
export function attend<Table>(
  handlers: Handlers<Table>,
  close: () => Promise<void>,
  beside: () => Promise<Counts | undefined> = async () => undefined,
): void {
  const meter = new UsageMeter()
  const own: Handlers<MeterCalls> = {
    resetUsage: async () => {
      meter.reset(await beside())
      return null
    },
    usage: async () => meter.read(await beside()),
  }
  const answer = async ({ id, name, input }: Request): Promise<void> => {
    try {
      const handler = Object.hasOwn(own, name) ? own[name as keyof MeterCalls] : handlers[name as keyof Table]
      say({ id, value: await handler(input as null & InputOf<Table, keyof Table>) })
    } catch (error) {
      say({ id, failed: error instanceof Error ? `${name}: ${error.message}` : name })
    }
  }
  // The bench ends its processes by closing their channel; it also breaks where the bench was killed.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
  process.on('disconnect', () => {
    setTimeout(() => process.exit(1), CLOSE_MS).unref() // the bench ends what does not end
    close().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  })
  process.on('message', (request: Request) => void answer(request))
}
