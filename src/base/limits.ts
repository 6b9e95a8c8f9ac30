/** Every bound on what a peer or a user can grow, in one place. Units last in the names. */
export const LIMITS = {
  /** W3: one BOLT 8 message per frame: 2 + 16 + 65535 + 16. */
  frame_bytes: 65_569,
  /** BOLT 8's plaintext bound. */
  message_bytes: 65_535,
  /** W3: WebSocket fragments of one frame, and pieces in which its bytes may trickle in. */
  frame_fragments: 8,
  frame_chunks: 1_024,
  /** W3: from TCP's accept to the end of Noise; then to the peer's hello. */
  handshake_ms: 10_000,
  /** W3: silence after which a connection ends; it is pinged three times within. */
  idle_ms: 60_000,
  /** W3: bytes waiting to be sent on one connection: from the first on it says "pause", at the second it ends. */
  send_pause_bytes: 1_048_576,
  send_queue_bytes: 16_777_216,
  /** W3: connections that have not finished Noise: all, and from one address (IPv6: one /64). */
  unauthenticated_connections: 256,
  unauthenticated_per_address: 32,
  authenticated_connections: 16_384,
  /** W3: one peer's rate; above it the peer is read more slowly, not cut off. */
  peer_messages_per_s: 50_000,
  peer_bytes_per_s: 67_108_864,
  /** Peers whose rate is remembered after they have gone. */
  peers_remembered: 4_096,
  /** Bytes of an HTTP upgrade request's headers. */
  upgrade_header_bytes: 4_096,
  /** L7: locks in one state. */
  locks_per_state: 512,
  /** C9: locks in one direction. */
  locks_per_direction: 256,
  /** L8: scalars in one reveal. */
  reveal_scalars: 512,
  /** L8: points one account may register in one block. */
  reveal_quota_per_block: 512,
  /** P4: ciphertext-commitment pairs in one Link. */
  link_pairs: 16,
  /** L5: ledger seconds for which a peer's opening may stay open, and how many of one peer's, signed, may wait for the ledger. */
  opening_valid_s: 3_600,
  openings_unfunded: 4,
  /** C5: a round's bound in count and bytes of its packed operations. */
  round_operations: 1_024,
  round_bytes: 160_000,
  /** C4: proposals of one side waiting for a round, and how many of them may be locks (they carry an onion). */
  queued_operations: 4_096,
  queued_locks: 512,
  /** C4: an operation's parts that its proposer chooses freely: a pay's reference, a lock's onion, a release's reason. */
  pay_reference_bytes: 64,
  lock_payload_bytes: 2_048,
  release_reason_bytes: 400,
  /** Packed operations in one propose message. */
  propose_bytes: 60_000,
  /** L5: the longest dispute window that a genesis may allow: one year. */
  window_s: 31_536_000,
  /** A3: accounts that may advance ledger time. */
  clock_accounts: 16,
  /** A transaction's canonical bytes. */
  transaction_bytes: 131_072,
  /** A ledger's waiting transactions: all, their bytes, and how often one is proven again because its state moved. */
  mempool_transactions: 4_096,
  mempool_bytes: 67_108_864,
  mempool_attempts: 8,
  /** Transactions, and refusals, in one block; bytes of transactions after which a block takes no more. */
  block_transactions: 512,
  block_bytes: 4_194_304,
  /** One value of the ledger's keyed state. */
  state_value_bytes: 262_144,
  /** Blocks, and bytes, in one answer to an auditor; blocks that a subscriber may lag before the disk is read for it. */
  block_page: 64,
  block_page_bytes: 16_777_216,
  blocks_remembered: 64,
  /** A ledger's connections and subscribers; time that one may take to read what it was sent; silence that ends a connection. */
  ledger_connections: 4_096,
  ledger_subscribers: 1_024,
  subscriber_stall_ms: 15_000,
  subscriber_idle_ms: 45_000,
  /** Requests to a ledger from one address, and addresses whose rate is remembered. */
  ledger_requests_per_s: 2_000,
  ledger_addresses: 4_096,
  /** A ledger's client: a request's answer, and how long an unknown outcome is asked again before it is reported. */
  ledger_request_ms: 30_000,
  ledger_unknown_ms: 120_000,
  ledger_backoff_ms_max: 5_000,
  /** Blocks that a ledger's client holds unread before it stops reading. */
  stream_queue: 16,
  problem_bytes: 4_096,
  /** An audit's transactions whose proofs and amounts are under way, and findings that it keeps. */
  audit_ahead: 64,
  audit_findings: 1_000,
  /** C3: secrets of one counterparty, whatever the number of versions (BOLT 3). */
  revocation_slots: 49,
  /** T1: a state in an appointment, with room for its secrets in one message; secrets in one list. */
  tower_state_bytes: 61_440,
  tower_secrets_listed: 64,
  /** T2, a client: towers of one node, questions under way at one tower, how long it may take to answer one. */
  towers: 16,
  tower_requests: 64,
  tower_answer_ms: 30_000,
  /** T2: messages of one channel that wait for receipts; above it its peer is disconnected, and reestablish makes up. */
  gated_messages: 8_192,
  /** T3: what a tower submits at once, how long one submission may take before it is repeated; looks back per ledger head. */
  tower_submissions: 64,
  tower_submission_ms: 60_000,
  tower_backoff_ms_max: 30_000,
  tower_looks_per_head: 64,
  /** A tower's requests of one client that are not yet durable; above it, nothing more is read from it (W3). */
  tower_unsynced: 256,
  /** Channels whose newest state a tower keeps decoded. */
  tower_cached: 1_024,
  /** Ledger events after which a tower's cursor is written although nothing else was. */
  tower_cursor_events: 1_024,
  /** CBOR nesting that any message or transaction needs, with room. */
  cbor_depth: 8,
  /** Rows of one kind (payments, invoices, obligations, owners of locks) that are kept decoded. */
  rows_kept: 4_096,
  /** S1: batches that share one sync. */
  store_group_batches: 1_024,
  /** A backup's file, and the peers that it names. */
  backup_bytes: 4_194_304,
  backup_peers: 10_000,
  /** P8: moduli with a ready OpenSSL context, per thread. */
  modexp_contexts: 512,
  /** P2: account keys with their derived h, per thread. */
  paillier_keys: 4_096,
  /** P8: keys with a table of powers of h, per thread: 0.2 MiB each at 2048 bits, 0.5 at 4096. */
  power_tables: 16,
  /** P8: jobs that wait for a worker thread. */
  pool_jobs: 4_096,
  /** P10: segments of one record. */
  record_segments: 64,
  reference_bytes: 256,
  /** A file of claims. */
  claims_bytes: 67_108_864,
  invoice_characters: 4_096,
  /** R6: hubs named in one invoice. */
  invoice_hints: 4,
  address_characters: 256,
  route_hops: 20,
  /** R4: hops whose payloads an onion carries (BOLT 4: 1,300 bytes), and routes that one search gives. */
  path_hops: 15,
  routes_found: 4,
  /** R4: one announcement; the public graph: channels of all, and of one account; pairs that own payments taught of. */
  announcement_bytes: 640,
  graph_channels: 32_768,
  graph_channels_per_account: 1_024,
  success_pairs: 4_096,
  /** R4: ledger seconds after which an announcement that nobody renews is forgotten, its hub renews it, and how far ahead it may be dated. */
  announcement_kept_s: 1_209_600,
  announcement_renewed_s: 259_200,
  announcement_future_s: 600,
  /** R4: gossip to one peer: a batch's bytes, and the pause after it; from one peer: bytes, above which it is not read. */
  gossip_batch_bytes: 49_152,
  gossip_batch_ms: 100,
  gossip_bytes_per_s: 1_048_576,
  gossip_burst_bytes: 8_388_608,
  /** R4: how often two peers compare their graphs anew; a peer that asks more often, several times in a row, is not answered. */
  gossip_compare_ms: 600_000,
  gossip_compares: 8,
  receipt_bytes: 8_192,
  /** Operator API: a request's body, connections, event streams, one page of events or invoices, a client's largest answer. */
  api_body_bytes: 65_536,
  api_json_depth: 8,
  api_connections: 256,
  /** Connections that have shown no token; above it the longest silent one goes, unless it came just now. */
  api_strangers: 128,
  api_stranger_ms: 2_000,
  api_streams: 32,
  api_page: 1_000,
  api_tokens: 64,
  /** Operator API: requests of one token, and of one address without a token; addresses whose rate is remembered. */
  api_requests_per_s: 1_000,
  api_addresses: 1_024,
  /** Payments under way whose time is taken. */
  api_payments_timed: 10_000,
  api_answer_bytes: 16_777_216,
  /** Operator API: longest `Prefer: wait`, silence of a stream before a heartbeat, time given to requests at a stop. */
  api_wait_s: 60,
  api_heartbeat_ms: 15_000,
  api_drain_ms: 5_000,
  /** R5: an idempotency key, bytes of UTF-8. */
  key_characters: 255,
  /**
   * Ledger seconds for which the API keeps the answer to a key: 30 days. Payment keys are kept for ever. A key that comes
   * later is carried out as new, but the node's own records still know its mint, transfer, channel or invoice.
   */
  request_kept_s: 2_592_000,
  /** R2: ledger seconds for which an onion is remembered after its expiry. */
  replay_margin_s: 3_600,
  /** Rows that ended, deleted in one batch. */
  sweep_rows: 512,
  /** R3: ledger seconds within which a lock has to end to be a good one; what it is held longer counts in such steps. */
  lock_quick_s: 120,
  /** R3: good payments of a peer: from how many on it is known, how many are counted, and room that each of them buys. */
  record_slots_min: 16,
  record_slots_max: 100_000,
  record_reach: 4,
  /** R3: failed forwards of one peer before it waits, and ledger seconds after which one of them is forgotten. */
  failed_forwards: 32,
  failure_forgotten_s: 60,
  /** R3: peers whose record is kept. */
  records: 4_096,
  /** R5: parts of one payment that are started in all: a hop that raises its price at every attempt must not keep a payer trying. */
  payment_attempts: 48,
  /** R5: how long a payment that a restart interrupted waits for own channels before it gives up. */
  payment_channels_ms: 30_000,
  /** R1: parts of one payment under way, and held by its payee; none is less than this share of what is to be paid. */
  payment_parts: 16,
  payment_part_share: 64,
  /** R1: ledger seconds for which a payee holds parts while others are missing. */
  parts_hold_s: 60,
  /** R6: refunds of one payment. */
  payment_refunds: 64,
} as const
