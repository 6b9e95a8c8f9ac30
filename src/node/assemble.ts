/** Puts a node together: who hears of what. Nothing runs before `Node.start`. */

import type { Digest } from '../base/bytes.js'
import { curve, type Signature } from '../base/curve/index.js'
import { unreachable } from '../base/errors.js'
import { idText } from '../base/ids.js'
import type { OpeningEnv } from '../channel/opening.js'
import type { ChannelPolicy } from '../channel/types.js'
import { Outbox } from '../store/outbox.js'
import { openAccountKeys } from '../wallet/keys.js'
import { Wallet } from '../wallet/wallet.js'
import { ChainWatch, revealedIn } from './chain-watch.js'
import { ChannelBook } from './channel-book.js'
import { Channels, type Surroundings, type WorkEffect } from './channels.js'
import { Conversation } from './conversation.js'
import { Desk } from './desk.js'
import { Engine } from './engine.js'
import { EventLog } from './event-log.js'
import { Invoices } from './invoices.js'
import { LedgerDesk } from './ledger-desk.js'
import type { LiveChannel } from './live-channel.js'
import type { NodeOptions } from './node.js'
import { Obligations } from './obligations.js'
import { Openings } from './openings.js'
import { Payments } from './payments.js'
import { Peers } from './peers.js'
import { Policies } from './policies.js'
import type { RouterParts } from './router-parts.js'
import { Waiters } from './waiters.js'
import { WorkerDesk } from './worker-desk.js'

export interface NodeParts {
  readonly wallet: Wallet
  readonly engine: Engine
  readonly channels: Channels
  readonly book: ChannelBook
  readonly events: EventLog
  readonly ledgerDesk: LedgerDesk
  readonly obligations: Obligations
  readonly payments: Payments
  readonly invoices: Invoices
  readonly policies: Policies
  readonly openings: Openings
  readonly peers: Peers
  readonly watch: ChainWatch
  /** Channels that the ledger paid out, by name. */
  readonly ends: Waiters
  tellPolicy(channel: LiveChannel): void
}

/** Seconds for which a signed close stays valid on the ledger (L6). */
const CLOSE_VALID_S = 3_600

export async function assemble(options: NodeOptions): Promise<NodeParts> {
  const { directory, chain, pool, config, logger } = options
  const { store, secrets } = directory
  const keys = await openAccountKeys(secrets, chain.genesis.keyBits, pool)
  const wallet = await Wallet.open({ chain, pool, store, keys, seed: secrets.walletSeed })
  const outbox = await Outbox.open(store)
  const engine = new Engine(
    directory,
    (error) => {
      throw error // S2: nothing is promised on a disk that refused a write
    },
    () => outbox.takeDone(),
  )
  const ledgerDesk = new LedgerDesk(chain, outbox, keys.signing, logger)
  const workerDesk = new WorkerDesk(chain, pool, keys, secrets.channelSeed)
  const events = new EventLog(store)
  const ends = new Waiters()
  const now = () => Math.floor(Date.now() / 1_000)

  const surroundings: Surroundings = {
    desk: (tx, channel, effect) => desk.handle(tx, channel, effect),
    ledger: (tx, channel, effect) => {
      if (effect.type === 'submit') ledgerDesk.submit(tx, effect.transaction)
      else ledgerDesk.reveal(tx, effect.scalar)
      logger.info(`channel.${effect.type}`, { channel: channel.text })
    },
    work: (channel, effect) => work(channel, effect),
    send: (peer, message) => void peers.send(peer, message),
    stopped: (channel, error) => logger.warn('channel.stopped', { channel: channel.text, clause: error.clause }),
    view: () => watch.view,
    revealed: revealedIn,
    now,
  }
  const channels = new Channels(engine, surroundings)
  const channelPolicy: ChannelPolicy = { margin: config.margin, closeValid: CLOSE_VALID_S }
  const book = new ChannelBook(channels, secrets.channelSeed, channelPolicy)
  await book.load(directory, keys.account)
  const policies = new Policies(engine, channels, config.policy)
  const router: RouterParts = {
    chain,
    channels,
    events,
    account: keys.account,
    key: keys.signing,
    seed: secrets.walletSeed,
    forwarding: config.forwarding,
    bounds: config.bounds,
    view: () => watch.view,
    ledgerFresh: () => watch.age <= config.ledgerAgeMax,
    policyOf: (channel) => policies.of(channel),
  }
  const invoices = new Invoices(router, engine, store, () => policies.hints(), config.finalDelta)
  const obligations = new Obligations(router, invoices)
  const payments = new Payments(router, engine, config.bounds.far)
  const desk = new Desk(obligations, payments, events, () => watch.view.time)
  const openingEnv = (): OpeningEnv => ({
    ledger: chain.ledger,
    amountBits: chain.genesis.amountBits,
    windowMin: chain.genesis.windowMin,
    windowMax: chain.genesis.windowMax,
    self: { account: keys.account, n: keys.paillier.n },
    seed: secrets.channelSeed,
    view: watch.view,
    policy: channelPolicy,
    signAccount: (digest): Signature => curve.sign(digest as Digest, keys.signing),
  })
  const openings: Openings = new Openings({
    wallet,
    chain,
    engine,
    book,
    ledgerDesk,
    workerDesk,
    logger,
    env: openingEnv,
    limits: config.limits,
    openPolicy: () => config.open,
    isConnected: (peer) => peers.isConnected(peer),
    send: (peer, message) => void peers.send(peer, message),
  })
  const conversation: Conversation = new Conversation({
    engine,
    channels,
    book,
    chain,
    openings,
    policies,
    events,
    ends,
    logger,
    forwarding: config.forwarding,
    announced: () => config.announce ?? peers.listening,
    send: (peer, message) => void peers.send(peer, message),
    isConnected: (peer) => peers.isConnected(peer),
  })
  const peers: Peers = new Peers({ key: keys.signing, ledger: chain.ledger, logger, handlers: conversation })
  const watch: ChainWatch = new ChainWatch(chain, engine, channels, conversation, logger, await chain.now())

  /** Answers come back as inputs. A worker that refuses (busy, closing) is asked again by the next connection or view. */
  function work(channel: LiveChannel, effect: WorkEffect): void {
    const failed = (error: unknown): void =>
      logger.warn('channel.work_failed', {
        channel: channel.text,
        work: effect.type,
        error: error instanceof Error ? error.name : 'unknown',
      })
    switch (effect.type) {
      case 'prepareRandomizer': {
        const { version } = effect
        workerDesk
          .randomizer(channel.context.terms, version)
          .then((randomizer) => channels.input(channel, { type: 'randomizerReady', version, randomizer }))
          .catch(failed)
        return
      }
      case 'proveClose':
        workerDesk
          .proveClose(channel, effect.terms)
          .then((proof) => channels.input(channel, { type: 'closeProved', proof }))
          .catch(failed)
        return
      case 'verifyClose': {
        const { validUntil } = effect.terms
        workerDesk
          .verifyClose(channel, effect.terms, effect.proof)
          .then((valid) => channels.input(channel, { type: 'closeVerified', validUntil, valid }))
          .catch(failed)
        return
      }
      case 'channelReady':
      case 'shuttingDown':
        logger.info(`channel.${effect.type}`, { channel: channel.text, peer: idText(channel.peer) })
        return
      case 'breached':
        logger.warn('channel.breached', { channel: channel.text, clause: effect.clause })
        engine.do((tx) => conversation.broken(tx, channel, effect.clause))
        return
      case 'dataLost':
        logger.warn('channel.data_lost', { channel: channel.text })
        engine.do((tx) => conversation.broken(tx, channel, 'C8'))
        return
      default:
        unreachable(effect)
    }
  }

  return {
    wallet,
    engine,
    channels,
    book,
    events,
    ledgerDesk,
    obligations,
    payments,
    invoices,
    policies,
    openings,
    peers,
    watch,
    ends,
    tellPolicy: (channel) => conversation.tellPolicy(channel),
  }
}
