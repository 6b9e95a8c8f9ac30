/** Reveal jobs in memory (T3): by what wakes them, the ledger's time or a point, and by client once they are due. */
import type { Point, Scalar } from '../base/curve/index.js'
import { type AccountId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { JobRow } from './record.js'
import { Schedule } from './schedule.js'
import { type DueJob, derivedScalar, scalarOf, targetOf } from './watcher.js'

interface Entry {
  readonly row: JobRow
  /** What to reveal; null until a derived job's point is known. */
  scalar: Scalar | null
  /** Where its scalar will stand in the registry. */
  readonly target: string | null
  /** Whether the ledger showed it there. */
  done: boolean
}

const nameOf = ({ client, job }: Pick<JobRow, 'client' | 'job'>): string => `${idText(client)}/${idText(job)}`

const pairOf = ({ client, peer }: Pick<JobRow, 'client' | 'peer'>): string => `${idText(client)}/${idText(peer)}`

export class Jobs {
  readonly #entries = new Map<string, Entry>()
  /** Points on which derived jobs wait, and targets that make a job superfluous. */
  readonly #byPoint = new Map<string, Set<string>>()
  readonly #due = new Map<string, Set<string>>()
  readonly #schedule = new Schedule()
  /** Client and peer → how many. */
  readonly #byPeer = new Map<string, number>()

  get size(): number {
    return this.#entries.size
  }

  get(client: AccountId, job: Uint8Array): JobRow | undefined {
    return this.#entries.get(nameOf({ client, job }))?.row
  }

  /** Of one client, about its channels with one peer. */
  about(client: AccountId, peer: AccountId): number {
    return this.#byPeer.get(pairOf({ client, peer })) ?? 0
  }

  #count(row: JobRow, change: number): void {
    const pair = pairOf(row)
    const next = (this.#byPeer.get(pair) ?? 0) + change
    if (next === 0) this.#byPeer.delete(pair)
    else this.#byPeer.set(pair, next)
  }

  /** Derived jobs whose point was not yet seen. */
  *waiting(): Iterable<JobRow> {
    for (const { row, scalar } of this.#entries.values()) if (scalar === null) yield row
  }

  add(row: JobRow): void {
    const name = nameOf(row)
    const target = targetOf(row)
    const entry: Entry = { row, scalar: scalarOf(row), target: target === null ? null : idText(target), done: false }
    this.#entries.set(name, entry)
    this.#count(row, 1)
    for (const point of pointsOf(entry)) setOf(this.#byPoint, point).add(name)
    this.#schedule.add(row.task.deadline + 1, name)
    if (row.task.kind === 'deadline') this.#schedule.add(row.task.from, name)
  }

  remove(row: JobRow): void {
    const name = nameOf(row)
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    this.#count(row, -1)
    for (const point of pointsOf(entry)) take(this.#byPoint, point, name)
    take(this.#due, idText(row.client), name)
  }

  /** The ledger holds this scalar: derived jobs on its point are due, jobs whose target it is are done. @returns clients with due jobs */
  revealed(point: Point, scalar: Scalar): readonly AccountId[] {
    const text = idText(point)
    const clients: AccountId[] = []
    for (const name of this.#byPoint.get(text) ?? []) {
      const entry = this.#entries.get(name)
      if (entry === undefined) continue
      if (entry.target === text) this.#finish(name, entry)
      else if (!entry.done) {
        entry.scalar = derivedScalar(entry.row, scalar)
        this.#makeDue(name, entry)
        clients.push(entry.row.client)
      }
    }
    return clients
  }

  done(jobs: readonly DueJob[]): void {
    for (const { row } of jobs) {
      const entry = this.#entries.get(nameOf(row))
      if (entry !== undefined) this.#finish(nameOf(row), entry)
    }
  }

  /** The ledger went back: what stood in its registry may not stand there now. @returns clients with due jobs */
  doubt(now: number): readonly AccountId[] {
    const clients = new Map<string, AccountId>()
    for (const [name, entry] of this.#entries) {
      const { row, done } = entry
      entry.done = false
      if (!done || (row.task.kind === 'deadline' && row.task.from > now)) continue
      this.#makeDue(name, entry)
      clients.set(idText(row.client), row.client)
    }
    return [...clients.values()]
  }

  /** What ledger time brings: clients with jobs that are due now, jobs that are over. */
  advance(now: number): { readonly clients: readonly AccountId[]; readonly over: readonly JobRow[] } {
    const clients = new Map<string, AccountId>()
    const over: JobRow[] = []
    for (const name of this.#schedule.until(now)) {
      const entry = this.#entries.get(name)
      if (entry === undefined) continue
      const { row, done } = entry
      if (row.task.deadline < now) over.push(row)
      else if (!done) {
        this.#makeDue(name, entry)
        clients.set(idText(row.client), row.client)
      }
    }
    return { clients: [...clients.values()], over }
  }

  /** What to reveal for this client now, as much as one transaction takes, the nearest deadline first. */
  due(client: AccountId): readonly DueJob[] {
    const names = [...(this.#due.get(idText(client)) ?? [])]
    const jobs = names.flatMap((name) => {
      const entry = this.#entries.get(name)
      return entry === undefined || entry.scalar === null ? [] : [{ row: entry.row, scalar: entry.scalar }]
    })
    return jobs.sort((a, b) => a.row.task.deadline - b.row.task.deadline).slice(0, LIMITS.reveal_scalars)
  }

  #makeDue(name: string, entry: Entry): void {
    if (entry.scalar !== null) setOf(this.#due, idText(entry.row.client)).add(name)
  }

  #finish(name: string, entry: Entry): void {
    entry.done = true
    take(this.#due, idText(entry.row.client), name)
  }
}

const pointsOf = ({ row, target }: Entry): readonly string[] => [
  ...(target === null ? [] : [target]),
  ...(row.task.kind === 'derived' ? [idText(row.task.point)] : []),
]

function setOf(map: Map<string, Set<string>>, key: string): Set<string> {
  const known = map.get(key) ?? new Set<string>()
  map.set(key, known)
  return known
}

function take(map: Map<string, Set<string>>, key: string, name: string): void {
  const set = map.get(key)
  set?.delete(name)
  if (set?.size === 0) map.delete(key)
}
