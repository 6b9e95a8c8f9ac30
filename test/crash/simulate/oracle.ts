/** What must hold, seen from outside the nodes: after every step, at every message that leaves, at every payment of the ledger. */
import { equalBytes } from '../../../src/base/bytes.js'
import { decodeChannelState, otherSide, type Side } from '../../../src/base/channel-state.js'
import { type AccountId, type ChannelId, idText } from '../../../src/base/ids.js'
import type { LedgerEvent } from '../../../src/base/ports/chain.js'
import { readChannel, readRevealed } from '../../../src/chain-adapter/contract/state.js'
import { contentTotal } from '../../../src/channel/content.js'
import type { Channel, Content, Terms } from '../../../src/channel/types.js'
import type { NodeMessage } from '../../../src/node/messages.js'
import { ABSENT_S, NAMES, type Name, STALL_S } from './base.js'
import { durableChannel, durableMark, durableTerms } from './durable.js'
import type { Host } from './host.js'
import type { SimulatedLedger } from './ledger.js'
import type { Network } from './network.js'
import type { Proofs } from './proofs.js'

/** The first clause that was broken, and what was seen. */
export class Violation extends Error {
  constructor(
    readonly clause: string,
    readonly what: string,
  ) {
    super(`${clause}: ${what}`)
  }
}

/** A channel as the oracle follows it. */
interface Book {
  readonly id: ChannelId
  readonly terms: Terms
  readonly owners: readonly [Name, Name]
  /** Every content that somebody held, by version. */
  readonly contents: Map<number, Content>
  readonly digests: Map<number, string>
  /** What each side signed, by version. */
  readonly signed: readonly [Map<number, string>, Map<number, string>]
  /** Versions whose secrets have left each side, counted: whatever its disk remembers of it. */
  readonly revoked: [number, number]
  /** Paid out by the ledger: [opener, peer]. */
  paid: readonly [bigint, bigint] | undefined
}

export interface Watched {
  readonly hosts: Readonly<Record<Name, Host>>
  readonly network: Network
  readonly ledger: SimulatedLedger
  readonly proofs: Proofs
}

export class Oracle {
  first: Violation | undefined
  /** Whoever cheats is owed nothing. */
  readonly dishonest = new Set<Name>()
  /** Whose disk was put back to an earlier moment. */
  readonly restored = new Set<Name>()
  /** Of these, whose owner copied all files by hand: without a tower or the peer's word nothing shows that they are old. */
  readonly copied = new Set<Name>()
  /** Channels that their operator has told to exit. */
  readonly forced = new Set<string>()
  readonly books = new Map<string, Book>()
  punished = 0
  settled = 0
  closed = 0
  superseded = 0
  exits = 0
  readonly #seen = new WeakMap<Channel, true>()

  constructor(private readonly world: Watched) {}

  break(clause: string, what: string): undefined {
    this.first ??= new Violation(clause, what)
  }

  // ---- messages

  /** C6, C11, S2: what a message promises is on the disk at the moment in which it leaves. */
  leaving(name: Name, _to: AccountId, message: NodeMessage): void {
    if (!('channel' in message.body) || this.dishonest.has(name)) return
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
    const book = this.#book(id)
    if (book !== undefined) {
      const side: Side = book.owners[0] === name ? 0 : 1
      book.revoked[side] = Math.max(book.revoked[side], secretOf + 1)
    }
    if (durable.current.content.version <= secretOf) {
      this.break('C11', `the secret of ${secretOf} left ${name}, whose disk can still publish it`)
    }
    if (durable.revoked <= secretOf) this.break('C6', `the secret of ${secretOf} left ${name} before its sync`)
    if (mark !== undefined && mark.revoked <= secretOf) {
      this.break('S2', `the secret of ${secretOf} left ${name} before its high-water file's sync`)
    }
  }

  #signs(name: Name, id: ChannelId, version: number, digest: string): void {
    const book = this.#book(id)
    if (book === undefined) return
    const side: Side = book.owners[0] === name ? 0 : 1
    const before = book.signed[side].get(version)
    // Files copied by hand from before a commit that its peer never heard of: nothing can tell them from the newest.
    const known = before !== undefined && !this.copied.has(name)
    if (known && before !== digest) this.break('C7', `${name} signed two contents of version ${version}`)
    book.signed[side].set(version, digest)
  }

  #book(id: ChannelId): Book | undefined {
    const name = idText(id)
    const known = this.books.get(name)
    if (known !== undefined) return known
    for (const host of Object.values(this.world.hosts)) {
      const terms = durableTerms(host.disk, id)
      if (terms === undefined) continue
      const [opener, peer] = terms.accounts.map((account) => this.ownerOf(account))
      if (opener === undefined || peer === undefined) return undefined
      const owners = [opener, peer] as const
      const signed = [new Map<number, string>(), new Map<number, string>()] as const
      const book: Book = {
        id,
        terms,
        owners,
        contents: new Map(),
        digests: new Map(),
        signed,
        revoked: [0, 0],
        paid: undefined,
      }
      this.books.set(name, book)
      return book
    }
    return undefined
  }

  ownerOf(account: AccountId): Name | undefined {
    return NAMES.find((name) => equalBytes(this.world.hosts[name].account, account))
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
        if (stopped !== undefined && !this.#excused(name)) this.break(stopped, `${name} stopped a channel`)
        const book = this.#book(id)
        if (book !== undefined) this.#state(name, book, state)
      }
    }
  }

  #excused(name: Name): boolean {
    return this.dishonest.has(name) || this.restored.has(name)
  }

  #state(name: Name, book: Book, state: Channel): void {
    const pool = book.terms.deposits[0] + book.terms.deposits[1]
    for (const built of [state.current, state.outstanding]) {
      if (built === null) continue
      const { content, digest } = built
      if (contentTotal(content) !== pool) this.break('C11', `${name}: balances and locks are not the deposits`)
      // A commit that was not synced never left: after a crash another may take its place.
      if (this.#excused(name) || built !== state.current) continue
      const known = book.digests.get(content.version)
      const text = idText(digest)
      if (known !== undefined && known !== text) this.break('C7', `two contents of version ${content.version}`)
      book.digests.set(content.version, text)
      book.contents.set(content.version, content)
    }
    const honest = !book.owners.some((owner) => this.#excused(owner))
    if (honest && state.phase === 'broken') this.break(state.breach ?? 'C5', `${name} finds a breach of an honest peer`)
    if (honest && state.phase === 'recovery') this.break('C8', `${name} believes that it has lost data`)
  }

  // ---- the ledger

  accepted({ transaction: tx, time }: LedgerEvent): undefined {
    if (!('channel' in tx)) return
    const book = this.#book(tx.channel as ChannelId)
    if (book === undefined) return
    switch (tx.kind) {
      case 'exit':
        this.exits += 1
        this.#exit(book, tx.poster, tx.state)
        return
      case 'supersede':
        this.superseded += 1
        return
      case 'closeChannel':
      case 'settle': {
        const values = this.world.proofs.valuesOf(tx.proof)
        if (values?.[0] === undefined || values[1] === undefined) return this.break('L6', 'a proof that nobody made')
        if (tx.kind === 'settle') this.settled += 1
        else this.closed += 1
        return this.#paid(book, [values[0], values[1]], time)
      }
      case 'punish': {
        this.punished += 1
        const pool = book.terms.deposits[0] + book.terms.deposits[1]
        const poster = this.#posters.get(idText(book.id))
        if (poster === undefined) return this.break('L7', 'a punishment without an exit')
        return this.#paid(book, poster === 0 ? [0n, pool] : [pool, 0n], time)
      }
      default:
        return
    }
  }

  readonly #posters = new Map<string, Side>()

  #exit(book: Book, poster: Side, encoded: Uint8Array): void {
    const name = book.owners[poster]
    const peer = book.owners[otherSide(poster)]
    this.#posters.set(idText(book.id), poster)
    if (this.dishonest.has(name)) return
    const state = decodeChannelState(encoded)
    const revoked = book.revoked[poster]
    const apart = this.world.network.wereApart(name, peer, Math.min(ABSENT_S, STALL_S))
    if (state.ok && state.value.version < revoked) {
      // S2: `absent_s` has passed and the peer could not object: what towers are for.
      if (this.copied.has(name) && apart) {
        this.dishonest.add(name)
        return
      }
      this.break('C10', `${name} published version ${state.value.version}, revoked up to ${revoked}`)
    }
    const allowed = this.forced.has(idText(book.id)) || this.#excused(peer) || apart
    if (!allowed) this.break('C10', `${name} forced a close on its honest peer ${peer}`)
  }

  /** C12: what an honest side is paid is at least what it irrevocably had. */
  #paid(book: Book, paid: readonly [bigint, bigint], time: number): undefined {
    if (book.paid !== undefined) return this.break('L6', 'a channel is paid out twice')
    book.paid = paid
    const pool = book.terms.deposits[0] + book.terms.deposits[1]
    if (paid[0] + paid[1] !== pool) this.break('L6', 'a payout is not the pool')
    for (const side of [0, 1] as const) {
      const name = book.owners[side]
      const peer = book.owners[otherSide(side)]
      if (this.dishonest.has(name) || (this.restored.has(name) && this.#excused(peer))) continue
      const least = this.#least(book, side, time)
      if (least !== undefined && paid[side] < least) {
        this.break('C12', `${name} is paid ${paid[side]}, irrevocably its own were ${least}`)
      }
    }
  }

  /** The smallest that any state gives which the other side could still publish unpunished. */
  #least(book: Book, side: Side, time: number): bigint | undefined {
    // Whoever has lost data is owed what its honest peer knows.
    const owner = book.owners[this.restored.has(book.owners[side]) ? otherSide(side) : side]
    const durable = durableChannel(this.world.hosts[owner].disk, book.id)
    if (durable === undefined) return undefined
    const contents = [durable.current.content]
    if (durable.outstanding !== null) contents.push(durable.outstanding.content)
    const before = book.contents.get(durable.current.content.version - 1)
    if (durable.unrevoked !== null && before !== undefined) contents.push(before)
    const values = contents.map((content) => this.#value(content, side, time))
    return values.reduce((least, value) => (value < least ? value : least))
  }

  /** L8, L9: locks by the registry. */
  #value({ balances, locks }: Content, side: Side, time: number): bigint {
    let value: bigint = balances[side]
    for (const { from, amount, point, expiry } of locks) {
      const revealed = readRevealed(this.world.ledger.view, point)
      const won = revealed !== undefined && revealed.time <= expiry
      // Not decided yet: it may become either's.
      const mine = won ? from !== side : time > expiry && from === side
      if (mine) value += amount
    }
    return value
  }

  // ---- the end

  /** Every channel that the ledger ever took. */
  funded(): readonly Book[] {
    return [...this.books.values()].filter(({ id }) => readChannel(this.world.ledger.view, id) !== undefined)
  }

  /** What a side has in its channels, and what the ledger paid it. */
  wealth(name: Name): bigint {
    return this.#sum(name, (book, side) => {
      const { disk } = this.world.hosts[name]
      return book.paid?.[side] ?? durableChannel(disk, book.id)?.current.content.balances[side] ?? 0n
    })
  }

  deposited(name: Name): bigint {
    return this.#sum(name, ({ terms }, side) => terms.deposits[side])
  }

  #sum(name: Name, of: (book: Book, side: Side) => bigint): bigint {
    let total = 0n
    for (const book of this.funded()) {
      const side = book.owners.indexOf(name)
      if (side === 0 || side === 1) total += of(book, side)
    }
    return total
  }
}
