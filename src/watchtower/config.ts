/** What a tower gives to each client, and how deep the ledger must bury what it forgets. */
export interface TowerConfig {
  /** Channels, of whichever clients, that one account may have watched. */
  readonly channelsPerClient: number
  /** States and secrets of one client, bytes. */
  readonly bytesPerClient: number
  /** Reveal jobs of one client that are not yet past their deadline; about one peer, as many as are still free. */
  readonly jobsPerClient: number
  /** Requests of one client in a second; above it the client is read more slowly (W3). */
  readonly requestsPerSecond: number
  /** Blocks that a tower goes back after a start or a reorganisation, and for which it remembers an ended channel. */
  readonly settlementDepth: number
  /** Ledger seconds from now within which a job's deadline lies. */
  readonly jobAheadMax: number
}

const MEBIBYTE = 1_048_576
const DAY_S = 86_400

export const TOWER_DEFAULTS: TowerConfig = {
  channelsPerClient: 10_000,
  bytesPerClient: 256 * MEBIBYTE,
  jobsPerClient: 4_096,
  requestsPerSecond: 2_000,
  settlementDepth: 64,
  jobAheadMax: 60 * DAY_S,
}
