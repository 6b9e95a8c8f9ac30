/** From the terms of an opening to state 0 and the channel that starts with it (L5, C1). */

import type { Digest } from '../base/bytes.js'
import { equalBytes } from '../base/bytes.js'
import { curve, type Point, type Scalar, type Signature, scalarToBigint } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import type { VersionKeys } from '../base/message/channel.js'
import { channelIdOf } from '../chain-adapter/contract/channel-rules.js'
import { commit } from '../privacy/commitment.js'
import { build, validRandomizer } from './content.js'
import { channelKeys, createContext, signingKey } from './keys.js'
import type { Opening, OpeningEnv, OpenTerms } from './opening-types.js'
import { EMPTY_STORE, revocationHash, revocationSecret } from './revocation.js'
import { paired } from './turn.js'
import type { Built, Channel, Context, Terms } from './types.js'

/** State 0 and everything around it. */
export interface Birth {
  readonly context: Context
  readonly openTerms: OpenTerms
  readonly built: Built
  /** Own, of state 0. */
  readonly signature: Signature
  /** The channel in phase funding, with the peer's signature of state 0. */
  channel(peerSignature: Signature): Channel
}

type Identity = Pick<Terms, 'ledger' | 'channel' | 'accounts' | 'nonce'>

const order = <T>(side: 0 | 1, own: T, peers: T): [T, T] => (side === 0 ? [own, peers] : [peers, own])

const depositOf = (amount: bigint, blinding: Scalar | null): Point | null =>
  blinding === null ? null : commit(amount, scalarToBigint(blinding))

/** The channel's id and what its keys derive from; undefined before both deposits' openings are known. */
export function identify(opening: Opening, env: OpeningEnv): Identity | undefined {
  const { request, own, peer, side } = opening
  if (peer === null) return undefined
  const accounts = order<AccountId>(side, env.self.account, request.peer.account)
  const [opener, second] = order(side, own.blinding, peer.blinding)
  const first = depositOf(request.deposit, opener)
  if (first === null) return undefined
  const deposits = [first, depositOf(request.share, second)] as const
  const { nonce, window } = request
  return {
    ledger: env.ledger,
    accounts,
    nonce,
    channel: channelIdOf({ ledger: env.ledger, accounts, nonce, window, deposits }),
  }
}

/** Own revocation hashes and R of versions 0 and 1, once both R are ready. */
export function firstKeys(opening: Opening, env: OpeningEnv): [VersionKeys, VersionKeys] | undefined {
  const identity = identify(opening, env)
  const [zero, one] = opening.randomizers
  if (identity === undefined || zero === null || one === null) return undefined
  const { revocation } = channelKeys(env.seed, identity)
  const keysOf = (version: number, randomizer: Uint8Array): VersionKeys => ({
    hash: revocationHash(revocationSecret(revocation, version)),
    randomizer,
  })
  return [keysOf(0, zero), keysOf(1, one)]
}

/** State 0 of both sides' first keys. Undefined where the peer's keys or terms are out of bounds. */
export function bear(opening: Opening, env: OpeningEnv): Birth | undefined {
  const identity = identify(opening, env)
  const own = firstKeys(opening, env)
  const { peerKeys, peer, request, side } = opening
  if (identity === undefined || own === undefined || peerKeys === null || peer === null) return undefined
  const keys = channelKeys(env.seed, identity)
  const ownKey = curve.multiplyBase(signingKey(env.seed, env.ledger, identity.accounts[0], request.nonce))
  const blindings = order(side, opening.own.blinding, peer.blinding)
  const terms: Terms = {
    ...identity,
    channelKeys: order(side, ownKey, peer.channelKey),
    moduli: order(side, env.self.n, request.peer.n),
    window: request.window,
    deposits: [request.deposit, request.share],
    blindings: [blindings[0], blindings[1]].map((b) => (b === null ? 0n : scalarToBigint(b))) as [bigint, bigint],
    limits: order(side, opening.own.limits, peer.limits),
    state: new Uint8Array(32) as Digest, // known once state 0 is built: nothing of it depends on this
  }
  const draft = createContext(terms, side, keys, env.policy)
  if (!draft.ok) return undefined
  const theirs = side === 0 ? 1 : 0
  const valid = peerKeys.every(({ randomizer }) => validRandomizer(draft.value, theirs, randomizer))
  if (!valid || equalBytes(peerKeys[0].randomizer, peerKeys[1].randomizer)) return undefined // C2
  const content = { version: 0, balances: terms.deposits, locks: [], at: env.view }
  const built = build(draft.value, content, order(side, own[0], peerKeys[0]))
  const context: Context = { ...draft.value, terms: { ...terms, state: built.digest } }
  const signature = curve.sign(built.digest, keys.signing)
  return {
    context,
    built,
    signature,
    openTerms: openTermsOf(context.terms, request.validUntil),
    channel: (peerSignature) => firstChannel(context, built, signature, peerSignature, own[1], peerKeys[1]),
  }
}

const openTermsOf = (terms: Terms, validUntil: number): OpenTerms => ({
  kind: 'openChannel',
  ledger: terms.ledger as Uint8Array as Digest,
  channel: terms.channel as Uint8Array as Digest,
  accounts: [terms.accounts[0], terms.accounts[1]],
  nonce: terms.nonce,
  window: terms.window,
  validUntil,
  state: terms.state,
  channelKeys: [terms.channelKeys[0], terms.channelKeys[1]],
})

function firstChannel(
  context: Context,
  built: Built,
  own: Signature,
  peers: Signature,
  ownNext: VersionKeys,
  peerNext: VersionKeys,
): Channel {
  return {
    ...UNUSED,
    phase: 'funding',
    current: {
      ...built,
      content: { ...built.content, at: { height: 0, time: 0 } },
      signatures: paired(context, own, peers),
    },
    signed: { version: 0, digest: built.digest },
    peerKeys: peerNext,
    peerRandomizer: peerNext.randomizer,
    randomizers: new Map([[1, ownNext.randomizer]]),
  }
}

/** What no restart keeps: connection, held commit, clocks, proofs under way. */
export const VOLATILE = {
  link: 'down',
  held: null,
  waiting: null,
  ready: false,
  toldAgain: false,
  proving: false,
  settling: null,
} as const satisfies Partial<Channel>

/** A channel in which nothing has happened yet. */
export const UNUSED: Omit<Channel, 'phase' | 'current' | 'signed' | 'peerKeys' | 'peerRandomizer' | 'randomizers'> = {
  breach: null,
  outstanding: null,
  unrevoked: null,
  pending: [],
  nextId: [0, 0],
  committedId: [0, 0],
  revoked: 0,
  secrets: EMPTY_STORE,
  notes: new Map(),
  shutdown: { sent: false, received: false },
  close: null,
  exit: null,
  dispute: null,
  submitted: new Map(),
  peerRecovers: null,
  floor: 0,
  untold: [],
  ...VOLATILE,
}
