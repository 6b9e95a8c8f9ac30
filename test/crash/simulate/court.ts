/** What the ledger takes of honest nodes, and what it pays them. */
import { decodeChannelState, otherSide, type Side } from '../../../src/base/channel-state.js'
import type { ChannelId } from '../../../src/base/ids.js'
import type { LedgerEvent } from '../../../src/base/ports/chain.js'
import { readRevealed } from '../../../src/chain-adapter/contract/state.js'
import type { Content } from '../../../src/channel/types.js'
import type { Book } from './books.js'
import { durableChannel } from './durable.js'
import type { Oracle } from './oracle.js'

export class Court {
  constructor(private readonly oracle: Oracle) {}

  accepted(event: LedgerEvent): undefined {
    const { transaction: tx, time } = event
    const { oracle } = this
    const { proofs, hosts } = oracle.world
    if (tx.kind === 'reveal' && tx.delegate !== null) oracle.world.count('tower.reveal')
    if (!('channel' in tx)) return
    const book = oracle.books.of(tx.channel as ChannelId)
    if (book === undefined) return
    const posted = tx.kind === 'exit' || tx.kind === 'supersede' ? decodeChannelState(tx.state) : undefined
    oracle.towers.accepted(event, book, posted?.ok === true ? posted.value.version : 0)
    const victim = book.poster === undefined ? undefined : hosts[book.owners[otherSide(book.poster)]]
    // Nobody else was there to do it.
    if (victim?.up === false && (tx.kind === 'punish' || tx.kind === 'supersede'))
      oracle.world.count(`tower.${tx.kind}`)
    switch (tx.kind) {
      case 'exit':
        return this.#exit(book, tx.poster, posted?.ok === true ? posted.value.version : 0)
      case 'closeChannel':
      case 'settle': {
        const values = proofs.valuesOf(tx.proof)
        if (values?.[0] === undefined || values[1] === undefined) return oracle.break('L6', 'a proof that nobody made')
        return this.#paid(book, [values[0], values[1]], time)
      }
      case 'punish':
        if (book.poster === undefined) return oracle.break('L7', 'a punishment without an exit')
        return this.#paid(book, book.poster === 0 ? [0n, book.pool] : [book.pool, 0n], time)
      default:
        return
    }
  }

  /** None of an honest party's revoked states is published by itself. */
  #exit(book: Book, poster: Side, version: number): undefined {
    const { lapses, verdicts, world, towers } = this.oracle
    const name = book.owners[poster]
    book.poster = poster
    const revoked = book.revoked[poster]
    if (lapses.dishonest.has(name) || version >= revoked) return
    // S2: files copied by hand are licensed after `absent_s` where neither the peer nor a tower was there to object, or
    // the peer has lost what it would show.
    const { disk } = world.hosts[book.owners[otherSide(poster)]]
    const knows = (durableChannel(disk, book.id)?.current.content.version ?? -1) > version
    const speechless = this.oracle.wereApart(book) || !knows
    const unwarned = speechless && !towers.couldWarn(world.hosts[name].account, book.id, version)
    if (verdicts.excused(lapses.copied(name, book.id) && unwarned, 'revoked state: copied files, nobody there')) {
      lapses.dishonest.add(name)
      return
    }
    this.oracle.break('C10', `${name} published version ${version}, revoked up to ${revoked}`)
  }

  /** C12: what an honest side is paid is at least what it irrevocably had. */
  #paid(book: Book, paid: readonly [bigint, bigint], time: number): undefined {
    const { lapses, verdicts } = this.oracle
    if (book.paid !== undefined) return this.oracle.break('L6', 'a channel is paid out twice')
    book.paid = paid
    if (paid[0] + paid[1] !== book.pool) this.oracle.break('L6', 'a payout is not the pool')
    for (const side of [0, 1] as const) {
      const [name, peer] = [book.owners[side], book.owners[otherSide(side)]]
      // Whoever publishes what it has revoked loses all of it (L7).
      if (lapses.dishonest.has(name)) continue
      // Both have lost data: nobody is left who could show the newest state (docs/recovery.md).
      const [gone, both] = [lapses.lost(name, book.id), lapses.lost(peer, book.id) || lapses.dishonest.has(peer)]
      if (verdicts.excused(gone && both, 'payout: nobody has the newest state')) continue
      const least = this.#least(book, side, time)
      if (least !== undefined && paid[side] < least) {
        this.oracle.break('C12', `${name} is paid ${paid[side]}, irrevocably its own were ${least}`)
      }
    }
  }

  /** The smallest that any state gives which the other side could still publish unpunished. */
  #least(book: Book, side: Side, time: number): bigint | undefined {
    const { lapses, world } = this.oracle
    // Whoever has lost data is owed what its honest peer knows.
    const owner = book.owners[lapses.lost(book.owners[side], book.id) ? otherSide(side) : side]
    const durable = durableChannel(world.hosts[owner].disk, book.id)
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
      const revealed = readRevealed(this.oracle.world.ledger.view, point)
      const won = revealed !== undefined && revealed.time <= expiry
      // Not decided yet: it may become either's.
      const mine = won ? from !== side : time > expiry && from === side
      if (mine) value += amount
    }
    return value
  }
}
