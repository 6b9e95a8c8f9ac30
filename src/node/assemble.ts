/** Puts a node together: who hears of what. Nothing runs before `Node.start`. */

import type { Digest } from '../base/bytes.js'
import { curve, type Signature } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import { FEATURES, optional } from '../base/message/session.js'
import type { OpeningEnv } from '../channel/opening.js'
import type { ChannelPolicy } from '../channel/types.js'
import { Graph } from '../router/graph.js'
import { Success } from '../router/success.js'
import { Outbox } from '../store/outbox.js'
import { type AccountKeys, openAccountKeys } from '../wallet/keys.js'
import { Wallet } from '../wallet/wallet.js'
import { towerNetwork } from '../watchtower/link.js'
import { systemEntropy, systemTimers } from '../wire/environment.js'
import { ChainWatch } from './chain-watch.js'
import { ChannelBook, type Loaded } from './channel-book.js'
import { Channels, type Surroundings } from './channels.js'
import { Conversation } from './conversation.js'
import { Desk } from './desk.js'
import { DirectPays } from './direct-pays.js'
import { Engine } from './engine.js'
import { EventLog } from './event-log.js'
import { Exits } from './exits.js'
import { Gossip } from './gossip.js'
import { Experiences } from './graph-rows.js'
import { HeardTime } from './heard-time.js'
import { Invoices, type PaidFor } from './invoices.js'
import { LedgerDesk } from './ledger-desk.js'
import type { LiveChannel } from './live-channel.js'
import type { NodeOptions } from './node.js'
import { Obligations } from './obligations.js'
import { type LockFacts, lockFacts } from './offered.js'
import { Openings } from './openings.js'
import { OwnAnnouncements } from './own-announcements.js'
import { Payments } from './payments.js'
import { PeerRecords } from './peer-records.js'
import { Peers, type Transport } from './peers.js'
import { Policies } from './policies.js'
import { Proposals } from './proposals.js'
import { Recovery, type RecoveryParts } from './recovery.js'
import { Retention } from './retention.js'
import type { RouterParts } from './router-parts.js'
import { Towers } from './towers.js'
import { Waiters } from './waiters.js'
import { WorkerDesk } from './worker-desk.js'
import { runWork, type WorkParts } from './worker-effects.js'

export interface NodeParts {
  readonly wallet: Wallet
  readonly engine: Engine
  readonly channels: Channels
  readonly book: ChannelBook
  readonly events: EventLog
  readonly locks: LockFacts
  readonly ledgerDesk: LedgerDesk
  readonly obligations: Obligations
  readonly payments: Payments
  readonly directPays: DirectPays
  readonly invoices: Invoices
  readonly policies: Policies
  readonly openings: Openings
  readonly peers: Transport
  readonly watch: ChainWatch
  readonly towers: Towers
  readonly exits: Exits
  readonly recovery: Recovery
  /** Channels that the ledger paid out, by name. */
  readonly ends: Waiters
  readonly retention: Retention
  readonly gossip: Gossip
  readonly graph: Graph
  readonly experiences: Experiences
  /** Closed before a stop: no new payment, forward or opening. */
  readonly intake: { closed: boolean }
  tellPolicy(channel: LiveChannel): void
}

/** Seconds for which a signed close stays valid on the ledger (L6). */
const CLOSE_VALID_S = 3_600

/** Every option has a value here. */
type Options = Required<NodeOptions>

const MACHINE: Pick<Options, 'timers' | 'entropy' | 'transport' | 'towers'> = {
  timers: systemTimers,
  entropy: systemEntropy,
  transport: (options) => new Peers(options),
  towers: towerNetwork,
}

interface Foundation {
  readonly keys: AccountKeys
  readonly wallet: Wallet
  readonly engine: Engine
  readonly ledgerDesk: LedgerDesk
  readonly workerDesk: WorkerDesk
  readonly events: EventLog
  readonly heard: HeardTime
  readonly locks: LockFacts
}

/** What exists only once everything else does: reached through here, never before `Node.start`. */
interface Late {
  desk: Desk
  peers: Transport
  watch: ChainWatch
  conversation: Conversation
  towers: Towers
  exits: Exits
  recovery: Recovery
}

async function found(options: Options, late: Late): Promise<Foundation> {
  const { directory, chain, pool, logger, timers, entropy } = options
  const { store, secrets } = directory
  const keys = await openAccountKeys(secrets, chain.genesis.keyBits, pool)
  const wallet = await Wallet.open({ chain, pool, store, keys, seed: secrets.walletSeed, entropy })
  const outbox = await Outbox.open(store)
  const engine = new Engine(
    directory,
    (error) => {
      throw error // S2: nothing is promised on a disk that refused a write
    },
    () => outbox.takeDone(),
    timers,
  )
  return {
    keys,
    wallet,
    engine,
    ledgerDesk: new LedgerDesk(chain, outbox, keys.signing, logger, timers, {
      stands: (transaction) => late.conversation.stands(transaction),
      refused: (transaction, code) => late.conversation.refused(transaction, code),
    }),
    workerDesk: new WorkerDesk(chain, pool, keys, secrets.channelSeed, entropy),
    events: new EventLog(store),
    heard: new HeardTime(() => Math.floor(timers.now() / 1_000), options.config.ledgerAgeMax),
    locks: lockFacts(),
  }
}

const surround = (
  { logger, timers }: Options,
  { ledgerDesk, engine, workerDesk, locks }: Foundation,
  late: Late,
  channels: () => Channels,
): Surroundings => {
  const parts = (): WorkParts => ({
    channels: channels(),
    workerDesk,
    logger,
    timers,
    stopping: () => engine.closed,
    broken: (channel, clause) => engine.do((tx) => late.conversation.broken(tx, channel, clause)),
    seen: (channel) => late.exits.seen(channel),
    ready: () => late.desk.channelReady(),
  })
  return {
    desk: (tx, channel, effect) => late.desk.handle(tx, channel, effect),
    ledger: (tx, channel, effect) => {
      if (effect.type === 'submit') ledgerDesk.submit(tx, effect.transaction)
      else ledgerDesk.reveal(tx, effect.scalar)
      logger.info(`channel.${effect.type}`, { channel: channel.text })
    },
    work: (channel, effect) => late.recovery.work(channel, effect, () => runWork(parts(), channel, effect)),
    send: new Proposals(late, timers).pass,
    stepped: (tx, channel, before) => late.towers.stepped(tx, channel, before),
    stopped: (channel, clause) => logger.warn('channel.stopped', { channel: channel.text, clause }),
    view: () => late.watch.view,
    revealed: (tx, point) => locks.registry.of(tx, point),
    // Monotone: a wall clock that jumps makes nobody late.
    now: () => Math.floor(timers.now() / 1_000),
  }
}

/** The routing half: what forwards, pays and is paid. */
function route(
  { chain, directory, config, timers, entropy }: Options,
  base: Foundation,
  late: Late,
  channels: Channels,
  records: PeerRecords,
) {
  const { keys, engine, events, locks } = base
  const policies = new Policies(engine, channels, config.policy)
  const intake = { closed: false }
  const graph = new Graph()
  const success = new Success()
  const experiences = new Experiences(success, directory.secrets.walletSeed)
  const router: RouterParts = {
    chain,
    channels,
    events,
    account: keys.account,
    key: keys.signing,
    seed: directory.secrets.walletSeed,
    forwarding: config.forwarding,
    entropy,
    timers,
    bounds: config.bounds,
    view: () => late.watch.view,
    ledgerFresh: () => late.watch.age <= config.ledgerAgeMax,
    draining: () => intake.closed,
    policyOf: (channel) => policies.of(channel),
    graph,
    success,
    learn: (tx, lessons) => experiences.learn(tx, lessons, late.watch.view.time),
    records,
    ...locks,
    kept: (tx, obligation) => {
      records.kept(tx, obligation)
      late.towers.kept(tx, obligation)
    },
  }
  const paidFor: PaidFor = (tx, id) => payments.paidFor(tx, id)
  const invoices = new Invoices(router, engine, directory.store, () => policies.hints(), config.finalDelta, paidFor)
  const obligations = new Obligations(router, invoices)
  const payments: Payments = new Payments(router, engine, directory.store, invoices, config.bounds.far)
  const directPays = new DirectPays(channels, timers)
  const now = () => late.watch.view.time
  const claimed: ConstructorParameters<typeof Desk>[6] = (...told) => late.towers.claimed(...told)
  const desk = new Desk(obligations, payments, directPays, events, locks.owners, now, claimed)
  return { intake, policies, graph, experiences, invoices, obligations, payments, directPays, desk }
}

const openingEnv = ({ chain, directory }: Options, { keys }: Foundation, late: Late, policy: ChannelPolicy) => {
  const { genesis, ledger } = chain
  return (): OpeningEnv => ({
    ledger,
    amountBits: genesis.amountBits,
    windowMin: genesis.windowMin,
    windowMax: genesis.windowMax,
    self: { account: keys.account, n: keys.paillier.n },
    seed: directory.secrets.channelSeed,
    view: late.watch.view,
    policy,
    signAccount: (digest): Signature => curve.sign(digest as Digest, keys.signing),
  })
}

function watchtowers(
  { chain, config, logger, timers, entropy, towers }: Options,
  base: Foundation,
  late: Late,
  channels: Channels,
) {
  const { keys, engine, locks } = base
  return new Towers({
    config,
    engine,
    channels,
    ...locks,
    account: keys.account,
    key: keys.signing,
    ledger: chain.ledger,
    connect: towers({ key: keys.signing, ledger: chain.ledger, logger, timers, entropy }),
    logger,
    timers,
    random: () => (entropy(1)[0] ?? 0) / 256,
    view: () => late.watch.view,
    cut: (peer) => late.peers.cut(peer),
    shown: (channel, found) => late.recovery.shown(channel, found),
    answered: (channel) => late.recovery.answered(channel),
  })
}

const watchPeers = (
  { config }: Options,
  { engine, events, heard }: Foundation,
  late: Late,
  channels: Channels,
): Exits =>
  new Exits({
    channels,
    engine,
    events,
    heard,
    absent: config.absent,
    stall: config.stall,
    view: () => late.watch.view,
    towerConfirmed: (channel) => late.towers.confirmed(channel),
    towerAhead: (channel) => late.towers.ahead(channel),
  })

const gossipOf = (
  { chain, directory, config, timers, logger }: Options,
  { keys, engine }: Foundation,
  late: Late,
  channels: Channels,
  { graph, policies }: { readonly graph: Graph; readonly policies: Policies },
): Gossip => {
  const own = new OwnAnnouncements({
    ledger: chain.ledger,
    account: keys.account,
    key: keys.signing,
    channels,
    graph,
    announces: config.forwarding && config.announceChannels,
    policyOf: (channel) => policies.of(channel),
  })
  return new Gossip({
    engine,
    store: directory.store,
    chain,
    graph,
    own,
    relays: config.forwarding,
    send: (...[peer, message]) => void late.peers.send(peer, message),
    cut: (peer) => late.peers.cut(peer),
    view: () => late.watch.view,
    timers,
    logger,
  })
}

const reachOf = (late: Late) => ({
  send: (...[peer, message]: Parameters<Transport['send']>) => void late.peers.send(peer, message),
  isConnected: (peer: AccountId) => late.peers.isConnected(peer),
})

const recoveryOf = (parts: Omit<RecoveryParts, 'towers' | 'broken'>, late: Late, loaded: Loaded): Recovery => {
  const towers: RecoveryParts['towers'] = {
    ask: (terms) => late.towers.ask(terms),
    recall: (channel) => late.towers.recall(channel),
    surveyed: (channel) => late.towers.surveyed(channel),
    ahead: (channel) => late.towers.ahead(channel),
  }
  const broken: RecoveryParts['broken'] = (tx, channel, clause) => late.conversation.broken(tx, channel, clause)
  return new Recovery({ ...parts, towers, broken }, loaded)
}

export async function assemble(given: NodeOptions): Promise<NodeParts> {
  const options: Options = { ...MACHINE, ...given }
  const { directory, chain, config, logger, timers, entropy } = options
  const late = {} as Late
  const base = await found(options, late)
  const { engine, wallet, keys, ledgerDesk, workerDesk, events, heard } = base
  const channels: Channels = new Channels(
    engine,
    surround(options, base, late, () => channels),
  )
  const channelPolicy: ChannelPolicy = { margin: config.margin, closeValid: CLOSE_VALID_S }
  const book = new ChannelBook(channels, directory.secrets.channelSeed, channelPolicy)
  const loaded = await book.load(directory, keys.account)
  const records = await PeerRecords.load(directory.store, channels, () => late.watch.view.time, config.knownPeers)
  const routing = route(options, base, late, channels, records)
  const { policies } = routing
  const env = openingEnv(options, base, late, channelPolicy)
  const shared = { engine, book, chain, logger, timers, entropy, ...reachOf(late) }
  const openings = new Openings({
    ...shared,
    wallet,
    ledgerDesk,
    workerDesk,
    env,
    limits: config.limits,
    openPolicy: () => ({ ...config.open, enabled: config.open.enabled && !routing.intake.closed }),
    ledgerFresh: () => late.watch.age <= config.ledgerAgeMax,
  })
  const recovery = recoveryOf(
    { ...shared, channels, account: keys.account, highWater: directory.highWater, heard, absent: config.absent },
    late,
    loaded,
  )
  const gossip = gossipOf(options, base, late, channels, routing)
  const ends = new Waiters(timers)
  const retention = new Retention(engine, directory.store, events, config.eventsKept)
  const exits = watchPeers(options, base, late, channels)
  const announced = () => config.announce ?? late.peers.listening
  const conversation = new Conversation({
    ...shared,
    channels,
    openings,
    policies,
    events,
    ends,
    retention,
    forwarding: config.forwarding,
    exits,
    announced,
    advanced: {
      towers: (view) => late.towers.advanced(view),
      obligations: ({ time }) => routing.obligations.advanced(time),
    },
    recovery,
    gossip,
  })
  const features = (config.forwarding ? [FEATURES.gossip, FEATURES.relays] : [FEATURES.gossip]).map(optional)
  const reached = { key: keys.signing, ledger: chain.ledger, features, logger, timers, entropy, handlers: conversation }
  const peers = options.transport(reached)
  const { registry } = base.locks
  const watch = new ChainWatch(chain, engine, channels, registry, conversation, logger, timers, await chain.now())
  const towers = watchtowers(options, base, late, channels)
  Object.assign(late, { desk: routing.desk, peers, watch, conversation, towers, exits, recovery } satisfies Late)
  const tellPolicy = (channel: LiveChannel) => conversation.tellPolicy(channel)
  const own = { channels, book, openings, peers, watch, towers, exits, recovery, ends, retention, gossip }
  return { ...base, ...routing, ...own, tellPolicy }
}
