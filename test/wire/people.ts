import { utf8 } from '../../src/base/bytes.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { sha256 } from '../../src/base/digest.js'
import type { ErrorCode } from '../../src/base/errors.js'
import type { AccountId } from '../../src/base/ids.js'
import type { Result } from '../../src/base/result.js'
import type { Timers } from '../../src/wire/environment.js'
import type { Session } from '../../src/wire/session.js'

export interface Person {
  readonly key: Scalar
  readonly account: AccountId
}

/** Keys of a test: from a name. */
export function person(name: string): Person {
  const key = sha256(utf8(name)) as unknown as Scalar
  return { key, account: curve.multiplyBase(key) }
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${result.error.code} ${result.error.detail ?? ''}`)
  return result.value
}

export const closedBy = (session: Session): Promise<ErrorCode> => new Promise((resolve) => session.onClose(resolve))

/** Resolves with the next `count` messages; takes the session's one handler. */
export function messages(session: Session, count: number): Promise<Uint8Array[]> {
  const seen: Uint8Array[] = []
  return new Promise((resolve) => {
    session.onMessage((message) => {
      seen.push(message)
      if (seen.length === count) resolve(seen)
    })
  })
}

/** Time that only a test moves. */
export class ManualTimers implements Timers {
  #now = 0
  readonly #tasks = new Set<{ readonly at: number; readonly task: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const entry = { at: this.#now + ms, task }
    this.#tasks.add(entry)
    return () => this.#tasks.delete(entry)
  }

  soon(task: () => void): void {
    this.after(0, task)
  }

  seconds(): number {
    return Math.floor(this.#now / 1_000)
  }

  get pending(): number {
    return this.#tasks.size
  }

  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = [...this.#tasks].filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#tasks.delete(due)
      this.#now = due.at
      due.task()
    }
    this.#now = end
  }
}
