/** Effects that are computed off this thread; their answers come back as inputs. */
import { MeridianError, unreachable } from '../base/errors.js'
import { idText } from '../base/ids.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { Channels, WorkEffect } from './channels.js'
import type { LiveChannel } from './live-channel.js'
import type { WorkerDesk } from './worker-desk.js'

export interface WorkParts {
  readonly channels: Channels
  readonly workerDesk: WorkerDesk
  readonly logger: Logger
  readonly timers: Timers
  /** The node stops: nobody asks again. */
  readonly stopping: () => boolean
  /** The channel takes no more rounds, and which clause says so. */
  readonly broken: (channel: LiveChannel, clause: string) => void
  /** Rounds run (again). */
  readonly seen: (channel: LiveChannel) => void
  /** Likewise: what waits for any channel goes on. */
  readonly ready: () => void
}

const RETRY_MS = 250
const RETRY_MS_MAX = 30_000

/** A worker that refused (busy) or died is asked again with back-off; an answer that is no longer wanted is passed over. */
function asking({ channels, logger, timers, stopping }: WorkParts, channel: LiveChannel, work: WorkEffect['type']) {
  return function answered<T>(
    ask: () => Promise<T>,
    input: (value: T) => Parameters<Channels['input']>[1],
    wait = RETRY_MS,
  ): void {
    ask().then(
      (value) => channels.input(channel, input(value)),
      (error: unknown) => {
        const name = error instanceof Error ? error.name : 'unknown'
        logger.warn('channel.work_failed', { channel: channel.text, work, error: name })
        const done = stopping() || channel.state.phase === 'closed'
        if (done || !(error instanceof MeridianError)) return // a defect stays one however often it is asked
        timers.after(wait, () => answered(ask, input, Math.min(2 * wait, RETRY_MS_MAX)))
      },
    )
  }
}

export function runWork(parts: WorkParts, channel: LiveChannel, effect: WorkEffect): void {
  const { workerDesk, logger, broken, seen, ready } = parts
  const answered = asking(parts, channel, effect.type)
  switch (effect.type) {
    case 'prepareRandomizer': {
      const { version } = effect
      answered(
        () => workerDesk.randomizer(channel.context.terms, version),
        (randomizer) => ({
          type: 'randomizerReady',
          version,
          randomizer,
        }),
      )
      return
    }
    case 'proveClose':
      answered(
        () => workerDesk.proveClose(channel, effect.terms),
        (proof) => ({ type: 'closeProved', proof }),
      )
      return
    case 'verifyClose': {
      const { validUntil } = effect.terms
      answered(
        () => workerDesk.verifyClose(channel, effect.terms, effect.proof),
        (valid) => ({
          type: 'closeVerified',
          validUntil,
          valid,
        }),
      )
      return
    }
    case 'proveSettle': {
      const standing = effect.terms.version
      answered(
        () => workerDesk.proveSettle(channel, effect.terms),
        (proof) => ({ type: 'settleProved', standing, proof }),
      )
      return
    }
    case 'channelReady':
      seen(channel)
      ready()
      logger.info('channel.channelReady', { channel: channel.text, peer: idText(channel.peer) })
      return
    case 'shuttingDown':
      logger.info('channel.shuttingDown', { channel: channel.text, peer: idText(channel.peer) })
      return
    case 'breached':
      logger.warn('channel.breached', { channel: channel.text, clause: effect.clause })
      broken(channel, effect.clause)
      return
    case 'dataLost':
      logger.warn('channel.data_lost', { channel: channel.text })
      broken(channel, 'C8')
      return
    default:
      unreachable(effect)
  }
}
