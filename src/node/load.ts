/** What a node has under way, in counts: for operators, and for a stop that drains first. */
import type { ProofPool } from '../privacy/pool.js'
import type { NodeParts } from './assemble.js'

export type NodeLoad = ReturnType<typeof loadOf>

export function loadOf(
  { channels, ledgerDesk, peers, towers }: Pick<NodeParts, 'channels' | 'ledgerDesk' | 'peers' | 'towers'>,
  pool: Pick<ProofPool, 'waiting'>,
) {
  const all = channels.all()
  const live = all.filter(({ state }) => state.link === 'live' && (state.phase === 'open' || state.phase === 'closing'))
  const held = live.map(({ state }) => (state.outstanding ?? state.current).content.locks.length + state.pending.length)
  return {
    phases: all.map(({ state }) => state.phase),
    /** In channels whose rounds can still end them; those that a round has yet to bring in are counted too. */
    locks: held.reduce((sum, count) => sum + count, 0),
    channelsWithLocks: held.filter((count) => count > 0).length,
    ledgerWaiting: ledgerDesk.waiting,
    proofsWaiting: pool.waiting,
    peersConnected: peers.list().filter(({ connected }) => connected).length,
    towerWaiting: all.reduce((sum, channel) => sum + towers.waiting(channel), 0),
    towerLag: Math.max(0, ...all.map((channel) => towers.lag(channel) ?? 0)),
  }
}
