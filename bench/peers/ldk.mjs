/**
 * Lightning Development Kit in WebAssembly: payer, hub and payee, each a process, over TCP (BOLT 8). The payee makes a
 * payment hash for each payment, the payer's router finds the way through the hub. Monitors are synced to disk with each
 * commitment as LDK asks for; the channel manager is not. What it does not do: hide amounts from the ledger or the hub.
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answering, asking, closedLoop, importFrom, plan, playing, role, tell } from './drive.mjs'

const CHANNEL_SAT = 16_000_000n
const NETWORK_TESTNET = 'LDKNetwork_Testnet'
const HEADER = new Uint8Array(80)

async function load(dir) {
  const ldk = await importFrom(dir, 'lightningdevkit/index.mjs')
  await ldk.initializeWasmFromBinary(readFileSync(join(dir, 'node_modules/lightningdevkit/liblightningjs.wasm')))
  return ldk
}

function configOf(ldk) {
  const config = ldk.UserConfig.constructor_default()
  const handshake = ldk.ChannelHandshakeConfig.constructor_default()
  handshake.set_minimum_depth(1)
  handshake.set_max_inbound_htlc_value_in_flight_percent_of_channel(100)
  handshake.set_our_max_accepted_htlcs(483)
  config.set_channel_handshake_config(handshake)
  config.set_accept_forwards_to_priv_channels(true)
  return config
}

/** Every monitor write is whole and synced before LDK may answer. */
function persistIn(ldk, directory) {
  const file = openSync(join(directory, 'monitors'), 'w')
  const save = (bytes) => {
    writeSync(file, bytes)
    fsyncSync(file)
    return ldk.ChannelMonitorUpdateStatus.LDKChannelMonitorUpdateStatus_Completed
  }
  process.once('exit', () => closeSync(file))
  return ldk.Persist.new_impl({
    persist_new_channel: (_, monitor) => save(monitor.write()),
    update_persisted_channel: (_, update, monitor) => save((update ?? monitor).write()),
    archive_persisted_channel: () => {},
  })
}

class Party {
  #turn = false
  #sockets = 0n

  constructor(ldk, seed, onEvent) {
    this.ldk = ldk
    this.onEvent = onEvent
    this.directory = mkdtempSync(join(tmpdir(), 'peer-ldk-'))
    process.once('exit', () => rmSync(this.directory, { recursive: true, force: true }))
    const network = ldk.Network[NETWORK_TESTNET]
    const fees = ldk.FeeEstimator.new_impl({ get_est_sat_per_1000_weight: () => 253 })
    const broadcaster = ldk.BroadcasterInterface.new_impl({ broadcast_transactions: () => {} })
    const logger = ldk.Logger.new_impl({ log: () => {} })
    this.monitors = ldk.ChainMonitor.constructor_new(
      ldk.Option_FilterZ.constructor_none(),
      broadcaster,
      logger,
      fees,
      persistIn(ldk, this.directory),
    )
    this.keys = ldk.KeysManager.constructor_new(new Uint8Array(32).fill(seed), 42n, seed)
    const entropy = this.keys.as_EntropySource()
    const graph = ldk.NetworkGraph.constructor_new(network, logger)
    const decay = ldk.ProbabilisticScoringDecayParameters.constructor_default()
    const scorer = ldk.ProbabilisticScorer.constructor_new(decay, graph, logger)
    const score = ldk.MultiThreadedLockableScore.constructor_new(scorer.as_Score())
    const scoring = ldk.ProbabilisticScoringFeeParameters.constructor_default()
    const lockable = score.as_LockableScore()
    const router = ldk.DefaultRouter.constructor_new(graph, logger, entropy, lockable, scoring)
    const messages = ldk.DefaultMessageRouter.constructor_new(graph, entropy)
    this.manager = ldk.ChannelManager.constructor_new(
      fees,
      this.monitors.as_Watch(),
      broadcaster,
      router.as_Router(),
      messages.as_MessageRouter(),
      logger,
      entropy,
      this.keys.as_NodeSigner(),
      this.keys.as_SignerProvider(),
      configOf(ldk),
      ldk.ChainParameters.constructor_new(network, ldk.BestBlock.constructor_from_network(network)),
      42,
    )
    const ignorer = ldk.IgnoringMessageHandler.constructor_new()
    this.peers = ldk.PeerManager.constructor_new(
      this.manager.as_ChannelMessageHandler(),
      ignorer.as_RoutingMessageHandler(),
      ignorer.as_OnionMessageHandler(),
      ignorer.as_CustomMessageHandler(),
      42,
      entropy.get_secure_random_bytes(),
      logger,
      this.keys.as_NodeSigner(),
    )
    this.id = this.manager.get_our_node_id()
    this.handler = ldk.EventHandler.new_impl({
      handle_event: (event) => {
        if (event instanceof ldk.Event_PendingHTLCsForwardable)
          this.forwarding = true // at once: no batching delay
        else this.onEvent(event)
        return ldk.Result_NoneReplayEventZ.constructor_ok()
      },
    })
  }

  /** Everything that is due, once per turn of the event loop, however many sockets and calls asked for it. */
  wake() {
    if (this.#turn) return
    this.#turn = true
    setImmediate(() => {
      this.#turn = false
      this.forwarding = false
      this.peers.process_events()
      this.manager.as_EventsProvider().process_pending_events(this.handler)
      if (this.forwarding) this.manager.process_pending_htlc_forwards()
      this.peers.process_events()
      if (this.forwarding) this.wake()
    })
  }

  #descriptor(socket) {
    const hash = ++this.#sockets
    socket.setNoDelay(true)
    return this.ldk.SocketDescriptor.new_impl({
      send_data: (data) => {
        socket.write(Buffer.from(data))
        return data.length
      },
      disconnect_socket: () => socket.destroy(),
      eq: (other) => other.hash() === hash,
      hash: () => hash,
    })
  }

  #reads(socket, descriptor) {
    socket.on('data', (data) => {
      if (!this.peers.read_event(descriptor, data).is_ok()) throw new Error('LDK refused what its peer sent')
      this.wake()
    })
  }

  listen() {
    const server = createServer((socket) => {
      const descriptor = this.#descriptor(socket)
      this.peers.new_inbound_connection(descriptor, this.ldk.Option_SocketAddressZ.constructor_none())
      this.#reads(socket, descriptor)
    })
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
  }

  async connect({ id, port }) {
    const socket = createConnection(port, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const descriptor = this.#descriptor(socket)
    const nobody = this.ldk.Option_SocketAddressZ.constructor_none()
    const hello = this.peers.new_outbound_connection(Buffer.from(id, 'hex'), descriptor, nobody)
    this.#reads(socket, descriptor)
    socket.write(Buffer.from(hello.res))
    while (this.peers.list_peers().length === 0) await soon()
  }

  /** The transaction in a block of its own and one more on top. */
  confirm(tx, height) {
    const { TwoTuple_usizeTransactionZ } = this.ldk
    for (const view of [this.manager.as_Confirm(), this.monitors.as_Confirm()]) {
      view.transactions_confirmed(HEADER, [TwoTuple_usizeTransactionZ.constructor_new(1, tx)], height)
      view.best_block_updated(HEADER, height + 1)
    }
    this.wake()
  }

  /** To the peer, funded by a transaction from nowhere. Resolves with the funding transaction. */
  fund(id) {
    const none = null
    const opened = this.manager.create_channel(Buffer.from(id, 'hex'), CHANNEL_SAT, 0n, 1n, none, none)
    if (!opened.is_ok()) throw new Error('LDK opened no channel')
    this.wake()
    return new Promise((resolve) => {
      let tx
      this.opening = (event) => {
        if (event instanceof this.ldk.Event_ChannelPending) resolve(tx)
        if (!(event instanceof this.ldk.Event_FundingGenerationReady)) return
        tx = fundingOf(event)
        this.manager.funding_transaction_generated(event.temporary_channel_id, event.counterparty_node_id, tx)
        this.wake()
      }
    })
  }

  usable = () => this.manager.list_usable_channels()
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 5))

/** One input that spends nothing, one output that the channel asks for. */
function fundingOf({ output_script: script, channel_value_satoshis: value }) {
  const amount = Buffer.alloc(8)
  amount.writeBigUInt64LE(value)
  const head = Buffer.from([2, 0, 0, 0, 0, 1, 1, ...new Array(36).fill(0), 0, 255, 255, 255, 255, 1])
  return Buffer.concat([head, amount, Buffer.from([script.length]), script, Buffer.from([1, 1, 255, 0, 0, 0, 0])])
}

const hex = (bytes) => Buffer.from(bytes).toString('hex')

/** The hub and the payee: they listen, confirm what they are told, and the payee claims. */
async function serve(name, { dir }) {
  const ldk = await load(dir)
  const party = new Party(ldk, name === 'hub' ? 2 : 3, (event) => {
    party.opening?.(event)
    if (event instanceof ldk.Event_PaymentClaimable) {
      party.manager.claim_funds(event.purpose.preimage().some)
      party.wake()
    }
  })
  const port = await party.listen()
  answering({
    connect: (to) => party.connect(to),
    fund: async (to) => hex(await party.fund(to)),
    confirm: async ({ tx, height, channels }) => {
      party.confirm(Buffer.from(tx, 'hex'), height)
      while (party.usable().length < channels) await soon()
      return party.usable().map((channel) => [hex(channel.get_counterparty().get_node_id()), `${scid(channel)}`])
    },
    hash: () => {
      const none = ldk.Option_u64Z.constructor_none()
      const { res } = party.manager.create_inbound_payment(none, 3_600, ldk.Option_u16Z.constructor_none())
      return [hex(res.get_a()), hex(res.get_b())]
    },
  })
  process.send({ id: hex(party.id), port })
}

const scid = (channel) => channel.get_short_channel_id().some

const asker = ({ child, ready }) => ({ ...ready, ask: asking(child) })

async function channels(payer, hub, payee) {
  await payer.connect(hub)
  await hub.ask('connect', payee)
  const first = hex(await payer.fund(hub.id))
  payer.confirm(Buffer.from(first, 'hex'), 100)
  await hub.ask('confirm', { tx: first, height: 100, channels: 1 })
  const second = await hub.ask('fund', payee.id)
  const [, theirs] = await Promise.all([
    hub.ask('confirm', { tx: second, height: 102, channels: 2 }),
    payee.ask('confirm', { tx: second, height: 102, channels: 1 }),
  ])
  while (payer.usable().length === 0) await soon()
  return theirs[0][1]
}

/** A payment's parameters with the hint through the hub, as an invoice has it. */
function routing(ldk, hub, payee, hint) {
  const fees = ldk.RoutingFees.constructor_new(1_000, 0)
  const none = ldk.Option_u64Z.constructor_none()
  const hop = ldk.RouteHintHop.constructor_new(Buffer.from(hub.id, 'hex'), BigInt(hint), fees, 72, none, none)
  const hints = [ldk.RouteHint.constructor_new([hop])]
  const features = ldk.Bolt11InvoiceFeatures.constructor_for_keysend(false)
  const payeeOf = ldk.Payee.constructor_clear(Buffer.from(payee.id, 'hex'), hints, features, 42)
  const parameters = ldk.PaymentParameters.constructor_new(payeeOf, none, 1_008, 1, 19, 0, [], [])
  return (msat) => ldk.RouteParameters.constructor_new(parameters, msat, none)
}

async function main(run) {
  const ldk = await load(run.dir)
  const ends = new Map()
  const payer = new Party(ldk, 1, (event) => {
    payer.opening?.(event)
    if (event instanceof ldk.Event_PaymentSent) ends.get(hex(event.payment_hash))?.resolve()
    if (event instanceof ldk.Event_PaymentFailed)
      ends.get(hex(event.payment_id))?.reject(new Error('LDK failed a payment'))
  })
  const roles = ['hub', 'payee'].map((name) => role(import.meta.filename, name, { dir: run.dir }))
  const [hub, payee] = (await Promise.all(roles)).map(asker)
  const routes = routing(ldk, hub, payee, await channels(payer, hub, payee))
  const pay = async () => {
    const [hash, secret] = await payee.ask('hash')
    const id = Buffer.from(hash, 'hex')
    const end = new Promise((resolve, reject) => ends.set(hash, { resolve, reject }))
    const onion = ldk.RecipientOnionFields.constructor_secret_only(Buffer.from(secret, 'hex'))
    const amount = 2_500_000n + BigInt(Math.floor(Math.random() * 100_000))
    const sent = payer.manager.send_payment(id, onion, id, routes(amount), ldk.Retry.constructor_attempts(0))
    if (!sent.is_ok()) throw new Error(`LDK sent no payment: ${sent.err}`)
    payer.wake()
    await end
    ends.delete(hash)
  }
  for (const window of run.windows) tell('routed through one hub', await closedLoop(window, run.seconds, pay))
  process.exit(0)
}

const part = playing()
await (part === undefined ? main(plan()) : serve(part.name, part.args))
