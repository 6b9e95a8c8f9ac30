/** What a tower looks after: channels under attention, reveals that are due, derived jobs whose point is not known yet. */

import { curve, type Scalar } from '../base/curve/index.js'
import { type AccountId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { ChainAdapter } from '../base/ports/chain.js'
import type { Transaction } from '../base/transaction.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { Books } from './books.js'
import type { Jobs } from './jobs.js'
import type { JobRow, Watched } from './record.js'
import { Responder, type Target } from './responder.js'
import { Rota } from './rota.js'
import { attentionAfter, dutyOf, revealFor } from './watcher.js'

export interface DutiesOptions {
  readonly books: Books
  readonly jobs: Jobs
  readonly chain: ChainAdapter
  readonly key: Scalar
  readonly timers: Timers
  readonly logger: Logger
  readonly depth: number
  /** A row is on its way to the disk; nobody waits for it. */
  readonly background: (durable: Promise<void>) => void
}

/** Submissions that the ledger took, by kind. */
export type Submitted = Readonly<Record<'punish' | 'supersede' | 'reveal', number>>

export class Duties {
  readonly #options: DutiesOptions
  readonly #account: AccountId
  readonly #responder: Responder
  readonly #attention = new Rota<Target>()
  readonly #submitted = { punish: 0, supersede: 0, reveal: 0 }

  constructor(options: DutiesOptions) {
    const { chain, timers, logger, key } = options
    this.#options = options
    this.#account = curve.multiplyBase(key)
    this.#responder = new Responder(chain, timers, logger)
  }

  get submitted(): Submitted {
    return this.#submitted
  }

  /** Channels in a dispute, or ended and not yet forgotten. */
  get attention(): number {
    return this.#attention.size
  }

  /** Puts the channel under attention; `look` looks at once. */
  attend({ channel, side }: Pick<Watched, 'channel' | 'side'>): void {
    const target = this.#channel(channel, side)
    this.#attention.add(target.name, target)
  }

  look({ channel, side }: Pick<Watched, 'channel' | 'side'>): void {
    this.#responder.poke(this.#channel(channel, side))
  }

  lookAtAll(): void {
    for (const target of this.#attention.all()) this.#responder.poke(target)
  }

  /** Views are read again where nothing happened, some at each head: a reorganisation may have taken back what was done. */
  lookAround(): void {
    for (const target of this.#attention.take(LIMITS.tower_looks_per_head)) this.#responder.remind(target)
  }

  close(): void {
    this.#responder.close()
  }

  #channel(channel: Watched['channel'], side: Watched['side']): Target {
    const { books, chain, depth, background } = this.#options
    const name = `channel/${idText(channel)}/${side}`
    return {
      name,
      look: async () => {
        const view = await chain.channel(channel)
        const watched = books.watched(channel, side)
        if (watched === undefined) return undefined
        const attention = attentionAfter(watched, view, depth)
        if (attention === null || attention === 'forget') this.#attention.delete(name)
        if (attention === 'forget') {
          background(books.forget(watched))
          return undefined
        }
        if (!sameAttention(attention, watched.attention)) background(books.keep({ ...watched, attention }))
        return dutyOf(watched, view.value, { ledger: chain.ledger, now: view.time })
      },
      told: (transaction, outcome) => {
        if (outcome.ok) this.#count(transaction)
      },
    }
  }

  /** The client's due reveals, one transaction after the other: its quota counts per block (L8). */
  reveal(client: AccountId): void {
    const { jobs, chain, key } = this.#options
    this.#responder.poke({
      name: `reveal/${idText(client)}`,
      look: async () => {
        const due = jobs.due(client)
        return revealFor(due, { ledger: chain.ledger, tower: this.#account, key })
      },
      told: (transaction, outcome) => {
        // `known_point`: all of them stand in the registry already.
        if (transaction.kind !== 'reveal' || (!outcome.ok && outcome.error.code !== 'known_point')) return
        for (const scalar of transaction.scalars) jobs.revealed(curve.multiplyBase(scalar), scalar)
        if (outcome.ok) this.#count(transaction)
        if (jobs.due(client).length > 0) this.reveal(client)
      },
    })
  }

  /** A derived job is new, or its tower was away: the ledger may hold its point already. */
  derive({ task, client, job }: JobRow): void {
    if (task.kind !== 'derived') return
    const { jobs, chain } = this.#options
    this.#responder.poke({
      name: `derive/${idText(client)}/${idText(job)}`,
      look: async () => {
        const { value } = await chain.revealed(task.point)
        if (value !== undefined) for (const due of jobs.revealed(task.point, value.scalar as Scalar)) this.reveal(due)
        return undefined
      },
      told: () => {},
    })
  }

  #count({ kind }: Transaction): void {
    if (kind === 'punish' || kind === 'supersede' || kind === 'reveal') this.#submitted[kind] += 1
  }
}

const sameAttention = (a: Watched['attention'], b: Watched['attention']): boolean =>
  a === b || (a !== null && b !== null && a.closed === b.closed && a.since === b.since)
