/** Connections of a node: one per identity, the newest wins (W3); persistent ones are dialed again and again. */
import type { Scalar } from '../base/curve/index.js'
import type { ErrorCode } from '../base/errors.js'
import { type AccountId, idText, type LedgerId } from '../base/ids.js'
import { ok, type Result } from '../base/result.js'
import { type Dialer, dial } from '../wire/dial.js'
import type { Entropy, Logger, Timers } from '../wire/environment.js'
import { type Listener, listen } from '../wire/listen.js'
import { negotiate, type Peer } from '../wire/peer.js'
import type { Session } from '../wire/session.js'
import { SessionTable } from '../wire/table.js'
import { type NodeMessage, nodeCodec } from './messages.js'
import { Waiters } from './waiters.js'

/** Messages of one peer that were handled and are not yet durable; above it, nothing more is read from it (W3). */
const UNSYNCED_MAX = 256

export interface PeerHandlers {
  /** @param features that the peer offers (FEATURES). */
  connected(peer: AccountId, features: ReadonlySet<number>): void
  disconnected(peer: AccountId): void
  /** Calls `done` once everything that the message caused is durable. */
  message(peer: AccountId, message: NodeMessage, done: () => void): void
}

export interface PeersOptions {
  readonly key: Scalar
  readonly ledger: LedgerId
  readonly logger: Logger
  readonly timers: Timers
  readonly entropy: Entropy
  readonly handlers: PeerHandlers
  /** Bits that this node offers. */
  readonly features: readonly number[]
}

/** How a node reaches its peers. Peers over the network; a simulation brings its own. */
export type Transport = Pick<Peers, keyof Peers>

export class Peers {
  readonly #options: PeersOptions
  readonly #sessions: SessionTable
  readonly #connected = new Map<string, Peer<NodeMessage>>()
  readonly #dialers = new Map<string, { readonly url: string; readonly dialer: Dialer }>()
  readonly #failures = new Map<string, ErrorCode>()
  readonly #waiters: Waiters
  #listener: Listener | undefined
  #closed = false

  constructor(options: PeersOptions) {
    this.#options = options
    this.#sessions = new SessionTable({ timers: options.timers })
    this.#waiters = new Waiters(options.timers)
  }

  /** @returns where it listens. Errors: `unavailable`. */
  async listen(host: string, port: number): Promise<Result<string>> {
    const { key, logger, timers, entropy } = this.#options
    const onSession = (session: Session) => this.#meet(session)
    const sessions = this.#sessions
    const listener = await listen({ host, port, key, logger, timers, entropy, sessions, onSession })
    if (!listener.ok) return listener
    this.#listener = listener.value
    return ok(listener.value.url)
  }

  get listening(): string | null {
    return this.#listener?.url ?? null
  }

  /** Keeps this peer connected from now on; another address for a known one replaces the first. */
  keep(peer: AccountId, url: string): void {
    const name = idText(peer)
    const known = this.#dialers.get(name)
    if (known?.url === url) {
      known.dialer.wake()
      return
    }
    known?.dialer.close()
    const { key, logger, timers, entropy } = this.#options
    const dialer = dial({
      url,
      key,
      remote: peer,
      logger,
      timers,
      entropy,
      sessions: this.#sessions,
      onSession: (session) => this.#meet(session),
      onRefused: (code) => this.#failures.set(name, code),
    })
    this.#dialers.set(name, { url, dialer })
  }

  isConnected(peer: AccountId): boolean {
    return this.#connected.has(idText(peer))
  }

  /** Waits for a connection. */
  async connected(peer: AccountId, ms: number): Promise<boolean> {
    if (!this.isConnected(peer)) await this.#waiters.wait(idText(peer), ms)
    return this.isConnected(peer)
  }

  /** Why the last attempt to reach a kept peer failed. */
  failure(peer: AccountId): ErrorCode | undefined {
    return this.#failures.get(idText(peer))
  }

  list(): readonly { readonly account: string; readonly url: string | null; readonly connected: boolean }[] {
    const names = new Set([...this.#connected.keys(), ...this.#dialers.keys()])
    return [...names].map((account) => ({
      account,
      url: this.#dialers.get(account)?.url ?? null,
      connected: this.#connected.has(account),
    }))
  }

  /** False where the peer is away: nothing is kept for it. */
  send(peer: AccountId, message: NodeMessage): boolean {
    const connected = this.#connected.get(idText(peer))
    if (connected === undefined) return false
    connected.send(message)
    return true
  }

  /** Ends the connection; a kept peer is dialed again. */
  cut(peer: AccountId): void {
    this.#connected.get(idText(peer))?.close()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#waiters.close()
    for (const { dialer } of this.#dialers.values()) dialer.close()
    for (const peer of this.#connected.values()) peer.close()
    await this.#listener?.close()
  }

  #meet(session: Session): void {
    const { ledger, logger, timers, features } = this.#options
    void negotiate({ session, ledger, codec: nodeCodec, features, timers }).then((met) => {
      if (met.ok && this.#closed) met.value.close()
      else if (met.ok) this.#join(met.value)
      else logger.info('peer.refused', { peer: idText(session.peer), code: met.error.code })
    })
  }

  #join(peer: Peer<NodeMessage>): void {
    const { handlers } = this.#options
    const { account } = peer
    const name = idText(account)
    if (this.#connected.delete(name)) handlers.disconnected(account) // W3: its session was closed for this one
    this.#connected.set(name, peer)
    this.#failures.delete(name)
    let told = false
    peer.onClose(() => {
      if (this.#connected.get(name) !== peer) return
      this.#connected.delete(name)
      if (told) handlers.disconnected(account)
    })
    handlers.connected(account, peer.offered)
    told = true
    // What is said at once may end the session: that it has gone is heard after that it came.
    if (this.#connected.get(name) !== peer) {
      handlers.disconnected(account)
      return
    }
    this.#waiters.wake(name)
    let unsynced = 0
    peer.onMessage((message) => {
      if (this.#connected.get(name) !== peer) return
      unsynced += 1
      if (unsynced === UNSYNCED_MAX) peer.pause()
      handlers.message(account, message, () => {
        unsynced -= 1
        if (unsynced === UNSYNCED_MAX - 1) peer.resume()
      })
    })
  }
}
