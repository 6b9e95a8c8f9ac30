/**
 * Answers a tower's clients. A request is decided at once, over records that may not be on disk yet; it is answered when
 * everything that the answer says is (T2). Requests of one client about one channel, or about jobs, keep their order.
 */
import { equalBytes } from '../base/bytes.js'
import { cbor } from '../base/codec.js'
import { curve, type Scalar } from '../base/curve/index.js'
import { type ErrorCode, MeridianError } from '../base/errors.js'
import { type AccountId, idText } from '../base/ids.js'
import {
  jobReceiptDigest,
  type ReceiptParties,
  receiptDigest,
  TOWER_REQUEST_TYPES,
  type TowerAnswer,
  type TowerMessageOf,
  type TowerRequest,
  towerCodec,
} from '../base/message/tower.js'
import type { ChainAdapter, LedgerTime } from '../base/ports/chain.js'
import type { Books } from './books.js'
import type { TowerConfig } from './config.js'
import { admit, appoint, takeJob } from './gatekeeper.js'
import type { Jobs } from './jobs.js'
import type { JobRow, Watched } from './record.js'

export interface DeskOptions {
  readonly books: Books
  readonly jobs: Jobs
  readonly chain: Pick<ChainAdapter, 'channel' | 'genesis' | 'ledger'>
  readonly config: TowerConfig
  /** The tower's account. */
  readonly key: Scalar
  readonly view: () => LedgerTime
  /** A record changed while its channel is under attention, or is new. */
  readonly watchedChanged: (watched: Watched) => void
  readonly jobAdded: (job: JobRow) => void
}

/** Gives the answer once it is durable. */
type Finish = () => Promise<TowerAnswer>

interface Lane {
  readonly decided: Promise<Finish>
  readonly answered: Promise<TowerAnswer>
}

export class Desk {
  readonly #lanes = new Map<string, Lane>()
  readonly #account: AccountId

  constructor(private readonly options: DeskOptions) {
    this.#account = curve.multiplyBase(options.key)
  }

  /** Rejects where the store failed: nothing may be answered any more. */
  answer(client: AccountId, request: TowerRequest): Promise<TowerAnswer> {
    const name = `${idText(client)}/${laneOf(request)}`
    const last = this.#lanes.get(name)
    const decide = (): Promise<Finish> => this.#decide(client, request)
    const decided = last === undefined ? decide() : last.decided.then(decide)
    // T2: after the answer before it, and so after the sync of everything that the requests before it wrote.
    const answered = Promise.all([decided, last?.answered]).then(([finish]) => finish())
    const lane: Lane = { decided, answered }
    this.#lanes.set(name, lane)
    const leave = (): void => {
      if (this.#lanes.get(name) === lane) this.#lanes.delete(name)
    }
    answered.then(leave, leave)
    return answered
  }

  /** Resolves when every request so far is answered. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#lanes.values()].map(({ answered }) => answered))
  }

  #decide(client: AccountId, request: TowerRequest): Promise<Finish> {
    switch (request.name) {
      case 'register':
        return this.#register(client, request.body)
      case 'appointment':
        return Promise.resolve(this.#appoint(client, request.body))
      case 'retrieve':
        return Promise.resolve(this.#retrieve(client, request.body))
      case 'revealJob':
        return Promise.resolve(this.#revealJob(client, request.body))
      case 'cancelJob':
        return Promise.resolve(this.#cancelJob(client, request.body))
    }
  }

  async #register(client: AccountId, { channel }: TowerMessageOf<'register'>): Promise<Finish> {
    const { books, chain, config, watchedChanged } = this.options
    const known = books.watchedFor(channel, client)
    if (known !== undefined) return async () => registeredAnswer(known)
    let view: Awaited<ReturnType<ChainAdapter['channel']>>
    try {
      view = await chain.channel(channel)
    } catch (error) {
      if (error instanceof MeridianError) return refused('register', 'unavailable', channel)
      throw error
    }
    const watched = admit(view, client, books.usage(client), config)
    if (!watched.ok) return refused('register', watched.error.code, channel)
    const durable = books.keep(watched.value)
    watchedChanged(watched.value)
    return this.#when(durable, () => registeredAnswer(watched.value))
  }

  #appoint(client: AccountId, body: TowerMessageOf<'appointment'>): Finish {
    const { books, chain, config, watchedChanged } = this.options
    const { channel } = body
    const watched = books.watchedFor(channel, client)
    if (watched === undefined) return refused('appointment', 'tower_not_watched', channel)
    const next = appoint(watched, body, chain.genesis.keyBits, books.usage(client), config)
    if (!next.ok) return refused('appointment', next.error.code, channel)
    if (next.value === watched) return async () => this.#receipt(client, watched)
    const durable = books.keep(next.value)
    watchedChanged(next.value)
    return this.#when(durable, () => this.#receipt(client, next.value))
  }

  /** Everything that the receipt says is on disk by now. */
  #receipt(client: AccountId, { channel, newest, secrets }: Watched): TowerAnswer {
    const { height, time } = this.options.view()
    const body = { channel, version: newest!.version, secrets: secrets.count, height, time }
    const signature = curve.sign(receiptDigest(this.#parties(client), body), this.options.key)
    return { name: 'receipt', body: { ...body, signature } }
  }

  #retrieve(client: AccountId, { channel }: TowerMessageOf<'retrieve'>): Finish {
    const { books } = this.options
    const watched = books.watchedFor(channel, client)
    if (watched === undefined) return refused('retrieve', 'tower_not_watched', channel)
    const { newest, secrets } = watched
    const held = newest === null ? null : { state: newest.state, signatures: newest.signatures }
    return async () => ({ name: 'retrieved', body: { channel, newest: held, secrets } })
  }

  #revealJob(client: AccountId, body: TowerMessageOf<'revealJob'>): Finish {
    const { books, jobs, chain, config, view, jobAdded } = this.options
    const { channel, job } = body
    const receipt = (): TowerAnswer => {
      const at = { height: view().height, time: view().time }
      const request = towerCodec.encode({ name: 'revealJob', body })
      const signature = curve.sign(jobReceiptDigest(this.#parties(client), request, at), this.options.key)
      return { name: 'jobReceipt', body: { job, ...at, signature } }
    }
    const known = jobs.get(client, job)
    if (known !== undefined) {
      const { client: _client, peer: _peer, ...asked } = known
      const same = equalBytes(cbor(asked), cbor(body))
      return same ? async () => receipt() : refused('revealJob', 'tower_job_conflict', channel, job)
    }
    const watched = books.watchedFor(channel, client)
    if (watched === undefined) return refused('revealJob', 'tower_not_watched', channel, job)
    const { peer } = watched
    const about = { now: view().time, peer, aboutPeer: jobs.about(client, peer) }
    const terms = { ledger: chain.ledger, tower: this.#account, client, ...about }
    const row = takeJob(body, terms, books.usage(client), config)
    if (!row.ok) return refused('revealJob', row.error.code, channel, job)
    const durable = books.keepJob(row.value)
    jobs.add(row.value)
    jobAdded(row.value)
    return this.#when(durable, receipt)
  }

  #cancelJob(client: AccountId, { job }: TowerMessageOf<'cancelJob'>): Finish {
    const { books, jobs } = this.options
    const known = jobs.get(client, job)
    const cancelled: TowerAnswer = { name: 'jobCancelled', body: { job } }
    if (known === undefined) return async () => cancelled
    jobs.remove(known)
    return this.#when(books.forgetJob(known), () => cancelled)
  }

  #when(durable: Promise<void>, answer: () => TowerAnswer): Finish {
    durable.catch(() => {}) // reported by whoever awaits the answer
    return async () => {
      await durable
      return answer()
    }
  }

  #parties(client: AccountId): ReceiptParties {
    return { ledger: this.options.chain.ledger, tower: this.#account, client }
  }
}

/** What keeps its order: one channel's requests, and all about jobs (a cancel names no channel). */
const laneOf = (request: TowerRequest): string =>
  request.name === 'revealJob' || request.name === 'cancelJob' ? 'jobs' : idText(request.body.channel)

const registeredAnswer = ({ channel, newest, secrets }: Watched): TowerAnswer => ({
  name: 'registered',
  body: { channel, version: newest?.version ?? null, secrets: secrets.count },
})

function refused(
  request: TowerRequest['name'],
  code: ErrorCode,
  channel: TowerMessageOf<'register'>['channel'],
  job: Uint8Array | null = null,
): Finish {
  return async () => ({ name: 'towerRefused', body: { request: TOWER_REQUEST_TYPES[request], channel, job, code } })
}
