/**
 * Who hears that the ledger view moved. A part that fails at it (a defect of ours) keeps no other from hearing of it, and
 * hears the newest view again: after a while, or with the next head (L7: what answers an exit waits for heads). For events
 * node/unheard does the same.
 */
import { InvariantError } from '../base/errors.js'
import type { LedgerTime } from '../base/ports/chain.js'
import type { Logger, Timers } from '../wire/environment.js'

const AGAIN_MS = 1_000

export interface HeadParts {
  readonly logger: Logger
  readonly timers: Timers
  readonly stopping: () => boolean
}

export class Heads {
  #view: LedgerTime | undefined
  readonly #unheard = new Set<string>()
  #waits = false

  constructor(
    /** In the order in which they hear. */
    private readonly listeners: Readonly<Record<string, (view: LedgerTime) => void>>,
    private readonly parts: HeadParts,
  ) {}

  advanced(view: LedgerTime): void {
    this.#view = view
    for (const name of Object.keys(this.listeners)) this.#tell(name, view)
  }

  #tell(name: string, view: LedgerTime): void {
    try {
      this.listeners[name]?.(view)
      this.#unheard.delete(name)
    } catch (error) {
      const clause = error instanceof InvariantError ? error.clause : 'C11'
      this.parts.logger.warn('ledger.head_unheard', { name, clause })
      this.#unheard.add(name)
      this.#again()
    }
  }

  #again(): void {
    if (this.#waits) return
    this.#waits = true
    this.parts.timers.after(AGAIN_MS, () => {
      this.#waits = false
      if (this.#view === undefined || this.parts.stopping()) return
      for (const name of [...this.#unheard]) this.#tell(name, this.#view)
    })
  }
}

/** Every one is served, whatever one of them throws: the first such is thrown when all are. */
export function serveAll<T>(all: Iterable<T>, serve: (one: T) => void): void {
  const failed: unknown[] = []
  for (const one of all) {
    try {
      serve(one)
    } catch (error) {
      failed.push(error)
    }
  }
  if (failed.length > 0) throw failed[0]
}
