/** Paths for the parts of one payment: the node's channels as they stand, less what other parts carry, and what was learnt. */
import { type Amount, minus, plus, ZERO } from '../base/amount.js'
import { idText } from '../base/ids.js'
import { findCircular, isCircular } from '../router/circular.js'
import type { Invoice } from '../router/invoice.js'
import type { Carried, Learnt } from '../router/learnt.js'
import type { Avoid } from '../router/pathfind.js'
import { findRoutes, type OwnChannel, type Route, type RouteContext } from '../router/route.js'
import { amountOf, costOfRoute, type PartsContext } from '../router/split.js'
import { randomBelow } from '../wire/environment.js'
import { capacityOf } from './capacity.js'
import type { RouterParts } from './router-parts.js'

/** Seconds added to every route: views of the ledger differ a little, and a random part hides how many hops are left. */
const SLACK_S = 60
const SLACK_RANDOM_S = 600

export interface PathsWish {
  readonly invoice: Invoice
  readonly learnt: Learnt
  /** Under way. */
  readonly parts: readonly Carried[]
  /** Own channels that take no part now. */
  readonly refused: ReadonlySet<string> | undefined
}

const carriedBy = (route: Route): Carried => ({
  accounts: route.hops.map(({ account }) => account),
  amount: amountOf(route),
})

export function pathsFor(parts: RouterParts, expiryFar: number, wish: PathsWish): PartsContext {
  const { chain, account, channels, view, entropy, graph, success } = parts
  const { invoice, learnt, refused } = wish
  const own: readonly OwnChannel[] = channels
    .all()
    .filter(({ text }) => refused?.has(text) !== true)
    .map((channel) => {
      const { ready, canSend, slotsFree } = capacityOf(channel)
      return { channel: channel.id, peer: channel.peer, ready, canSend, slotsFree }
    })
  const context: Omit<RouteContext, 'channels' | 'avoid' | 'expirySlack'> = {
    self: account,
    now: view().time,
    amountBits: chain.genesis.amountBits,
    expiryFar,
    graph,
    success,
    policyOf: (from, to) => learnt.policyOf(from, to),
  }
  const search = isCircular(invoice, account) ? findCircular : findRoutes
  const find: PartsContext['find'] = (amount, feeMax, taken) => {
    const carried = [...wish.parts, ...taken.map(carriedBy)]
    const edge: Avoid['edge'] = (from, to) => learnt.avoidsEdge(from, to, amount, carried)
    const able = own.filter(({ peer }) => !edge(idText(account), idText(peer)))
    return search(
      { invoice, amount, feeMax },
      {
        ...context,
        expirySlack: SLACK_S + randomBelow(entropy, SLACK_RANDOM_S),
        channels: able.map((each) => less(each, taken)),
        avoid: { hub: (hub) => learnt.avoidsHub(hub), edge },
      },
    )
  }
  const canSend = ({ channel }: Route): Amount =>
    own.find((each) => idText(each.channel) === idText(channel))?.canSend ?? ZERO
  return { find, canSend }
}

/** What the channel can still do once the routes taken have theirs. */
function less(own: OwnChannel, taken: readonly Route[]): OwnChannel {
  const through = taken.filter(({ channel }) => idText(channel) === idText(own.channel))
  if (through.length === 0) return own
  const spent = through.map(costOfRoute)
  const canSend = minus(own.canSend, plus(...spent)) ?? ZERO
  return { ...own, canSend, slotsFree: Math.max(0, own.slotsFree - through.length) }
}
