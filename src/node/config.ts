/** What a node needs to be told, with defaults that a hospital, an insurer or a hub can start from. */
import type { Amount } from '../base/amount.js'
import type { AccountId } from '../base/ids.js'
import type { ChannelLimits } from '../channel/types.js'
import type { ExpiryBounds } from '../router/forward.js'
import type { Policy } from '../router/policy.js'
import type { PeerAddress } from '../wire/address.js'
import type { OpenPolicy } from './openings.js'

export interface NodeConfig {
  /** Null: does not listen. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number } | null
  /** Where payers reach this node, told to channel peers for their invoices; null: where it listens. */
  readonly announce: string | null
  /** R3: forwards locks of others for a fee. */
  readonly forwarding: boolean
  /** R4: a forwarding node makes its channels with other such nodes, and its policies there, public. */
  readonly announceChannels: boolean
  /** Default forwarding policy; single channels may have their own. */
  readonly policy: Policy
  /** R3: peers that count as known without having paid yet: by contract (jamming). */
  readonly knownPeers: readonly AccountId[]
  /** R7. */
  readonly open: OpenPolicy
  /** C9: what is demanded of peers in new channels. */
  readonly limits: ChannelLimits
  /** Dispute window asked for in new channels, ledger seconds; brought within genesis's bounds. */
  readonly window: number
  /** A1: a ledger view older than this stops forwarding and opening, never defending. Seconds. */
  readonly ledgerAgeMax: number
  readonly bounds: ExpiryBounds
  /** Seconds that a lock to this payee must last when the payer sends it. */
  readonly finalDelta: number
  /** Seconds before a lock's expiry at which an unclaimed scalar goes to the ledger (C10). */
  readonly margin: number
  /** T: watchtowers that hold this node's newest states. */
  readonly towers: readonly PeerAddress[]
  /** T2: so many of them must have signed for a state before the secret of the one before leaves. 0: nothing waits. */
  readonly towerReceiptsRequired: number
  /** T3: forwards are told to the towers as pairs of hops, so that they can claim upstream in our absence. */
  readonly towerDerivedJobs: boolean
  /**
   * C10: seconds for which a peer may make no progress before a channel with something at stake exits; also how long a
   * node without a tower's word waits after a start before any exit (S2), and before it believes a peer in RECOVERY
   * (C8). Counted while this node hears the ledger.
   */
  readonly absent: number
  /** C5: seconds for which a peer may, on one connection, owe an answer before that counts as a refusal. */
  readonly stall: number
  /** Ledger seconds for which an event stays in the log although it is archived. */
  readonly eventsKept: number
}

const HOUR = 3_600
const DAY = 24 * HOUR

export const defaultConfig = (amountBits: number): NodeConfig => {
  const amountMax = ((1n << BigInt(amountBits)) - 1n) as Amount
  return {
    listen: null,
    announce: null,
    forwarding: false,
    announceChannels: true,
    policy: {
      base: 0n as Amount,
      ppm: 100,
      expiryDelta: 2 * HOUR,
      minAmount: 1n as Amount,
      maxAmount: amountMax,
      enabled: true,
    },
    knownPeers: [],
    open: { enabled: true, depositMin: 1n as Amount, shareMax: 0n as Amount },
    limits: {
      reserve: 0n as Amount,
      locks: 256,
      amountMin: 1n as Amount,
      amountMax,
      expiryMin: 60,
      expiryMax: 14 * DAY,
    },
    window: DAY,
    ledgerAgeMax: 60,
    bounds: { near: HOUR, far: 7 * DAY },
    finalDelta: 2 * HOUR,
    margin: HOUR / 2,
    towers: [],
    towerReceiptsRequired: 0,
    towerDerivedJobs: false,
    absent: 7 * DAY,
    stall: 600,
    eventsKept: 3_653 * DAY,
  }
}
