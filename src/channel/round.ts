/**
 * Rounds (C5): commit → ack → revoke. The leader closes a round when it is idle and something is queued; there is no
 * nack: a follower that cannot accept a commit has found a breach.
 */
import { equalBytes } from '../base/bytes.js'
import { curve } from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { ChannelMessageOf, Revocation, VersionKeys } from '../base/message/channel.js'
import { wellFormedState } from '../chain-adapter/contract/channel-rules.js'
import { build, exitTerms, validRandomizer } from './content.js'
import { learnScalar, noteOf } from './notes.js'
import { keyOf, packedBytes, packRuns, unpackRuns } from './operation.js'
import { tellOutcomes } from './outcome.js'
import { apply, canApply, findLock, type Judge } from './predicate.js'
import { dropProposal, tooLate } from './propose.js'
import { insertSecret, revocationHash, storedSecret } from './revocation.js'
import { breach, isLive, leads, ownKeys, ownSecret, paired, peer, send, type Turn, update } from './turn.js'
import type { Built, Channel, Content, Lock, Operation } from './types.js'

const judgeOf = (turn: Turn, at: Judge['at']): Judge => ({
  env: turn.env,
  at,
  base: turn.state.current.content,
  notes: turn.state.notes,
})

/** Own revocation of the version before the current one, with the keys of the next (C5). */
export function ownRevocation(turn: Turn): Revocation | undefined {
  const { version } = turn.state.current.content
  const next = ownKeys(turn, version + 1)
  if (version === 0 || next === undefined) return undefined
  return { version: version - 1, secret: ownSecret(turn.context, version - 1), next }
}

/** Leader: the revocation that the last ack earned the peer has not left yet. */
export const revocationDue = (state: Channel): boolean => state.revoked < state.current.content.version

// ---- leader

/** Leader: closes a round if it can, else sends the revocation that is due. */
export function closeRound(turn: Turn): undefined {
  const { state, context } = turn
  if (!leads(context) || !isLive(state) || state.outstanding !== null) return
  if (!state.randomizers.has(state.current.content.version + 1)) return
  const round = compose(turn)
  if (round !== undefined) return sendCommit(turn, round)
  if (revocationDue(turn.state)) sendRevocation(turn)
}

interface Round {
  readonly content: Content
  readonly operations: readonly Operation[]
}

/** Folds what is queued, in order of arrival; what is invalid is dropped with its code (C5). */
function compose(turn: Turn): Round | undefined {
  const { state, env, context } = turn
  if (state.pending.length === 0 || state.peerKeys === null) return undefined
  const base = state.current.content
  if (env.view.height < base.at.height) return undefined // C5: h never decreases
  const judge = judgeOf(turn, env.view)
  let content: Content = { ...base, version: base.version + 1, at: env.view }
  const operations: Operation[] = []
  let bytes = 0
  let seen = 0
  for (const operation of state.pending) {
    bytes += packedBytes(operation.body)
    if (operations.length === LIMITS.round_operations || bytes > LIMITS.round_bytes) break
    seen += 1
    const code = refusalOf(turn, content, operation, judge)
    if (code === undefined) {
      content = apply(context, content, operation)
      operations.push(operation)
    } else dropProposal(turn, operation, code)
  }
  update(turn, { pending: state.pending.slice(seen) })
  return operations.length === 0 ? undefined : { content, operations }
}

function refusalOf(turn: Turn, content: Content, operation: Operation, judge: Judge): string | undefined {
  const verdict = canApply(content, operation, judge)
  if (!verdict.ok) return verdict.error.code
  if (operation.from !== turn.context.side || operation.body.kind !== 'claim') return undefined
  const note = noteOf(turn, operation.body.lock)
  const incoming = note !== undefined && note.lock.from !== turn.context.side
  return incoming && tooLate(turn, note) ? 'claim_too_late' : undefined
}

/** Both sides' keys of the version after the current one; the caller has made sure of them. */
function nextKeys(turn: Turn): readonly [VersionKeys, VersionKeys] {
  const own = ownKeys(turn, turn.state.current.content.version + 1)
  const { peerKeys } = turn.state
  invariant(own !== undefined && peerKeys !== null, 'C2', 'the keys of the next version are known')
  return paired(turn.context, own, peerKeys)
}

/** C7, C11: the only place that signs a state. One content per version, and only what the contract would take. */
function signState(turn: Turn, built: Built) {
  const { signed } = turn.state
  const { version } = built.content
  const again = signed.version === version && equalBytes(signed.digest, built.digest)
  invariant(again || signed.version + 1 === version, 'C7', 'one content per version, versions gap-free')
  const accepted = wellFormedState(exitTerms(turn.context), built.encoded)
  invariant(accepted.ok, 'C11', 'the contract accepts the state')
  update(turn, { signed: { version, digest: built.digest } })
  return curve.sign(built.digest, turn.context.keys.signing)
}

function sendCommit(turn: Turn, round: Round): undefined {
  const { context } = turn
  const built = build(context, round.content, nextKeys(turn))
  const revocation = revocationDue(turn.state) ? (ownRevocation(turn) ?? null) : null
  const signature = signState(turn, built)
  const operations = packRuns(round.operations)
  const { version, at } = round.content
  const message = {
    channel: context.terms.channel,
    version,
    at,
    operations,
    digest: built.digest,
    signature,
    revocation,
  }
  update(turn, {
    outstanding: { ...built, operations: round.operations, message },
    committedId: committedAfter(turn.state, round.operations),
    revoked: turn.state.current.content.version,
  })
  turn.journal.push({ type: 'committed', version, digest: built.digest, operations })
  if (revocation !== null) turn.journal.push({ type: 'revoked', version: revocation.version })
  send(turn, { name: 'commit', body: message })
}

export function sendRevocation(turn: Turn): undefined {
  const revocation = ownRevocation(turn)
  if (revocation === undefined) return
  update(turn, { revoked: turn.state.current.content.version })
  turn.journal.push({ type: 'revoked', version: revocation.version })
  send(turn, { name: 'revoke', body: { channel: turn.context.terms.channel, revocation } })
}

function committedAfter(state: Channel, operations: readonly Operation[]): readonly [number, number] {
  const committed: [number, number] = [state.committedId[0], state.committedId[1]]
  for (const { from, id } of operations) committed[from] = Math.max(committed[from], id + 1)
  return committed
}

/** Leader: the follower co-signed, gave up the version before, and named the keys of the one after. */
export function receiveAck(turn: Turn, message: ChannelMessageOf<'ack'>): undefined {
  const { state, context } = turn
  if (!leads(context)) return breach(turn, 'C5', 'only the follower acknowledges')
  if (state.link !== 'live') return
  const { outstanding, current } = state
  const side = peer(turn)
  if (outstanding === null || message.version !== outstanding.content.version) {
    const repeated = message.version === current.content.version
    if (repeated && equalBytes(message.signature, current.signatures[side])) return
    return breach(turn, 'C5', 'an ack of no outstanding commit')
  }
  // C11: signState checked the rest of what the contract asks, and made the other signature.
  if (!curve.verify(outstanding.digest, message.signature, context.terms.channelKeys[side])) {
    return breach(turn, 'C1', 'ack signature')
  }
  const signatures = paired(context, outstanding.message.signature, message.signature)
  const hash = current.state.revocations[side]
  if (!acceptRevocation(turn, message.revocation, current.content.version, hash)) return
  const { content, state: built, encoded, digest, operations } = outstanding
  const removed = removedLocks(current.content.locks, operations)
  update(turn, { current: { content, state: built, encoded, digest, signatures }, outstanding: null })
  turn.journal.push({ type: 'cosigned', version: content.version, digest, operations: outstanding.message.operations })
  tellOutcomes(turn, operations, removed)
}

/** Locks of the version before that operations took out, with their operations' outcome still to be told. */
export const removedLocks = (before: readonly Lock[], operations: readonly Operation[]): Lock[] =>
  operations.flatMap(({ body }) => {
    if (body.kind !== 'claim' && body.kind !== 'release') return []
    const lock = findLock(before, body.lock)
    return lock === undefined ? [] : [lock]
  })

/** C2, C3: the peer's secret of `version` and keys of version + 2. A false one is a breach. */
function acceptRevocation(turn: Turn, revocation: Revocation, version: number, hash: Uint8Array): boolean {
  const { state, context } = turn
  const wrong = (clause: string, detail: string): false => {
    breach(turn, clause, detail)
    return false
  }
  if (revocation.version !== version || state.secrets.count !== version) return wrong('C5', 'revokes another version')
  if (!equalBytes(revocationHash(revocation.secret), hash)) return wrong('C3', 'the secret does not open its hash')
  const secrets = insertSecret(state.secrets, revocation.secret)
  if (secrets === undefined) return wrong('C3', 'the secret does not derive the earlier ones')
  const { randomizer } = revocation.next
  if (!validRandomizer(context, peer(turn), randomizer) || equalBytes(randomizer, state.peerRandomizer)) {
    return wrong('C2', 'R is out of range or the last one again')
  }
  update(turn, { secrets, peerKeys: revocation.next, peerRandomizer: randomizer })
  return true
}

// ---- follower

export function receiveCommit(turn: Turn, message: ChannelMessageOf<'commit'>): undefined {
  const { state, context } = turn
  if (leads(context)) return breach(turn, 'C5', 'only the leader commits')
  if (state.link !== 'live' && state.link !== 'recommit') return
  const { current, held } = state
  if (message.version === current.content.version) {
    const same = equalBytes(message.digest, current.digest) && equalBytes(message.signature, current.signatures[0])
    return same ? sendAck(turn) : breach(turn, 'C7', 'two contents for one version')
  }
  if (message.version !== current.content.version + 1) return breach(turn, 'C11', 'versions are gap-free')
  if (held !== null && !(equalBytes(held.digest, message.digest) && equalBytes(held.signature, message.signature))) {
    return breach(turn, 'C7', 'two contents for one version')
  }
  if (message.revocation !== null && !receiveRevocation(turn, message.revocation)) return
  // C5: no ack of k+2 without the leader's secret of k.
  if (turn.state.peerKeys === null) return breach(turn, 'C5', 'a commit before the revocation that is due')
  update(turn, { held: message })
}

/** Follower: acknowledges the held commit once our view, our R and the opening allow. */
export function acknowledge(turn: Turn): undefined {
  const { state, env } = turn
  const { held, current } = state
  if (held === null || state.phase !== 'open' || state.peerRecovers !== null) return
  if (env.view.height < held.at.height || !state.randomizers.has(held.version + 1)) return
  update(turn, { held: null })
  const { at } = current.content
  const agrees = env.view.height > held.at.height ? held.at.time <= env.view.time : held.at.time === env.view.time
  if (held.at.height < at.height || held.at.time < at.time || !agrees)
    return breach(turn, 'C5', 'ledger time of a commit')
  const operations = operationsOf(turn, held)
  if (operations === undefined) return breach(turn, 'C4', 'a commit of operations that were not proposed')
  const judge = judgeOf(turn, held.at)
  let content: Content = { ...current.content, version: held.version, at: held.at }
  for (const operation of operations) {
    const verdict = canApply(content, operation, judge)
    if (!verdict.ok) return breach(turn, 'C5', `an invalid operation: ${verdict.error.code}`)
    content = apply(turn.context, content, operation)
  }
  const built = build(turn.context, content, nextKeys(turn))
  if (!equalBytes(built.digest, held.digest)) return breach(turn, 'C5', 'the digest is of another state')
  cosign(turn, held, built, operations)
}

function cosign(
  turn: Turn,
  held: ChannelMessageOf<'commit'>,
  built: Built,
  operations: readonly Operation[],
): undefined {
  const { context, state } = turn
  const { current } = state
  if (!curve.verify(built.digest, held.signature, context.terms.channelKeys[0])) {
    return breach(turn, 'C1', 'commit signature')
  }
  // C6: a scalar is durable upstream before we acknowledge the claim that shows it.
  for (const { body } of operations) {
    const lock = body.kind === 'claim' ? findLock(current.content.locks, body.lock) : undefined
    if (body.kind === 'claim' && lock !== undefined) learnScalar(turn, lock, body.scalar)
  }
  const signatures = paired(context, signState(turn, built), held.signature)
  const done = new Set(operations.map(keyOf))
  update(turn, {
    current: { ...built, signatures },
    unrevoked: {
      hash: current.state.revocations[0],
      operations,
      removed: removedLocks(current.content.locks, operations),
    },
    pending: state.pending.filter((operation) => !done.has(keyOf(operation))),
    committedId: committedAfter(state, operations),
    revoked: built.content.version,
    peerKeys: null,
  })
  const { version } = built.content
  turn.journal.push({ type: 'cosigned', version, digest: built.digest, operations: held.operations })
  turn.journal.push({ type: 'revoked', version: version - 1 })
  sendAck(turn)
}

/** The operations that a commit names, from what waits; ids per proposer go up and are never committed twice. */
function operationsOf(turn: Turn, message: ChannelMessageOf<'commit'>): Operation[] | undefined {
  const ids = unpackRuns(message.operations)
  if (!ids.ok || ids.value.length === 0) return undefined
  const waiting = new Map(turn.state.pending.map((operation) => [keyOf(operation), operation]))
  const next: [number, number] = [turn.state.committedId[0], turn.state.committedId[1]]
  const operations: Operation[] = []
  let bytes = 0
  for (const ref of ids.value) {
    const operation = waiting.get(keyOf(ref))
    if (operation === undefined || ref.id < next[ref.from]) return undefined
    next[ref.from] = ref.id + 1
    bytes += packedBytes(operation.body)
    operations.push(operation)
  }
  return bytes > LIMITS.round_bytes ? undefined : operations
}

/** The same bytes however often it is sent (C8): everything in it is a function of the current version. */
export function sendAck(turn: Turn): undefined {
  const { current } = turn.state
  const revocation = ownRevocation(turn)
  invariant(revocation !== undefined, 'C2', 'the own R of the next version is here')
  send(turn, {
    name: 'ack',
    body: {
      channel: turn.context.terms.channel,
      version: current.content.version,
      signature: current.signatures[turn.context.side],
      revocation,
    },
  })
}

export function receiveRevoke(turn: Turn, message: ChannelMessageOf<'revoke'>): undefined {
  if (leads(turn.context)) return breach(turn, 'C5', 'the follower revokes with its ack')
  if (turn.state.link !== 'live' && turn.state.link !== 'recommit') return
  receiveRevocation(turn, message.revocation)
}

/** Follower: the leader gives up the version before the current one. False after a breach. */
function receiveRevocation(turn: Turn, revocation: Revocation): boolean {
  const { unrevoked, secrets, current } = turn.state
  const known = storedSecret(secrets, revocation.version)
  if (known !== undefined) {
    if (equalBytes(known, revocation.secret)) return true
    breach(turn, 'C3', 'another secret of a revoked version')
    return false
  }
  if (unrevoked === null) {
    breach(turn, 'C5', 'a revocation that is not due')
    return false
  }
  if (!acceptRevocation(turn, revocation, current.content.version - 1, unrevoked.hash)) return false
  update(turn, { unrevoked: null })
  tellOutcomes(turn, unrevoked.operations, unrevoked.removed)
  return true
}
