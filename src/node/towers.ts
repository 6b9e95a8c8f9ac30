/**
 * Watchtowers as their client sees them (T1 to T3): what each has signed for, what may leave, what one holds that we may
 * have lost. Nothing a tower says is trusted: a receipt counts once it is durable here and our own ledger view has
 * reached its height; a state that it shows counts for its two signatures.
 */
import type { Digest } from '../base/bytes.js'
import { encodeAs } from '../base/codec.js'
import { curve, type Scalar } from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import { type AccountId, type ChannelId, idText, type LedgerId } from '../base/ids.js'
import type { ChannelMessage } from '../base/message/channel.js'
import { receipt as receiptMessage } from '../base/message/tower.js'
import type { LedgerTime } from '../base/ports/chain.js'
import type { Store } from '../base/ports/store.js'
import { delegationDigest } from '../base/transaction.js'
import type { ExitTerms } from '../chain-adapter/contract/channel-rules.js'
import { exitTerms } from '../channel/content.js'
import type { Channel, Phase } from '../channel/types.js'
import type { LockRef, Obligation } from '../router/obligation-record.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import { type Held, TowerClient } from '../watchtower/client.js'
import type { ConnectTower } from '../watchtower/link.js'
import type { ReceiptBody, TowerReceipt } from '../watchtower/tower-receipt.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { Channels } from './channels.js'
import type { NodeConfig } from './config.js'
import type { Engine, Tx } from './engine.js'
import { Gate } from './gate.js'
import { serveAll } from './heads.js'
import type { LiveChannel } from './live-channel.js'
import type { LockFacts } from './offered.js'
import { givenJobs, givenKey, TowerJobs } from './tower-jobs.js'
import { type SurveyParts, TowerSurvey, towersThatKnow } from './tower-survey.js'

export interface TowersParts extends LockFacts {
  readonly config: Pick<NodeConfig, 'towers' | 'towerReceiptsRequired' | 'towerDerivedJobs'>
  readonly engine: Engine
  readonly channels: Channels
  readonly account: AccountId
  /** The account's. */
  readonly key: Scalar
  readonly ledger: LedgerId
  readonly connect: ConnectTower
  readonly logger: Logger
  readonly timers: Timers
  readonly random: () => number
  readonly view: () => LedgerTime
  /** Ends the connection with a peer: a new one makes up for what was dropped. */
  readonly cut: (peer: AccountId) => void
  /** C8: a state that a tower was asked for and showed, checked with both signatures. */
  readonly shown: SurveyParts['shown']
  /** A tower that was asked has answered. */
  readonly answered: SurveyParts['answered']
}

const rowKey = (channel: ChannelId, tower: AccountId): Uint8Array => tableKey('towerReceipt', channel, tower)

/** Phases in which the newest state is worth a tower's watch. In RECOVERY ours is known to be old. */
const WATCHED: ReadonlySet<Phase> = new Set<Phase>(['open', 'closing', 'exiting', 'broken', 'disputed'])

export class Towers {
  readonly #clients: readonly TowerClient[]
  readonly #gate: Gate
  readonly #jobs: TowerJobs
  readonly #survey: TowerSurvey
  /** By channel, then by tower: receipts that count. */
  readonly #receipts = new Map<string, Map<string, ReceiptBody>>()
  /** Receipts of a height that our view has not reached, the newest per tower and channel. */
  readonly #early = new Map<string, { readonly client: TowerClient; readonly body: ReceiptBody }>()
  /** By channel, then by tower: the version that it named when first asked since the start; -1 for none that is missed. */
  readonly #answers = new Map<string, Map<string, number>>()
  readonly #watched = new Set<string>()
  /** Channels that this process found in its database: only of those may it have lost something. */
  readonly #found = new Set<string>()

  constructor(private readonly parts: TowersParts) {
    const { towers, towerReceiptsRequired: required, towerDerivedJobs: derived } = parts.config
    const accounts = new Set(towers.map(({ account }) => idText(account)))
    invariant(accounts.size === towers.length, 'T2', 'every tower is named once')
    invariant(required <= towers.length, 'T2', 'no more receipts are required than there are towers')
    this.#clients = towers.map((tower) => this.#clientOf(tower))
    const { shown, answered } = parts
    this.#survey = new TowerSurvey({ clients: this.#clients, required, shown, answered })
    const covered = (channel: LiveChannel, version: number) => this.#signed(channel, version) >= required
    const secured = (channel: LiveChannel) => this.#jobs.secured(channel)
    this.#gate = new Gate({ covered, secured, cut: (channel) => parts.cut(channel.peer) })
    this.#jobs = new TowerJobs({
      clients: this.#clients,
      required,
      derived,
      channels: parts.channels,
      owners: parts.owners,
      now: () => parts.view().time,
      isRevealed: (point) => parts.registry.of(parts.engine, point) !== undefined,
      reveal: (channel, lock) => parts.channels.input(channel, { type: 'revealWanted', lock }),
      forget: (id) => parts.engine.do((tx) => tx.delete(givenKey(id))),
      release: (channel) => this.#gate.release(channel),
    })
  }

  /** After the channels were loaded, before peers are met. */
  start(): void {
    if (this.#clients.length === 0) return
    this.parts.engine.do((tx) => {
      for (const channel of this.parts.channels.all()) {
        this.#found.add(channel.text)
        this.cosigned(tx, channel)
      }
      this.#jobs.resume(tx)
    })
    for (const client of this.#clients) client.start(this.parts.connect)
  }

  /** After all that is owed was taken up. */
  async withdrawJobs(store: Pick<Store, 'range'>): Promise<void> {
    this.#jobs.withdraw(await givenJobs(store))
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }

  // ---- what channels do

  /** Within the batch of a step, before anything that the step sends. */
  stepped(tx: Tx, channel: LiveChannel, before: Channel): void {
    const { current, secrets, phase, link } = channel.state
    if (link === 'down' && before.link !== 'down') this.#gate.drop(channel)
    if (this.#clients.length === 0) return
    const newer = current !== before.current || secrets !== before.secrets || phase !== before.phase
    if (newer) this.cosigned(tx, channel)
    this.#jobs.stepped(tx, channel, before)
  }

  /** The newest state goes to all towers once this batch is durable. */
  cosigned(tx: Tx, channel: LiveChannel): void {
    const { current, secrets, phase } = channel.state
    const { version } = current.content
    const { encoded: state, signatures } = current
    if (phase === 'closed') tx.after(() => this.#forget(channel))
    if (!WATCHED.has(phase)) return
    tx.after(() => {
      this.#watch(channel)
      for (const client of this.#clients) client.update({ channel: channel.id, version, state, signatures, secrets })
    })
  }

  /** T2: sends once what the message gives up is covered; at once where nothing is required. */
  gate(channel: LiveChannel, message: ChannelMessage, send: () => void): void {
    this.#gate.pass(channel, message, send)
  }

  /** T3: a claim on `channel` pays for this incoming lock: within its batch, before upstream learns. */
  claimed(tx: Tx, channel: LiveChannel, incoming: LockRef): void {
    if (this.#clients.length > 0) this.#jobs.claimed(tx, channel, incoming)
  }

  kept(tx: Tx, obligation: Obligation): void {
    if (this.#clients.length > 0) this.#jobs.kept(tx, obligation)
  }

  /** The ledger view moved. */
  advanced(view: LedgerTime): void {
    const due = [...this.#early].filter(([, { body }]) => body.height <= view.height)
    serveAll([...due.map(([name]) => name), ...this.parts.channels.all()], (one) => {
      if (typeof one !== 'string') return this.#gate.release(one)
      const { client, body } = this.#early.get(one)!
      this.#take(client, body)
      this.#early.delete(one)
    })
  }

  // ---- what towers know

  /**
   * S2: since the start so many towers have answered that one of them must know the newest state whose predecessor's
   * secret has left, and none holds one above ours. With k of m required that is m - k + 1 of them.
   */
  confirmed(channel: LiveChannel): boolean {
    const answers = [...(this.#answers.get(channel.text)?.values() ?? [])]
    const { version } = channel.state.current.content
    const enough = towersThatKnow(this.#clients.length, this.parts.config.towerReceiptsRequired)
    const within = answers.filter((held) => held >= 0 && held <= version).length
    return this.#clients.length > 0 && within >= enough && answers.every((held) => held <= version)
  }

  /** C8: for what they hold of a channel that is frozen or lost; each until it answers. */
  ask(terms: ExitTerms): void {
    this.#survey.askAll(terms)
  }

  /** What they have shown of it since this start, once more. */
  recall(channel: ChannelId): void {
    this.#survey.recall(channel)
  }

  /** As many as S2 asks for have answered that. */
  surveyed(channel: ChannelId): boolean {
    return this.#survey.enough(channel)
  }

  /** One names a state above ours and has not shown it. */
  ahead(channel: LiveChannel): boolean {
    return this.#survey.ahead(channel.id, channel.state.current.content.version)
  }

  /** Receipts on record: evidence, one per tower. */
  receipts(channel: ChannelId): TowerReceipt[] {
    return this.#clients.flatMap((client) => {
      const body = this.#row(channel, client)
      return body === undefined ? [] : [{ parties: this.#parties(client.account), body }]
    })
  }

  /** Versions by which the receipts lag behind; null where no towers are configured, or nothing is left to watch. */
  lag(channel: LiveChannel): number | null {
    const wanted = Math.max(this.parts.config.towerReceiptsRequired, 1)
    if (this.#clients.length === 0 || channel.state.phase === 'closed') return null
    const signed = [...(this.#receipts.get(channel.text)?.values() ?? [])].map(({ version }) => version)
    const held = signed.sort((a, b) => b - a)[wanted - 1] ?? -1
    return channel.state.current.content.version - held
  }

  /** Messages of a channel that wait for towers. */
  waiting(channel: LiveChannel): number {
    return this.#gate.waiting(channel)
  }

  status() {
    return this.#clients.map((client) => client.status())
  }

  // ---- inside

  #parties(tower: AccountId) {
    const { ledger, account: client } = this.parts
    return { ledger, tower, client }
  }

  #clientOf(tower: NodeConfig['towers'][number]): TowerClient {
    const { ledger, account, key, logger, timers, random } = this.parts
    const digest: Digest = delegationDigest(ledger, account, tower.account)
    const client: TowerClient = new TowerClient({
      tower,
      parties: this.#parties(tower.account),
      delegation: curve.sign(digest, key),
      events: {
        registered: (channel, held) => this.#registered(client, channel, held),
        receipt: (body) => this.#receipt(client, body),
        job: (id) => this.#jobs.receipted(client, id),
        jobRefused: (id) => this.#jobs.refused(client, id),
        jobCancelled: (id) => this.#jobs.cancelled(client, id),
      },
      logger,
      timers,
      random,
    })
    return client
  }

  /** How many towers have signed for at least this version. */
  #signed(channel: LiveChannel, version: number): number {
    let count = 0
    for (const body of this.#receipts.get(channel.text)?.values() ?? []) if (body.version >= version) count += 1
    return count
  }

  #watch(channel: LiveChannel): void {
    if (this.#watched.has(channel.text)) return
    this.#watched.add(channel.text)
    for (const client of this.#clients) {
      const body = this.#row(channel.id, client)
      if (body !== undefined) this.#count(channel, client, body)
      client.watch(channel.id, body)
    }
    this.#gate.release(channel)
  }

  #forget(channel: LiveChannel): void {
    this.#gate.drop(channel)
    this.#survey.forget(channel.id)
    if (!this.#watched.delete(channel.text)) return
    this.#receipts.delete(channel.text)
    this.#answers.delete(channel.text)
    for (const client of this.#clients) client.forget(channel.id)
  }

  #row(channel: ChannelId, client: TowerClient): ReceiptBody | undefined {
    const bytes = this.parts.engine.get(rowKey(channel, client.account))
    return bytes === undefined ? undefined : parseRow(bytes, receiptMessage.schema)
  }

  #registered(client: TowerClient, id: ChannelId, held: Held): void {
    const channel = this.parts.channels.get(id)
    if (channel === undefined) return
    const tower = idText(client.account)
    const answers = this.#answers.get(channel.text) ?? new Map<string, number>()
    this.#answers.set(channel.text, answers)
    // S2: a tower that knows nothing of a channel that began after this start tells as much as one that knows all.
    const nothing = this.#found.has(channel.text) ? -1 : 0
    if (!answers.has(tower)) answers.set(tower, held.version ?? nothing)
    const counted = this.#receipts.get(channel.text)?.get(tower)
    if (counted !== undefined && (held.version ?? -1) < counted.version) this.#receipts.get(channel.text)?.delete(tower)
    if (held.version === null || held.version <= channel.state.current.content.version) return
    this.#survey.askFor(client, exitTerms(channel.context), held.version)
  }

  #receipt(client: TowerClient, body: ReceiptBody): void {
    // A tower that names a height to come would never be at fault for an exit before it.
    if (body.height > this.parts.view().height) {
      this.#early.set(`${idText(client.account)} ${idText(body.channel)}`, { client, body })
    } else this.#take(client, body)
  }

  #take(client: TowerClient, body: ReceiptBody): void {
    const channel = this.parts.channels.get(body.channel as Uint8Array as ChannelId)
    if (channel === undefined) return
    this.parts.engine.do((tx) => {
      const known = this.#row(channel.id, client)
      const more = known === undefined || body.version > known.version || body.secrets > known.secrets
      // The lower height binds the tower to more: a repetition, or one made after an exit, replaces no evidence. Until an
      // exit stands the peer's may come, whatever we have signed ourselves.
      const { phase, dispute } = channel.state
      if (more && dispute === null && phase !== 'closed') {
        tx.put({ key: rowKey(channel.id, client.account), value: encodeAs(receiptMessage.schema, body) })
      }
      tx.after(() => {
        this.#count(channel, client, body)
        this.#gate.release(channel)
      })
    })
  }

  #count(channel: LiveChannel, client: TowerClient, body: ReceiptBody): void {
    const receipts = this.#receipts.get(channel.text) ?? new Map<string, ReceiptBody>()
    this.#receipts.set(channel.text, receipts)
    const tower = idText(client.account)
    if ((receipts.get(tower)?.version ?? -1) <= body.version) receipts.set(tower, body)
  }
}
