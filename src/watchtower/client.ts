/**
 * The client's side of one tower (T1, T2). What it wants of the tower is a table of channels and jobs, not a queue: the
 * newest state takes the place of the one before, so neither a slow tower nor a long absence grows anything. One question
 * about each channel and job is under way at a time, a bounded number in all; a new connection asks anew.
 */
import { bytesToHex } from '../base/bytes.js'
import { curve, type Signature } from '../base/curve/index.js'
import { type ErrorCode, isErrorCode } from '../base/errors.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import {
  jobReceiptDigest,
  type ReceiptParties,
  TOWER_REQUEST_TYPES,
  type TowerMessage,
  type TowerMessageOf,
  type TowerRequest,
  towerCodec,
} from '../base/message/tower.js'
import type { PeerAddress } from '../wire/address.js'
import { backoffMs } from '../wire/dial.js'
import type { Logger, Timers } from '../wire/environment.js'
import {
  ChannelWork,
  type Held,
  type JobRequest,
  JobWork,
  type Retrieved,
  RetrieveWork,
  type Watched,
  type Work,
} from './client-work.js'
import type { ConnectTower, TowerLink, TowerSession } from './link.js'
import { isReceiptSigned, type ReceiptBody } from './tower-receipt.js'

export interface ClientEvents {
  /** First answer about a channel on a connection: what the tower held before we gave it anything there. */
  registered(channel: ChannelId, held: Held): void
  /** Checked: signed by this tower, for what it was given last. */
  receipt(body: ReceiptBody): void
  /** Checked likewise: the tower has the job. */
  job(id: Uint8Array): void
  /** The tower does not take the job, now or ever. */
  jobRefused(id: Uint8Array): void
  /** The tower has it no more, or never had it. */
  jobCancelled(id: Uint8Array): void
}

export interface ClientOptions {
  readonly tower: PeerAddress
  /** This tower, this client, this ledger: what every receipt is bound to. */
  readonly parties: ReceiptParties
  /** Lets the tower reveal under the client's quota (L8, delegationDigest). */
  readonly delegation: Signature
  readonly events: ClientEvents
  readonly logger: Logger
  readonly timers: Timers
  /** In [0, 1): keeps the waits of many clients apart. */
  readonly random: () => number
}

/** Refusals that no repetition of the same bytes mends. */
const FOR_GOOD: ReadonlySet<string> = new Set([
  'tower_conflict',
  'tower_job_conflict',
  'tower_job_late',
  'tower_not_party',
  'tower_stale',
])

export class TowerClient {
  readonly #channels = new Map<string, ChannelWork>()
  readonly #jobs = new Map<string, JobWork>()
  readonly #retrievals = new Map<string, RetrieveWork>()
  /** In the order in which they will be looked at. */
  readonly #ready = new Set<Work>()
  #session: TowerSession | undefined
  #link: TowerLink | undefined
  /** What was asked and when, the oldest first. */
  readonly #underWay = new Map<Work, number>()
  #cancelDeadline: () => void = () => undefined
  /** Why there is no connection. */
  #failure: ErrorCode | null = null
  /** What the tower did wrong; stands until it has signed something right. */
  #fault: ErrorCode | null = null

  constructor(private readonly options: ClientOptions) {}

  get account(): AccountId {
    return this.options.tower.account
  }

  start(connect: ConnectTower): void {
    this.#link = connect({
      tower: this.options.tower,
      onSession: (session) => this.#open(session),
      onRefused: (code) => {
        this.#failure = code
      },
    })
  }

  close(): void {
    this.#link?.close()
    this.#cancelDeadline()
    for (const work of this.#all()) work.lost()
    for (const retrieval of this.#retrievals.values()) retrieval.end(undefined)
  }

  // ---- what is wanted

  /** From now on the tower is to hold the newest of this channel. `receipted`: what it signed for, as kept on disk. */
  watch(channel: ChannelId, receipted: Held | undefined): void {
    const name = idText(channel)
    if (!this.#channels.has(name)) this.#channels.set(name, new ChannelWork(channel, receipted))
  }

  /** A newer state or secret. Must be durable. */
  update(watched: Watched): void {
    const work = this.#channels.get(idText(watched.channel))
    if (work === undefined) return
    work.newest = watched
    this.#want(work)
  }

  forget(channel: ChannelId): void {
    this.#drop(this.#channels, idText(channel))
  }

  job(request: JobRequest): void {
    const name = bytesToHex(request.id)
    if (this.#jobs.has(name)) return
    const work = new JobWork(request.id, { request, delegation: this.options.delegation })
    this.#jobs.set(name, work)
    this.#want(work)
  }

  /** Its lock is out. One that this process does not know was given by an earlier one. */
  cancel(id: Uint8Array): void {
    const name = bytesToHex(id)
    const work = this.#jobs.get(name) ?? new JobWork(id)
    work.cancelled = true
    this.#jobs.set(name, work)
    if (!work.sent || work.stopped !== undefined) this.#cancelled(name, id)
    else this.#want(work)
  }

  #cancelled(name: string, id: Uint8Array): void {
    this.#drop(this.#jobs, name)
    this.options.events.jobCancelled(id)
    this.#pump()
  }

  /** What the tower holds, asked over every connection until it says so; undefined where this client closes first. */
  retrieve(channel: ChannelId): Promise<Retrieved | undefined> {
    const name = idText(channel)
    const work = this.#retrievals.get(name) ?? new RetrieveWork(channel)
    this.#retrievals.set(name, work)
    const waited = work.wait()
    this.#want(work)
    return waited
  }

  status() {
    const channels = [...this.#channels.values()]
    return {
      account: idText(this.account),
      url: this.options.tower.url,
      connected: this.#session !== undefined,
      channels: channels.length,
      /** Whose newest state or secret the tower has not signed for. */
      behind: channels.filter(({ behind }) => behind).length,
      jobs: this.#jobs.size,
      code: this.#fault ?? channels.find(({ stopped }) => stopped !== undefined)?.stopped ?? this.#failure,
    }
  }

  // ---- the connection

  #open(session: TowerSession): void {
    this.#lose()
    this.#session = session
    this.#failure = null
    session.onClose((reason) => {
      if (this.#session !== session) return
      this.#failure = reason
      this.#lose()
    })
    session.onMessage((message) => {
      if (this.#session === session) this.#receive(message)
    })
    for (const work of this.#all()) this.#ready.add(work)
    this.#pump()
  }

  #lose(): void {
    this.#session = undefined
    this.#underWay.clear()
    this.#cancelDeadline()
    this.#ready.clear()
    for (const work of this.#all()) work.lost()
  }

  *#all(): Iterable<Work> {
    yield* this.#channels.values()
    yield* this.#jobs.values()
    yield* this.#retrievals.values()
  }

  #want(work: Work): void {
    this.#ready.add(work)
    this.#pump()
  }

  #drop<W extends Work>(from: Map<string, W>, name: string): void {
    const work = from.get(name)
    if (work === undefined) return
    from.delete(name)
    this.#ready.delete(work)
    work.rest?.()
    if (work.asked !== undefined) this.#ended(work)
  }

  /** Asks what is ready, as far as the window goes. */
  #pump(): undefined {
    const session = this.#session
    if (session === undefined) return
    for (const work of this.#ready) {
      if (this.#underWay.size >= LIMITS.tower_requests) return
      this.#ready.delete(work)
      if (work.asked !== undefined || work.rest !== undefined || work.stopped !== undefined) continue
      work.asked = work.next()
      if (work.asked === undefined) continue
      this.#underWay.set(work, this.options.timers.now())
      if (this.#underWay.size === 1) this.#expectAnswer()
      session.send(work.asked)
    }
  }

  /** A tower that takes a question and does not answer is as good as away: the next connection starts afresh. */
  #expectAnswer(): void {
    this.#cancelDeadline()
    const [oldest] = this.#underWay.values()
    if (oldest === undefined) return
    const { timers } = this.options
    const left = Math.max(0, oldest + LIMITS.tower_answer_ms - timers.now())
    this.#cancelDeadline = timers.after(left, () => this.#session?.fail('idle_timeout'))
  }

  #ended(work: Work): void {
    work.asked = undefined
    this.#underWay.delete(work)
    this.#expectAnswer()
  }

  // ---- answers

  #receive(message: TowerMessage): undefined {
    switch (message.name) {
      case 'registered':
        return this.#registered(message.body)
      case 'receipt':
        return this.#receipt(message.body)
      case 'jobReceipt':
        return this.#jobReceipt(message.body)
      case 'jobCancelled':
        return this.#jobCancelled(message.body)
      case 'retrieved':
        return this.#retrieved(message.body)
      case 'towerRefused':
        return this.#refused(message.body)
      default:
        this.#wrong('bad_frame') // a tower asks nothing
    }
  }

  #registered({ channel, version, secrets }: TowerMessageOf<'registered'>): undefined {
    const work = this.#channels.get(idText(channel))
    if (work?.asked?.name !== 'register') return this.#unasked(work)
    const held = { version, secrets }
    const lost = work.receipted !== undefined
    work.registered(held)
    if (lost && work.receipted === undefined) this.#blame('tower_lost')
    this.#answered(work)
    this.options.events.registered(work.channel, held)
  }

  /** T2. Counts only for exactly what the tower was given last; anything else is a lie or a confusion. */
  #receipt(body: ReceiptBody): undefined {
    const work = this.#channels.get(idText(body.channel))
    const given = work?.asked?.name === 'appointment' ? work.given : undefined
    if (work === undefined || given === undefined) return this.#unasked(work)
    const exact = body.version === given.version && body.secrets >= given.secrets.count
    if (!exact || !isReceiptSigned({ parties: this.options.parties, body })) return this.#wrong('tower_receipt_invalid')
    work.receipted = { version: body.version, secrets: body.secrets }
    work.held = work.receipted
    work.whole = false
    this.#fault = null
    this.options.events.receipt(body)
    this.#answered(work)
  }

  #jobReceipt({ job, height, time, signature }: TowerMessageOf<'jobReceipt'>): undefined {
    const work = this.#jobs.get(bytesToHex(job))
    const asked = work?.asked
    if (work === undefined || asked?.name !== 'revealJob') return this.#unasked(work)
    const digest = jobReceiptDigest(this.options.parties, towerCodec.encode(asked), { height, time })
    if (!curve.verify(digest, signature, this.account)) return this.#wrong('tower_receipt_invalid')
    work.receipted = true
    if (!work.cancelled) this.options.events.job(job)
    this.#answered(work)
  }

  #jobCancelled({ job }: TowerMessageOf<'jobCancelled'>): undefined {
    const name = bytesToHex(job)
    const work = this.#jobs.get(name)
    if (work?.asked?.name !== 'cancelJob') return this.#unasked(work)
    this.#cancelled(name, job)
  }

  #retrieved(body: Retrieved): undefined {
    const name = idText(body.channel)
    const work = this.#retrievals.get(name)
    if (work?.asked === undefined) return this.#unasked(work)
    this.#drop(this.#retrievals, name)
    work.end(body)
    this.#pump()
  }

  #refused({ request, channel, job, code }: TowerMessageOf<'towerRefused'>): undefined {
    const work = this.#asked(request, channel, job)
    if (work === undefined) return this.#unasked(work)
    const known: ErrorCode = isErrorCode(code) ? code : 'unavailable'
    this.options.logger.info('tower.refused', { tower: idText(this.account), code: known })
    if (work instanceof JobWork && !work.cancelled && (FOR_GOOD.has(known) || known === 'tower_quota')) {
      this.options.events.jobRefused(work.id)
    }
    if (work instanceof RetrieveWork && known === 'tower_not_watched') {
      this.#drop(this.#retrievals, idText(work.channel))
      work.end(null)
      return this.#pump()
    }
    if (FOR_GOOD.has(known)) work.stopped = known
    else this.#rest(work, known)
    this.#answered(work)
  }

  #asked(request: number, channel: Uint8Array | null, job: Uint8Array | null): Work | undefined {
    const work: Work | undefined =
      job !== null
        ? this.#jobs.get(bytesToHex(job))
        : channel === null
          ? undefined
          : request === TOWER_REQUEST_TYPES.retrieve
            ? this.#retrievals.get(idText(channel))
            : this.#channels.get(idText(channel))
    return work?.asked !== undefined && TOWER_REQUEST_TYPES[work.asked.name] === request ? work : undefined
  }

  /** A gap and a forgotten registration are mended at once, first; anything else later and later. */
  #rest(work: Work, code: ErrorCode): void {
    if (work instanceof ChannelWork && work.refusals === 0) {
      if (code === 'tower_gap') work.whole = true
      if (code === 'tower_not_watched') work.held = undefined
    }
    work.refusals += 1
    const { timers, random } = this.options
    work.rest = timers.after(backoffMs(work.refusals - 1, random()), () => {
      work.rest = undefined
      this.#want(work)
    })
  }

  #answered(work: Work): undefined {
    if (work.asked !== undefined) this.#ended(work)
    if (work.rest === undefined) {
      work.refusals = 0
      this.#ready.add(work)
    }
    this.#pump()
  }

  /** An answer to nothing that was asked: a job or channel dropped meanwhile, else a wrong one. */
  #unasked(work: Work | undefined): undefined {
    if (work !== undefined) this.#wrong('bad_frame')
  }

  #wrong(code: ErrorCode): undefined {
    this.#blame(code)
    this.#session?.fail(code)
  }

  #blame(code: ErrorCode): undefined {
    this.#fault = code
    this.options.logger.warn('tower.fault', { tower: idText(this.account), code })
  }
}

export type { Held, JobRequest, Retrieved, TowerRequest, Watched }
