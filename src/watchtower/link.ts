/** The way from a client to one tower: dialed, greeted, dialed again (W1, W2). A simulation brings its own. */
import type { Scalar } from '../base/curve/index.js'
import type { ErrorCode } from '../base/errors.js'
import { idText, type LedgerId } from '../base/ids.js'
import { type TowerMessage, type TowerRequest, towerCodec } from '../base/message/tower.js'
import type { PeerAddress } from '../wire/address.js'
import { dial } from '../wire/dial.js'
import type { Entropy, Logger, Timers } from '../wire/environment.js'
import { negotiate } from '../wire/peer.js'
import type { Session } from '../wire/session.js'
import { SessionTable } from '../wire/table.js'

/** A connection on which both sides have said hello. */
export interface TowerSession {
  send(message: TowerRequest): void
  /** One handler; messages wait for it. */
  onMessage(handler: (message: TowerMessage) => void): void
  onClose(handler: (reason: ErrorCode) => void): void
  /** Tells the tower the code, then ends. */
  fail(code: ErrorCode): void
}

export interface TowerLinkOptions {
  readonly tower: PeerAddress
  readonly onSession: (session: TowerSession) => void
  /** An attempt to reach it failed. */
  readonly onRefused: (code: ErrorCode) => void
}

/** Keeps a tower connected until closed, standing session included. */
export interface TowerLink {
  close(): void
}
export type ConnectTower = (options: TowerLinkOptions) => TowerLink

export interface TowerNetworkOptions {
  /** The client's account key. */
  readonly key: Scalar
  readonly ledger: LedgerId
  readonly logger: Logger
  readonly timers: Timers
  readonly entropy: Entropy
}

/** Towers over the network. Their sessions are no peers' sessions: an account may be both. */
export function towerNetwork(options: TowerNetworkOptions): ConnectTower {
  const { key, ledger, logger, timers, entropy } = options
  const sessions = new SessionTable({ timers })
  return ({ tower: { account, url }, onSession, onRefused }) => {
    const meet = async (session: Session): Promise<void> => {
      const met = await negotiate({ session, ledger, codec: towerCodec, timers })
      if (met.ok) onSession(met.value)
      else onRefused(met.error.code)
    }
    const dialer = dial({
      url,
      key,
      remote: account,
      logger,
      timers,
      entropy,
      sessions,
      onSession: (session) => void meet(session),
      onRefused: (code) => {
        logger.info('tower.refused', { tower: idText(account), code })
        onRefused(code)
      },
    })
    return {
      close() {
        dialer.close()
        sessions.get(account)?.close()
      },
    }
  }
}
