/** What the reader of an error is to do about it; PRODUCT.md's API shows the same words. */
export const ACTIONS = ['fix_request', 'retry_same_key', 'wait', 'add_capacity', 'call_operator'] as const
export type Action = (typeof ACTIONS)[number]

interface ErrorEntry {
  /** Meaning, one sentence. */
  readonly text: string
  readonly action: Action
}

const entry = (action: Action, text: string): ErrorEntry => ({ action, text })

/**
 * The one table of stable error codes. A code never changes its meaning and is never reused.
 * Groups: what reads bytes (codec), the ledger contract (ledger), channels, routing, wire, store, API and command line.
 */
export const ERRORS = {
  // codec: bytes that cannot be read (L10, W2)
  bad_encoding: entry('fix_request', 'The bytes are not canonical CBOR of the expected shape.'),
  bad_amount: entry('fix_request', 'An amount is an integer of minor units, at least 0 and below 2^L.'),
  bad_point: entry('fix_request', 'The bytes are not a canonical, finite curve point.'),
  bad_record: entry(
    'call_operator',
    'A record has a missing segment, one out of range, or a total that is not their sum.',
  ),
  bad_scalar: entry('fix_request', 'The bytes are not a canonical scalar in [1, q-1].'),
  too_long: entry('fix_request', 'The input is longer than its limit.'),
  // store: the disk (S1 to S3, C7)
  backup_damaged: entry('call_operator', 'The backup file is damaged or is no backup; take another copy of it.'),
  backup_exists: entry('fix_request', 'There is a file of this name already; a backup never overwrites.'),
  backup_refused: entry(
    'fix_request',
    'The passphrase does not open this backup (or somebody altered the file on purpose).',
  ),
  high_water_corrupt: entry(
    'call_operator',
    'The high-water file is not readable; keep it, its channels go to recovery.',
  ),
  high_water_exists: entry('fix_request', 'A high-water file is already there; it is never overwritten.'),
  high_water_missing: entry('call_operator', 'The high-water file is gone; without it the database cannot be trusted.'),
  journal_broken: entry('call_operator', 'A channel’s journal has a gap or does not continue its hash chain.'),
  keystore_damaged: entry('call_operator', 'The keystore file is damaged; restore it from the backup of the seed.'),
  keystore_exists: entry('fix_request', 'A keystore is already there; it is never overwritten.'),
  keystore_missing: entry('fix_request', 'There is no keystore here; init creates it, last of all.'),
  keystore_refused: entry(
    'fix_request',
    'The passphrase does not open this keystore (or somebody altered the file on purpose).',
  ),
  passphrase_missing: entry('fix_request', 'The passphrase file is absent, empty or longer than 1024 bytes.'),
  store_closed: entry('wait', 'The store is closed; the process is shutting down.'),
  store_corrupt: entry(
    'call_operator',
    'The database exists but its files are damaged or incomplete; keep them and do not sign.',
  ),
  store_exists: entry('fix_request', 'Something is already there; an existing store is never overwritten.'),
  store_failed: entry(
    'call_operator',
    'The disk refused a read or a write; the process ends so that nothing is promised on it.',
  ),
  store_locked: entry('wait', 'Another process has this directory open; one process owns a database.'),
  store_missing: entry('fix_request', 'There is no database here; only init creates one.'),
  store_newer: entry('call_operator', 'The data was written by a newer version of this program.'),
  store_older: entry(
    'call_operator',
    'The data was written by an older version of this program: close its channels with that version first.',
  ),
  store_tampered: entry('call_operator', 'A sealed row was altered, moved to another key, or sealed with another key.'),
  // wire: connections between peers (W1 to W3); the reason why a session ended
  bad_address: entry('fix_request', 'A peer address is <account>@ws://host:port or <account>@wss://host:port.'),
  bad_frame: entry('call_operator', 'The peer sent a frame that cannot be read; the connection was ended.'),
  connection_closed: entry('wait', 'The connection was closed.'),
  connection_refused: entry('wait', 'The peer does not answer, or does not take this connection.'),
  connection_replaced: entry('wait', 'A newer connection with the same peer took the place of this one.'),
  handshake_failed: entry('call_operator', 'The peer did not prove that it holds the expected account key.'),
  handshake_timeout: entry('wait', 'The peer did not finish the handshake in time.'),
  hello_refused: entry(
    'call_operator',
    'The peer speaks another version, needs an unknown feature, or is on another ledger.',
  ),
  idle_timeout: entry('wait', 'Nothing was heard from the peer for too long.'),
  slow_peer: entry('wait', 'The peer does not read what is sent to it.'),
  too_many_connections: entry('wait', 'The listener has as many connections as it may.'),
  // ledger: what the contract refuses (L3 to L10)
  account_exists: entry('fix_request', 'The account is registered already.'),
  bad_ciphertext: entry('fix_request', 'A ciphertext has a wrong length, is out of range or is no unit modulo n^2.'),
  bad_genesis: entry('call_operator', 'The genesis contradicts itself or holds a key whose proof fails.'),
  bad_key: entry('fix_request', 'The Paillier modulus has not the length that genesis fixes.'),
  bad_nonce: entry('retry_same_key', 'The nonce is not the next one of the account.'),
  bad_proof: entry(
    'fix_request',
    'A proof does not hold for the ledger as it stands; a balance may have changed since it was made.',
  ),
  bad_signature: entry('fix_request', 'A signature that the transaction needs is missing, wrong or not canonical.'),
  bad_tick: entry('wait', 'Ledger time moves only forward, in bounded steps, some blocks apart.'),
  bad_window: entry('fix_request', 'The dispute window is outside the bounds of genesis.'),
  channel_closed: entry('fix_request', 'The channel is closed; its balances are paid out.'),
  dispute_exists: entry('wait', 'A dispute of this channel is recorded already; a newer state may supersede.'),
  dispute_over: entry('wait', 'The deadline of the dispute has passed: only settle, punish and close are left.'),
  dispute_running: entry('wait', 'The dispute can be settled only after its deadline.'),
  expired: entry('retry_same_key', 'The transaction is past the ledger time until which it was valid.'),
  known_point: entry('fix_request', 'Every scalar of this reveal is in the registry already.'),
  locks_undecided: entry('wait', 'A lock of the standing state is neither won nor dead yet.'),
  no_dispute: entry('fix_request', 'No dispute of this channel is recorded.'),
  not_admitted: entry('fix_request', "The issuer's admission for this account and modulus is missing or wrong."),
  not_allowed: entry('fix_request', 'This account has no right to this kind of transaction.'),
  not_newer: entry('fix_request', 'The posted state is not of a higher version than the standing one.'),
  quota_exceeded: entry('wait', 'The account has used up the points that it may reveal in one block.'),
  same_account: entry('fix_request', 'Payer and payee, or both sides of a channel, are the same account.'),
  unknown_account: entry('fix_request', 'The account is not registered on this ledger.'),
  unknown_channel: entry('fix_request', 'The ledger has no channel of this id.'),
  wrong_channel_id: entry('fix_request', 'The channel id is not the one that its terms give.'),
  wrong_ledger: entry('fix_request', 'The transaction is made for another ledger.'),
  wrong_secret: entry('fix_request', 'The secret does not open the recorded revocation hash.'),
  wrong_state: entry(
    'fix_request',
    'The posted state is of another channel, or is not the state 0 that the opening recorded.',
  ),
  // wallet: what an account cannot do (K1)
  insufficient_funds: entry(
    'add_capacity',
    'The account holds less than the amount, credits that can be rolled over included.',
  ),
  not_issuer: entry('fix_request', 'Only the issuer of this ledger mints and admits.'),
  not_registered: entry('fix_request', 'The account is not registered on the ledger yet: account register.'),
  // embedded ledger: its database, its faces, its clients (A1, A2)
  ledger_behind: entry(
    'call_operator',
    'The database lacks blocks that were acknowledged; restore it from a newer copy, never sign those heights again.',
  ),
  ledger_block: entry('call_operator', 'A block does not follow from the one before it by the rules of the ledger.'),
  ledger_full: entry('wait', 'The ledger has as many waiting transactions as it may; send the same bytes later.'),
  ledger_head: entry('call_operator', 'A block head is not signed by the ledger or contradicts its chain.'),
  ledger_no_route: entry('fix_request', 'The ledger answers nothing under this address.'),
  ledger_not_manual: entry('fix_request', 'Only a test ledger with a manual clock can be advanced by call.'),
  ledger_other: entry('fix_request', 'The ledger is not the one of the expected genesis.'),
  ledger_rate: entry('wait', 'Too many requests from this address.'),
  // audit: what a regulator finds beyond the contract's own refusals
  audit_amount: entry('call_operator', 'A decrypted amount is not below 2^L.'),
  audit_conservation: entry(
    'call_operator',
    'Money came or went: what was minted is not what is held, locked and redeemed, or a channel paid out another sum than was deposited.',
  ),
  audit_overdrawn: entry('call_operator', 'An account gave more than it ever received.'),
  audit_pinned: entry('call_operator', 'The head that the auditor knows is not in the chain.'),
  audit_withheld: entry('call_operator', 'The ledger does not hand out a block below its own head.'),
  not_regulator: entry('fix_request', 'Only the regulator of this ledger can read its amounts.'),
  // channel: why an operation, an offer or an opening is refused (C4, C5, C9, L5)
  amount_out_of_bounds: entry('fix_request', 'The amount is outside the limits that were agreed for the channel.'),
  balance_too_low: entry('add_capacity', 'The balance, less the reserve, does not cover the amount.'),
  channel_not_open: entry('wait', 'The channel is being opened or closed, or is frozen: it takes no new operation.'),
  channel_offline: entry('wait', 'The peer of the channel is not connected.'),
  channel_recovering: entry(
    'wait',
    'The channel is in RECOVERY: it closes by itself with its peer; keep the node running (docs/recovery.md).',
  ),
  claim_too_late: entry('wait', 'So near to its expiry a lock is claimed only once its scalar is on the ledger.'),
  exit_not_yet: entry('wait', 'After a start an exit waits for a tower or for absent_s: the store may be an old one.'),
  exit_unlicensed: entry('call_operator', 'This store is not shown to be the newest: an exit could be punished.'),
  expiry_out_of_bounds: entry('fix_request', 'The expiry is outside the limits that were agreed for the channel.'),
  lock_is_dead: entry(
    'fix_request',
    'The lock expired without its scalar being revealed; it can no longer be claimed.',
  ),
  lock_not_dead: entry('wait', 'Only a dead lock can be taken back by the side that offered it.'),
  lock_unknown: entry('fix_request', 'The channel has no such lock.'),
  open_expired: entry(
    'retry_same_key',
    'The opening was not completed in time. One that both have signed may still come onto the ledger: the same key finds it.',
  ),
  open_no_funds: entry('wait', 'The peer gives no such share at the moment: ask for less, or later, or another hub.'),
  open_not_allowed: entry('fix_request', "The opening does not fit the peer's policy."),
  open_terms: entry('fix_request', 'The terms of the opening are out of bounds or do not fit each other.'),
  operation_too_long: entry('fix_request', 'A reference, onion or reason is longer than its limit.'),
  point_in_use: entry('retry_same_key', 'A lock of the channel has this point already.'),
  proposal_void: entry('retry_same_key', 'The connection broke before the operation was committed; it did not happen.'),
  queue_full: entry('wait', 'Too many operations of the channel wait for a round.'),
  scalar_wrong: entry('fix_request', 'The scalar does not open the point of the lock.'),
  too_many_locks: entry('wait', 'The channel carries as many locks in this direction as were agreed.'),
  // routing: forwarding, invoices, payments, receipts (R1 to R7)
  amount_above_maximum: entry('fix_request', 'A hop forwards no amount this large.'),
  amount_below_minimum: entry('fix_request', 'A hop forwards no amount this small.'),
  announcement_future: entry(
    'wait',
    'The announcement is dated further ahead than ledgers are apart; check the clock of the ledger.',
  ),
  announcement_invalid: entry('fix_request', 'The bytes are no announcement of a channel or of a policy.'),
  announcement_quota: entry('wait', 'The public graph, or this account in it, has as many channels as it may.'),
  announcement_signature: entry('fix_request', 'A hub named in the announcement has not signed it.'),
  announcement_stale: entry('wait', 'The announcement is no newer than the one that is known, or too old to be kept.'),
  announcement_unknown_channel: entry('wait', 'The ledger has no such open channel of these accounts.'),
  announcement_wrong_ledger: entry('fix_request', 'The announcement is made for another ledger.'),
  circular_route: entry('fix_request', 'The route leads back to the node that it came from.'),
  expiry_delta_too_small: entry('fix_request', 'The route leaves a hop less time than its policy asks for.'),
  expiry_too_far: entry('fix_request', 'The route would lock money for longer than a hop allows.'),
  expiry_too_near: entry('fix_request', 'Too little time is left before the lock expires.'),
  failure_unreadable: entry('wait', 'The payment failed; the failure message names no hop of the route.'),
  fee_above_limit: entry('fix_request', 'Every route costs more than the fee limit of the payment.'),
  fee_too_small: entry('fix_request', 'The route pays a hop less than its policy asks for.'),
  forwarding_off: entry('fix_request', 'A node of the route forwards no payments.'),
  invoice_expired: entry('fix_request', 'The invoice is past its expiry; ask the payee for a new one.'),
  invoice_invalid: entry('fix_request', 'It is no invoice of this version, or what is asked for can be none.'),
  invoice_paid: entry('fix_request', 'The invoice is paid or being paid already; an invoice is paid once.'),
  invoice_signature: entry('fix_request', "The payee's signature on the invoice is wrong or not canonical."),
  invoice_wrong_ledger: entry('fix_request', 'The invoice is made for another ledger.'),
  ledger_stale: entry('wait', "The node's view of the ledger is too old to pay, to forward or to receive."),
  lock_expired: entry('wait', 'The lock expired on the ledger without being claimed.'),
  next_hop_unavailable: entry('wait', 'A hop of the route cannot reach the next one at the moment.'),
  no_capacity: entry(
    'add_capacity',
    'No channel of this node can send the amount: its side is used up. Open another (`meridian channel open <peer> --deposit`), or move money between your channels (`meridian channel rebalance`).',
  ),
  no_capacity_on_route: entry(
    'add_capacity',
    'A hub of the route cannot pass the amount on to the next hub, or is cut off from it. Pay later or through another hub: `meridian channel open <other hub> --deposit`.',
  ),
  no_capacity_to_payee: entry(
    'add_capacity',
    'The last hub cannot pass the amount on to the payee: the payee is away, or its inbound capacity is used up. The payee asks for more: `meridian channel open <hub> --deposit … --ask-inbound …`.',
  ),
  no_circle: entry(
    'add_capacity',
    'No way is known from the peer of the one channel to the peer of the other: they need a public channel with each other.',
  ),
  no_route: entry('add_capacity', 'No channel of this node leads to the payee or to a hub of the invoice.'),
  onion_replayed: entry('fix_request', 'This onion packet was seen before.'),
  onion_unreadable: entry('fix_request', 'The onion packet is not made for this node and this lock.'),
  parts_timeout: entry('wait', 'The payee had not all parts of the payment in time and gave back those that it held.'),
  payload_invalid: entry('fix_request', 'The instructions for a hop in the onion packet cannot be read.'),
  payment_details_wrong: entry('fix_request', 'The payee expects no such payment.'),
  payment_ended: entry('retry_same_key', 'The payment has ended already; nothing was changed.'),
  payment_key_reused: entry('fix_request', 'The idempotency key belongs to a payment with other parameters.'),
  payment_pending: entry('wait', 'An attempt of the payment is under way; another starts only when it is out.'),
  point_unusable: entry(
    'retry_same_key',
    'A lock point of the route is in use or revealed; another attempt has fresh ones.',
  ),
  policy_invalid: entry(
    'fix_request',
    'A forwarding policy is out of bounds or leaves too little time to defend a lock.',
  ),
  receipt_foreign: entry('fix_request', 'The receipt is for another ledger or another payee.'),
  receipt_invalid: entry('fix_request', 'The receipt does not prove the payment of its invoice.'),
  refund_above_original: entry('fix_request', 'The refunds of one payment may not sum to more than it.'),
  refund_unknown: entry(
    'fix_request',
    'The refund names no payment that succeeded here, or has another reference than the payment that it names.',
  ),
  route_too_long: entry('fix_request', 'The route has more hops than an onion packet can carry.'),
  temporary_failure: entry('wait', 'A hop of the route could not handle the payment at the moment.'),
  unknown_next_hop: entry('fix_request', 'A hop of the route has no channel to the next one.'),
  // watchtower: why a tower refuses a client (T1 to T3)
  tower_conflict: entry(
    'call_operator',
    'The tower holds another state of this version, or other secrets: two contents were signed for one version.',
  ),
  tower_gap: entry(
    'fix_request',
    'The secrets leave a gap behind those that the tower holds, or reach beyond the state: send the whole store.',
  ),
  tower_job_conflict: entry('fix_request', 'The client has another job of this name.'),
  tower_job_late: entry('fix_request', 'The deadline of the job has passed or lies too far ahead.'),
  tower_later: entry('wait', 'The ledger does not show the channel as open to the tower yet: register again later.'),
  tower_lost: entry('call_operator', 'The tower no longer holds what it has signed for; it is given everything again.'),
  tower_not_party: entry('fix_request', 'The account of this connection is no party of the channel.'),
  tower_not_watched: entry('fix_request', 'The tower does not watch this channel for this client: register first.'),
  tower_quota: entry('wait', 'The client uses as many channels, jobs or bytes of the tower as it may.'),
  tower_receipt_foreign: entry(
    'fix_request',
    'The receipt is for another ledger, or for a channel that this ledger does not have.',
  ),
  tower_receipt_invalid: entry(
    'call_operator',
    'It is no receipt, the tower has not signed it, or it is not for what the tower was given.',
  ),
  tower_stale: entry('call_operator', 'The tower holds a newer co-signed state: the client has lost data.'),
  // claims: rows of a file of encounters (demo)
  claim_above_limit: entry('fix_request', 'The covered amount is above the limit of one payment.'),
  claim_bad_decimals: entry('fix_request', 'An amount has exactly two decimals, such as 1241.22.'),
  claim_bad_quoting: entry('fix_request', 'A quote is not closed, or stands inside of a field that is not quoted.'),
  claim_missing_column: entry('fix_request', 'A required column is absent or empty in this row.'),
  claim_negative: entry('fix_request', 'An amount is negative.'),
  claim_not_a_number: entry('fix_request', 'An amount is not a decimal number.'),
  claim_surplus_column: entry('fix_request', 'The row has more fields than the header: its columns may have shifted.'),
  claims_header: entry('fix_request', 'The first line does not name each required column exactly once.'),
  duplicate_claim: entry('fix_request', 'A claim with this Id stands further up; no claim is paid twice.'),
  // operator API (PRODUCT.md)
  api_rate: entry(
    'wait',
    'Too many requests with this token, or from this address without a good one; nothing was begun.',
  ),
  bad_request: entry('fix_request', 'A field of the request is missing, unknown or has a wrong form.'),
  cursor_ahead: entry(
    'fix_request',
    'The cursor is beyond the newest event: it is from another node, or from before this one was restored. Begin again from the event that your books have last.',
  ),
  cursor_pruned: entry(
    'fix_request',
    'Events after the cursor have left the log: they were archived (account export --archive) and are older than events_kept_days. Take them from that export, and begin after the cursor in the detail; GET /v1/events/archive has the sum of what left.',
  ),
  not_found: entry('fix_request', 'There is nothing under this address or name.'),
  request_key_missing: entry('fix_request', 'A write needs the header Idempotency-Key.'),
  request_key_reused: entry('fix_request', 'The idempotency key was used for another request.'),
  request_running: entry('retry_same_key', 'The first request with this key is still under way.'),
  scope_missing: entry('fix_request', 'The bearer token is not made for this: token create --scope.'),
  unauthorized: entry('fix_request', 'The bearer token is missing or wrong; it is in api.json of the running node.'),
  // general
  busy: entry('wait', 'As much work is waiting as may; try again shortly.'),
  internal: entry('call_operator', 'A defect of this program; the operation was stopped and its journal kept.'),
  unavailable: entry('wait', 'The service is not reachable or not ready at the moment.'),
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof ERRORS

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text)

/** A refusal that has to cross a promise boundary (a rejected submit, an HTTP answer). */
export class MeridianError extends Error {
  readonly code: ErrorCode
  readonly detail: string | undefined

  constructor(code: ErrorCode, detail?: string) {
    super(detail === undefined ? `${code}: ${ERRORS[code].text}` : `${code}: ${ERRORS[code].text} (${detail})`)
    this.name = 'MeridianError'
    this.code = code
    this.detail = detail
  }

  get action(): Action {
    return ERRORS[this.code].action
  }
}

/** A broken invariant: stops what it concerns (a channel, a block) and keeps its journal; never caught to go on. */
export class InvariantError extends Error {
  constructor(
    readonly clause: string,
    message: string,
  ) {
    super(`${clause}: ${message}`)
    this.name = 'InvariantError'
  }
}

/** @throws InvariantError naming the clause of PROTOCOL.md that would not hold. */
export function invariant(condition: boolean, clause: string, message: string): asserts condition {
  if (!condition) throw new InvariantError(clause, message)
}

/** For the default branch of a switch: a new case that nobody handles does not compile. */
export function unreachable(value: never): never {
  throw new InvariantError('exhaustive', `unexpected case ${typeof value}`)
}
