/**
 * R3, at every step: whenever nothing of a node's is under way, it has what its own books say, to the unit. So a forwarder
 * never pays more than it gets, not even for a while.
 */
import type { Channel } from '../../../src/channel/types.js'
import { NAMES, type Name } from './base.js'
import type { World } from './world.js'

/** No lock, proposal or round is between its beginning and its irrevocable end (C12). */
const isSteady = ({ phase, current, outstanding, unrevoked, pending, untold }: Channel): boolean =>
  untold.length === 0 &&
  (phase === 'closed' ||
    (phase === 'open' &&
      current.content.locks.length === 0 &&
      outstanding === null &&
      unrevoked === null &&
      pending.length === 0))

export class Reckoning {
  /** The states that were last looked at. */
  readonly #seen = new Map<Name, readonly Channel[]>()

  constructor(private readonly world: World) {}

  /** Where every event has run: what a node has in memory is on its disk. */
  async check(): Promise<void> {
    if (this.world.schedule.ready > 0) return
    for (const name of NAMES) {
      const states = this.world.hosts[name].channels().map(({ state }) => state)
      const seen = this.#seen.get(name) ?? []
      if (states.length === seen.length && states.every((state, at) => state === seen[at])) continue
      this.#seen.set(name, states)
      if (states.length > 0 && states.every(isSteady)) await this.#balance(name)
    }
  }

  async #balance(name: Name): Promise<void> {
    const { oracle, payments, hosts } = this.world
    const { lapses, books } = oracle
    // A cheater's, and books that were put back with the disk that they stood on.
    if (lapses.dishonest.has(name) || lapses.restored.has(name)) return
    const mine = books.funded().filter(({ owners }) => owners.includes(name))
    const live = hosts[name].channels().filter(({ state }) => state.phase !== 'closed').length
    // The ledger has paid, or has the channel, and the node has not heard of it yet.
    if (mine.filter(({ paid }) => paid === undefined).length !== live) return
    this.world.count('reckoned')
    const expected = books.deposited(name) + (await payments.gains(name))
    const has = books.wealth(name)
    if (has < expected || (has > expected && !payments.mayHaveMore(name))) {
      oracle.break('R3', `${name} has ${has}, its books say ${expected}`)
    }
  }
}
