/**
 * A watchtower (T): gatekeeper, watcher and responder over one store and one ledger. It has no clock, socket or randomness
 * of its own: whoever runs it hands in timers and a transport.
 *
 * What a receipt proves: its signer says that at `height` it held, on disk, a state of `version` that both parties signed.
 * So where a counterparty's exit of that channel, final above `height`, stands at its deadline with a standing version below
 * `version`, and the channel was not punished or closed, the tower did not act: `supersede` was open to it all the
 * time. It does not prove that the ledger took what the tower sent in time: whoever judges looks at the
 * ledger, and a ledger that withholds transactions makes an honest tower look idle (SECURITY.md). `secrets` says which
 * secrets were taken, not that each was right: those of versions whose states the tower never saw rest on the client's word.
 */

import { curve, type Scalar } from '../base/curve/index.js'
import { MeridianError } from '../base/errors.js'
import { type AccountId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { TowerAnswer, TowerRequest } from '../base/message/tower.js'
import type { ChainAdapter, LedgerEvent, LedgerTime } from '../base/ports/chain.js'
import type { Store } from '../base/ports/store.js'
import { TokenBucket } from '../wire/bucket.js'
import type { Logger, Timers } from '../wire/environment.js'
import { Books } from './books.js'
import type { TowerConfig } from './config.js'
import { Desk } from './desk.js'
import { Duties, type Submitted } from './duties.js'
import { Follower } from './follower.js'
import { Jobs } from './jobs.js'
import type { JobRow, Watched } from './record.js'

export interface TowerOptions {
  /** The tower's own: sealed (S3). */
  readonly store: Store
  /** The account that signs receipts and reveals; the ledger need not know it. */
  readonly key: Scalar
  readonly chain: ChainAdapter
  readonly timers: Timers
  readonly logger: Logger
  readonly config: TowerConfig
}

/** One connection of a client. */
export interface ClientSession {
  /** `done` is called when the request is answered and its client may send another one. */
  receive(request: TowerRequest, done: () => void): void
  close(): void
}

export interface TowerStatus {
  readonly account: AccountId
  readonly clients: number
  readonly channels: number
  readonly jobs: number
  /** Channels in a dispute, or ended and not yet forgotten. */
  readonly attention: number
  /** What the ledger took of this process. */
  readonly submitted: Submitted
  readonly view: LedgerTime | null
}

export class Tower {
  readonly #options: TowerOptions
  readonly #books: Books
  readonly #jobs: Jobs
  readonly #duties: Duties
  readonly #desk: Desk
  readonly #follower: Follower
  readonly #rates = new Map<string, TokenBucket>()
  /** Takes no new request. */
  #ending = false
  #stopped = false

  private constructor(options: TowerOptions, books: Books, jobs: Jobs) {
    const { store, chain, timers, logger, config, key } = options
    const depth = config.settlementDepth
    this.#options = options
    this.#books = books
    this.#jobs = jobs
    const background = (durable: Promise<void>): void => this.#background(durable)
    this.#duties = new Duties({ books, jobs, chain, key, timers, logger, depth, background })
    this.#desk = new Desk({
      books,
      jobs,
      chain,
      config,
      key,
      view: () => this.#view,
      watchedChanged: (watched) => this.#watchedChanged(watched),
      jobAdded: (job) => this.#jobAdded(job),
    })
    this.#follower = new Follower({
      chain,
      store,
      timers,
      logger,
      depth,
      write: (batch) => books.write(batch),
      background,
      event: (event) => this.#event(event),
      advanced: (view) => this.#advanced(view),
      wentBack: () => this.#wentBack(),
    })
  }

  /** Reads the store. Nothing is followed or answered before `start`. */
  static async open(options: TowerOptions): Promise<Tower> {
    const jobs = new Jobs()
    const busy: Pick<Watched, 'channel' | 'side'>[] = []
    const books = await Books.open(options.store, {
      busy: ({ channel, side }) => busy.push({ channel, side }),
      job: (job) => jobs.add(job),
    })
    const tower = new Tower(options, books, jobs)
    for (const watched of busy) tower.#duties.attend(watched)
    return tower
  }

  /** Resolves when every event up to the ledger's head was seen: clients are served from then on. */
  async start(): Promise<void> {
    this.#duties.lookAtAll()
    await this.#follower.start()
    for (const job of this.#jobs.waiting()) this.#duties.derive(job)
  }

  /** One connection of a client: the account that Noise authenticated. */
  connect(client: AccountId, send: (answer: TowerAnswer) => void): ClientSession {
    let open = true
    return {
      receive: (request, done) => {
        if (this.#ending) return
        const { timers } = this.#options
        const wait = this.#rateOf(client).take(1, timers.now())
        this.#desk.answer(client, request).then(
          (answer) => {
            if (open && !this.#stopped) send(answer)
            if (wait === 0) done()
            else timers.after(wait, done)
          },
          (error: unknown) => this.#failed(error),
        )
      },
      close: () => {
        open = false
      },
    }
  }

  status(): TowerStatus {
    return {
      account: curve.multiplyBase(this.#options.key),
      ...this.#books.totals,
      attention: this.#duties.attention,
      submitted: { ...this.#duties.submitted },
      view: this.#follower.view ?? null,
    }
  }

  /** Answers what was asked, then does nothing more; the store is its owner's to close. */
  async stop(): Promise<void> {
    this.#ending = true
    await this.#desk.idle()
    this.#stopped = true
    this.#duties.close()
    await this.#follower.stop()
    await this.#books.durable()
  }

  get #view(): LedgerTime {
    return this.#follower.view ?? { height: 0, time: 0 }
  }

  /** A store that failed ends what it was for (S2): nothing is answered or submitted from here on. */
  #failed(error: unknown): void {
    if (!this.#stopped) {
      this.#ending = true
      this.#stopped = true
      this.#duties.close()
      void this.#follower.stop()
      this.#options.logger.warn('tower.stopped', { code: error instanceof MeridianError ? error.code : 'internal' })
    }
    if (!(error instanceof MeridianError)) throw error
  }

  #background(durable: Promise<void>): void {
    durable.catch((error: unknown) => this.#failed(error))
  }

  /** Rates outlive a connection: who reconnects brings its debt along (W3). */
  #rateOf(client: AccountId): TokenBucket {
    const name = idText(client)
    const { timers, config } = this.#options
    const perSecond = config.requestsPerSecond
    const rate = this.#rates.get(name) ?? new TokenBucket(perSecond, perSecond, timers.now())
    this.#rates.delete(name)
    this.#rates.set(name, rate)
    if (this.#rates.size > LIMITS.peers_remembered) this.#rates.delete(this.#rates.keys().next().value!)
    return rate
  }

  #event({ transaction, height }: LedgerEvent): void {
    if (transaction.kind === 'reveal') {
      if (this.#jobs.size === 0) return
      for (const scalar of transaction.scalars) {
        for (const client of this.#jobs.revealed(curve.multiplyBase(scalar), scalar)) this.#duties.reveal(client)
      }
      return
    }
    if (!('channel' in transaction) || transaction.kind === 'openChannel') return
    for (const side of [0, 1] as const) {
      const watched = this.#books.watched(transaction.channel, side)
      if (watched === undefined) continue
      // Durable before the cursor's row: a crash while the ledger's views are out of reach loses no dispute.
      const attention = { closed: false, since: height }
      if (watched.attention === null) this.#background(this.#books.keep({ ...watched, attention }))
      this.#duties.attend(watched)
      this.#duties.look(watched)
    }
  }

  #advanced(view: LedgerTime): void {
    this.#jobsAt(view.time)
    this.#duties.lookAround()
  }

  #wentBack(): void {
    for (const client of this.#jobs.doubt(this.#view.time)) this.#duties.reveal(client)
  }

  /** T3: jobs whose time has come, and those that are over: their lock is dead or won. */
  #jobsAt(time: number): void {
    const { clients, over } = this.#jobs.advance(time)
    for (const job of over) {
      this.#jobs.remove(job)
      this.#background(this.#books.forgetJob(job))
    }
    for (const client of clients) this.#duties.reveal(client)
  }

  #watchedChanged(watched: Watched): void {
    if (watched.attention === null) return
    this.#duties.attend(watched)
    this.#duties.look(watched)
  }

  #jobAdded(job: JobRow): void {
    this.#jobsAt(this.#view.time)
    this.#duties.derive(job)
  }
}
