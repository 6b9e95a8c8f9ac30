/** A tower's door to the network: Noise sessions, hello, then tower messages (W1 to W3). */
import type { Scalar } from '../base/curve/index.js'
import { idText, type LedgerId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { TOWER_REQUEST_TYPES, type TowerMessage, type TowerRequest, towerCodec } from '../base/message/tower.js'
import { ok, type Result } from '../base/result.js'
import type { Entropy, Logger, Timers } from '../wire/environment.js'
import { listen } from '../wire/listen.js'
import { negotiate, type Peer } from '../wire/peer.js'
import type { Session } from '../wire/session.js'
import type { Tower } from './tower.js'

export interface TowerListenOptions {
  readonly tower: Pick<Tower, 'connect'>
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** The tower's account key. */
  readonly key: Scalar
  readonly ledger: LedgerId
  readonly logger: Logger
  readonly timers: Timers
  readonly entropy: Entropy
}

export interface TowerListener {
  readonly url: string
  close(): Promise<void>
}

/** Refuses with `unavailable` where the port cannot be had. */
export async function listenForClients(options: TowerListenOptions): Promise<Result<TowerListener>> {
  const { host, port, key, ledger, logger, timers, entropy } = options
  const onSession = (session: Session): void => {
    void negotiate({ session, ledger, codec: towerCodec, timers }).then((met) => {
      if (met.ok) serve(met.value, options.tower)
      else logger.info('tower.client_refused', { client: idText(session.peer), code: met.error.code })
    })
  }
  const listener = await listen({ host, port, key, logger, timers, entropy, onSession })
  return listener.ok ? ok({ url: listener.value.url, close: () => listener.value.close() }) : listener
}

const isRequest = (message: TowerMessage): message is TowerRequest => Object.hasOwn(TOWER_REQUEST_TYPES, message.name)

function serve(peer: Peer<TowerMessage>, tower: Pick<Tower, 'connect'>): void {
  const session = tower.connect(peer.account, (answer) => peer.send(answer))
  peer.onClose(() => session.close())
  let unanswered = 0
  peer.onMessage((message) => {
    if (!isRequest(message)) return peer.fail('bad_encoding')
    unanswered += 1
    if (unanswered === LIMITS.tower_unsynced) peer.pause()
    session.receive(message, () => {
      unanswered -= 1
      if (unanswered === LIMITS.tower_unsynced - 1) peer.resume()
    })
  })
}
