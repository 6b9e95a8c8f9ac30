/** What must hold, seen from outside the nodes: at every message that leaves, after every step; court.ts: on the ledger. */
import { type AccountId, type ChannelId, idText } from '../../../src/base/ids.js'
import { contentTotal } from '../../../src/channel/content.js'
import type { Channel } from '../../../src/channel/types.js'
import type { NodeMessage } from '../../../src/node/messages.js'
import type { Apart } from './apart.js'
import { ABSENT_S, NAMES, type Name, STALL_S, type TowerName } from './base.js'
import { type Book, Books } from './books.js'
import { Court } from './court.js'
import { durableChannel, durableMark } from './durable.js'
import type { Host } from './host.js'
import { Lapses } from './lapses.js'
import type { SimulatedLedger } from './ledger.js'
import { pairOf } from './network.js'
import type { Proofs } from './proofs.js'
import type { TowerHost } from './tower-host.js'
import { TowerOracle } from './tower-oracle.js'
import { Verdicts, type Violation } from './verdicts.js'

export interface Watched {
  readonly hosts: Readonly<Record<Name, Host>>
  readonly towerHosts: Readonly<Record<TowerName, TowerHost>>
  readonly apart: Apart
  readonly ledger: SimulatedLedger
  readonly proofs: Proofs
  count(name: string): void
}

/** A node's clock of absence runs from one block to the next; after a reunion it stops with the first messages. */
const CLOCK_S = 120
const LATELY_S = 300

export class Oracle {
  readonly verdicts: Verdicts
  readonly lapses = new Lapses()
  readonly books: Books
  readonly court: Court
  readonly towers: TowerOracle
  readonly #seen = new WeakMap<Channel, true>()
  /** Ends of channels that were judged. */
  readonly #judged = new Set<string>()

  constructor(readonly world: Watched) {
    this.verdicts = new Verdicts((name) => world.count(name))
    this.books = new Books(world)
    this.court = new Court(this)
    this.towers = new TowerOracle({ oracle: this, towerHosts: world.towerHosts, count: (name) => world.count(name) })
  }

  get first(): Violation | undefined {
    return this.verdicts.first
  }

  break(clause: string, what: string): undefined {
    return this.verdicts.break(clause, what)
  }

  // ---- messages

  /** C6, C11, S2: what a message promises is on the disk at the moment in which it leaves. */
  leaving(name: Name, _to: AccountId, message: NodeMessage): void {
    // Whoever publishes what it has revoked keeps no promise; its node goes on as an honest one, but unheard.
    if (!('channel' in message.body) || this.lapses.dishonest.has(name)) return
    const id = message.body.channel as ChannelId
    const { disk } = this.world.hosts[name]
    switch (message.name) {
      case 'commit': {
        const { version, digest, revocation } = message.body
        this.#signs(name, id, version, idText(digest))
        this.#promised(name, id, version, revocation === null ? undefined : revocation.version)
        return
      }
      case 'ack': {
        const { version, revocation } = message.body
        const durable = durableChannel(disk, id)
        if (durable === undefined || durable.current.content.version < version) {
          this.break('C6', `${name} acknowledges ${version} of a state that its disk does not hold`)
        } else if (durable.current.content.version === version) {
          this.#signs(name, id, version, idText(durable.current.digest))
        }
        this.#promised(name, id, version, revocation.version)
        return
      }
      case 'revoke':
        this.#promised(name, id, 0, message.body.revocation.version)
        return
      case 'closeOffer':
      case 'closeAccept': {
        const phase = durableChannel(disk, id)?.phase
        if (phase !== 'closing' && phase !== 'recovery' && phase !== 'closed')
          this.break('C10', `${name} signs a close while its disk says ${phase}`)
        // In RECOVERY the mark of a database that is behind stays as it was: above it.
        if (phase === 'closing' && durableMark(disk, id)?.ended !== true)
          this.break('S2', `${name} signs a close that its high-water file does not know`)
        return
      }
      default:
        return
    }
  }

  #promised(name: Name, id: ChannelId, version: number, secretOf: number | undefined): void {
    const { disk } = this.world.hosts[name]
    const durable = durableChannel(disk, id)
    if (durable === undefined || durable.signed.version < version) {
      this.break('C6', `${name} signed ${version}, its disk knows ${durable?.signed.version}`)
      return
    }
    const mark = durableMark(disk, id)
    if (mark === undefined || mark.version < version) {
      this.break('S2', `${name} signed ${version}, its high-water file knows ${mark?.version}`)
    }
    if (secretOf === undefined) return
    const book = this.books.of(id)
    if (book !== undefined) {
      const side = this.books.sideOf(book, name)
      book.revoked[side] = Math.max(book.revoked[side], secretOf + 1)
    }
    if (durable.current.content.version <= secretOf) {
      this.break('C11', `the secret of ${secretOf} left ${name}, whose disk can still publish it`)
    }
    if (durable.revoked <= secretOf) this.break('C6', `the secret of ${secretOf} left ${name} before its sync`)
    if (mark !== undefined && mark.revoked <= secretOf) {
      this.break('S2', `the secret of ${secretOf} left ${name} before its high-water file's sync`)
    }
    const { account, config } = this.world.hosts[name]
    this.towers.secretLeaves(account, id, secretOf, config.towerReceiptsRequired ?? 0)
  }

  #signs(name: Name, id: ChannelId, version: number, digest: string): void {
    const book = this.books.of(id)
    if (book === undefined) return
    const signed = book.signed[this.books.sideOf(book, name)]
    const before = signed.get(version)
    signed.set(version, digest)
    if (before === undefined || before === digest) return
    // Files copied by hand from before a commit that its peer never heard of: nothing can tell them from the newest.
    if (this.verdicts.excused(this.lapses.copied(name, id), 'second content after files were copied')) return
    this.break('C7', `${name} signed two contents of version ${version}`)
  }

  // ---- states

  /** After every step: channels whose state is another object than the last time. */
  states(): void {
    for (const name of NAMES) {
      const host = this.world.hosts[name]
      if (host.failure !== undefined) this.break('S1', `${name} does not start: ${host.failure}`)
      for (const { id, state, stopped } of host.channels()) {
        if (this.#seen.has(state)) continue
        this.#seen.set(state, true)
        const book = this.books.of(id)
        if (book !== undefined) this.#state(name, book, state, stopped)
      }
    }
    for (const { name, failure } of Object.values(this.world.towerHosts)) {
      if (failure !== undefined) this.break('S1', `${name} does not start: ${failure}`)
    }
  }

  /** Whoever cheats, or has lost what it signed in this channel, is no witness of what both agreed on. */
  #unsound(name: Name, { id }: Book): boolean {
    return this.lapses.dishonest.has(name) || this.lapses.lost(name, id)
  }

  #state(name: Name, book: Book, state: Channel, stopped: string | undefined): void {
    const unsound = this.#unsound(name, book)
    for (const built of [state.current, state.outstanding]) {
      if (built === null) continue
      const { content, digest } = built
      if (contentTotal(content) !== book.pool) this.break('C11', `${name}: balances and locks are not the deposits`)
      // A commit that was not synced never left: after a crash another may take its place.
      if (unsound || built !== state.current) continue
      const known = book.digests.get(content.version)
      const text = idText(digest)
      if (known !== undefined && known !== text) this.break('C7', `two contents of version ${content.version}`)
      book.digests.set(content.version, text)
      book.contents.set(content.version, content)
    }
    if (stopped !== undefined) this.#ends(name, book, stopped, `${name} stopped a channel`, false)
    const forgot = this.#forgot(name, book, state)
    if (state.phase === 'broken') this.#ends(name, book, state.breach ?? 'C5', `${name} finds a breach`, forgot)
    if (state.phase === 'recovery') this.#ends(name, book, 'C8', `${name} believes that it has lost data`, unsound)
    if (state.phase === 'exiting') this.#decidesToExit(name, book, state)
  }

  /**
   * C4, C8: a follower whose disk went back to before a proposal of its own, and to no earlier version: the commit that has
   * it names what was never proposed. Its peer's word proves no loss, so it has found a breach.
   */
  #forgot(name: Name, book: Book, { breach }: Channel): boolean {
    return breach === 'C4' && this.books.sideOf(book, name) === 1 && this.lapses.lost(name, book.id)
  }

  #ends(name: Name, { id }: Book, clause: string, what: string, unsound: boolean): void {
    const told = `${clause}/${name}/${idText(id)}`
    if (this.#judged.has(told)) return
    this.#judged.add(told)
    if (!this.verdicts.excused(unsound, `${clause} where data was lost`)) this.break(clause, what)
  }

  /** C10: honest peers never force a close, but where the program kept them apart for longer than the licence asks for. */
  #decidesToExit(name: Name, book: Book, state: Channel): void {
    const told = `exit/${name}/${idText(book.id)}`
    if (this.#judged.has(told) || this.lapses.dishonest.has(name)) return
    this.#judged.add(told)
    const { verdicts, lapses } = this
    const peer = book.owners[book.owners[0] === name ? 1 : 0]
    if (verdicts.excused(lapses.forced(name, book.id), 'exit: forced by its operator')) return
    if (verdicts.excused(this.wereApart(book), 'exit: kept apart')) return
    // C5: after a breach only an exit is left.
    if (verdicts.excused(this.#forgot(name, book, state), 'exit: forgot its own proposal')) return
    // C8: a peer that has lost data runs no round any more: to its peer it stays away.
    if (verdicts.excused(lapses.lost(peer, book.id), 'exit: peer lost data')) return
    if (verdicts.excused(lapses.dishonest.has(peer), 'exit: dishonest peer')) return
    this.break('C10', `${name} forced a close on its honest peer ${peer}`)
  }

  /**
   * Both sides have lost the newest state and no tower has it: the pool stays locked, by design (docs/recovery.md, "Both
   * parties gone"). Counted once.
   */
  isLockedForGood(book: Book): boolean {
    const { lapses, world } = this
    if (book.paid !== undefined || !book.owners.every((owner) => lapses.lost(owner, book.id))) return false
    const newest = Math.max(...book.digests.keys())
    const clients = book.owners.map((owner) => world.hosts[owner].account)
    if (clients.some((client) => this.towers.hasSignedFor(client, book.id, newest))) return false
    const told = `locked/${idText(book.id)}`
    if (!this.#judged.has(told)) this.verdicts.excused(true, 'stuck: both sides lost it, no tower has it')
    this.#judged.add(told)
    return true
  }

  /** Whether the two could not speak to each other for as long as an exit asks for (C10, S2). */
  wereApart({ owners }: Book): boolean {
    return this.world.apart.were(pairOf(...owners), ABSENT_S - CLOCK_S, STALL_S - CLOCK_S, LATELY_S)
  }
}
