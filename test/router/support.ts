/** alice pays carol through bob's hub; mallory cheats. Everything follows from names and numbers: no randomness. */
import type { Amount } from '../../src/base/amount.js'
import { concatBytes, type Digest, u64, utf8 } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { type Arrival, type IncomingLock, openArrival } from '../../src/router/arrival.js'
import type { ForwardContext, OutgoingChannel, OutgoingOffer } from '../../src/router/forward.js'
import { createInvoice, type Invoice, type InvoiceRequest } from '../../src/router/invoice.js'
import type { Claimant } from '../../src/router/jamming/buckets.js'
import { sessionKeyFrom } from '../../src/router/onion/crypto.js'
import { EMPTY_GRAPH } from '../../src/router/pathfind.js'
import type { Policy } from '../../src/router/policy.js'
import type { OwnChannel, Route, RouteContext, RouteOffer, RouteQuery } from '../../src/router/route.js'
import { NO_EXPERIENCE } from '../../src/router/success.js'

export const cents = (value: number | bigint) => BigInt(value) as Amount
export const digest = (name: string | number): Digest => sha256(utf8(`test ${name}`))
export const ledger = digest('ledger')

export function party(name: string) {
  const key = prfScalar(utf8(name), 'test-account')
  return { name, key, account: curve.multiplyBase(key), seed: digest(`${name}'s seed`) }
}
export const alice = party('alice')
export const bob = party('bob')
export const carol = party('carol')
export const mallory = party('mallory')

/** Fresh per number. */
export const session = (n: number) => sessionKeyFrom(digest(`session ${n}`))

export const policy: Policy = {
  base: cents(5),
  ppm: 100,
  expiryDelta: 600,
  minAmount: cents(1),
  maxAmount: cents(10n ** 12n),
  enabled: true,
}

/** What alice names her payments by. */
export const SET = new Uint8Array(16).fill(7)

export const NOW = 1_800_000_000

export const toBob = digest('alice-bob')
export const toCarol = digest('bob-carol')

export const request = (change: Partial<InvoiceRequest> = {}): InvoiceRequest => ({
  ledger,
  amount: cents(124_122),
  secret: digest('payment secret'),
  reference: 'claim 7',
  created: NOW - 10,
  expires: NOW + 3_600,
  finalDelta: 1_200,
  hints: [{ hub: bob.account, url: 'ws://127.0.0.1:9735', channel: toCarol, policy }],
  ...change,
})

export function invoiceOf(change: Partial<InvoiceRequest> = {}): Invoice {
  const made = createInvoice(request(change), carol.seed, carol.key)
  if (!made.ok) throw new Error(`${made.error.code} ${made.error.detail}`)
  return made.value
}

export const own: OwnChannel = {
  channel: toBob,
  peer: bob.account,
  ready: true,
  canSend: cents(10n ** 9n),
  slotsFree: 10,
}

/** The whole invoice over one route. */
export const routeQuery = (change: Partial<RouteQuery> = {}): RouteQuery => {
  const { invoice = invoiceOf() } = change
  return { invoice, amount: invoice.amount, feeMax: cents(1_000), ...change }
}

export const routeContext = (change: Partial<RouteContext> = {}): RouteContext => ({
  self: alice.account,
  now: NOW,
  amountBits: 48,
  channels: [own],
  graph: EMPTY_GRAPH,
  success: NO_EXPERIENCE,
  expirySlack: 60,
  expiryFar: 86_400,
  ...change,
})

export const outgoing: OutgoingChannel = {
  channel: toCarol,
  policy,
  phase: 'ready',
  canSend: cents(10n ** 9n),
  slotsFree: 10,
  room: { whole: { slots: 10, value: cents(10n ** 9n) }, general: { slots: 0, value: cents(0n) }, ownGeneral: 0 },
}

/** A stranger, where nobody is known yet. */
export const stranger: Claimant = {
  others: { slots: 0, value: cents(0n) },
  known: false,
  reach: { slots: 0, value: cents(0n) },
  protected: { slots: 0, value: cents(0n) },
  mayFail: true,
}

export const forwardContext = (change: Partial<ForwardContext> = {}): ForwardContext => ({
  now: NOW,
  ledgerFresh: true,
  forwarding: true,
  replayed: false,
  bounds: { near: 300, far: 86_400 },
  claimant: stranger,
  channelsTo: (account) => (account.join() === carol.account.join() ? [outgoing] : []),
  pointUse: () => 'free',
  ...change,
})

/** The lock as the next node sees it. */
export const lockFrom = (
  peer: { readonly account: IncomingLock['peer'] },
  offer: RouteOffer | OutgoingOffer,
  channel = toBob,
): IncomingLock => ({
  channel,
  id: 3,
  peer: peer.account,
  amount: offer.amount,
  point: offer.point,
  expiry: offer.expiry,
  onion: offer.onion,
})

export function arrivalOf<K extends Arrival['kind']>(
  kind: K,
  lock: IncomingLock,
  node: { readonly key: Parameters<typeof openArrival>[1] },
): Extract<Arrival, { kind: K }> {
  const arrival = openArrival(lock, node.key, ledger)
  if (arrival.kind !== kind) throw new Error(`arrival is ${arrival.kind}`)
  return arrival as Extract<Arrival, { kind: K }>
}

export function must<T>(result: { ok: true; value: T } | { ok: false; error: { code: string } }): T {
  if (!result.ok) throw new Error(result.error.code)
  return result.value
}

/** A route of any length to carol, whose locks pay `policy` at every hop. */
export function longRoute(count: number, amount: bigint): Route {
  const hops = Array.from({ length: count }, (_, i) => ({
    account: i === count - 1 ? carol.account : party(`hop ${i}`).account,
    amount: cents(amount + BigInt(count - 1 - i)),
    expiry: NOW + 1_000 + 600 * (count - 1 - i),
  }))
  return { channel: toBob, hops, fee: cents(BigInt(count - 1)) }
}

/** Deterministic bytes for mutants. */
export const noise = (n: number): Uint8Array => sha256(concatBytes(utf8('noise'), u64(n)))
