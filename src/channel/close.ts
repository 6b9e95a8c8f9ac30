/**
 * Closing together (C10, L6): shutdown of both, locks drained, nothing outstanding; then the leader proves the final
 * balances and signs, the follower verifies and signs. The decision to sign is terminal: no commit, ack, revoke or
 * secret leaves afterwards. Where data was lost (C8) whoever has lost none offers, once each lock is decided.
 */
import { equalBytes } from '../base/bytes.js'
import { curve, type Signature } from '../base/curve/index.js'
import type { ChannelMessageOf } from '../base/message/channel.js'
import { type TransactionOf, transactionDigest, type Unsigned } from '../base/transaction.js'
import { balanceBlinding, peerOf } from './content.js'
import { voidOwn } from './reestablish.js'
import { revocationDue } from './round.js'
import { settlementOf } from './settlement.js'
import { breach, emit, enter, leads, peer, send, type Turn, update } from './turn.js'
import type { Channel, CloseProof, CloseTerms, Context } from './types.js'

/** Shell: no new pays and locks; then close. */
export function wantClose(turn: Turn): undefined {
  const { state, context } = turn
  if (state.shutdown.sent) return
  update(turn, { shutdown: { ...state.shutdown, sent: true } })
  turn.durable = true
  if (state.link === 'live') send(turn, { name: 'shutdown', body: { channel: context.terms.channel } })
}

export function receiveShutdown(turn: Turn): undefined {
  const { state } = turn
  if (state.shutdown.received) return
  update(turn, { shutdown: { ...state.shutdown, received: true } })
  turn.durable = true
  emit(turn, { type: 'shuttingDown' })
  wantClose(turn)
}

/** C10: both agreed, locks drained, nothing queued or outstanding. */
export function isDrained(state: Channel, context: Context): boolean {
  const { sent, received } = state.shutdown
  if (!sent || !received || state.pending.length > 0 || state.held !== null) return false
  if (state.outstanding !== null || (leads(context) && revocationDue(state))) return false
  return state.current.content.locks.length === 0
}

/** The newest co-signed balances with each lock counted as L9 would; undefined while one is undecided. */
function closeTerms(turn: Turn, validUntil: number): CloseTerms | undefined {
  const { current } = turn.state
  const terms = settlementOf(turn.env, current, balanceBlinding(turn.context, current.content))
  return terms && { validUntil, ...terms }
}

/** C5, C8: the leader; or whoever has lost no data. */
export function offersClose({ phase, peerRecovers }: Channel, context: Context): boolean {
  if (phase === 'recovery') return peerRecovers !== null && leads(context)
  return peerRecovers !== null || leads(context)
}

/** C8: the peer of a side that lost data, or the opener of two. What it lacks of the peer's newest it waits for. */
function mayEnd(state: Channel): boolean {
  const { phase, peerRecovers, floor, current, dispute } = state
  if (peerRecovers === null || dispute !== null) return false
  if (phase === 'open') return claimedCommit(state) === undefined
  return phase === 'recovery' && current.content.version >= Math.max(floor, peerRecovers)
}

/**
 * C10: our outstanding commit, where a peer that recovers says that it has signed it: its close would pay that. One that
 * has not signed it may be paid the version before, which it could have posted as well.
 */
export function claimedCommit({ outstanding, peerRecovers }: Channel): number | undefined {
  const version = outstanding?.content.version
  return version !== undefined && peerRecovers !== null && peerRecovers >= version ? version : undefined
}

/**
 * Our signature is on a close of other balances that the ledger may still take: a second one would leave it to the peer
 * which of the two pays out, and to nobody to tell us which it was.
 */
function isPledged({ state: { close }, context, env }: Turn, commitment: Uint8Array): boolean {
  if (close === null || (close.by !== context.side && close.accepted === null)) return false
  return close.offer.validUntil >= env.view.time && !equalBytes(close.offer.commitment, commitment)
}

const isSigned = ({ close, phase }: Channel, context: Context): boolean =>
  close !== null && close.by === context.side && (phase === 'closing' || phase === 'recovery')

/** Asks for the proof when all is decided, and for another when the signed offer ran out. */
export function driveClose(turn: Turn): undefined {
  const { state, context, env } = turn
  if (!offersClose(state, context) || state.link === 'down' || state.proving) return
  const open = state.phase === 'open' && state.link === 'live' && isDrained(state, context)
  const first = !isSigned(state, context) && state.link === 'live' && (open || mayEnd(state))
  const ended = state.phase === 'closing' || mayEnd(state)
  const lapsed = ended && state.close !== null && state.close.offer.validUntil < env.view.time
  if (!first && !lapsed) return
  const terms = closeTerms(turn, env.view.time + context.policy.closeValid)
  if (terms === undefined) return
  update(turn, { proving: true })
  emit(turn, { type: 'proveClose', terms })
}

type UnsignedClose = Unsigned<TransactionOf<'closeChannel'>>

function unsignedClose(context: Context, offer: CloseProof): UnsignedClose {
  return {
    kind: 'closeChannel',
    ledger: context.terms.ledger,
    channel: context.terms.channel,
    validUntil: offer.validUntil,
    commitment: offer.commitment,
    ciphertexts: offer.ciphertexts,
    ciphertextsRegulator: offer.ciphertextsRegulator,
    proof: offer.proof,
  }
}

/** Signs what the own worker proved. Signing again with the same balances after a lapse is no second decision. */
export function closeProved(turn: Turn, proof: CloseProof): undefined {
  const { state, context } = turn
  if (!offersClose(state, context) || !state.proving) return
  update(turn, { proving: false })
  const again = state.phase === 'closing'
  if (!again && !(state.phase === 'open' && isDrained(state, context)) && !mayEnd(state)) return
  // A state that was shown meanwhile has other balances: they are proved then.
  const terms = closeTerms(turn, proof.validUntil)
  if (terms === undefined || !equalBytes(proof.commitment, terms.commitment)) return
  if (isPledged(turn, proof.commitment)) return
  if (proof.validUntil < turn.env.view.time) return // the proof binds validUntil: one that took too long is made anew
  const unsigned = unsignedClose(context, proof)
  const signature = curve.sign(transactionDigest(unsigned), context.keys.signing)
  const { validUntil, commitment, ciphertexts, ciphertextsRegulator } = proof
  const offer = {
    channel: context.terms.channel,
    validUntil,
    commitment,
    ciphertexts,
    ciphertextsRegulator,
    proof: proof.proof,
    signature,
  }
  if (state.phase === 'open') enter(turn, 'closing')
  update(turn, { close: { by: context.side, version: terms.version, offer, accepted: null } })
  turn.durable = true
  send(turn, { name: 'closeOffer', body: offer })
}

/** The peer's offer. Its proof is verified in a worker before anything is signed. */
export function receiveCloseOffer(turn: Turn, offer: ChannelMessageOf<'closeOffer'>): undefined {
  const { state, context, env } = turn
  const { close } = state
  if (state.phase === 'recovery') return receiveLastOffer(turn, offer)
  if (offersClose(state, context)) return breach(turn, 'L6', 'only the leader offers the close')
  if (close !== null && close.accepted !== null && equalBytes(close.offer.signature, offer.signature)) {
    return sendAccept(turn)
  }
  if (state.phase === 'open' && state.link !== 'live') {
    // The leader has ended the rounds: what it had not committed when the connection broke is void (C8).
    voidOwn(turn)
    update(turn, { pending: [], held: null, link: 'live' })
  }
  if (state.phase === 'open' && !isDrained(turn.state, context))
    return breach(turn, 'C10', 'a close before all is drained')
  if (!equalBytes(offer.commitment, state.current.state.commitment)) return breach(turn, 'L6', 'other balances')
  const latest = env.view.time + 2 * context.policy.closeValid
  if (offer.validUntil > latest) return breach(turn, 'L6', 'the close is valid for too long')
  if (offer.validUntil < env.view.time) return // lapsed on its way: the leader makes another
  const terms = closeTerms(turn, offer.validUntil)
  if (terms === undefined || !offerSigned(turn, offer)) return breach(turn, 'L6', 'close signature')
  considerOffer(turn, offer, terms)
}

function offerSigned({ context }: Turn, offer: ChannelMessageOf<'closeOffer'>): boolean {
  const digest = transactionDigest(unsignedClose(context, offer))
  return curve.verify(digest, offer.signature, context.terms.channelKeys[peerOf(context)])
}

function considerOffer(turn: Turn, offer: ChannelMessageOf<'closeOffer'>, terms: CloseTerms): undefined {
  update(turn, { close: { by: peer(turn), version: terms.version, offer, accepted: null }, proving: true })
  emit(turn, { type: 'verifyClose', terms, proof: offer })
}

/**
 * C8: in recovery only a close of the newest co-signed balance that is known, and of what was proved to exist: nobody
 * who shows an older state gets our signature. An offer that cannot be judged yet waits for our view.
 */
function receiveLastOffer(turn: Turn, offer: ChannelMessageOf<'closeOffer'>): undefined {
  const { state, context, env } = turn
  const { close, current, floor } = state
  if (offersClose(state, context) || state.dispute !== null) return
  if (close !== null && close.accepted !== null && equalBytes(close.offer.signature, offer.signature)) {
    return sendAccept(turn)
  }
  if (offer.validUntil < env.view.time || offer.validUntil > env.view.time + 2 * context.policy.closeValid) return
  if (current.content.version < floor || !offerSigned(turn, offer)) return
  const terms = closeTerms(turn, offer.validUntil)
  const { version } = current.content
  if (isPledged(turn, offer.commitment)) return
  if (terms === undefined) return update(turn, { close: { by: peer(turn), version, offer, accepted: null } })
  if (equalBytes(offer.commitment, terms.commitment)) considerOffer(turn, offer, terms)
}

/** Of an offer that came before our view had decided each lock, and of a close that the ledger refused. */
export function repeatEnd(turn: Turn): undefined {
  const { phase, close, proving, dispute } = turn.state
  if (close === null || dispute !== null || (phase !== 'recovery' && phase !== 'closing')) return
  if (close.accepted !== null) {
    const done = turn.state.submitted.has('closeChannel') || close.offer.validUntil < turn.env.view.time
    return done ? undefined : submitClose(turn)
  }
  if (phase === 'recovery' && close.by !== turn.context.side && !proving) receiveLastOffer(turn, close.offer)
}

/** The worker's verdict on the offer; in recovery the shell gives it once every tower was asked. */
export function closeVerified(turn: Turn, offered: number, valid: boolean): undefined {
  const { state, context } = turn
  if (state.close === null || state.close.by === context.side || state.close.offer.validUntil !== offered) return
  if (state.close.accepted !== null) return
  update(turn, { proving: false })
  const { offer } = state.close
  if (state.phase === 'recovery') {
    // C8: a newer state may have been shown meanwhile.
    const terms = state.dispute === null ? closeTerms(turn, offered) : undefined
    const same = terms !== undefined && equalBytes(terms.commitment, offer.commitment)
    if (!valid || !same || state.current.content.version < state.floor) return update(turn, { close: null })
  } else if (!valid) return breach(turn, 'L6', 'the proof of the close does not hold')
  const accepted = curve.sign(transactionDigest(unsignedClose(context, offer)), context.keys.signing)
  if (state.phase === 'open') enter(turn, 'closing')
  update(turn, { close: { ...state.close, accepted } })
  submitClose(turn)
  sendAccept(turn)
}

function sendAccept(turn: Turn): undefined {
  const { close, link } = turn.state
  if (close === null || close.accepted === null || link === 'down') return
  const { channel } = turn.context.terms
  const { validUntil: until } = close.offer
  send(turn, { name: 'closeAccept', body: { channel, validUntil: until, signature: close.accepted } })
}

function submitClose(turn: Turn): undefined {
  const { close } = turn.state
  if (close === null || close.accepted === null) return
  const { by, offer, accepted, version } = close
  const signatures: [Signature, Signature] = by === 0 ? [offer.signature, accepted] : [accepted, offer.signature]
  update(turn, { submitted: new Map(turn.state.submitted).set('closeChannel', version) })
  emit(turn, { type: 'submit', transaction: { ...unsignedClose(turn.context, offer), signatures } })
}

/** Both signatures are here. */
export function receiveCloseAccept(turn: Turn, message: ChannelMessageOf<'closeAccept'>): undefined {
  const { state, context } = turn
  const { close } = state
  if (!isSigned(state, context) || close === null) {
    return state.phase === 'recovery' ? undefined : breach(turn, 'L6', 'no close was offered')
  }
  if (close.accepted !== null || message.validUntil !== close.offer.validUntil) return // repeated, or of a lapsed offer
  const digest = transactionDigest(unsignedClose(context, close.offer))
  if (!curve.verify(digest, message.signature, context.terms.channelKeys[peer(turn)])) {
    return breach(turn, 'L6', 'close signature')
  }
  update(turn, { close: { ...close, accepted: message.signature } })
  turn.durable = true
  submitClose(turn)
}

/** After a reconnect: what the peer may have missed. */
export function repeatClose(turn: Turn): undefined {
  const { state, context } = turn
  if ((state.phase !== 'closing' && state.phase !== 'recovery') || state.close === null) return
  if (state.close.by !== context.side) return sendAccept(turn)
  if (state.phase === 'closing') send(turn, { name: 'shutdown', body: { channel: context.terms.channel } })
  if (state.close.offer.validUntil >= turn.env.view.time) send(turn, { name: 'closeOffer', body: state.close.offer })
}
