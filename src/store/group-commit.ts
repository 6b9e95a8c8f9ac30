import { MeridianError } from '../base/errors.js'
import type { OnFatal } from './fatal.js'

interface Waiting<T> {
  readonly item: T
  readonly resolve: () => void
  readonly reject: (error: MeridianError) => void
}

/**
 * S1: what is submitted while a sync is in flight shares the next one, in the order of the calls. The first failure is
 * final (S2): whatever waits and whatever comes later is rejected with it, and `onFatal` hears of it once.
 */
export class GroupCommit<T> {
  #waiting: Waiting<T>[] = []
  #running: Promise<void> | undefined
  #ended: MeridianError | undefined

  /** `commit` makes all items durable, in order, all or none; `groupMax` bounds the items of one sync. */
  constructor(
    private readonly commit: (items: readonly T[]) => Promise<void>,
    private readonly onFatal: OnFatal,
    private readonly groupMax: number,
  ) {}

  submit(item: T): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Refuses what comes later; resolves when everything submitted so far is durable or rejected. */
  async close(): Promise<void> {
    this.#ended ??= new MeridianError('store_closed')
    await this.#running
  }

  async #run(): Promise<void> {
    await null // what the same turn of the event loop submits shares the first sync
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, this.groupMax)
      try {
        await this.commit(group.map(({ item }) => item))
      } catch (error) {
        this.#fail(error, group)
        break
      }
      for (const { resolve } of group) resolve()
    }
    this.#running = undefined
  }

  #fail(cause: unknown, group: readonly Waiting<T>[]): void {
    const failure = new MeridianError('store_failed', causeOf(cause))
    const rejected = [...group, ...this.#waiting]
    this.#waiting = []
    this.#ended = failure
    this.onFatal(failure)
    for (const { reject } of rejected) reject(failure)
  }
}

/** The system's name of a failure (ENOSPC, LEVEL_IO_ERROR): never its message, which may quote paths and keys. */
export function causeOf(error: unknown): string {
  if (error instanceof Error && error.cause !== undefined) return causeOf(error.cause)
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'unknown'
}
