/** How much costly work this thread has done: lets a test assert that a server's main thread does none. */
const counts = { proved: 0, verified: 0, derived: 0 }

export const countProofWork = (kind: keyof typeof counts): void => {
  counts[kind] += 1
}

/** Calls to `prove` and `verify` (and to the other checks of `runCheck`) in the calling thread, and derivations of an h. */
export const proofWork = (): Readonly<typeof counts> => ({ ...counts })
