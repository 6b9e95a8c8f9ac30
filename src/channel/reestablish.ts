/**
 * After every reconnect (C8): both say where they stand, proposals outside the outstanding commit are void, and that
 * commit, the last ack or the last revocation is sent again byte-identical. Everything here may happen twice.
 */
import { equalBytes } from '../base/bytes.js'
import type { ChannelMessageOf } from '../base/message/channel.js'
import { inMessages } from './operation.js'
import { voidOffers } from './propose.js'
import { freeze, roundsRun, sendNewest, sendRecovering } from './recovery.js'
import { storedSecret } from './revocation.js'
import { ownRevocation } from './round.js'
import { breach, leads, ownSecret, send, type Turn, update, withSide } from './turn.js'

/** C3's tree has 2^48 leaves. */
const VERSIONS_MAX = 2 ** 48
const NO_SECRET = new Uint8Array(32)

export function connected(turn: Turn): undefined {
  const { state, context } = turn
  update(turn, { link: 'reestablishing', held: null, ready: false, toldAgain: false, proving: false })
  if (state.phase === 'recovery') return sendRecovering(turn)
  // Whatever is said of the end comes after it: a peer that has lost data must not take it for a breach.
  if (!roundsRun(state)) return state.phase === 'closed' ? undefined : sendNewest(turn)
  send(turn, {
    name: 'reestablish',
    body: {
      channel: context.terms.channel,
      version: state.current.content.version,
      outstanding: state.outstanding !== null,
      received: state.secrets.count,
      secret: storedSecret(state.secrets, state.secrets.count - 1) ?? NO_SECRET,
    },
  })
}

/** What was proposed stays live against us until the peer says which commit is outstanding (C4). */
export const disconnected = (turn: Turn): undefined =>
  update(turn, { link: 'down', held: null, ready: false, proving: false, waiting: null })

export function receiveReestablish(turn: Turn, message: ChannelMessageOf<'reestablish'>): undefined {
  const { state, context } = turn
  if (state.link !== 'reestablishing') return
  // No round any more; but a peer that has lost data must learn it before it speaks to the ledger.
  if (state.phase !== 'funding' && state.phase !== 'open') return outOfStep(turn, message.version)
  if (message.received > 0 && message.received <= VERSIONS_MAX) {
    const shown = equalBytes(message.secret, ownSecret(context, message.received - 1))
    if (message.received > state.revoked) {
      // C8: our own secret of a version that we hold unrevoked proves that we lost data; without proof nothing changes.
      if (!shown) return
      update(turn, { floor: Math.max(state.floor, message.received) })
      freeze(turn, null)
      return
    }
    if (!shown) return breach(turn, 'C8', 'a secret that is not ours')
  }
  if (!roundsRun(state)) outOfStep(turn, message.version)
  else if (leads(context)) resumeLeading(turn, message)
  else resumeFollowing(turn, message)
}

function resumeLeading(turn: Turn, message: ChannelMessageOf<'reestablish'>): undefined {
  const { state, context } = turn
  const { version } = state.current.content
  if (message.outstanding) return breach(turn, 'C8', 'only the leader has commits outstanding')
  const acked = state.outstanding !== null && message.version === version + 1
  if (message.version !== version && !acked) return outOfStep(turn, message.version)
  if (message.received < state.revoked - 1) return outOfStep(turn, message.version)
  voidOwn(turn)
  update(turn, { link: 'live', pending: [] })
  const { channel } = context.terms
  const alone = state.outstanding === null || state.outstanding.message.revocation === null
  const revocation = ownRevocation(turn)
  if (message.received < state.revoked && alone && revocation !== undefined) {
    send(turn, { name: 'revoke', body: { channel, revocation } })
  }
  if (state.outstanding !== null) {
    const own = state.outstanding.operations.filter((operation) => operation.from === context.side)
    for (const operations of inMessages(own)) send(turn, { name: 'propose', body: { channel, operations } })
    send(turn, { name: 'commit', body: state.outstanding.message })
  }
  repeatShutdown(turn)
}

function resumeFollowing(turn: Turn, message: ChannelMessageOf<'reestablish'>): undefined {
  const { state, context } = turn
  const { version } = state.current.content
  const ackLost = message.outstanding && message.version === version - 1
  if (message.version !== version && !ackLost) return outOfStep(turn, message.version)
  // The leader got our secret of a version with the ack that made it co-signed there.
  if (message.received !== message.version) return outOfStep(turn, message.received)
  const theirs = context.side === 0 ? 1 : 0
  const own = state.pending.filter((operation) => operation.from === context.side)
  const nextId = withSide(state.nextId, theirs, state.committedId[theirs])
  update(turn, { pending: own, nextId })
  // Our proposals may be in the commit that comes: they are void only after it.
  if (message.outstanding && !ackLost) update(turn, { link: 'recommit' })
  else {
    voidOwn(turn)
    update(turn, { link: 'live', pending: [] })
  }
  repeatShutdown(turn)
}

/** Follower: the outstanding commit is acknowledged; what it left of our earlier proposals is void. */
export function recommitted(turn: Turn): undefined {
  if (turn.state.link !== 'recommit' || turn.state.phase !== 'open') return
  voidOwn(turn)
  const pending = turn.state.pending.filter((operation) => operation.from !== turn.context.side)
  update(turn, { link: 'live', pending })
  repeatShutdown(turn) // one that was wanted meanwhile has not left
}

/** C8. Claims and releases are proposed anew from their notes; offers are the shell's to make again. */
export const voidOwn = (turn: Turn): undefined => voidOffers(turn, turn.state.pending)

function repeatShutdown(turn: Turn): undefined {
  if (!turn.state.shutdown.sent) return
  send(turn, { name: 'shutdown', body: { channel: turn.context.terms.channel } })
}

/** A peer that has lost data gets what proves it and helps it; one that claims to be ahead must prove it. No rounds. */
function outOfStep(turn: Turn, theirs: number): undefined {
  if (theirs < turn.state.current.content.version) sendNewest(turn)
}
