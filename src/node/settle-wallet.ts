import { MeridianError } from '../base/errors.js'
import type { Wallet } from '../wallet/wallet.js'
import type { Logger, Timers } from '../wire/environment.js'

interface Parts {
  readonly logger: Logger
  readonly timers: Timers
  readonly stopping: () => boolean
}

const WAIT_MS = 1_000
const WAIT_MS_MAX = 30_000

/**
 * K1: what an earlier life sent and never heard of is asked for beside everything else: channels are defended first.
 * Until it is known, transactions of the account answer `unavailable`.
 */
export async function settleWallet(wallet: Wallet, parts: Parts, wait = WAIT_MS): Promise<void> {
  const { logger, timers, stopping } = parts
  try {
    await wallet.settle()
  } catch (error) {
    if (stopping()) return
    const known = error instanceof MeridianError
    logger.warn('wallet.unsettled', { code: known ? error.code : 'internal' })
    if (known) timers.after(wait, () => void settleWallet(wallet, parts, Math.min(2 * wait, WAIT_MS_MAX)))
  }
}
