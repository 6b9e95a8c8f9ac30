/** Every channel as the oracle follows it, from outside the nodes. */
import { equalBytes } from '../../../src/base/bytes.js'
import type { Side } from '../../../src/base/channel-state.js'
import { type AccountId, type ChannelId, idText } from '../../../src/base/ids.js'
import { readChannel } from '../../../src/chain-adapter/contract/state.js'
import type { Content, Terms } from '../../../src/channel/types.js'
import { NAMES, type Name } from './base.js'
import { durableChannel, durableTerms } from './durable.js'
import type { Host } from './host.js'
import type { SimulatedLedger } from './ledger.js'

export interface Book {
  readonly id: ChannelId
  readonly terms: Terms
  readonly owners: readonly [Name, Name]
  readonly pool: bigint
  /** Every content that somebody held, by version. */
  readonly contents: Map<number, Content>
  readonly digests: Map<number, string>
  /** What each side signed, by version. */
  readonly signed: readonly [Map<number, string>, Map<number, string>]
  /** Versions whose secrets have left each side, counted: whatever its disk remembers of it. */
  readonly revoked: [number, number]
  /** Whose exit stands on the ledger. */
  poster: Side | undefined
  /** Paid out by the ledger: [opener, peer]. */
  paid: readonly [bigint, bigint] | undefined
}

export interface Machines {
  readonly hosts: Readonly<Record<Name, Host>>
  readonly ledger: SimulatedLedger
}

export class Books {
  readonly #books = new Map<string, Book>()

  constructor(private readonly world: Machines) {}

  all(): readonly Book[] {
    return [...this.#books.values()]
  }

  of(id: ChannelId): Book | undefined {
    const text = idText(id)
    const known = this.#books.get(text)
    if (known !== undefined) return known
    for (const host of Object.values(this.world.hosts)) {
      const terms = durableTerms(host.disk, id)
      if (terms === undefined) continue
      const book = this.#begin(id, terms)
      if (book !== undefined) this.#books.set(text, book)
      return book
    }
    return undefined
  }

  #begin(id: ChannelId, terms: Terms): Book | undefined {
    const [opener, peer] = terms.accounts.map((account) => this.ownerOf(account))
    if (opener === undefined || peer === undefined) return undefined
    return {
      id,
      terms,
      owners: [opener, peer],
      pool: terms.deposits[0] + terms.deposits[1],
      contents: new Map(),
      digests: new Map(),
      signed: [new Map(), new Map()],
      revoked: [0, 0],
      poster: undefined,
      paid: undefined,
    }
  }

  sideOf(book: Book, name: Name): Side {
    return book.owners[0] === name ? 0 : 1
  }

  ownerOf(account: AccountId): Name | undefined {
    return NAMES.find((name) => equalBytes(this.world.hosts[name].account, account))
  }

  /** Channels of this owner, those that the ledger has paid out among them: its old disk may not know that. */
  ownedBy(name: Name): ChannelId[] {
    return this.all().flatMap(({ id, owners }) => (owners.includes(name) ? [id] : []))
  }

  /** Every channel that the ledger ever took. */
  funded(): readonly Book[] {
    return this.all().filter(({ id }) => readChannel(this.world.ledger.view, id) !== undefined)
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
    for (const book of this.funded()) if (book.owners.includes(name)) total += of(book, this.sideOf(book, name))
    return total
  }
}
