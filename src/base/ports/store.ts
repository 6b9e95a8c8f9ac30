export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** What one step changes, atomically. */
export interface Batch {
  readonly puts: readonly Row[]
  readonly deletes: readonly Uint8Array[]
}

export interface Range {
  /** Inclusive. */
  readonly from: Uint8Array
  /** Exclusive. */
  readonly to: Uint8Array
  readonly limit?: number
  readonly reverse?: boolean
}

/**
 * Durable ordered bytes (S1). A write error is final: the store reports it once and the process ends (S2); no caller
 * goes on after a rejected `write`.
 */
export interface Store {
  get(key: Uint8Array): Uint8Array | undefined
  range(range: Range): AsyncIterable<Row>
  /** All of the batch or none; resolves after its sync. Batches apply in the order of their calls; concurrent ones are grouped into one sync. */
  write(batch: Batch): Promise<void>
  close(): Promise<void>
}
