/** Effects that are computed off this thread; their answers come back as inputs. */
import { unreachable } from '../base/errors.js'
import { idText } from '../base/ids.js'
import type { Logger } from '../wire/environment.js'
import type { Channels, WorkEffect } from './channels.js'
import type { LiveChannel } from './live-channel.js'
import type { WorkerDesk } from './worker-desk.js'

export interface WorkParts {
  readonly channels: Channels
  readonly workerDesk: WorkerDesk
  readonly logger: Logger
  /** The channel takes no more rounds, and which clause says so. */
  readonly broken: (channel: LiveChannel, clause: string) => void
  /** Rounds run (again). */
  readonly seen: (channel: LiveChannel) => void
}

/** A worker that refuses (busy, closing) is asked again: by the channel's next connection, or as the ledger goes on. */
export function runWork(
  { channels, workerDesk, logger, broken, seen }: WorkParts,
  channel: LiveChannel,
  effect: WorkEffect,
) {
  const answered = <T>(answer: Promise<T>, input: (value: T) => Parameters<Channels['input']>[1]): void => {
    answer.then(
      (value) => channels.input(channel, input(value)),
      (error: unknown) => {
        const name = error instanceof Error ? error.name : 'unknown'
        logger.warn('channel.work_failed', { channel: channel.text, work: effect.type, error: name })
      },
    )
  }
  switch (effect.type) {
    case 'prepareRandomizer': {
      const { version } = effect
      answered(workerDesk.randomizer(channel.context.terms, version), (randomizer) => ({
        type: 'randomizerReady',
        version,
        randomizer,
      }))
      return
    }
    case 'proveClose':
      answered(workerDesk.proveClose(channel, effect.terms), (proof) => ({ type: 'closeProved', proof }))
      return
    case 'verifyClose': {
      const { validUntil } = effect.terms
      answered(workerDesk.verifyClose(channel, effect.terms, effect.proof), (valid) => ({
        type: 'closeVerified',
        validUntil,
        valid,
      }))
      return
    }
    case 'proveSettle': {
      const standing = effect.terms.version
      answered(workerDesk.proveSettle(channel, effect.terms), (proof) => ({ type: 'settleProved', standing, proof }))
      return
    }
    case 'channelReady':
      seen(channel)
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
