import { type AccountId, type IdText, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import { PeerRate } from './bucket.js'
import { systemTimers, type Timers } from './environment.js'
import type { Session } from './session.js'

export interface TableOptions {
  readonly timers?: Timers
  readonly authenticated_connections?: number
  readonly peer_messages_per_s?: number
  readonly peer_bytes_per_s?: number
}

/**
 * The live sessions of one node, incoming and outgoing: one per identity, the newest wins (W3). Share one table between
 * `listen` and `connect`.
 */
export class SessionTable {
  readonly #timers: Timers
  readonly #options: TableOptions
  readonly #sessions = new Map<IdText, Session>()
  /** In order of last use; the oldest goes first. */
  readonly #rates = new Map<IdText, PeerRate>()

  constructor(options: TableOptions = {}) {
    this.#options = options
    this.#timers = options.timers ?? systemTimers
  }

  get size(): number {
    return this.#sessions.size
  }

  get(peer: AccountId): Session | undefined {
    return this.#sessions.get(idText(peer))
  }

  [Symbol.iterator](): Iterator<Session> {
    return [...this.#sessions.values()][Symbol.iterator]()
  }

  /** Whether one more session with `peer` has room; a known peer's only takes the place of its last one. */
  hasRoomFor(peer: AccountId): boolean {
    const bound = this.#options.authenticated_connections ?? LIMITS.authenticated_connections
    return this.#sessions.has(idText(peer)) || this.#sessions.size < bound
  }

  add(session: Session): void {
    const id = idText(session.peer)
    const older = this.#sessions.get(id)
    this.#sessions.set(id, session)
    older?.close('connection_replaced')
    session.onClose(() => {
      if (this.#sessions.get(id) === session) this.#sessions.delete(id)
    })
  }

  /** The same for all connections of one peer, so that reconnecting gives no fresh allowance. */
  rateOf(peer: AccountId): PeerRate {
    const id = idText(peer)
    const known = this.#rates.get(id)
    const { peer_messages_per_s, peer_bytes_per_s } = { ...LIMITS, ...this.#options }
    const rate = known ?? new PeerRate(peer_messages_per_s, peer_bytes_per_s, this.#timers.now())
    this.#rates.delete(id)
    this.#rates.set(id, rate)
    if (this.#rates.size > LIMITS.peers_remembered) this.#rates.delete(this.#rates.keys().next().value!)
    return rate
  }
}
