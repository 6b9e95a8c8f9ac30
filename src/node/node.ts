/**
 * A running node: everything above put together, and the surface that the operator API and the command line use. A hub
 * is a node with forwarding on.
 */
import type { Amount } from '../base/amount.js'
import type { Digest } from '../base/bytes.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import type { ChainAdapter } from '../base/ports/chain.js'
import { parseRequestKey } from '../base/request-key.js'
import { ok, type Result, refuse } from '../base/result.js'
import type { ProofPool } from '../privacy/pool.js'
import { parseInvoice } from '../router/invoice.js'
import { checkPolicy, type Policy } from '../router/policy.js'
import type { DataDirectory } from '../store/directory.js'
import type { Wallet } from '../wallet/wallet.js'
import type { ConnectTower, TowerNetworkOptions } from '../watchtower/link.js'
import { formatTowerReceipt } from '../watchtower/tower-receipt.js'
import type { PeerAddress } from '../wire/address.js'
import { type Entropy, type Logger, systemTimers, type Timers } from '../wire/environment.js'
import { assemble, type NodeParts } from './assemble.js'
import { type Capacities, capacitiesOf, capacityOf } from './capacity.js'
import { type ChannelSummary, summaryOf } from './channel-summary.js'
import type { NodeConfig } from './config.js'
import type { DirectPay } from './direct-pays.js'
import type { EventLog } from './event-log.js'
import { EXIT_BARS } from './exit-licence.js'
import type { InvoiceWish, IssuedRow } from './invoices.js'
import { isRestored, keepPeer, keptPeers, knownPeers } from './kept-peers.js'
import type { LiveChannel } from './live-channel.js'
import { loadOf, type NodeLoad } from './load.js'
import { Obligations } from './obligations.js'
import type { OpenWish } from './openings.js'
import type { PaymentView } from './payment-view.js'
import { Payments } from './payments.js'
import type { PeersOptions, Transport } from './peers.js'
import { type RebalanceWish, rebalance } from './rebalance.js'
import { settleWallet } from './settle-wallet.js'

export interface NodeOptions {
  readonly directory: DataDirectory
  readonly chain: ChainAdapter
  readonly pool: ProofPool
  readonly config: NodeConfig
  readonly logger: Logger
  /** Time, randomness and the ways to peers and towers: the machine's own where absent. */
  readonly timers?: Timers
  readonly entropy?: Entropy
  readonly transport?: (options: PeersOptions) => Transport
  readonly towers?: (options: TowerNetworkOptions) => ConnectTower
}

const CONNECT_MS = 10_000
const CLOSE_MS = 60_000
const START_MS = 30_000
/** Between two looks at what is left. */
const DRAIN_MS = 100

export class Node {
  #listening: string | null = null
  #stopping = false
  #started = false
  readonly #opening = new Map<string, Promise<Result<ChannelId>>>()

  private constructor(
    private readonly options: NodeOptions,
    private readonly parts: NodeParts,
  ) {}

  static async open(options: NodeOptions): Promise<Node> {
    return new Node(options, await assemble(options))
  }

  get account(): AccountId {
    return this.parts.wallet.account
  }
  get wallet(): Wallet {
    return this.parts.wallet
  }
  get events(): EventLog {
    return this.parts.events
  }
  /** For the API's own rows (idempotency keys). */
  get engine(): NodeParts['engine'] {
    return this.parts.engine
  }

  /** Follows the ledger, takes up what was unfinished, then meets peers. Errors: `unavailable`. */
  async start(): Promise<Result<{ readonly listening: string | null }>> {
    const { config, directory, logger, timers = systemTimers } = this.options
    const { book, watch, peers, engine, ledgerDesk, obligations, payments, towers, recovery, gossip, experiences } =
      this.parts
    void settleWallet(this.wallet, { logger, timers, stopping: () => this.#stopping })
    await recovery.start(directory.store, watch.cursor)
    watch.start()
    if (!(await watch.caughtUp(START_MS))) return refuse('unavailable', 'the ledger does not answer')
    ledgerDesk.resume((transaction, outcome) => {
      if (transaction.kind !== 'openChannel' || outcome.ok) return
      engine.do((tx) => book.refused(tx, transaction.channel as ChannelId, outcome.error.code))
    })
    towers.start()
    await Promise.all([gossip.load(), experiences.load(directory.store)])
    const [owed, open] = await Promise.all([Obligations.all(directory.store), Payments.open(directory.store)])
    engine.do((tx) => {
      obligations.resume(tx, owed)
      payments.takeUp(tx, open)
    })
    await towers.withdrawJobs(directory.store)
    if (config.listen !== null) {
      const listening = await peers.listen(config.listen.host, config.listen.port)
      if (!listening.ok) return listening
      this.#listening = listening.value
    }
    for (const { account, url } of await keptPeers(directory.store)) peers.keep(account, url)
    this.#started = true
    return ok({ listening: this.#listening })
  }

  /**
   * Before a stop: takes no new payment, forward or opening, and waits for what rounds and the ledger can still end.
   * What is left after `ms` is safe on disk: the next start takes it up.
   */
  async drain(ms: number): Promise<NodeLoad> {
    this.parts.intake.closed = true
    const { timers = systemTimers } = this.options
    const until = timers.now() + ms
    const ended = () => this.load().locks + this.load().ledgerWaiting === 0
    while (!ended() && timers.now() < until) await new Promise<void>((resolve) => void timers.after(DRAIN_MS, resolve))
    return this.settled(() => this.load()) // what the last round says has left by then
  }

  get #closing(): boolean {
    return this.#stopping || this.parts.intake.closed
  }

  /** Graceful: nothing new, connections end, everything decided is on disk. The directory stays the caller's to close. */
  async stop(): Promise<void> {
    this.#stopping = true
    const { peers, watch, ledgerDesk, engine, retention } = this.parts
    const { wallet, openings, recovery, ends, payments, directPays, towers, gossip } = this.parts
    for (const part of [wallet, openings, recovery, ends, payments, directPays, towers, gossip]) part.close()
    await peers.close()
    ledgerDesk.close()
    await watch.stop()
    await retention.close()
    await engine.close()
  }

  /** Ledger seconds, as far as it was followed. */
  get time(): number {
    return this.parts.watch.view.time
  }

  status() {
    const { watch, channels, recovery, graph } = this.parts
    const { config, chain } = this.options
    const all = channels.all().filter(({ state }) => state.phase !== 'closed')
    return {
      account: idText(this.account),
      ledger: idText(chain.ledger),
      height: watch.view.height,
      time: watch.view.time,
      ledgerAge: watch.age,
      forwarding: config.forwarding,
      listening: this.#listening,
      announce: this.#announced,
      channels: all.length,
      /** R4: channels of the public graph. */
      graphChannels: graph.size,
      channelsReady: all.filter((channel) => capacityOf(channel).ready).length,
      /** C8: frozen, those that only the ledger remembers included. */
      recovering: all.filter(({ state }) => state.phase === 'recovery').length + recovery.lost.count,
      restored: isRestored(this.options.directory.store),
      stopped: all.filter(({ stopped }) => stopped !== undefined).length,
      feesEarned: Obligations.feesEarned(this.parts.engine),
      towers: this.parts.towers.status(),
      towerReceiptsRequired: config.towerReceiptsRequired,
      ready: this.#started && !this.#closing && watch.age <= config.ledgerAgeMax,
    }
  }

  /** What is under way, in counts. */
  load(): NodeLoad {
    return loadOf(this.parts, this.options.pool)
  }

  /** Keeps this peer connected from now on, over restarts too. Resolves once it is; errors: why it is not. */
  async connect({ account, url }: PeerAddress): Promise<Result<undefined>> {
    const { peers, engine } = this.parts
    await engine.run((tx) => keepPeer(tx, account, url)).durable
    peers.keep(account, url)
    const connected = await peers.connected(account, CONNECT_MS)
    return connected ? ok(undefined) : refuse(peers.failure(account) ?? 'connection_refused')
  }

  peers() {
    return this.parts.peers.list()
  }

  /** Connected and kept peers, and those of channels: what a backup names. */
  async knownPeers() {
    const listed = new Map(this.peers().map((peer) => [peer.account, peer]))
    for (const { account, url } of await knownPeers(this.options.directory.store, this.account)) {
      const name = idText(account)
      const connected = listed.get(name)?.connected ?? false
      listed.set(name, { account: name, url: url ?? listed.get(name)?.url ?? null, connected })
    }
    return [...listed.values()]
  }

  /** Resolves when the ledger has the channel. The same key opens one channel. */
  openChannel(
    key: string,
    wish: Omit<OpenWish, 'key' | 'window'> & { readonly window?: number },
  ): Promise<Result<ChannelId>> {
    const named = parseRequestKey(key)
    if (!named.ok) return Promise.resolve(named)
    const running = this.#opening.get(key)
    if (running !== undefined) return running
    const opening = this.#open({ key, ...wish, window: this.#window(wish.window) })
    this.#opening.set(key, opening)
    return opening.finally(() => this.#opening.delete(key))
  }

  async #open(wish: OpenWish): Promise<Result<ChannelId>> {
    const { book, channels, engine, openings, watch } = this.parts
    const known = book.opened(engine, wish.key)
    if (typeof known === 'string') return refuse(known)
    const channel = known === undefined ? undefined : channels.get(known)
    if (channel !== undefined) {
      return channel.state.phase === 'funding' ? refuse('unavailable', 'not on the ledger yet') : ok(channel.id)
    }
    if (this.#closing) return refuse('unavailable', 'stopping')
    if (watch.age > this.options.config.ledgerAgeMax) return refuse('unavailable', 'the ledger view is old') // A1
    return openings.open(wish)
  }

  /** Resolves when the ledger has paid the channel out. Errors: `not_found`, `unavailable` while it is not done. */
  async closeChannel(id: ChannelId): Promise<Result<undefined>> {
    const { channels, ends } = this.parts
    const channel = channels.get(id)
    if (channel === undefined) return refuse('not_found', 'channel')
    if (channel.state.phase === 'closed') return ok(undefined)
    if (channel.state.phase === 'funding') return refuse('channel_not_open')
    if (channel.state.phase === 'recovery') return refuse('channel_recovering')
    if (channel.stopped !== undefined) return refuse('channel_not_open', EXIT_BARS.stopped)
    channels.input(channel, { type: 'closeWanted' })
    await ends.wait(channel.text, CLOSE_MS)
    // The state is another object by now: what the waiting was for.
    const ended = channels.get(id)?.state.phase === 'closed'
    return ended ? ok(undefined) : refuse('unavailable', 'the close waits for the peer or the ledger')
  }

  /**
   * Ends a channel without its peer: an exit with the newest state, signed and durable when it resolves (C10). Errors:
   * `not_found`, `channel_not_open` before the ledger has it, `exit_not_yet`, `exit_unlicensed`.
   */
  async forceClose(id: ChannelId): Promise<Result<ChannelSummary>> {
    const { channels, engine, exits } = this.parts
    const channel = channels.get(id)
    if (channel === undefined) return refuse('not_found', 'channel')
    const { value, durable } = engine.run((tx) => exits.force(tx, channel))
    await durable
    return value.ok ? ok(this.#summary(channel)) : value
  }

  channels(): ChannelSummary[] {
    return this.parts.channels.all().map((channel) => this.#summary(channel))
  }

  channel(id: ChannelId): ChannelSummary | undefined {
    const channel = this.parts.channels.get(id)
    return channel === undefined ? undefined : this.#summary(channel)
  }

  /** T2: what towers signed for this channel, one receipt per tower, as lines of a receipt file. */
  towerReceipts(id: ChannelId): string[] {
    return this.parts.towers.receipts(id).map(formatTowerReceipt)
  }

  /** @param channel null sets the default of channels without their own. */
  async setPolicy(channel: ChannelId | null, policy: Policy): Promise<Result<undefined>> {
    const { policies, channels, engine, gossip } = this.parts
    const checked = checkPolicy(policy, this.options.config.bounds.near)
    if (!checked.ok) return checked
    if (channel !== null && channels.get(channel) === undefined) return refuse('not_found', 'channel')
    await engine.run((tx) => policies.set(tx, channel, policy)).durable
    for (const each of channels.all()) this.parts.tellPolicy(each)
    gossip.policyChanged()
    return ok(undefined)
  }

  get defaultPolicy(): Policy {
    return this.parts.policies.default
  }

  /** What `read` says of channels and money, once all of it is durable. Throws `unavailable` once stopped. */
  async settled<T>(read: () => T): Promise<T> {
    const { value, durable } = this.parts.engine.run(read)
    await durable
    return value
  }

  async issueInvoice(key: string, wish: InvoiceWish): Promise<Result<IssuedRow>> {
    const named = parseRequestKey(key)
    return named.ok ? this.parts.invoices.issue(key, wish) : named
  }

  /** @param id invoiceDigest */
  invoice(id: Digest): IssuedRow | undefined {
    return this.parts.invoices.byId(id)
  }

  /** The proof that an invoice of ours is paid; null while it is not. */
  receiptOf(issued: IssuedRow): string | null {
    return this.parts.invoices.receiptOf(issued)
  }

  /** R7: how much payments can be, either way. */
  get capacities(): Capacities {
    return capacitiesOf(this.parts.channels.all())
  }

  /** Oldest first, after an entry's number. */
  invoices(limit: number, after = 0) {
    return this.parts.invoices.list(limit, after)
  }

  /** Durable when it resolves: pending, succeeded or failed. The same key never pays twice (R5). */
  async pay(key: string, text: string, feeMax: Amount): Promise<Result<PaymentView>> {
    const named = parseRequestKey(key)
    if (!named.ok) return named
    const invoice = parseInvoice(text)
    if (!invoice.ok) return invoice
    if (this.#closing) return refuse('unavailable', 'stopping')
    return this.parts.payments.start({ key, invoice: invoice.value, feeMax })
  }

  /** R7: moves money from one own channel into another, as a payment to oneself: pending, succeeded or failed. */
  async rebalance(key: string, wish: RebalanceWish): Promise<Result<PaymentView>> {
    const named = parseRequestKey(key)
    if (!named.ok) return named
    return this.#closing ? refuse('unavailable', 'stopping') : rebalance(this.parts, key, wish)
  }

  /** An unconditional pay over one channel (C4): DirectPays.pay. Errors: also `not_found`. */
  async payDirect(id: ChannelId, pay: DirectPay): Promise<Result<undefined>> {
    const channel = this.parts.channels.get(id)
    if (channel === undefined) return refuse('not_found', 'channel')
    if (this.#closing) return refuse('unavailable', 'stopping')
    return this.parts.directPays.pay(channel, pay)
  }

  quote(text: string, feeMax: Amount) {
    const invoice = parseInvoice(text)
    return invoice.ok ? this.parts.payments.quote(invoice.value, feeMax) : invoice
  }

  payment(key: string): PaymentView | undefined {
    return this.parts.payments.view(key)
  }

  waitPayment(key: string, ms: number): Promise<PaymentView | undefined> {
    return this.parts.payments.wait(key, ms)
  }

  /** Oldest first, after an entry's number. */
  payments(limit: number, after = 0) {
    return this.parts.payments.list(limit, after)
  }

  get #announced(): string | null {
    return this.options.config.announce ?? this.#listening
  }

  #window(wanted: number | undefined): number {
    const { windowMin, windowMax } = this.options.chain.genesis
    return Math.min(Math.max(wanted ?? this.options.config.window, windowMin), windowMax)
  }

  #summary(channel: LiveChannel): ChannelSummary {
    const { peers, exits, policies, watch, towers, engine, locks } = this.parts
    return summaryOf(channel, {
      connected: peers.isConnected(channel.peer),
      exit: exits.licence(channel),
      policy: policies.of(channel),
      towerLag: towers.lag(channel),
      towerWaiting: towers.waiting(channel),
      view: watch.view,
      revealedAt: (point) => locks.registry.of(engine, point)?.time,
    })
  }
}
