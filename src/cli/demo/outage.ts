/** What goes wrong on purpose while claims are paid: the hub is killed in the middle of them, and recovers. */
import type { Progress } from './progress.js'
import { HUB } from './reconcile.js'
import type { Party, Stage } from './stage.js'

export interface Outage {
  /** The hub as it is reached from now on. */
  readonly hub: Party
  readonly kills: number
  readonly recovered: number
}

/** kill -9 with payments under way; the restarted hub finds its channels as it left them (C6, C8). */
export async function strike(stage: Stage, progress: Progress): Promise<Outage> {
  await stage.processes.kill(HUB)
  progress.say('the hub was killed with payments under way')
  const hub = await stage.startHub()
  const { channels, channels_stopped: stopped } = await hub.api.node()
  progress.say(`the hub is up again: ${channels} channels found as they were, ${stopped} stopped`)
  return { hub, kills: 1, recovered: stopped === 0 ? 1 : 0 }
}
