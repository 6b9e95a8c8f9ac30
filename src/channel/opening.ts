/**
 * Opening a channel (L5): openChannel → acceptChannel → channelHalf → channelSigned → the opener signs and submits.
 * Pure like the channel itself: wallets prove and verify, the shell sends and stores. Nothing is locked and nothing
 * needs a refund before the transaction is final; an attempt ends by itself at `validUntil`.
 */
import type { Amount } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { Side } from '../base/channel-state.js'
import { curve, type Scalar, type Signature, scalarToBigint } from '../base/curve/index.js'
import { type ErrorCode, invariant, isErrorCode, unreachable } from '../base/errors.js'
import type { AccountId } from '../base/ids.js'
import type { OpeningMessage, OpeningMessageOf } from '../base/message/opening.js'
import { type DepositHalf, transactionDigest, type Unsigned } from '../base/transaction.js'
import { commit } from '../privacy/commitment.js'
import { type Birth, bear, firstKeys, identify } from './birth.js'
import { depositBlinding, signingKey } from './keys.js'
import type {
  Opening,
  OpeningEffect,
  OpeningEnv,
  OpeningInput,
  OpeningStep,
  OpenLimit,
  OpenRequest,
  OpenTransaction,
  Party,
} from './opening-types.js'
import { limitsMakeSense } from './terms.js'
import type { ChannelLimits } from './types.js'

export type * from './opening-types.js'

const EMPTY = {
  peer: null,
  randomizers: [null, null],
  peerKeys: null,
  birth: null,
  halves: [null, null],
  peerHalfValid: false,
  stateSignature: null,
  accountSignature: null,
} as const

const blindingFor = (env: OpeningEnv, opener: AccountId, nonce: number, side: Side, salt: Uint8Array): Scalar =>
  depositBlinding(env.seed, env.ledger, opener, nonce, side, salt)

/** The opener's first step. */
export function requestOpening(request: OpenRequest, env: OpeningEnv): OpeningStep {
  const { account } = env.self
  const blinding = blindingFor(env, account, request.nonce, 0, request.attempt)
  const own = { blinding, limits: request.limits }
  const opening: Opening = { ...EMPTY, stage: 'asked', side: 0, request, own }
  const { attempt, nonce, window, validUntil, limits, deposit, share } = request
  const channelKey = curve.multiplyBase(signingKey(env.seed, env.ledger, account, nonce))
  const body = {
    attempt,
    nonce,
    window,
    validUntil,
    channelKey,
    limits,
    deposit: { amount: deposit, blinding },
    share,
  }
  if (!termsAllowed(request, env)) return failed(opening, 'open_terms')
  return { opening, effects: [{ type: 'sendOpening', message: { name: 'openChannel', body } }] }
}

/** The peer's first step. `from` is the account that the session authenticated, with its modulus from the ledger. */
export function receiveOpening(body: OpeningMessageOf<'openChannel'>, from: Party, env: OpeningEnv): OpeningStep {
  const { attempt, nonce, window, validUntil, limits, deposit, share, channelKey } = body
  const request: OpenRequest = {
    peer: from,
    attempt,
    nonce,
    window,
    validUntil,
    deposit: deposit.amount,
    share,
    limits,
  }
  const opening: Opening = {
    ...EMPTY,
    stage: 'requested',
    side: 1,
    request,
    own: { blinding: null, limits },
    peer: { channelKey, blinding: deposit.blinding, limits },
  }
  if (!termsAllowed(request, env)) return failed(opening, 'open_terms')
  return { opening, effects: [{ type: 'openRequested', request }] }
}

function termsAllowed(request: OpenRequest, env: OpeningEnv): boolean {
  const total = request.deposit + request.share
  return (
    request.deposit >= 1n &&
    request.share >= 0n &&
    total >> BigInt(env.amountBits) === 0n &&
    request.window >= env.windowMin &&
    request.window <= env.windowMax &&
    request.validUntil > env.view.time &&
    limitsMakeSense(request.limits) &&
    !equalBytes(request.peer.account, env.self.account)
  )
}

function failed(opening: Opening, code: ErrorCode, limit: OpenLimit | null = null): OpeningStep {
  const { attempt } = opening.request
  return {
    opening: { ...opening, stage: 'failed' },
    effects: [
      { type: 'sendOpening', message: { name: 'openRefused', body: { attempt, code, limit: limit && [...limit] } } },
      { type: 'openFailed', attempt, code, limit },
    ],
  }
}

const stay = (opening: Opening): OpeningStep => ({ opening, effects: [] })

export function stepOpening(opening: Opening, input: OpeningInput, env: OpeningEnv): OpeningStep {
  if (opening.stage === 'done' || opening.stage === 'failed') return stay(opening)
  switch (input.type) {
    case 'openingReceived':
      return receive(opening, input.message, env)
    case 'openAllowed':
      return allow(opening, input.limits, input.salt, env)
    case 'openDenied':
      return failed(opening, input.code, input.limit)
    case 'openRandomizer':
      return keepFirst(opening, input.version, input.randomizer, env)
    case 'depositProved':
      return proved(opening, input.half, env)
    case 'depositVerified':
      return input.valid ? advance({ ...opening, peerHalfValid: true }, env) : failed(opening, 'bad_proof')
    case 'openTick':
      return env.view.time > opening.request.validUntil ? failed(opening, 'open_expired') : stay(opening)
    case 'peerLost':
      // The opener with the peer's signatures in hand needs the peer no more.
      return opening.accountSignature === null ? failed(opening, 'channel_offline') : stay(opening)
    default:
      return unreachable(input)
  }
}

function receive(opening: Opening, message: OpeningMessage, env: OpeningEnv): OpeningStep {
  if (!equalBytes(message.body.attempt, opening.request.attempt)) return stay(opening)
  switch (message.name) {
    case 'openChannel':
      return failed(opening, 'open_terms')
    case 'acceptChannel':
      return opening.stage === 'asked' ? accepted(opening, message.body, env) : failed(opening, 'open_terms')
    case 'channelHalf':
      return opening.stage === 'waiting' ? halfReceived(opening, message.body, env) : failed(opening, 'open_terms')
    case 'channelSigned':
      return opening.stage === 'offered' ? signedReceived(opening, message.body, env) : failed(opening, 'open_terms')
    case 'openRefused': {
      const { attempt, code, limit } = message.body
      const known = isErrorCode(code) ? code : 'open_not_allowed'
      return {
        opening: { ...opening, stage: 'failed' },
        effects: [{ type: 'openFailed', attempt, code: known, limit }],
      }
    }
    default:
      return unreachable(message)
  }
}

// ---- peer: agrees

function allow(opening: Opening, limits: ChannelLimits, salt: Uint8Array, env: OpeningEnv): OpeningStep {
  if (opening.stage !== 'requested') return stay(opening)
  if (!limitsMakeSense(limits)) return failed(opening, 'open_terms')
  const { peer, nonce, share } = opening.request
  const blinding = share === 0n ? null : blindingFor(env, peer.account, nonce, 1, salt)
  return prepare({ ...opening, own: { blinding, limits } }, env)
}

/** Both deposits' openings are known: so is the channel's id. */
function prepare(opening: Opening, env: OpeningEnv): OpeningStep {
  const terms = identify(opening, env)
  if (terms === undefined) return failed(opening, 'open_terms')
  return {
    opening: { ...opening, stage: 'preparing' },
    effects: ([0, 1] as const).map((version) => ({ type: 'prepareFirst', version, terms })),
  }
}

// ---- opener: the peer agreed

function accepted(opening: Opening, body: OpeningMessageOf<'acceptChannel'>, env: OpeningEnv): OpeningStep {
  const { share } = opening.request
  if (!limitsMakeSense(body.limits) || (body.deposit?.amount ?? 0n) !== share) return failed(opening, 'open_terms')
  const peer = { channelKey: body.channelKey, blinding: body.deposit?.blinding ?? null, limits: body.limits }
  return prepare({ ...opening, peer, peerKeys: body.keys }, env)
}

function keepFirst(opening: Opening, version: 0 | 1, randomizer: Uint8Array, env: OpeningEnv): OpeningStep {
  if (opening.stage !== 'preparing') return stay(opening)
  const [zero, one] = opening.randomizers
  const randomizers = version === 0 ? ([randomizer, one] as const) : ([zero, randomizer] as const)
  const ready: Opening = { ...opening, randomizers }
  const keys = firstKeys(ready, env)
  if (keys === undefined) return stay(ready)
  if (opening.side === 0) return propose(ready, env)
  const { own, request } = ready
  const channelKey = curve.multiplyBase(signingKey(env.seed, env.ledger, request.peer.account, request.nonce))
  const deposit = own.blinding === null ? null : { amount: request.share, blinding: own.blinding }
  const body = { attempt: request.attempt, channelKey, limits: own.limits, deposit, keys }
  return {
    opening: { ...ready, stage: 'waiting' },
    effects: [{ type: 'sendOpening', message: { name: 'acceptChannel', body } }],
  }
}

/** Opener: state 0 exists; its own half is proven next. */
function propose(opening: Opening, env: OpeningEnv): OpeningStep {
  const birth = bear(opening, env)
  if (birth === undefined) return failed(opening, 'open_terms')
  const { own, request } = opening
  invariant(own.blinding !== null, 'L5', 'the opener deposits')
  const { openTerms: terms } = birth
  return {
    opening: { ...opening, stage: 'proving', birth },
    effects: [{ type: 'proveDeposit', side: 0, terms, amount: request.deposit, blinding: own.blinding }],
  }
}

function proved(opening: Opening, half: DepositHalf, env: OpeningEnv): OpeningStep {
  const { side, birth, halves } = opening
  if (birth === null || halves[side] !== null) return stay(opening)
  if (side === 1) return advance({ ...opening, halves: [halves[0], half] }, env)
  if (opening.stage !== 'proving') return stay(opening)
  const keys = firstKeys(opening, env)
  invariant(keys !== undefined, 'L5', 'the first keys are ready before the proof')
  const body = { attempt: opening.request.attempt, keys, signature: birth.signature, half }
  return {
    opening: { ...opening, stage: 'offered', halves: [half, null] },
    effects: [{ type: 'sendOpening', message: { name: 'channelHalf', body } }],
  }
}

/** L5: each party checks the opening of the other's deposit before it signs. */
const opensDeposit = (half: DepositHalf, amount: Amount, blinding: Scalar): boolean => {
  const commitment = commit(amount, scalarToBigint(blinding))
  return commitment !== null && equalBytes(commitment, half.commitment)
}

// ---- peer: the opener's half

function halfReceived(opening: Opening, body: OpeningMessageOf<'channelHalf'>, env: OpeningEnv): OpeningStep {
  const withKeys: Opening = { ...opening, peerKeys: body.keys }
  const birth = bear(withKeys, env)
  const { peer, request, own } = opening
  if (birth === undefined || peer === null || peer.blinding === null) return failed(opening, 'open_terms')
  if (!curve.verify(birth.built.digest, body.signature, peer.channelKey)) return failed(opening, 'bad_signature')
  if (!opensDeposit(body.half, request.deposit, peer.blinding)) return failed(opening, 'open_terms')
  const { openTerms: terms } = birth
  const effects: OpeningEffect[] = [{ type: 'verifyDeposit', side: 0, terms, half: body.half }]
  if (own.blinding !== null) {
    effects.push({ type: 'proveDeposit', side: 1, terms, amount: request.share, blinding: own.blinding })
  }
  const halves = [body.half, null] as const
  return {
    opening: { ...withKeys, stage: 'verifying', birth, halves, stateSignature: body.signature },
    effects,
  }
}

/** Either side: signs once the other's half holds and its own is there. */
function advance(opening: Opening, env: OpeningEnv): OpeningStep {
  const { birth, own, halves, peerHalfValid, side, stateSignature } = opening
  if (opening.stage !== 'verifying' || birth === null || stateSignature === null) return stay(opening)
  if (!peerHalfValid || (side === 1 && own.blinding !== null && halves[1] === null)) return stay(opening)
  if (env.view.time > opening.request.validUntil) return failed(opening, 'open_expired')
  return side === 0 ? submit(opening, birth, stateSignature, env) : sign(opening, birth, stateSignature, env)
}

function unsignedTransaction(opening: Opening, birth: Birth): Unsigned<OpenTransaction> {
  const [first, second] = opening.halves
  invariant(first !== null, 'L5', 'the opener deposits')
  return { ...birth.openTerms, halves: [first, second] }
}

/** Peer: its account signs before the opener's; the channel is durable before that leaves. */
function sign(opening: Opening, birth: Birth, stateSignature: Signature, env: OpeningEnv): OpeningStep {
  const accountSignature = env.signAccount(transactionDigest(unsignedTransaction(opening, birth)))
  const { attempt, validUntil } = opening.request
  const body = { attempt, signature: birth.signature, half: opening.halves[1], accountSignature }
  return {
    opening: { ...opening, stage: 'done' },
    effects: [
      { type: 'opened', terms: birth.context.terms, side: 1, channel: birth.channel(stateSignature), validUntil },
      { type: 'sendOpening', message: { name: 'channelSigned', body } },
    ],
  }
}

// ---- opener: the peer signed

function signedReceived(opening: Opening, body: OpeningMessageOf<'channelSigned'>, env: OpeningEnv): OpeningStep {
  const { birth, peer, request, halves } = opening
  if (birth === null || peer === null) return failed(opening, 'open_terms')
  if (!curve.verify(birth.built.digest, body.signature, peer.channelKey)) return failed(opening, 'bad_signature')
  if ((body.half === null) !== (peer.blinding === null)) return failed(opening, 'open_terms')
  if (body.half !== null && peer.blinding !== null && !opensDeposit(body.half, request.share, peer.blinding)) {
    return failed(opening, 'open_terms')
  }
  const complete: Opening = {
    ...opening,
    stage: 'verifying',
    halves: [halves[0], body.half],
    stateSignature: body.signature,
    accountSignature: body.accountSignature,
  }
  const digest = transactionDigest(unsignedTransaction(complete, birth))
  if (!curve.verify(digest, body.accountSignature, request.peer.account)) return failed(opening, 'bad_signature')
  if (body.half === null) return advance({ ...complete, peerHalfValid: true }, env)
  const { openTerms: terms } = birth
  return { opening: complete, effects: [{ type: 'verifyDeposit', side: 1, terms, half: body.half }] }
}

/** L5: the party that asked for a share signs last and submits. */
function submit(opening: Opening, birth: Birth, stateSignature: Signature, env: OpeningEnv): OpeningStep {
  const { accountSignature, request } = opening
  invariant(accountSignature !== null, 'L5', 'the peer has signed')
  const unsigned = unsignedTransaction(opening, birth)
  const own = env.signAccount(transactionDigest(unsigned))
  const { validUntil } = request
  return {
    opening: { ...opening, stage: 'done' },
    effects: [
      { type: 'opened', terms: birth.context.terms, side: 0, channel: birth.channel(stateSignature), validUntil },
      { type: 'submitOpening', transaction: { ...unsigned, signatures: [own, accountSignature] } },
    ],
  }
}
