/**
 * Ending (C10, L6). Cooperative: shutdown of both, locks drained, nothing outstanding; then the leader proves the final
 * balances and signs, the follower verifies and signs. The decision to sign is terminal: no commit, ack, revoke or
 * secret leaves afterwards.
 */
import { equalBytes } from '../base/bytes.js'
import { curve, type Signature } from '../base/curve/index.js'
import type { ChannelMessageOf } from '../base/message/channel.js'
import { type TransactionOf, transactionDigest, type Unsigned } from '../base/transaction.js'
import { balanceBlindings } from './content.js'
import { tellOutcomes } from './outcome.js'
import { voidOwn } from './reestablish.js'
import { revocationDue } from './round.js'
import { breach, emit, enter, leads, paired, peer, send, type Turn, update } from './turn.js'
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

function closeTerms(turn: Turn, validUntil: number): CloseTerms {
  const { content, state } = turn.state.current
  return {
    validUntil,
    version: content.version,
    commitment: state.commitment,
    balances: content.balances,
    blindings: balanceBlindings(turn.context, content),
  }
}

/** Leader: asks for the proof when drained, and for another when the signed offer ran out. */
export function driveClose(turn: Turn): undefined {
  const { state, context, env } = turn
  if (!leads(context) || state.link === 'down' || state.proving) return
  const drained = state.phase === 'open' && state.link === 'live' && isDrained(state, context)
  const lapsed = state.phase === 'closing' && state.close !== null && state.close.offer.validUntil < env.view.time
  if (!drained && !lapsed) return
  update(turn, { proving: true })
  emit(turn, { type: 'proveClose', terms: closeTerms(turn, env.view.time + context.policy.closeValid) })
}

type UnsignedClose = Unsigned<TransactionOf<'closeChannel'>>

function unsignedClose(context: Context, offer: CloseProof): UnsignedClose {
  return {
    kind: 'closeChannel',
    ledger: context.terms.ledger as Uint8Array as UnsignedClose['ledger'],
    channel: context.terms.channel as Uint8Array as UnsignedClose['channel'],
    validUntil: offer.validUntil,
    commitment: offer.commitment,
    ciphertexts: offer.ciphertexts,
    ciphertextsRegulator: offer.ciphertextsRegulator,
    proof: offer.proof,
  }
}

/** Leader: signs what its own worker proved. Signing again with the same balances after a lapse is no second decision. */
export function closeProved(turn: Turn, proof: CloseProof): undefined {
  const { state, context } = turn
  if (!leads(context) || !state.proving) return
  const again = state.phase === 'closing'
  if (!again && !(state.phase === 'open' && isDrained(state, context))) return
  if (!equalBytes(proof.commitment, state.current.state.commitment)) return
  // The proof binds validUntil: one that took too long is made anew.
  if (proof.validUntil < turn.env.view.time) return update(turn, { proving: false })
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
  if (!again) enter(turn, 'closing')
  update(turn, { close: { offer, accepted: null }, proving: false })
  send(turn, { name: 'closeOffer', body: offer })
}

/** Follower: the leader's offer. Its proof is verified in a worker before anything is signed. */
export function receiveCloseOffer(turn: Turn, offer: ChannelMessageOf<'closeOffer'>): undefined {
  const { state, context, env } = turn
  if (leads(context)) return breach(turn, 'L6', 'only the leader offers the close')
  const { close } = state
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
  const digest = transactionDigest(unsignedClose(context, offer))
  if (!curve.verify(digest, offer.signature, context.terms.channelKeys[0])) return breach(turn, 'L6', 'close signature')
  update(turn, { close: { offer, accepted: null } })
  emit(turn, { type: 'verifyClose', terms: closeTerms(turn, offer.validUntil), proof: offer })
}

/** Follower: the worker's verdict on the offer. */
export function closeVerified(turn: Turn, offered: number, valid: boolean): undefined {
  const { state, context } = turn
  if (leads(context) || state.close === null || state.close.offer.validUntil !== offered) return
  if (state.close.accepted !== null) return
  if (!valid) return breach(turn, 'L6', 'the proof of the close does not hold')
  const { offer } = state.close
  const accepted = curve.sign(transactionDigest(unsignedClose(context, offer)), context.keys.signing)
  if (state.phase === 'open') enter(turn, 'closing')
  update(turn, { close: { offer, accepted } })
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
  const own: Signature = leads(turn.context) ? close.offer.signature : close.accepted
  const peers: Signature = leads(turn.context) ? close.accepted : close.offer.signature
  const [opener, follower] = paired(turn.context, own, peers)
  const unsigned = unsignedClose(turn.context, close.offer)
  emit(turn, { type: 'submit', transaction: { ...unsigned, signatures: [opener, follower] } })
}

/** Leader: both signatures are here. */
export function receiveCloseAccept(turn: Turn, message: ChannelMessageOf<'closeAccept'>): undefined {
  const { state, context } = turn
  const { close } = state
  if (!leads(context) || state.phase !== 'closing' || close === null) return breach(turn, 'L6', 'no close was offered')
  if (close.accepted !== null || message.validUntil !== close.offer.validUntil) return // repeated, or of a lapsed offer
  const digest = transactionDigest(unsignedClose(context, close.offer))
  if (!curve.verify(digest, message.signature, context.terms.channelKeys[peer(turn)])) {
    return breach(turn, 'L6', 'close signature')
  }
  update(turn, { close: { offer: close.offer, accepted: message.signature } })
  turn.durable = true
  submitClose(turn)
}

/** After a reconnect in phase closing: what the peer may have missed. */
export function repeatClose(turn: Turn): undefined {
  const { state, context } = turn
  if (state.phase !== 'closing' || state.close === null) return
  if (!leads(context)) return sendAccept(turn)
  send(turn, { name: 'shutdown', body: { channel: context.terms.channel } })
  if (state.close.offer.validUntil >= turn.env.view.time) send(turn, { name: 'closeOffer', body: state.close.offer })
}

/** C10: highest version held with both signatures; durable before the transaction leaves, terminal. */
export function wantExit(turn: Turn): undefined {
  const { state, context } = turn
  if (state.exit !== null) return
  const { encoded, signatures } = state.current
  const unsigned = {
    kind: 'exit' as const,
    ledger: context.terms.ledger as Uint8Array as UnsignedClose['ledger'],
    channel: context.terms.channel as Uint8Array as UnsignedClose['channel'],
    poster: context.side,
    state: encoded,
    stateSignatures: [signatures[0], signatures[1]] as [Signature, Signature],
  }
  const exit = { ...unsigned, signature: curve.sign(transactionDigest(unsigned), context.keys.signing) }
  enter(turn, 'exiting')
  update(turn, { exit })
  emit(turn, { type: 'submit', transaction: exit })
}

/** The ledger settled the last co-signed state: what it carries is irrevocable now (C12). */
export function paidOut(turn: Turn): undefined {
  const { unrevoked } = turn.state
  enter(turn, 'closed')
  if (unrevoked === null) return
  update(turn, { unrevoked: null })
  tellOutcomes(turn, unrevoked.operations, unrevoked.removed)
}
