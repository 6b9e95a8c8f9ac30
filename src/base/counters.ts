/**
 * Counts of the few operations that a payment's cost is made of: `bench` prints them per payment, and a test holds them to
 * a stored profile, because they do not depend on the machine's mood. A plain addition each, in one bank per thread.
 */

/** Index of each count in a bank. */
export const COUNT = {
  /** Modular exponentiations (P8), whatever their backend. */
  exponentiations: 0,
  /** k*G: fixed base. */
  baseMultiplications: 1,
  /** k*P, with or without an addition, and ECDH. */
  multiplications: 2,
  signatures: 3,
  verifications: 4,
  /** Syncs of data: a database's batch, the high-water file. */
  fsyncs: 5,
  /** Syncs of a directory's names: how many depends on when the file system's clock steps. */
  nameSyncs: 6,
  /** Bytes handed to the database and the high-water file. */
  diskBytes: 7,
  /** Frames sent to peers, and their bytes. */
  messages: 8,
  wireBytes: 9,
} as const
export type Count = keyof typeof COUNT
export type Counts = Readonly<Record<Count, number>>

const NAMES = Object.keys(COUNT) as Count[]
const newBank = (): SharedArrayBuffer => new SharedArrayBuffer(NAMES.length * Float64Array.BYTES_PER_ELEMENT)

let own = new Float64Array(newBank())
const banks: Float64Array[] = [own]

export function count(what: Count, by = 1): void {
  own[COUNT[what]]! += by
}

/** For a worker thread that this thread starts: handed over as data, taken with `useBank`, counted here from then on. */
export function bankForWorker(): SharedArrayBuffer {
  const bank = newBank()
  banks.push(new Float64Array(bank))
  return bank
}

/** In the worker, before it does anything. */
export function useBank(bank: SharedArrayBuffer): void {
  own = new Float64Array(bank)
  banks[0] = own
}

/** Since the process began: this thread and the workers that it gave banks to. */
export function counts(): Counts {
  const sum = (name: Count) => banks.reduce((total, bank) => total + bank[COUNT[name]]!, 0)
  return Object.fromEntries(NAMES.map((name) => [name, sum(name)])) as Counts
}

export const countsBetween = (before: Counts, after: Counts): Counts =>
  Object.fromEntries(NAMES.map((name) => [name, after[name] - before[name]])) as Counts
