/** Typed calls between the main thread, which does I/O only, and the ledger's thread. */
import type { MessagePort, Worker } from 'node:worker_threads'
import { type ErrorCode, MeridianError } from '../../base/errors.js'

/** What may be called on the other side. Arguments and results are copied. */
type Methods<Api> = { [K in keyof Api]: (...args: never[]) => Promise<unknown> }

interface Call {
  readonly id: number
  readonly method: string
  readonly args: readonly unknown[]
}
type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly code: ErrorCode; readonly detail: string | undefined }
interface Notice<N> {
  readonly notice: N
}

type Port = MessagePort | Worker

/** Answers calls with `api`. Anything but a MeridianError is a defect and ends the thread. */
export function serve<Api extends Methods<Api>>(port: Port, api: Api): void {
  port.on('message', (call: Call) => {
    const method = api[call.method as keyof Api] as Methods<Api>[keyof Api]
    void answer(call, method).then((message) => port.postMessage(message))
  })
}

async function answer(call: Call, method: (...args: never[]) => Promise<unknown>): Promise<Answer> {
  try {
    return { id: call.id, value: await method(...(call.args as never[])) }
  } catch (error) {
    if (error instanceof MeridianError) return { id: call.id, code: error.code, detail: error.detail }
    throw error
  }
}

/** Calls the other side; every open call is rejected by `fail`. */
export class Caller<Api extends Methods<Api>, N> {
  readonly #open = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  #next = 0
  #failed: Error | undefined

  constructor(
    private readonly port: Port,
    onNotice: (notice: N) => void,
  ) {
    port.on('message', (message: Answer | Notice<N>) => {
      if ('notice' in message) onNotice(message.notice)
      else this.#settle(message)
    })
  }

  call<K extends keyof Api & string>(method: K, ...args: Parameters<Api[K]>): ReturnType<Api[K]> {
    const outcome = new Promise((resolve, reject) => {
      if (this.#failed !== undefined) return reject(this.#failed)
      const id = this.#next++
      this.#open.set(id, { resolve, reject })
      this.port.postMessage({ id, method, args } satisfies Call)
    })
    return outcome as ReturnType<Api[K]>
  }

  fail(error: Error): void {
    this.#failed ??= error
    for (const { reject } of this.#open.values()) reject(error)
    this.#open.clear()
  }

  #settle(answer: Answer): void {
    const call = this.#open.get(answer.id)
    this.#open.delete(answer.id)
    if ('code' in answer) call?.reject(new MeridianError(answer.code, answer.detail))
    else call?.resolve(answer.value as never)
  }
}
