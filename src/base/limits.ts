/** Every bound on what a peer or a user can grow, in one place. Units last in the names. */
export const LIMITS = {
  /** W3: one BOLT 8 message per frame: 2 + 16 + 65535 + 16. */
  frame_bytes: 65_569,
  /** BOLT 8's plaintext bound. */
  message_bytes: 65_535,
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
  /** C5: a round's bound in count and bytes of its packed operations. */
  round_operations: 1_024,
  round_bytes: 60_000,
  /** C4: proposals of one side waiting for a round. */
  queued_operations: 4_096,
  /** A transaction's canonical bytes. */
  transaction_bytes: 131_072,
  /** A ledger's waiting transactions. */
  mempool_transactions: 4_096,
  /** Transactions in one block. */
  block_transactions: 512,
  /** CBOR nesting that any message or transaction needs, with room. */
  cbor_depth: 8,
  reference_bytes: 256,
  invoice_characters: 4_096,
  route_hops: 20,
} as const
