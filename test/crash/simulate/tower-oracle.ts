/** T1 to T3, seen from outside the towers: what they sign is on their disks, and what they signed for they do. */
import { decode } from 'cborg'
import { otherSide, type Side } from '../../../src/base/channel-state.js'
import { curve, type Scalar } from '../../../src/base/curve/index.js'
import { type AccountId, type ChannelId, idText } from '../../../src/base/ids.js'
import type { RevealTask, TowerAnswer, TowerMessageOf, TowerRequest } from '../../../src/base/message/tower.js'
import type { LedgerEvent, LedgerTime } from '../../../src/base/ports/chain.js'
import { readRevealed } from '../../../src/chain-adapter/contract/state.js'
import { tableKey } from '../../../src/store/tables.js'
import { type ChannelHistory, judge } from '../../../src/watchtower/fault.js'
import type { Watched } from '../../../src/watchtower/record.js'
import { MARGIN_S, TOWERS, type TowerName } from './base.js'
import type { Book } from './books.js'
import { keyText } from './disk.js'
import type { Life } from './life.js'
import type { Oracle } from './oracle.js'
import type { TowerHost } from './tower-host.js'
import type { TowerWitness } from './tower-network.js'

/**
 * Ledger seconds that a tower needs at a stretch: its look, a withheld block, lost answers and the waits between them. A
 * dispute lasts five times as long.
 */
const ENOUGH_S = 400

interface Signed {
  readonly tower: TowerName
  readonly client: AccountId
  readonly body: TowerMessageOf<'receipt'>
}

interface Dispute {
  readonly book: Book
  readonly exit: NonNullable<ChannelHistory['exit']>
  readonly deadline: number
  standing: number
  /** By tower: the longest stretch within the dispute for which it heard the ledger, seconds. */
  readonly heard: Map<TowerName, number>
}

interface Job {
  readonly tower: TowerName
  readonly task: Extract<RevealTask, { kind: 'deadline' }>
  /** Since the job's time: when the tower began to hear the ledger without a break. */
  heardFrom: number
}

export interface TowersSeen {
  readonly oracle: Oracle
  readonly towerHosts: Readonly<Record<TowerName, TowerHost>>
  count(name: string): void
}

export class TowerOracle implements TowerWitness {
  readonly #receipts = new Map<string, Signed[]>()
  readonly #disputes = new Map<string, Dispute>()
  readonly #hearing = new Map<TowerName, { readonly life: Life; readonly since: number }>()
  /** Asked, by tower, client and job; then signed for. */
  readonly #asked = new Map<string, RevealTask>()
  readonly #jobs = new Map<string, Job>()

  constructor(private readonly world: TowersSeen) {}

  // ---- messages

  asked(tower: string, client: string, { name, body }: TowerRequest): void {
    if (name === 'revealJob') this.#asked.set(jobName(tower, client, body.job), body.task)
    if (name === 'cancelJob') this.#jobs.delete(jobName(tower, client, body.job))
  }

  /** T2: a receipt leaves only once its tower's own disk has what it says. */
  answers(name: string, clientName: string, answer: TowerAnswer): void {
    const tower = name as TowerName
    const { oracle, towerHosts } = this.world
    const { disk } = towerHosts[tower]
    const { account: client } = oracle.world.hosts[clientName as never] as { readonly account: AccountId }
    if (answer.name === 'receipt') {
      const { channel, version, secrets } = answer.body
      const book = oracle.books.of(channel as Uint8Array as ChannelId)
      if (book === undefined) return
      const side: Side = oracle.books.sideOf(book, clientName as never)
      const row = disk.rows.get(keyText(tableKey('watched', channel, side)))
      const held = row === undefined ? undefined : watchedOf(row)
      if (held === undefined || held.version < version || held.secrets < secrets) {
        oracle.break('T2', `${tower} signs for ${version}, its disk has ${held?.version}`)
      }
      const text = idText(channel)
      this.#receipts.set(text, [...(this.#receipts.get(text) ?? []), { tower, client, body: answer.body }])
      this.world.count('tower.receipt')
    }
    if (answer.name === 'jobReceipt') {
      const { job, time } = answer.body
      if (!disk.rows.has(keyText(tableKey('revealJob', client, job)))) {
        oracle.break('T2', `${tower} signs for a job that its disk does not have`)
      }
      this.world.count('tower.job')
      const task = this.#asked.get(jobName(tower, clientName, job))
      if (task?.kind === 'deadline') this.#jobs.set(jobName(tower, clientName, job), { tower, task, heardFrom: time })
    }
  }

  /** T2: the secret of a version leaves a node that requires receipts only when so many towers signed for the next. */
  secretLeaves(client: AccountId, channel: ChannelId, version: number, required: number): void {
    if (required === 0) return
    const towers = new Set(
      this.#of(channel, client).flatMap(({ tower, body }) => (body.version > version ? [tower] : [])),
    )
    if (towers.size < required) {
      this.world.oracle.break('T2', `a secret of ${version} left with ${towers.size} receipts for the next state`)
    }
  }

  #of(channel: ChannelId, client: AccountId): readonly Signed[] {
    const name = idText(client)
    return (this.#receipts.get(idText(channel)) ?? []).filter((signed) => idText(signed.client) === name)
  }

  hasSignedFor(client: AccountId, channel: ChannelId, version: number): boolean {
    return this.#of(channel, client).some(({ body }) => body.version >= version)
  }

  /** S2: a tower that is there now holds more than this version. */
  couldWarn(client: AccountId, channel: ChannelId, version: number): boolean {
    const { towerHosts } = this.world
    return this.#of(channel, client).some(
      ({ tower, body }) => body.version > version && this.#stretch(tower, 0) >= ENOUGH_S && !towerHosts[tower].away,
    )
  }

  // ---- the ledger

  /** A block is final. */
  block({ time }: LedgerTime): void {
    for (const tower of TOWERS) {
      const life = this.world.towerHosts[tower].serving
      const known = this.#hearing.get(tower)
      if (life === undefined) this.#hearing.delete(tower)
      else if (known?.life !== life) this.#hearing.set(tower, { life, since: time })
    }
    this.#now = time
    for (const { exit, deadline, heard } of this.#disputes.values()) {
      for (const tower of TOWERS) {
        const stretch = this.#stretch(tower, exit.at.time, deadline)
        heard.set(tower, Math.max(heard.get(tower) ?? 0, stretch))
      }
    }
    this.#jobsAt(time)
  }
  #now = 0

  #stretch(tower: TowerName, from: number, to = this.#now): number {
    const hearing = this.#hearing.get(tower)
    return hearing === undefined ? 0 : Math.min(to, this.#now) - Math.max(hearing.since, from)
  }

  accepted({ transaction: tx, height, time }: LedgerEvent, book: Book, version: number): void {
    const text = idText(book.id)
    const dispute = this.#disputes.get(text)
    switch (tx.kind) {
      case 'exit': {
        const exit = { poster: tx.poster, version, at: { height, time } }
        const { window } = book.terms
        this.#disputes.set(text, { book, exit, deadline: time + window, standing: version, heard: new Map() })
        return
      }
      case 'supersede':
        if (dispute !== undefined) dispute.standing = version
        return
      case 'settle':
      case 'punish':
      case 'closeChannel':
        if (dispute !== undefined) this.#judge(dispute, { kind: tx.kind, at: { height, time } })
        this.#disputes.delete(text)
        return
      default:
    }
  }

  /** T3, by the same rule by which anybody shows it with a receipt: but for towers that were not there. */
  #judge({ book, exit, deadline, standing, heard }: Dispute, end: NonNullable<ChannelHistory['end']>): void {
    const { oracle, towerHosts } = this.world
    const accounts = book.terms.accounts
    const history = {
      accounts: [accounts[0], accounts[1]] as never,
      window: deadline - exit.at.time,
      exit,
      standing,
      end,
    }
    const client = oracle.world.hosts[book.owners[otherSide(exit.poster)]].account
    for (const { tower, body } of this.#of(book.id, client)) {
      const { ledger } = oracle.world.ledger
      const parties = { ledger, tower: towerHosts[tower].account, client }
      const verdict = judge({ parties, body }, history)
      if (!verdict.ok || verdict.value.verdict !== 'guilty') continue
      // It was down, crashed again and again, or came back too late: a receipt says that it would act, not that it runs.
      if (oracle.verdicts.excused((heard.get(tower) ?? 0) < ENOUGH_S, 'tower was away')) return
      oracle.break('T3', `${tower} has signed for ${body.version} and let ${standing} stand`)
    }
  }

  /** T3: a scalar that a tower was to reveal by its deadline is in the registry, unless the job was called off. */
  #jobsAt(time: number): void {
    const { oracle } = this.world
    for (const [name, job] of this.#jobs) {
      const { tower, task } = job
      const hearing = this.#hearing.get(tower)
      if (hearing === undefined || hearing.since > job.heardFrom) job.heardFrom = hearing?.since ?? time
      if (time <= task.deadline) continue
      this.#jobs.delete(name)
      const revealed = readRevealed(oracle.world.ledger.view, curve.multiplyBase(task.scalar as Scalar))
      if (revealed !== undefined && revealed.time <= task.deadline) continue
      // Blocks come farther apart than the job's time is long, or the tower was away in it.
      const there = task.deadline - Math.max(task.from, job.heardFrom)
      if (oracle.verdicts.excused(there < MARGIN_S / 2 || oracle.world.ledger.troubled, 'reveal job late')) continue
      oracle.break('T3', `${tower} has signed for a reveal and let its lock die`)
    }
  }
}

/** The two fields that count, without the checks of a reader that trusts nobody. */
function watchedOf(row: Uint8Array): { readonly version: number; readonly secrets: number } {
  const { newest, secrets } = decode(row) as Watched
  return { version: newest?.version ?? -1, secrets: secrets.count }
}

const jobName = (tower: string, client: string, job: Uint8Array): string => `${tower}/${client}/${idText(job as never)}`
