/**
 * RECOVERY (C8): proof that our own data is behind freezes the channel for good: no exit, no round, no secret. What is
 * left: the newest state that anybody can show, a close of at least that, and defence on the ledger. The other side
 * makes no round either, and offers the close.
 */
import { type Digest, equalBytes } from '../base/bytes.js'
import { channelStateDigest, decodeChannelState } from '../base/channel-state.js'
import { curve, type Signature } from '../base/curve/index.js'
import type { ChannelMessageOf } from '../base/message/channel.js'
import { wellFormedState } from '../chain-adapter/contract/channel-rules.js'
import { repeatClose } from './close.js'
import { exitTerms } from './content.js'
import { keyOf } from './operation.js'
import { lockFrom } from './predicate.js'
import { derivesAll, isOneTree, type RevocationStore, revocationHash, storedSecret } from './revocation.js'
import { removedLocks } from './round.js'
import { openOwn } from './settlement.js'
import { emit, enter, leads, peer, send, type Turn, update } from './turn.js'
import type { Channel, Cosigned, Lock, Operation, Untold } from './types.js'

export { type Remains, type Restored, recoverChannel } from './restore.js'

type Signatures = readonly [Signature, Signature]

/** C8: rounds end for good, whoever has lost data. */
export const roundsRun = ({ phase, peerRecovers }: Channel): boolean =>
  (phase === 'funding' || phase === 'open') && peerRecovers === null

/** Final. What an earlier decision may still do on the ledger it does; it is not asked for again. */
export function freeze(turn: Turn, newest: ChannelMessageOf<'newest'> | null): undefined {
  if (turn.state.phase === 'recovery') return
  enter(turn, 'recovery')
  update(turn, { held: null, exit: null })
  emit(turn, { type: 'dataLost', newest })
  if (turn.state.link !== 'down') sendRecovering(turn)
}

/**
 * S2, from the shell. Phases in which an exit or a close was signed never fall behind: nothing newer was signed after.
 * @param revoked own secrets that have left: the leader got a signature for each, the follower's last may not have arrived.
 */
export function recover(turn: Turn, revoked: number): undefined {
  update(turn, { floor: Math.max(turn.state.floor, leads(turn.context) ? revoked : revoked - 1) })
  freeze(turn, null)
}

/** After every connect in recovery: who we are now, and the newest that we hold. */
export function sendRecovering(turn: Turn): undefined {
  const { state, context } = turn
  const { version } = state.current.content
  send(turn, { name: 'recovering', body: { channel: context.terms.channel, version } })
  sendNewest(turn)
}

export function sendNewest(turn: Turn): undefined {
  const { encoded, signatures } = turn.state.current
  const [opener, follower] = signatures
  const { channel } = turn.context.terms
  send(turn, { name: 'newest', body: { channel, state: encoded, signatures: [opener, follower] } })
}

/**
 * The peer has lost data, or says so: the same. It gets the newest state; nothing new is offered; what we know is
 * revealed, and when each lock is decided whoever has lost nothing offers the close.
 */
export function receiveRecovering(turn: Turn, version: number): undefined {
  const { state } = turn
  const repeated = state.link === 'live' && state.peerRecovers === version
  if (repeated && (state.phase !== 'recovery' || state.toldAgain)) return
  if (['funding', 'open', 'closing', 'recovery'].includes(state.phase)) {
    if (state.peerRecovers === null) emit(turn, { type: 'shuttingDown' })
    update(turn, { peerRecovers: version, shutdown: { sent: true, received: true }, held: null, link: 'live' })
    turn.durable = true
  }
  // Both have lost data: it may have found the channel only now, and not have heard us. What it repeats is answered
  // once, or two that answer each other would never end.
  if (state.phase === 'recovery') {
    update(turn, { toldAgain: repeated })
    sendRecovering(turn)
  } else sendNewest(turn)
  repeatClose(turn)
}

/** `newest` of the peer: a state that it says both have signed. */
export const receiveNewest = (turn: Turn, message: ChannelMessageOf<'newest'>): undefined =>
  takeShown(turn, message.state, message.signatures, message)

/** The same from a tower or a backup. The peer hears of what it may not have. @param secrets the peer's, unchecked */
export function newestShown(
  turn: Turn,
  encoded: Uint8Array,
  signatures: Signatures,
  secrets?: RevocationStore,
): undefined {
  const { current } = turn.state
  takeShown(turn, encoded, signatures)
  if (turn.state.current !== current && turn.state.link !== 'down') sendNewest(turn)
  if (secrets !== undefined) takeSecrets(turn, secrets, [current, turn.state.current])
}

/**
 * L7, C8: what a tower kept of the peer's secrets, so that this side can punish by itself. Nothing but hashes that both
 * have signed tells a true store from a false one: it must open each that is known. Where none tells, the first that
 * comes counts; the record of an exit decides then, and the towers are asked again.
 */
function takeSecrets(turn: Turn, shown: RevocationStore, signed: readonly Cosigned[]): undefined {
  const { phase, secrets, dispute } = turn.state
  if (phase !== 'recovery' || !isOneTree(shown)) return
  const known = signed.map(({ content, state }) => ({ version: content.version, hash: state.revocations[peer(turn)] }))
  const recorded = dispute?.poster === peer(turn) ? { version: dispute.version, hash: dispute.revocation } : undefined
  if ([...known, ...(recorded === undefined ? [] : [recorded])].some((one) => opens(shown, one) === false)) return
  const decided = recorded !== undefined && opens(shown, recorded) === true && opens(secrets, recorded) !== true
  if (!decided && (shown.count <= secrets.count || !derivesAll(shown, secrets))) return
  update(turn, { secrets: shown })
  turn.durable = true
}

/** Undefined where the store does not reach so far. */
function opens(store: RevocationStore, { version, hash }: { version: number; hash: Digest }): boolean | undefined {
  const secret = storedSecret(store, version)
  return secret === undefined ? undefined : equalBytes(revocationHash(secret), hash)
}

/**
 * A state that somebody shows. Our own signature on what we do not hold proves that we have lost data, whatever else is
 * wrong with it. It replaces the newest that we hold only with both signatures and where it opens.
 */
export function takeShown(
  turn: Turn,
  encoded: Uint8Array,
  signatures: Signatures,
  message: ChannelMessageOf<'newest'> | null = null,
): undefined {
  const { context } = turn
  const { current, outstanding } = turn.state
  const shown = decodeChannelState(encoded)
  if (!shown.ok || !equalBytes(shown.value.channel, context.terms.channel)) return
  const { version } = shown.value
  const digest = channelStateDigest(encoded)
  if (version < current.content.version || equalBytes(digest, current.digest)) return
  const signed = [0, 1].map((side) => curve.verify(digest, signatures[side]!, context.terms.channelKeys[side]!))
  if (!signed[context.side]) return
  const both = signed[peer(turn)] === true
  if (outstanding !== null && equalBytes(digest, outstanding.digest)) {
    if (both && !roundsRun(turn.state)) adoptOutstanding(turn, signatures)
    return
  }
  freeze(turn, message)
  if (both && version > current.content.version) replace(turn, encoded, signatures)
}

/** C12: both signed our commit; the peer's secret of the version before never came. */
function adoptOutstanding(turn: Turn, signatures: Signatures): undefined {
  const { current, outstanding } = turn.state
  if (outstanding === null) return
  const { content, state, encoded, digest, operations, message } = outstanding
  update(turn, {
    current: { content, state, encoded, digest, signatures },
    outstanding: null,
    unrevoked: {
      hash: current.state.revocations[peer(turn)],
      operations,
      removed: removedLocks(current.content.locks, operations),
    },
  })
  turn.journal.push({ type: 'cosigned', version: content.version, digest, operations: message.operations })
  turn.durable = true
}

function replace(turn: Turn, encoded: Uint8Array, signatures: Signatures): undefined {
  const opened = openOwn(turn.context, encoded)
  if (!opened.ok || !wellFormedState(exitTerms(turn.context), encoded).ok) return
  const { built } = opened.value
  const { version } = built.content
  const { close, floor } = turn.state
  loseTrack(turn, built.content.locks)
  update(turn, {
    current: { ...built, signatures },
    outstanding: null,
    unrevoked: null,
    pending: [],
    signed: { version, digest: built.digest },
    peerKeys: null,
    randomizers: new Map(),
    floor: Math.max(floor, version),
    close: close?.by === peer(turn) && close.accepted === null ? null : close, // what we signed may still land
  })
  turn.journal.push({ type: 'cosigned', version, digest: built.digest, operations: new Uint8Array() })
  turn.durable = true
}

/** C12: locks that we knew of and the newest state does not hold: which way they went was lost. */
export function loseTrack(turn: Turn, kept: readonly Lock[]): undefined {
  const { current, unrevoked, outstanding, pending, untold } = turn.state
  const underWay = [...(unrevoked?.operations ?? []), ...(outstanding?.operations ?? []), ...pending]
  const known = [...current.content.locks, ...(unrevoked?.removed ?? []), ...ownLocks(turn, underWay)]
  const lost = new Map(untold.map((entry): [string, Untold] => [keyOf(entry.lock), entry]))
  for (const lock of known) lost.set(keyOf(lock), { lock, lost: true })
  for (const lock of kept) lost.delete(keyOf(lock))
  const notes = new Map(
    [...turn.state.notes].filter(([key]) => lost.has(key) || kept.some((lock) => keyOf(lock) === key)),
  )
  update(turn, { untold: [...lost.values()], notes })
}

const ownLocks = ({ context }: Turn, operations: readonly Operation[]): Lock[] =>
  operations.flatMap(({ body, from, id }) =>
    body.kind === 'lock' && from === context.side ? [lockFrom(context, from, id, body)] : [],
  )
