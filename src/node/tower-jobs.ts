/**
 * T3: scalars that a tower puts into the registry while we cannot. Wanted are, as the channels' notes have them: every
 * incoming lock whose scalar we know while its peer is away; where receipts are required, every lock that a downstream
 * claim pays for, before we acknowledge that claim; and, if the operator chose so, every forward that is under way.
 * A job ends with its lock.
 */
import { bytesToHex, readU64, u64, utf8 } from '../base/bytes.js'
import { otherSide, type PublicLock, type Side } from '../base/channel-state.js'
import { encodeAs } from '../base/codec.js'
import type { Point } from '../base/curve/index.js'
import { taggedHash } from '../base/digest.js'
import { idText } from '../base/ids.js'
import { type RevealTask, zRevealTask } from '../base/message/tower.js'
import type { Row, Store } from '../base/ports/store.js'
import { keyOf } from '../channel/operation.js'
import { findLock } from '../channel/predicate.js'
import type { Channel } from '../channel/types.js'
import type { LockRef, Obligation } from '../router/obligation-record.js'
import { hopScalar } from '../router/onion/crypto.js'
import { pointAfter } from '../router/point-lock.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { JobRequest, TowerClient } from '../watchtower/client.js'
import type { Channels } from './channels.js'
import type { Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'
import type { OfferOwners } from './offered.js'

export interface JobParts {
  readonly clients: readonly TowerClient[]
  readonly required: number
  /** A job that says which outgoing point pays for which incoming lock tells the tower that two hops belong together. */
  readonly derived: boolean
  readonly channels: Channels
  readonly owners: OfferOwners
  readonly now: () => number
  /** The ledger's registry holds this point's scalar. */
  readonly isRevealed: (point: Point) => boolean
  /** No tower will: the channel itself reveals what it knows of this lock. */
  readonly reveal: (channel: LiveChannel, lock: { readonly from: Side; readonly id: number }) => void
  /** No tower has this job any more: its row may go. */
  readonly forget: (id: Uint8Array) => void
  /** What waited on this channel for a job may go on. */
  readonly release: (channel: LiveChannel) => void
}

interface Job {
  readonly request: JobRequest
  readonly channel: LiveChannel
  /** The incoming lock that it claims; null for one that waits for another point. */
  readonly lock: PublicLock | null
  /** Towers that have signed for it; those that do not take it. */
  readonly towers: Set<string>
  readonly refusers: Set<string>
  /** The channel whose acknowledgement of a claim waits for it. */
  downstream: LiveChannel | undefined
}

/** What towers were given, until each has said that it has it no more: a restart must not forget to cancel it. */
export interface GivenJob {
  readonly id: Uint8Array
  /** Ledger time after which the towers forget it by themselves. */
  readonly deadline: number
}

const ID_BYTES = 32
const GIVEN = utf8('given job')
export const givenKey = (id: Uint8Array): Uint8Array => tableKey('node', GIVEN, id)
const givenRow = ({ id, deadline }: GivenJob): Row => ({ key: givenKey(id), value: u64(deadline) })

export async function givenJobs(store: Pick<Store, 'range'>): Promise<GivenJob[]> {
  const given: GivenJob[] = []
  for await (const { key, value } of store.range(tableRange('node', GIVEN))) {
    given.push({ id: key.slice(-ID_BYTES), deadline: readU64(value) ?? 0 })
  }
  return given
}

const nameOf = (channel: LiveChannel, lock: { readonly from: Side; readonly id: number }): string =>
  `${channel.text}/${keyOf(lock)}`

export class TowerJobs {
  /** By incoming channel, then by what they are for. */
  readonly #jobs = new Map<string, Map<string, Job>>()
  readonly #byId = new Map<string, Job>()
  /** By downstream channel: jobs that too few towers have signed for. */
  readonly #blocking = new Map<string, Set<Job>>()
  /** Incoming lock → the channel on which its scalar was claimed from us. */
  readonly #paidFor = new Map<string, LiveChannel>()
  /** By id: towers that have yet to say that they do not have it. */
  readonly #withdrawn = new Map<string, Set<string>>()

  constructor(private readonly parts: JobParts) {}

  /** After a start: what the rows say is owed. */
  resume(tx: Tx): void {
    const all = this.parts.channels.all()
    for (const channel of all) {
      for (const { lock, scalar } of channel.state.notes.values()) {
        if (scalar === undefined || lock.from !== channel.context.side) continue
        const owner = this.parts.owners.of(tx, { channel: channel.id, id: lock.id })
        if (owner?.kind === 'forward') this.#pays(tx, channel, owner.incoming)
      }
    }
    for (const channel of all) this.#review(tx, channel)
  }

  /** After a start, when all that is owed is known: what towers still have of locks that are out (T3: it fills our quota). */
  withdraw(given: readonly GivenJob[]): void {
    for (const { id, deadline } of given) {
      if (this.#byId.has(bytesToHex(id))) continue
      if (deadline < this.parts.now()) this.parts.forget(id)
      else this.#withdraw(id)
    }
  }

  /** A tower does not have it, or not any more. */
  cancelled(tower: TowerClient, id: Uint8Array): void {
    const towers = this.#withdrawn.get(bytesToHex(id))
    towers?.delete(idText(tower.account))
    if (towers?.size !== 0) return
    this.#withdrawn.delete(bytesToHex(id))
    this.parts.forget(id)
  }

  #withdraw(id: Uint8Array): void {
    const { clients } = this.parts
    this.#withdrawn.set(bytesToHex(id), new Set(clients.map(({ account }) => idText(account))))
    for (const client of clients) client.cancel(id)
  }

  stepped(tx: Tx, channel: LiveChannel, before: Channel): void {
    const { notes, link, phase } = channel.state
    if (notes !== before.notes || link !== before.link || phase !== before.phase) this.#review(tx, channel)
  }

  /** Within the batch that learns it, and before upstream does: a claim on `channel` pays for this incoming lock. */
  claimed(tx: Tx, channel: LiveChannel, incoming: LockRef): void {
    const name = this.#pays(tx, channel, incoming)
    if (name === undefined) return
    tx.after(() => {
      // Nothing came of it: upstream the lock was out already.
      if (this.#jobOf(name) === undefined) this.#paidFor.delete(name)
    })
  }

  /** An obligation was stored. */
  kept(tx: Tx, obligation: Obligation): undefined {
    if (!this.parts.derived) return
    const upstream = this.parts.channels.get(obligation.incoming.channel)
    if (upstream === undefined) return
    const ref = { from: otherSide(upstream.context.side), id: obligation.incoming.id }
    const lock = findLock(upstream.state.current.content.locks, ref)
    const name = `${nameOf(upstream, ref)} derived`
    if (obligation.phase !== 'offered' || lock === undefined) return this.#cancel(tx, upstream, name)
    const y = hopScalar(obligation.secret)
    const point = pointAfter(lock.point, y)
    if (point !== null) this.#add(tx, upstream, name, { kind: 'derived', point, y, deadline: lock.expiry }, null)
  }

  /** A tower has signed for a job. */
  receipted(tower: TowerClient, id: Uint8Array): void {
    const job = this.#byId.get(bytesToHex(id))
    if (job === undefined) return
    job.refusers.delete(idText(tower.account))
    job.towers.add(idText(tower.account))
    if (job.towers.size >= this.parts.required) this.#unblock(job)
  }

  /**
   * A tower does not take it. Where too few are left the rounds downstream would stand still until the deadline: we do at
   * once what the tower was to do in our absence, and go on when the registry has it.
   */
  refused(tower: TowerClient, id: Uint8Array): void {
    const job = this.#byId.get(bytesToHex(id))
    if (job === undefined || job.towers.has(idText(tower.account))) return
    job.refusers.add(idText(tower.account))
    this.#insteadOfTowers(job)
  }

  #insteadOfTowers({ downstream, lock, refusers, channel }: Job): void {
    const left = this.parts.clients.length - refusers.size
    if (downstream !== undefined && lock !== null && left < this.parts.required) this.parts.reveal(channel, lock)
  }

  /** No claim on this channel waits for a job upstream; a job past its deadline saves nothing any more. */
  secured(channel: LiveChannel): boolean {
    const blocking = this.#blocking.get(channel.text)
    if (blocking === undefined) return true
    const now = this.parts.now()
    return [...blocking].every(
      ({ request, lock }) => request.task.deadline < now || (lock !== null && this.parts.isRevealed(lock.point)),
    )
  }

  #pays(tx: Tx, downstream: LiveChannel, incoming: LockRef): string | undefined {
    const upstream = this.parts.channels.get(incoming.channel)
    if (this.parts.required === 0 || upstream === undefined) return undefined
    const name = nameOf(upstream, { from: otherSide(upstream.context.side), id: incoming.id })
    if (!this.#paidFor.has(name)) tx.undo(() => void this.#paidFor.delete(name))
    this.#paidFor.set(name, downstream)
    return name
  }

  /** Jobs of a channel as its notes want them now. */
  #review(tx: Tx, channel: LiveChannel): void {
    const { notes, link, phase } = channel.state
    for (const { lock, scalar } of phase === 'closed' ? [] : notes.values()) {
      if (scalar === undefined || lock.from === channel.context.side) continue
      const name = nameOf(channel, lock)
      const downstream = this.#paidFor.get(name)
      if (link !== 'down' && downstream === undefined) continue
      // Our own reveal comes first (C10); the tower's quota is ours (L8).
      const from = Math.max(0, lock.expiry - Math.ceil(channel.context.policy.margin / 2))
      this.#add(tx, channel, name, { kind: 'deadline', scalar, from, deadline: lock.expiry }, lock, downstream)
    }
    for (const name of [...(this.#jobs.get(channel.text)?.keys() ?? [])]) {
      const over = phase === 'closed' || !(name.endsWith('derived') || this.#noted(channel, name))
      if (over) this.#cancel(tx, channel, name)
    }
  }

  #noted(channel: LiveChannel, name: string): boolean {
    return channel.state.notes.has(name.slice(channel.text.length + 1))
  }

  /** At once: the gate must know of it before anything of this batch leaves. */
  #add(
    tx: Tx,
    channel: LiveChannel,
    name: string,
    task: RevealTask,
    lock: PublicLock | null,
    downstream?: LiveChannel,
  ): undefined {
    const jobs = this.#jobs.get(channel.text) ?? new Map<string, Job>()
    const known = jobs.get(name)
    if (known !== undefined) {
      if (this.#block(known, downstream)) tx.after(() => this.#insteadOfTowers(known))
      return
    }
    const id = taggedHash('tower-job', channel.id, utf8(name), encodeAs(zRevealTask, task))
    const request = { id, channel: channel.id, task }
    const job: Job = { request, channel, lock, towers: new Set(), refusers: new Set(), downstream: undefined }
    this.#jobs.set(channel.text, jobs.set(name, job))
    this.#byId.set(bytesToHex(id), job)
    this.#block(job, downstream)
    tx.undo(() => this.#remove(channel, name))
    tx.put(givenRow({ id, deadline: task.deadline }))
    tx.after(() => {
      for (const client of this.parts.clients) client.job(job.request)
    })
  }

  /** The peer may have been away before the claim came: then the job is older than what waits for it. */
  #block(job: Job, downstream: LiveChannel | undefined): boolean {
    if (downstream === undefined || job.downstream !== undefined || job.towers.size >= this.parts.required) return false
    job.downstream = downstream
    const blocking = this.#blocking.get(downstream.text) ?? new Set()
    this.#blocking.set(downstream.text, blocking.add(job))
    return true
  }

  #cancel(tx: Tx, channel: LiveChannel, name: string): undefined {
    if (this.#jobOf(name) === undefined) return
    tx.after(() => {
      const job = this.#remove(channel, name)
      if (job !== undefined) this.#withdraw(job.request.id)
    })
  }

  #remove(channel: LiveChannel, name: string): Job | undefined {
    const jobs = this.#jobs.get(channel.text)
    const job = jobs?.get(name)
    if (jobs === undefined || job === undefined) return undefined
    jobs.delete(name)
    if (jobs.size === 0) this.#jobs.delete(channel.text)
    this.#byId.delete(bytesToHex(job.request.id))
    this.#paidFor.delete(name)
    this.#unblock(job)
    return job
  }

  #unblock(job: Job): void {
    const { downstream } = job
    const blocking = downstream === undefined ? undefined : this.#blocking.get(downstream.text)
    if (downstream === undefined || blocking?.delete(job) !== true) return
    if (blocking.size === 0) this.#blocking.delete(downstream.text)
    this.parts.release(downstream)
  }

  #jobOf(name: string): Job | undefined {
    return this.#jobs.get(name.slice(0, name.indexOf('/')))?.get(name)
  }
}
